/* The auth role's duty towards the submission processes: takes their exchanges through to a verdict (channels/submission_auth.h).
 * Apart from main.c so that tests can drive it over a socket pair. */
#ifndef POSTERN_AUTH_SERVICE_H
#define POSTERN_AUTH_SERVICE_H

#include "../base/loop.h"
#include "../conf/conf.h"

#define SERVICE_EXCHANGES_MAX 4096   /* of one submission process; more are answered AUTH_TEMPORARY */
#define SERVICE_DEADLINE_MS   600000 /* of an exchange: longer than a client may take for a command */

struct service;

/* Nothing is opened before the first login. attempt_setup must have been called; CONF must live as long. */
struct service *service_new(struct loop *loop, const struct conf *conf);

/* Drops every channel and exchange, wipes and frees *SERVICE and nulls it. NULL is fine. */
void service_free(struct service **service);

/* Submission process SLOT is there, at FD (owned from here on). One that was known under SLOT is dropped with its exchanges. */
void service_peer(struct service *service, unsigned slot, int fd);

/* How many exchanges are under way. */
size_t service_exchanges(const struct service *service);

#endif
