/* Why a recipient was delivered, deferred or bounced: what the other side said, or what happened. */
#ifndef POSTERN_QUEUE_CAUSE_H
#define POSTERN_QUEUE_CAUSE_H

#include "../base/span.h"
#include "../smtp/limits.h"

#include <stdint.h>

/* On the stack with borrowed texts, or kept on the heap and shared by all that it explains. */
struct cause {
    unsigned refs;                     /* of a kept one */
    bool remote;                       /* `reply` is the remote's own words */
    bool expired;                      /* the message became too old; `reply` is what was said last */
    int64_t time_ms;                   /* wall clock */
    char enhanced[SMTP_ENHANCED_SIZE]; /* "" only for a delivery */
    struct span site;                  /* the site's name, or empty */
    struct span mx;                    /* the host that was spoken to, or empty */
    struct span tls;
    struct span reply; /* printable */
};

/* A cause of our own with static or borrowed text REPLY, of this moment. ENHANCED that does not fit is cut. */
struct cause cause_make(struct span enhanced, struct span reply);

/* A heap copy of CAUSE, texts included, with one reference. */
struct cause *cause_keep(const struct cause *cause);

/* One more reference to a kept cause. */
struct cause *cause_share(struct cause *cause);

/* Gives one reference back and nulls *CAUSE. NULL is fine. */
void cause_drop(struct cause **cause);

#endif
