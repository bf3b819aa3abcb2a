/* The envelope is read to learn the recipients' domains; the routes and answers of this moment decide, so that a change of settings or of
 * the DNS acts on mail that is queued. A unit of one recipient, the common case, is neither sorted nor copied. */
#include "place.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "accounts.h"
#include "domain.h"
#include "envelopes.h"
#include "fair.h"
#include "pair.h"
#include "site.h"

#include <stdlib.h>

#define ROUND_MAX    200   /* units placed later, in a round of the loop */
#define TROUBLE_MS   60000 /* when the disk does not give the envelope, or there are too many domains: again after */
#define MERGE_LOOK   32    /* units of the same message that are looked at */
#define GATHER_MS    500   /* how long a unit waits for the domains of others of its message */
#define GATHER_UNITS 1000  /* of a message with more nobody waits for anybody */

struct place {
    struct list later;
    struct timer timer;
    struct list gathering; /* units that wait for others of their message */
    struct timer gathered;
};

struct place *place_new(void)
{
    struct place *place = text_zalloc(sizeof *place);
    list_init(&place->later);
    list_init(&place->gathering);
    return place;
}

void place_free(struct place **place)
{
    if (!*place)
        return;
    timer_fini(&(*place)->timer);
    timer_fini(&(*place)->gathered);
    free(*place);
    *place = NULL;
}

static void place_some(void *context)
{
    struct queue *queue = context;
    struct place *place = queue->place;
    for (unsigned n = 0; n < ROUND_MAX && !list_empty(&place->later); n++)
        place_unit(queue, unit_of_place(place->later.next));
    if (!list_empty(&place->later))
        timer_again(&place->timer, 0);
}

void place_later(struct queue *queue, struct unit *unit)
{
    if (list_empty(&queue->place->later))
        timer_set(&queue->place->timer, queue->loop, 0, place_some, queue);
    unit_unplace(queue, unit, &queue->place->later);
}

void place_due(void *context, struct heap_node *node)
{
    place_unit(context, unit_of_due(node));
}

/* A unit that waits at SITE, of UNIT's message and with as many attempts, that has room for UNIT's recipients. */
static struct unit *companion(const struct unit *unit, const struct site *site)
{
    struct unit *other = unit->entry->units;
    for (unsigned n = 0; other && n < MERGE_LOOK; n++, other = other->next)
        if (other != unit && other->state == UNIT_READY && other->flow->site == site && other->attempts == unit->attempts &&
            other->count + unit->count <= ASSIGN_RECIPIENTS_MAX)
            return other;
    return NULL;
}

static struct unit *copy(struct queue *queue, const struct unit *unit, const struct part *parts, uint32_t count)
{
    struct unit *part = unit_new(queue, unit->entry, count);
    part->attempts = unit->attempts;
    memcpy(part->parts, parts, count * sizeof *parts);
    return part;
}

static struct unit *merge(struct queue *queue, struct unit *one, struct unit *other)
{
    struct part parts[ASSIGN_RECIPIENTS_MAX];
    uint32_t count = one->count + other->count;
    memcpy(parts, one->parts, one->count * sizeof *parts);
    memcpy(parts + one->count, other->parts, other->count * sizeof *parts);
    struct unit *merged = copy(queue, one, parts, count);
    unit_free(queue, one);
    unit_free(queue, other);
    return merged;
}

void place_at(struct queue *queue, struct unit *unit, struct site *site)
{
    struct unit *other = unit->entry->units->next ? companion(unit, site) : NULL;
    if (other)
        unit = merge(queue, other, unit);
    if (unit->count <= ASSIGN_RECIPIENTS_MAX) {
        site_add(queue, site, unit);
        return;
    }
    for (uint32_t from = 0; from < unit->count; from += ASSIGN_RECIPIENTS_MAX) {
        uint32_t left = unit->count - from;
        site_add(queue, site, copy(queue, unit, unit->parts + from, left < ASSIGN_RECIPIENTS_MAX ? left : ASSIGN_RECIPIENTS_MAX));
    }
    unit_free(queue, unit);
}

/* What of UNIT's message is on its way to a site as it is. */
struct family {
    bool resolving;    /* a domain is still asked for */
    uint32_t gathered; /* recipients that wait for that, UNIT's left out */
    unsigned units;
};

static struct family look_at_family(const struct unit *unit)
{
    struct family family = { false, 0, 0 };
    for (const struct unit *other = unit->entry->units; other && family.units <= GATHER_UNITS;
         other = other->next, family.units++) {
        bool same = other != unit && other->attempts == unit->attempts;
        family.resolving = family.resolving || (same && other->state == UNIT_RESOLVING);
        if (same && other->state == UNIT_UNPLACED)
            family.gathered += other->count;
    }
    return family;
}

/* The time to wait for others is over: all go on as they are. */
static void end_gathering(void *context)
{
    struct queue *queue = context;
    LIST_EACH(node, &queue->place->gathering)
        place_later(queue, unit_of_place(node));
}

static void gather(struct queue *queue, struct unit *unit)
{
    if (list_empty(&queue->place->gathering))
        timer_set(&queue->place->gathered, queue->loop, GATHER_MS, end_gathering, queue);
    unit_unplace(queue, unit, &queue->place->gathering);
}

/* UNIT and those that wait for it, of so many recipients, become one, which is cut by sites anew. */
static void place_family(struct queue *queue, struct unit *unit, uint32_t gathered)
{
    struct unit *whole = unit_new(queue, unit->entry, unit->count + gathered);
    uint32_t count = unit->count;
    whole->attempts = unit->attempts;
    memcpy(whole->parts, unit->parts, unit->count * sizeof *unit->parts);
    for (struct unit *other = unit->entry->units, *next; other; other = next) {
        next = other->next;
        if (other->state != UNIT_UNPLACED || other->attempts != unit->attempts || count + other->count > whole->count)
            continue;
        memcpy(whole->parts + count, other->parts, other->count * sizeof *other->parts);
        count += other->count;
        unit_free(queue, other);
    }
    unit_free(queue, unit);
    place_unit(queue, whole);
}

void place_resolved(struct queue *queue, struct unit *unit, struct site *site)
{
    struct family family = look_at_family(unit);
    if (family.units > GATHER_UNITS || (!family.resolving && !family.gathered))
        place_at(queue, unit, site);
    else if (family.resolving)
        gather(queue, unit);
    else
        place_family(queue, unit, family.gathered);
}

/* The domain that decides where a recipient's mail goes. <postmaster> without one goes where the postmaster's mail goes. */
static struct domain *domain_of(struct queue *queue, const struct envelope *envelope, uint32_t recipient)
{
    struct span domain = { "", 0 };
    char room[ADDRESS_KEY_SIZE];
    if (recipient < envelope->nrecipients)
        domain = address_domain(address_key(span_of(envelope->recipients[recipient].address), room));
    if (!domain.n)
        domain = address_domain(address_key(span_of(queue_conf(queue)->postmaster), room));
    return domain_get(queue, domain, domain_way(queue, envelope, domain));
}

/* All recipients of UNIT are of DOMAIN (NULL: too many domains are waited for). It comes again where its sender waits for too many. */
static void place_in_domain(struct queue *queue, struct unit *unit, struct domain *domain)
{
    struct site *site = domain ? domain_site(queue, domain) : NULL;
    if (site)
        place_at(queue, unit, site);
    else if (!domain || !domain_wait(queue, domain, unit))
        unit_schedule(queue, unit, clock_monotonic_ms() + TROUBLE_MS);
}

struct placed {
    const void *target; /* site, else domain, else NULL */
    struct domain *domain;
    struct part part;
};

static int compare_targets(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->target != y->target)
        return (uintptr_t)x->target < (uintptr_t)y->target ? -1 : 1;
    return x->part.recipient < y->part.recipient ? -1 : x->part.recipient > y->part.recipient;
}

/* Cuts UNIT into one unit for each site or unknown domain, and frees it. */
static void cut(struct queue *queue, struct unit *unit, const struct envelope *envelope)
{
    uint32_t count = unit->count;
    struct placed *placed = text_zalloc(count * sizeof *placed);
    struct part *parts = text_zalloc(count * sizeof *parts);
    for (uint32_t i = 0; i < count; i++) {
        struct domain *domain = domain_of(queue, envelope, unit->parts[i].recipient);
        const struct site *site = domain ? domain_site(queue, domain) : NULL;
        placed[i] = (struct placed){ site ? (const void *)site : (const void *)domain, domain, unit->parts[i] };
    }
    qsort(placed, count, sizeof *placed, compare_targets);
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && placed[to].target == placed[from].target; to++)
            parts[to - from] = placed[to].part;
        place_in_domain(queue, copy(queue, unit, parts, to - from), placed[from].domain);
    }
    free(parts);
    free(placed);
    unit_free(queue, unit);
}

/* The envelope of ENTRY cannot be read: wait for the disk, or set the message aside. */
static void trouble(struct queue *queue, struct unit *unit, enum record_verdict verdict)
{
    struct entry *entry = unit->entry;
    if (verdict == RECORD_IO) {
        unit_schedule(queue, unit, clock_monotonic_ms() + TROUBLE_MS);
        return;
    }
    if (!entry->damaged) {
        char id[UID_TEXT_SIZE];
        uid_print(entry->id, id);
        log_say(LOG_ERROR, "error", "message %s: its envelope is damaged; it stays in the spool and is not sent", id);
    }
    entry->damaged = true;
    entry->pair->damaged = true;
    unit_hold(queue, unit);
}

void place_unit(struct queue *queue, struct unit *unit)
{
    enum record_verdict verdict;
    const struct envelope *envelope = envelopes_get(queue, unit->entry, &verdict);
    if (envelope && !unit->entry->held)
        accounts_consider(queue, unit->entry, envelope); /* its turn may come before that of those who look for it */
    if (!envelope)
        trouble(queue, unit, verdict);
    else if (unit->entry->held)
        unit_hold(queue, unit);
    else if (unit->count == 1)
        place_in_domain(queue, unit, domain_of(queue, envelope, unit->parts[0].recipient));
    else
        cut(queue, unit, envelope);
}
