/* How many there may be is bounded by the store (REDIS_PIPE_MAX): beyond, decisions are made here. */
#include "flight.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"

#include <stdlib.h>

struct flight {
    struct list node;
    struct flights *flights;
    void *asker; /* NULL where it has gone */
    struct decision *decision;
};

void flights_init(struct flights *flights, struct decide *decide, flight_done done)
{
    *flights = (struct flights){ .decide = decide, .done = done };
    list_init(&flights->all);
}

void flights_set_sharing(struct flights *flights, struct sharing *sharing)
{
    flights->sharing = sharing;
}

static void answered(void *context, const int64_t *waits_ms, bool unshared)
{
    struct flight *flight = context;
    struct flights *flights = flight->flights;
    decide_end(flights->decide, flight->decision, waits_ms, unshared, clock_monotonic_ms());
    if (flight->asker)
        flights->done(flight->asker, flight->decision);
    list_remove(&flight->node);
    decide_drop(flights->decide, &flight->decision);
    free(flight);
}

void flights_begin(struct flights *flights, void *asker, struct decision *decision)
{
    struct flight *flight = text_zalloc(sizeof *flight);
    *flight = (struct flight){ .flights = flights, .asker = asker, .decision = decision };
    list_append(&flights->all, &flight->node);
    if (!flights->sharing || !sharing_ask(flights->sharing, decide_claims(decision), answered, flight))
        answered(flight, NULL, false);
}

void flights_forget(struct flights *flights, const void *asker)
{
    LIST_EACH(node, &flights->all) {
        struct flight *flight = LIST_ENTRY(node, struct flight, node);
        if (flight->asker == asker)
            flight->asker = NULL;
    }
}
