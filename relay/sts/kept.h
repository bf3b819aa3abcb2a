/* The policies that are known, in memory and in a folder, so that neither a restart nor a domain's web server that is away makes mail go
 * without them: that one policy was had once is all the protection that MTA-STS gives (RFC 8461 10.2).
 *
 * What changes is written down every KEPT_WRITE_MS, and all of it, synced, when the role ends in order; a kill costs the last changes, a
 * power cut those of half a minute, and they are fetched again. A folder that fails is logged, and nothing else happens. */
#ifndef POSTERN_STS_KEPT_H
#define POSTERN_STS_KEPT_H

#include "../base/loop.h"
#include "../channels/sts.h"
#include "announcement.h"

#define KEPT_MAX      50000 /* policies; what happens beyond says kept_put */
#define KEPT_BYTES    1024  /* of memory for each, on the average; the largest takes four times as much */
#define KEPT_WRITE_MS 5000

/* What is known of a domain. */
struct kept_policy {
    enum sts_mode mode;
    char id[ANNOUNCEMENT_ID_SIZE]; /* that was announced when it was fetched */
    int64_t fetched_ms;            /* wall clock */
    uint32_t max_age_s;            /* it holds so long from then on */
    struct span hosts;             /* as in struct sts_policy */
};

struct kept;

/* None, and room for at most MAX (at least 5), and as many times KEPT_BYTES. */
struct kept *kept_new(size_t max);

/* Takes in what earlier processes have left in FOLDER and does not expire before WALL_MS, and from here on writes down there what changes. */
void kept_open(struct kept *kept, struct loop *loop, const char *folder, int64_t wall_ms);

/* Writes down what changed, frees *KEPT and nulls it. NULL is fine. */
void kept_free(struct kept **kept);

/* The policy of DOMAIN (lower case), where one is known that has not expired at WALL_MS. Its hosts are borrowed until the next kept_put. One
 * that was fetched in the future, since the clock went back, was fetched at WALL_MS, unless that is a clock that was never set. */
bool kept_get(struct kept *kept, struct span domain, int64_t wall_ms, struct kept_policy *ret_policy);

/* Keeps POLICY (copied) for DOMAIN (lower case, below SMTP_DOMAIN_SIZE) in place of what was kept. Where there is no room, first an expired
 * one goes, then of those with mode none, testing, enforce the one that was not asked for the longest time; but none for the sake of one
 * with a lesser mode: this is not kept then. */
void kept_put(struct kept *kept, struct span domain, int64_t wall_ms, const struct kept_policy *policy);

/* How many there are, expired ones included. */
size_t kept_count(const struct kept *kept);

#endif
