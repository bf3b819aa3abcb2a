/* Decisions as Redis makes them: the script that looks at all that is asked and counts it in one step, how a question is put to it, and
 * how its answer is read. Exactly what bucket.h does on one machine, by Redis's own clock.
 *
 * Where the limits are: numbers in Redis's scripts are doubles, exact up to 2^53. A bucket is kept in whole units and a remainder, both
 * exact, for counts, bursts and debts up to REDIS_SCRIPT_UNITS_MAX each and periods of BUCKET_TIME_MAX; more counts as so much. */
#ifndef POSTERN_POLICY_REDIS_SCRIPT_H
#define POSTERN_POLICY_REDIS_SCRIPT_H

#include "../relay/base/buffer.h"
#include "bucket.h"
#include "redis_reply.h"

#define REDIS_SCRIPT_UNITS_MAX  ((uint64_t)1 << 51)
#define REDIS_SCRIPT_KEYS_MAX   2048 /* of one question */
#define REDIS_SCRIPT_CLAIMS_MAX 16384
#define REDIS_SCRIPT_SHA_SIZE   41 /* with its NUL */

/* A bucket that is asked about. */
struct redis_key {
    struct span name; /* whole, as it stands in Redis; borrowed */
    struct bucket_rule rule;
    uint64_t known; /* so much is used at least, as this machine knows: where Redis has lost its memory, it is told */
};

/* What a claim does; none of them: counts, whether it fits or not. */
enum {
    REDIS_LOOK = 1,    /* counts nothing */
    REDIS_REFUSE = 2,  /* where it does not fit, nothing of its question is counted */
    REDIS_IF_FITS = 4, /* counts only where it fits */
    REDIS_STOP = 8,    /* where it does not fit, the questions behind are not looked at */
    REDIS_CLEAR = 16   /* the bucket is empty before */
};

#define REDIS_NOT_LOOKED (-1) /* wait of a claim behind REDIS_STOP */

/* N of the bucket KEY (an index), as a part of QUESTION. Of the claims of one GROUP (0: of none), those of the first question that is
 * counted count, and those of later ones fit and count nothing: they are about the same thing. */
struct redis_claim {
    unsigned question, key, flags, group;
    uint64_t n;
};

/* Questions in turn, each of which is counted as a whole or not at all, before the next is looked at. Claims of one question stand
 * together. Keys differ. All borrowed. */
struct redis_ask {
    const struct redis_key *keys;
    size_t nkeys;
    const struct redis_claim *claims;
    size_t nclaims;
};

/* The text of the script, for SCRIPT LOAD. Static. */
struct span redis_script_text(void);

/* Writes the command that runs the script of SHA for ASK. False where ASK is too large (REDIS_SCRIPT_KEYS_MAX …) or OUT is full: then
 * OUT is as before. */
bool redis_script_command(const struct redis_ask *ask, const char *sha, struct buffer *out);

/* Reads its answer: for each of NCLAIMS claims how long until it fits (0: it does, BUCKET_NEVER, REDIS_NOT_LOOKED), for each of NKEYS keys how much is
 * used now in whole units, rounded up. False where REPLY is no such answer; what stands in the arrays then means nothing. */
bool redis_script_answer(const redisReply *reply, int64_t *waits_ms, size_t nclaims, uint64_t *used, size_t nkeys);

/* Writes any command of ARGC arguments. False where OUT is full. */
bool redis_script_arguments(const struct span *argv, size_t argc, struct buffer *out);

#endif
