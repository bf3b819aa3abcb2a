/* A connection from a balancer that has not said yet who its client is. */
#ifndef POSTERN_SUBMISSION_ARRIVAL_H
#define POSTERN_SUBMISSION_ARRIVAL_H

#include "front.h"

/* Reads the PROXY header off the connected socket FD, which BALANCER opened to listener INDEX; then the client it names is admitted
 * (listener_admit) as if it had come itself. Where there is no such header in time, the socket is closed without a word. */
void arrival_new(struct front *front, unsigned index, int fd, const struct netaddr *balancer);

/* Closes all that wait. */
void arrival_free_all(struct front *front);

#endif
