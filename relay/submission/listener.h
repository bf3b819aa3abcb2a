/* Listening sockets: who may connect, and how many at once. */
#ifndef POSTERN_SUBMISSION_LISTENER_H
#define POSTERN_SUBMISSION_LISTENER_H

#include "front.h"

/* Accepts at FD (owned from here on) for the listener INDEX of the settings. */
void listener_new(struct front *front, unsigned index, int fd);

/* Closes all of them. */
void listener_close_all(struct front *front);

/* CLIENT has come to listener INDEX over the connected socket FD: it gets a session, or is refused (networks, too many connections)
 * and the socket closed. */
void listener_admit(struct front *front, unsigned index, int fd, const struct netaddr *client);

#endif
