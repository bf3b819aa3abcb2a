/* How much the queue does: since the process began, and in the last minute. */
#ifndef POSTERN_QUEUE_RATES_H
#define POSTERN_QUEUE_RATES_H

#include <jansson.h>
#include <stdint.h>

#define RATES_SECONDS 60

enum rate_kind {
    RATE_ACCEPTED,  /* messages, reports among them */
    RATE_DELIVERED, /* recipients, as the others */
    RATE_DEFERRED,
    RATE_BOUNCED,
    RATE_KINDS
};

/* Inside the queue's state; all zero at first. */
struct rates {
    uint64_t totals[RATE_KINDS];
    int64_t second[RATES_SECONDS]; /* which one a place of `counts` is about */
    uint32_t counts[RATES_SECONDS][RATE_KINDS];
};

/* N more of KIND at NOW_MS (monotonic). */
void rates_note(struct rates *rates, enum rate_kind kind, uint32_t n, int64_t now_ms);

/* {"accepted": {"total": N, "minute": N}, …} as of NOW_MS: the caller's. The minute is the last sixty whole seconds. */
json_t *rates_describe(const struct rates *rates, int64_t now_ms);

#endif
