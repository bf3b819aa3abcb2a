/* The processes that policy speaks with, and who of policy answers what they say. */
#ifndef POSTERN_POLICY_PEERS_H
#define POSTERN_POLICY_PEERS_H

#include "policy.h"

/* A peer's channel, over to here. */
void peers_add(struct policy *policy, enum role_kind kind, unsigned slot, int fd);

/* Closes all channels. */
void peers_drop(struct policy *policy);

/* The queue process, or NULL. */
struct peer *peers_queue(struct policy *policy);

/* A decision is made: for flights_init. */
void peers_decided(void *asker, const struct decision *decision);

#endif
