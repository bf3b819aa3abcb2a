/* `trace`: where mail for an address would go now. */
#ifndef POSTERN_CONTROL_TRACE_H
#define POSTERN_CONTROL_TRACE_H

#include "control.h"

#include <jansson.h>

struct trace;

/* Takes the trace, which is its own from here on: {"address", "route", "site", "state", "hosts": [{"name", "preference", "port",
 * "addresses"}], "tls", "problem"}. PROBLEM is "" or says why mail would not go. */
typedef void (*trace_done)(void *context, json_t *trace, const char *problem);

/* Begins for ADDRESS. DONE comes exactly once unless trace_free comes first, not from within this call. NULL where ADDRESS is none. */
struct trace *trace_new(struct control *control, struct span address, trace_done done, void *context);

/* Forgets the questions, frees *TRACE and nulls it. It is freed already when `done` comes. NULL is fine. */
void trace_free(struct trace **trace);

#endif
