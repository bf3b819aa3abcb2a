#include "intervene.h"

#include "place.h"
#include "settle.h"
#include "unit.h"

bool intervene_hold(struct queue *queue, struct entry *entry, const char *why)
{
    if (entry->held || entry->removing)
        return false;
    entry->held = true;
    settle_event(queue, entry, OUTCOME_HELD, why);
    for (struct unit *unit = entry->units; unit; unit = unit->next)
        if (unit->state != UNIT_SENDING)
            unit_hold(queue, unit);
    return true;
}

bool intervene_release(struct queue *queue, struct entry *entry, const char *why)
{
    if (!entry->held)
        return false;
    entry->held = false;
    settle_event(queue, entry, OUTCOME_RELEASED, why);
    for (struct unit *unit = entry->units; unit; unit = unit->next)
        if (unit->state == UNIT_HELD)
            place_later(queue, unit);
    return true;
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

bool intervene_retry(struct queue *queue, struct entry *entry, const char *why)
{
    bool changed = false;
    (void)why;
    for (struct unit *unit = entry->units; unit && !entry->held; unit = unit->next) {
        if (unit->state != UNIT_SCHEDULED)
            continue;
        place_later(queue, unit);
        changed = true;
    }
    return changed;
}
