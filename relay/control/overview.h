/* `status` and `account show`: what queue and policy say about the same thing, in one object. */
#ifndef POSTERN_CONTROL_OVERVIEW_H
#define POSTERN_CONTROL_OVERVIEW_H

#include "control.h"

#include <jansson.h>

/* Takes the overview, which is its own from here on. Of ADMIN_STATUS: {"version", "since", "queue", "spool", "sites", "rates", "stalled"
 * (null where mail moves), "accounts", "store" (where limits count), "unavailable"}; of ADMIN_ACCOUNT_SHOW: {"account", "state", …, "queued",
 * "held", "unavailable"}. The last is the list of roles that did not answer; what they would have said is empty, and "stalled" and "store" are
 * not there. */
typedef void (*overview_done)(void *context, json_t *overview);

struct overview;

/* Asks what ASK says, its verb one of the two; DONE comes exactly once unless overview_free comes first, not from within this call. */
struct overview *overview_new(struct control *control, const struct admin_ask *ask, overview_done done, void *context);

/* Forgets the question, frees *OVERVIEW and nulls it. It is freed already when `done` comes. NULL is fine. */
void overview_free(struct overview **overview);

#endif
