/* A site has as many connections as it bears; what has to be fair is who gets the next message. Each sender (account, else
 * client address; hashed in entry.h) has a flow of its own with its units in order of arrival, and the flows take turns: one
 * that has 10,000 messages for a site delays another one's single message by one message, not by 10,000.
 *
 * The turn is by message, not by bytes or recipients. Both would need to know how long a transaction will take; a unit has at
 * most ASSIGN_RECIPIENTS_MAX recipients, which bounds what a turn can be worth.
 *
 * A flow exists while something waits in it, so the memory follows the queue and an address that sends once leaves nothing. Two
 * senders with the same 32 bits of hash share a flow, which costs them a little speed and nothing else; the hash has a random
 * key, so nobody can aim at somebody's flow. */
#include "fair.h"

#include "../base/text.h"
#include "site.h"

#include <stdlib.h>

struct key {
    const struct site *site;
    uint64_t sender;
};

static struct span key_span(const struct key *key)
{
    return span_make((const char *)key, sizeof *key);
}

static struct flow *flow_of(struct queue *queue, struct site *site, uint32_t sender)
{
    struct key key = { site, sender };
    struct flow *flow = map_get(queue->sites->flows, key_span(&key));
    if (flow)
        return flow;
    flow = text_zalloc(sizeof *flow);
    flow->site = site;
    flow->sender = sender;
    list_init(&flow->units);
    list_append(&site->flows, &flow->in_site);
    map_put(queue->sites->flows, key_span(&key), flow, NULL);
    return flow;
}

void fair_add(struct queue *queue, struct site *site, struct unit *unit)
{
    struct flow *flow = flow_of(queue, site, unit->entry->sender);
    unit_ready(queue, unit, flow, &flow->units);
    flow->count++;
    site->ready++;
    site->recipients += unit->count;
}

struct unit *fair_next(struct site *site)
{
    if (list_empty(&site->flows))
        return NULL;
    struct flow *flow = LIST_ENTRY(site->flows.next, struct flow, in_site);
    /* To the end at once: the turn is used up by being offered, whatever then becomes of the unit. */
    list_remove(&flow->in_site);
    list_append(&site->flows, &flow->in_site);
    return unit_of_place(flow->units.next);
}

static void give_back(struct queue *queue, struct flow *flow)
{
    if (--flow->count)
        return;
    struct key key = { flow->site, flow->sender };
    map_remove(queue->sites->flows, key_span(&key));
    list_remove(&flow->in_site);
    free(flow);
}

void fair_left(struct queue *queue, struct flow *flow, uint32_t recipients)
{
    flow->site->ready--;
    flow->site->recipients -= recipients;
    give_back(queue, flow);
}

void fair_each(struct queue *queue, struct site *site, void (*each)(struct queue *queue, struct unit *unit, void *context),
               void *context)
{
    LIST_EACH(node, &site->flows) {
        struct flow *flow = LIST_ENTRY(node, struct flow, in_site);
        flow->count++; /* so that it outlives its last unit */
        LIST_EACH(place, &flow->units) {
            each(queue, unit_of_place(place), context);
        }
        give_back(queue, flow);
    }
}
