/* A state is entered by enter() alone, which first undoes what the old state needed: heap, list, or the flow's count. The sums of
 * recipients by state that `postern status` shows are kept there too. */
#include "unit.h"

#include "../base/text.h"
#include "fair.h"
#include "schedule.h"

#include <stdlib.h>

static void leave_heap(struct queue *queue, struct unit *unit)
{
    schedule_remove(queue->due, &unit->due);
}

static void leave_list(struct queue *queue, struct unit *unit)
{
    (void)queue;
    list_remove(&unit->place);
}

static void leave_flow(struct queue *queue, struct unit *unit)
{
    list_remove(&unit->place);
    fair_left(queue, unit->flow, unit->count);
}

static const struct {
    const char *name;
    void (*leave)(struct queue *queue, struct unit *unit);
} states[UNIT_STATES] = {
    [UNIT_NEW] = { "due", NULL },
    [UNIT_SCHEDULED] = { "scheduled", leave_heap },
    [UNIT_UNPLACED] = { "due", leave_list },
    [UNIT_RESOLVING] = { "due", leave_list },
    [UNIT_READY] = { "due", leave_flow },
    [UNIT_SENDING] = { "sending", NULL },
    [UNIT_HELD] = { "held", NULL },
};

static void enter(struct queue *queue, struct unit *unit, enum unit_state state)
{
    if (states[unit->state].leave)
        states[unit->state].leave(queue, unit);
    queue->recipients[unit->state] -= unit->count;
    queue->recipients[state] += unit->count;
    unit->state = (uint8_t)state;
    /* What the unions held belongs to the old state; all zero is in no heap, in no list, with nobody. */
    unit->due = (struct heap_node){ 0 };
    unit->domain = NULL;
}

struct unit *unit_new(struct queue *queue, struct entry *entry, uint32_t count)
{
    struct unit *unit = text_zalloc(sizeof *unit + count * sizeof *unit->parts);
    unit->entry = entry;
    unit->count = count;
    unit->next = entry->units;
    entry->units = unit;
    queue->recipients[UNIT_NEW] += count;
    return unit;
}

void unit_free(struct queue *queue, struct unit *unit)
{
    enter(queue, unit, UNIT_NEW);
    queue->recipients[UNIT_NEW] -= unit->count;
    struct unit **at = &unit->entry->units;
    while (*at != unit)
        at = &(*at)->next;
    *at = unit->next;
    free(unit);
}

void unit_schedule(struct queue *queue, struct unit *unit, int64_t due_ms)
{
    enter(queue, unit, UNIT_SCHEDULED);
    schedule_set(queue->due, &unit->due, due_ms);
}

/* The states that are a place in a list. */
static void enter_list(struct queue *queue, struct unit *unit, enum unit_state state, struct list *list)
{
    enter(queue, unit, state);
    list_append(list, &unit->place);
}

void unit_unplace(struct queue *queue, struct unit *unit, struct list *unplaced)
{
    enter_list(queue, unit, UNIT_UNPLACED, unplaced);
}

void unit_resolve(struct queue *queue, struct unit *unit, struct domain *domain, struct list *waiting)
{
    enter_list(queue, unit, UNIT_RESOLVING, waiting);
    unit->domain = domain;
}

void unit_ready(struct queue *queue, struct unit *unit, struct flow *flow, struct list *ready)
{
    enter_list(queue, unit, UNIT_READY, ready);
    unit->flow = flow;
}

void unit_send(struct queue *queue, struct unit *unit, struct carrier *carrier)
{
    enter(queue, unit, UNIT_SENDING);
    unit->carrier = carrier;
}

void unit_hold(struct queue *queue, struct unit *unit)
{
    enter(queue, unit, UNIT_HELD);
}

void unit_shrink(struct queue *queue, struct unit *unit, const bool *gone)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < unit->count; i++)
        if (!gone[i])
            unit->parts[left++] = unit->parts[i];
    queue->recipients[unit->state] -= unit->count - left;
    unit->count = left;
}

const char *unit_state_name(enum unit_state state)
{
    return states[state].name;
}

struct unit *unit_of_due(struct heap_node *node)
{
    return LIST_ENTRY(node, struct unit, due);
}

struct unit *unit_of_place(struct list *node)
{
    return LIST_ENTRY(node, struct unit, place);
}
