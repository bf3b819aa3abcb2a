/* What each account did in each of the last 24 hours: evidence, not a limit. In memory only, and bounded: beyond CURVE_ACCOUNTS the
 * account that was noted longest ago is forgotten. Accounts are in normal form (account.h). */
#ifndef POSTERN_POLICY_CURVE_H
#define POSTERN_POLICY_CURVE_H

#include "../relay/base/span.h"

#include <jansson.h>
#include <stdint.h>

#define CURVE_ACCOUNTS 20000

enum curve_kind {
    CURVE_RECIPIENTS, /* asked for and allowed */
    CURVE_REFUSED,    /* by a limit */
    CURVE_DELIVERED,
    CURVE_BOUNCED, /* do not exist */
    CURVE_SPAM,    /* replies that call it spam */
    CURVE_KINDS
};

struct curve;

/* Nothing noted yet. */
struct curve *curve_new(void);

/* Frees *CURVE and nulls it. NULL is fine. */
void curve_free(struct curve **curve);

/* N more of KIND for ACCOUNT at WALL_MS. */
void curve_note(struct curve *curve, struct span account, enum curve_kind kind, uint32_t n, int64_t wall_ms);

/* The hours of ACCOUNT in which something was noted, as of WALL_MS, oldest first: [{"hour", "recipients", …}]. The caller's. */
json_t *curve_show(const struct curve *curve, struct span account, int64_t wall_ms);

#endif
