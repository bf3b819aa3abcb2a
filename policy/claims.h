/* What all limits have to say to some questions: so much of that bucket, for that reason. Made when a decision begins and settled when it
 * ends; in between others may be asked of it. */
#ifndef POSTERN_POLICY_CLAIMS_H
#define POSTERN_POLICY_CLAIMS_H

#include "../relay/base/buffer.h"
#include "../relay/base/siphash.h"
#include "key.h"

#define CLAIMS_TEXTS_MAX ((size_t)256 << 10) /* of recipients in one question */

struct limit;

/* A bucket that questions are about. */
struct claim_target {
    const struct limit *limit;
    bool acts;            /* the limit's share is reached, where it has one */
    bool begun;           /* `pairs` is */
    struct siphash pairs; /* what all pairs that it counts have in common: see seen.h */
    uint64_t sum;         /* of all claims, while they are settled together */
    char key[KEY_SIZE];
};

/* What one of several questions asks of a target. */
struct claim {
    unsigned question, target;
    unsigned group;   /* of claims for the same pair: the index of the first of them, plus one; 0: none. See redis_script.h */
    unsigned counted; /* of a group's first: the question that was allowed, plus one; 0: none yet */
    bool look;
    bool noted;             /* that it did not fit: a question may be settled twice */
    uint64_t n;             /* 0: what is asked for was counted before */
    uint64_t pair;          /* in seen.h; 0: it does not matter who */
    uint32_t seen_s;        /* when the pair was seen last, in seconds of the wall clock; 0: never */
    size_t whom, whom_size; /* of a pair that others are to be told of: in `texts` */
};

/* All that limits have to say to questions of one subject that are decided one after the other; zero is empty. */
struct claims {
    struct claim_target *targets;
    struct claim *items;
    unsigned *scopes; /* one a limit: see claims_scope */
    size_t ntargets, target_room, count, room, nscopes;
    uint64_t pair_bits[4]; /* a bit for each pair, by its hash: where it is not set, the pair is new */
    struct buffer texts;
};

/* What is known of limit INDEX of LIMITS, the same number each time, and the subject: 0 nothing yet, CLAIMS_NOT_ABOUT, or the index of
 * the target plus one. */
unsigned *claims_scope(struct claims *claims, size_t index, size_t limits);
#define CLAIMS_NOT_ABOUT ((unsigned)-1)

/* The index of the target for LIMIT and KEY; one that is new ACTS or does not. */
unsigned claims_target(struct claims *claims, const struct limit *limit, const char *key, bool acts);

/* The group of PAIR: of the first claim for it, which may be the one that is added next. */
unsigned claims_group(struct claims *claims, uint64_t pair);

/* Keeps TEXT, of which nobody knows how long it lives, at *ret_at. False where there is no room for it. */
bool claims_keep(struct claims *claims, struct span text, size_t *ret_at);

/* Adds CLAIM. */
void claims_add(struct claims *claims, const struct claim *claim);

/* Forgets what is in CLAIMS, but keeps the memory. */
void claims_clear(struct claims *claims);

/* Frees what CLAIMS holds; it is empty afterwards. */
void claims_fini(struct claims *claims);

#endif
