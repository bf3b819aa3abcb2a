/* What a person does must hold over a restart as well as now. So each act is noted in the pair's log first (settle_event), as
 * the outcomes are, and only then memory changes. A retry is no such act: it changes when, not what, and after a restart
 * everything overdue is tried at once anyway.
 *
 * A unit that is being sent is never touched: the remote server may have taken the message already, and the only truth about
 * that is the outcome on its way. `held` and `removing` of the entry tell settle.c what to do when it is back. */
#include "intervene.h"

#include "../base/clock.h"
#include "../smtp/address.h"
#include "accounts.h"
#include "domain.h"
#include "envelopes.h"
#include "fair.h"
#include "place.h"
#include "retry.h"
#include "settle.h"
#include "site.h"
#include "unit.h"

/* While it is held an entry does not grow older. */
static void stop_clock(struct entry *entry)
{
    entry->born_ms = retry_age(entry);
    entry->held = true;
}

static void start_clock(struct entry *entry)
{
    entry->held = false;
    entry->born_ms = clock_monotonic_ms() - entry->born_ms;
}

bool intervene_suspend(struct queue *queue, struct entry *entry, const char *why)
{
    entry->suspended = intervene_hold(queue, entry, why);
    return entry->suspended;
}

bool intervene_hold(struct queue *queue, struct entry *entry, const char *why)
{
    if ((entry->held && !entry->suspended) || entry->removing)
        return false;
    if (!entry->held)
        stop_clock(entry);
    entry->suspended = false;
    settle_event(queue, entry, OUTCOME_HELD, why);
    for (struct unit *unit = entry->units; unit; unit = unit->next)
        if (unit->state != UNIT_SENDING)
            unit_hold(queue, unit);
    return true;
}

static bool release(struct queue *queue, struct entry *entry, const char *why)
{
    if (!entry->held)
        return false;
    start_clock(entry);
    entry->suspended = false;
    settle_event(queue, entry, OUTCOME_RELEASED, why);
    for (struct unit *unit = entry->units; unit; unit = unit->next)
        if (unit->state == UNIT_HELD)
            place_later(queue, unit);
    return true;
}

bool intervene_release(struct queue *queue, struct entry *entry, const char *why)
{
    bool released = release(queue, entry, why);
    if (released) {
        entry->freed = true;
        entry->freed_at = accounts_suspensions(queue);
    }
    return released;
}

bool intervene_unsuspend(struct queue *queue, struct entry *entry, const char *why)
{
    return entry->suspended && release(queue, entry, why);
}

bool intervene_remove(struct queue *queue, struct entry *entry, const char *why)
{
    uint32_t gone = 0;
    if (entry->removing)
        return false;
    settle_event(queue, entry, OUTCOME_REMOVED, why);
    entry->removing = true;
    for (struct unit *unit = entry->units, *next; unit; unit = next) {
        next = unit->next;
        if (unit->state == UNIT_SENDING)
            continue;
        gone += unit->count;
        unit_free(queue, unit);
    }
    entry_settle(queue, entry, gone);
    return true;
}

/* The sites that UNIT will be placed at, as far as they are known, rest no longer: it would wait there instead. */
static void retry_sites(struct queue *queue, const struct unit *unit, uint64_t rests)
{
    const struct envelope *envelope = envelopes_get(queue, unit->entry, NULL);
    char room[ADDRESS_KEY_SIZE];
    for (uint32_t i = 0; envelope && i < unit->count; i++) {
        if (unit->parts[i].recipient >= envelope->nrecipients)
            continue;
        struct span domain = address_domain(address_key(span_of(envelope->recipients[unit->parts[i].recipient].address), room));
        struct site *site = domain_known_site(queue, domain, domain_way(queue, envelope, domain));
        if (site)
            site_retry(queue, site, rests);
    }
}

bool intervene_retry(struct queue *queue, struct entry *entry, uint64_t rests)
{
    bool changed = false;
    for (struct unit *unit = entry->units; unit && !entry->held; unit = unit->next) {
        if (unit->state == UNIT_READY && unit->flow->site->failures) {
            site_retry(queue, unit->flow->site, rests); /* the first of those that wait there ends the rest for all */
            changed = true;
        } else if (unit->state == UNIT_SCHEDULED) {
            retry_sites(queue, unit, rests);
            place_later(queue, unit);
            changed = true;
        }
    }
    return changed;
}
