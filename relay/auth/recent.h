/* The last good password of each account, as a keyed digest, for a few minutes: a client that connects for every message pays the
 * thousands of rounds of PBKDF2 once and a microsecond after that. */
#ifndef POSTERN_AUTH_RECENT_H
#define POSTERN_AUTH_RECENT_H

#include "../base/scram.h"

#include <stddef.h>

struct recent;

/* An empty cache of at most MAX accounts (the oldest goes first) that keeps a digest for KEEP_MS milliseconds (0: not at all). */
struct recent *recent_new(int64_t keep_ms, size_t max);

/* Wipes and frees *RECENT and nulls it. NULL is fine. */
void recent_free(struct recent **recent);

/* Was PASSWORD found to be right for ACCOUNT, against this same VERIFIER, within the time? Takes as long whatever the answer.
 * A digest that belongs to another verifier (the password was changed) is forgotten. */
bool recent_knows(struct recent *recent, struct span account, struct span password, const struct scram_verifier *verifier,
                  int64_t now_ms);

/* PASSWORD was found right for ACCOUNT against VERIFIER at NOW_MS (monotonic). */
void recent_keep(struct recent *recent, struct span account, struct span password, const struct scram_verifier *verifier,
                 int64_t now_ms);

/* ACCOUNT is gone: forgets its digest. */
void recent_forget(struct recent *recent, struct span account);

/* Forgets what is older than KEEP_MS. Called now and then, so that nothing lies in memory longer than it must. */
void recent_expire(struct recent *recent, int64_t now_ms);

/* How many digests there are. */
size_t recent_count(const struct recent *recent);

#endif
