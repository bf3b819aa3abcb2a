/* The timer is set for the first node only, and left alone where the first node leaves: it then wakes up for nothing once, which is
 * cheaper than to set it with each change. */
#include "schedule.h"

#include "../base/clock.h"
#include "../base/text.h"

#include <stdlib.h>

struct schedule {
    struct loop *loop;
    struct heap heap;
    struct timer timer;
    int64_t armed_ms; /* what the timer is set for; INT64_MAX: it is not */
    void (*due)(void *context, struct heap_node *node);
    void *context;
};

struct schedule *schedule_new(struct loop *loop, void (*due)(void *context, struct heap_node *node), void *context)
{
    struct schedule *schedule = text_zalloc(sizeof *schedule);
    *schedule = (struct schedule){ .loop = loop, .armed_ms = INT64_MAX, .due = due, .context = context };
    return schedule;
}

void schedule_free(struct schedule **schedule)
{
    if (!*schedule)
        return;
    timer_fini(&(*schedule)->timer);
    heap_fini(&(*schedule)->heap);
    free(*schedule);
    *schedule = NULL;
}

static void ring(void *context);

static void arm(struct schedule *schedule, int64_t now_ms)
{
    const struct heap_node *first = heap_first(&schedule->heap);
    if (!first || first->key >= schedule->armed_ms)
        return;
    schedule->armed_ms = first->key;
    timer_set(&schedule->timer, schedule->loop, first->key > now_ms ? first->key - now_ms : 0, ring, schedule);
}

static void ring(void *context)
{
    struct schedule *schedule = context;
    int64_t now_ms = clock_monotonic_ms();
    schedule->armed_ms = INT64_MAX;
    for (unsigned n = 0; n < SCHEDULE_ROUND_MAX; n++) {
        struct heap_node *node = heap_first(&schedule->heap);
        if (!node || node->key > now_ms)
            break;
        heap_remove(&schedule->heap, node);
        schedule->due(schedule->context, node);
    }
    arm(schedule, now_ms);
}

void schedule_set(struct schedule *schedule, struct heap_node *node, int64_t due_ms)
{
    heap_set(&schedule->heap, node, due_ms);
    if (due_ms < schedule->armed_ms)
        arm(schedule, clock_monotonic_ms());
}

void schedule_remove(struct schedule *schedule, struct heap_node *node)
{
    heap_remove(&schedule->heap, node);
}
