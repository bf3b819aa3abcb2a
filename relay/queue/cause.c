#include "cause.h"

#include "../base/clock.h"
#include "../base/text.h"

#include <stdlib.h>

struct cause cause_make(struct span enhanced, struct span reply)
{
    struct cause cause = { .time_ms = clock_wall_ms(), .site = SPAN(""), .mx = SPAN(""), .tls = SPAN(""), .reply = reply };
    text_copy(cause.enhanced, sizeof cause.enhanced, enhanced);
    return cause;
}

/* Copies *SPAN to AT and lets it point there; returns what is behind. */
static char *move(struct span *span, char *at)
{
    if (span->n)
        memcpy(at, span->p, span->n);
    span->p = at;
    return at + span->n;
}

struct cause *cause_keep(const struct cause *cause)
{
    struct cause *kept = text_zalloc(sizeof *kept + cause->site.n + cause->mx.n + cause->tls.n + cause->reply.n + 1);
    *kept = *cause;
    kept->refs = 1;
    char *at = (char *)(kept + 1);
    at = move(&kept->site, at);
    at = move(&kept->mx, at);
    at = move(&kept->tls, at);
    move(&kept->reply, at);
    return kept;
}

struct cause *cause_share(struct cause *cause)
{
    cause->refs++;
    return cause;
}

void cause_drop(struct cause **cause)
{
    if (*cause && !--(*cause)->refs)
        free(*cause);
    *cause = NULL;
}
