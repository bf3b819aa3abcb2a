/* `trace`: where mail for an address would go now, and where from. */
#ifndef POSTERN_CONTROL_TRACE_H
#define POSTERN_CONTROL_TRACE_H

#include "control.h"

#include <jansson.h>

struct trace;

/* Takes the trace, which is its own from here on: {"address", "from", "account", "class", "entry", "route", "site", "state", "source",
 * "sources": [{"name", "addresses", "helo"}], "hosts": [{"name", "preference", "port", "addresses"}], "tls", "problem"}. PROBLEM is "" or
 * says why mail would not go.
 *
 * "from" and "account" are null where they were not said; "entry" names the account { } of the configuration that holds for the account,
 * its own or "*", and is "" where there is none. "source" is the pool of sources, "" for delivery.source, null while queue is away. */
typedef void (*trace_done)(void *context, json_t *trace, const char *problem);

/* Begins for mail to ASK's `recipient`, from `sender` and by `account` as ADMIN_SITE has them. DONE comes exactly once unless trace_free comes
 * first, not from within this call. NULL with the sentence *RET_REASON where recipient or sender is no address. */
struct trace *trace_new(struct control *control, const struct admin_ask *ask, trace_done done, void *context,
                        const char **ret_reason);

/* Forgets the questions, frees *TRACE and nulls it. It is freed already when `done` comes. NULL is fine. */
void trace_free(struct trace **trace);

#endif
