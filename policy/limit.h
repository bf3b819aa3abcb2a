/* The limits of the configuration, and what was counted for them.
 *
 * A question is counted when it is asked and allowed: a refused one leaves nothing counted, in no limit. A limit in mode observe
 * does nothing; what it would have done is logged, noted (would.h), and not counted in it. One that slows or holds lets all pass and counts it.
 *
 * What has happened is no question and is counted whether it fits or not (limit_note): bounces, wrong passwords, reports; and, where a limit
 * suspends for it, the networks that logins come from. To any other limit a network is a question.
 *
 * unique-recipients, unique-domains and login-networks count what was not counted in the time of the rate; first-time-recipients whom the
 * account never wrote to before. */
#ifndef POSTERN_POLICY_LIMIT_H
#define POSTERN_POLICY_LIMIT_H

#include "bucket.h"
#include "claims.h"
#include "key.h"
#include "pairs.h"
#include "seen.h"
#include "share.h"
#include "would.h"

#define LIMIT_MEMORY     ((size_t)128 << 20) /* of all limits together, in equal parts */
#define LIMIT_MEMORY_MIN ((size_t)256 << 10) /* of one */

/* One limit. What follows from `conf` beyond enforced: see the manual. */
struct limit {
    const struct conf_limit *conf; /* borrowed from the configuration */
    struct bucket_table *buckets;
    struct share_table *shares; /* NULL where no share is asked for */
    bool counted;               /* it is not off */
    bool enforced;              /* acts; else it only logs */
};

struct limit_set;

/* The limits of CONF, which must outlive the set; pairs are noted in SEEN (borrowed). Limits that OLD (may be NULL) has too, of the same
 * name, key and count, go on with what they counted; *OLD is freed and nulled. */
struct limit_set *limit_new(const struct conf *conf, struct seen *seen, struct limit_set **old);

/* Notes from here on in WOULD (borrowed; NULL: nowhere) what the limits do not let pass, or would not. */
void limit_set_would(struct limit_set *set, struct would *would);

/* Frees *SET and nulls it. NULL is fine. */
void limit_free(struct limit_set **set);

/* How many limits there are. */
size_t limit_number(const struct limit_set *set);

/* The one at INDEX (less than limit_number), in the order of the configuration; borrowed. */
struct limit *limit_at(struct limit_set *set, size_t index);

/* The limit of that NAME which counts COUNT for KEY, or NULL. */
struct limit *limit_named(struct limit_set *set, struct span name, unsigned key, unsigned count);

/* Does LIMIT count for SUBJECT, by its key, apply-to and except? Then KEY is what it counts by. */
bool limit_is_about(const struct limit *limit, const struct key_subject *subject, char key[KEY_SIZE]);

/* N of what COUNT says; `look`: only see whether it would fit. `whom`: the recipient or domain, where it matters which. */
struct limit_ask {
    enum conf_limit_count count;
    uint64_t n;
    bool look;
    struct span whom;
};

/* What comes of a question; a later one outweighs those before it. */
enum limit_verdict { LIMIT_ALLOW, LIMIT_SLOW, LIMIT_HOLD, LIMIT_REFUSE, LIMIT_SUSPEND };

/* Why not: the limit, for whom, how much was asked, and when it would fit (BUCKET_NEVER: not ever). */
struct limit_refusal {
    const struct limit *limit;
    char key[KEY_SIZE];
    uint64_t n;
    int64_t wait_ms;
};

/* May SUBJECT have all NASKS of ASKS at NOW_MS (monotonic)? Then they are counted; unless all is well (LIMIT_ALLOW), the limit that
 * matters most is in *RET_REFUSAL (a permanent one before one that passes, the longest wait first) and logged. With LIMIT_SLOW its
 * wait is how long the answer is to be held back, with LIMIT_REFUSE and LIMIT_SUSPEND nothing is counted. */
enum limit_verdict limit_take(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *asks,
                              size_t nasks, int64_t now_ms, struct limit_refusal *ret_refusal);

/* The first half of limit_take: adds to CLAIMS what SUBJECT's question of this number (0, 1 …) claims. Nothing is counted. */
void limit_gather(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *asks, size_t nasks,
                  unsigned question, int64_t now_ms, struct claims *claims);

/* How a question is settled. */
struct limit_settling {
    struct claims *claims; /* what was allowed is noted there */
    unsigned question;
    const int64_t *waits_ms; /* by others, who have counted, for each claim: 0 fits, BUCKET_NEVER …; NULL: by the buckets here */
    bool unshared;           /* by the buckets here, though others may have counted it: they are not told */
    int64_t now_ms;
};

/* The second half of limit_take. Questions are settled in their order; limits must be those of limit_gather. */
enum limit_verdict limit_settle(struct limit_set *set, const struct limit_settling *settling, const struct key_subject *subject,
                                struct limit_refusal *ret_refusal);

/* Settles all questions of SETTLING's claims at once, none of which is a look, where all of them fit together: they are counted, and allowed.
 * False where one does not fit or others decide; then nothing is counted, and they are to be settled one by one. */
bool limit_settle_whole(struct limit_set *set, const struct limit_settling *settling);

/* Who shares what is counted here with others. */
struct limit_sharing {
    /* N were counted for KEY by the buckets here. */
    void (*counted)(void *context, const struct limit *limit, struct span key, uint64_t n, int64_t now_ms);
    /* KEY begins anew. */
    void (*forgot)(void *context, const struct limit *limit, struct span key);
    /* A pair is noted that was not known, or not for a day. */
    void (*paired)(void *context, const struct pair_texts *pair);
};

/* Tells SHARING (static; NULL: nobody) with CONTEXT from here on. */
void limit_set_sharing(struct limit_set *set, const struct limit_sharing *sharing, void *context);

/* What SUBJECT did has happened at NOW_MS: ASK is counted in every limit that is about it and takes it as that, whether it fits or
 * not. A limit that it goes beyond, whose share is reached where it has one, is logged; the one that matters most is the verdict, as
 * of limit_take. */
enum limit_verdict limit_note(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *ask,
                              int64_t now_ms, struct limit_refusal *ret_refusal);

/* Of what SUBJECT sent, N were delivered: what shares are taken of. */
void limit_good(struct limit_set *set, const struct key_subject *subject, uint32_t n, int64_t now_ms);

/* Others have noted PAIR, at NOW_MS or a moment before. */
void limit_learn_pair(struct limit_set *set, const struct pair_texts *pair, int64_t now_ms);

/* What LIMIT has counted for KEY begins anew. */
void limit_clear(struct limit_set *set, const struct limit *limit, struct span key, int64_t now_ms);

/* The time of the wall clock by which shares are counted at NOW_MS: as it was when the set was made, whatever that clock does since. */
int64_t limit_wall_ms(const struct limit_set *set, int64_t now_ms);

/* N recipients more were asked for and allowed: the same. */
void limit_asked(struct limit_set *set, const struct key_subject *subject, uint32_t n, int64_t now_ms);

/* Forgets what limits that suspend have counted for ACCOUNT: it is to begin anew. */
void limit_forget(struct limit_set *set, struct span account);

/* Is REFUSAL permanent: then = reject, or more than the limit ever allows? */
bool limit_is_final(const struct limit_refusal *refusal);

/* Lets go of what needs not be remembered any more. */
void limit_sweep(struct limit_set *set, int64_t now_ms);

/* What comes of a limit with THEN that something does not fit into. */
enum limit_verdict limit_then_verdict(enum conf_limit_then then);

/* "recipients" … as the configuration has it; "unknown" for a value that is none. Static. */
const char *limit_count_name(enum conf_limit_count count);

/* "defer", "reject" … in the same way. */
const char *limit_then_name(enum conf_limit_then then);

#endif
