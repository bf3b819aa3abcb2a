#include "stall.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "describe.h"
#include "site.h"

void stall_failed(struct queue *queue, const struct cause *cause)
{
    struct stall *stall = &queue->stall;
    stall->failures++;
    cause_drop(&stall->cause);
    stall->cause = cause_keep(cause);
}

/* Recipients that are neither delivered, nor held. */
static uint64_t count_waiting(const struct queue *queue)
{
    uint64_t waiting = 0;
    for (unsigned state = 0; state < UNIT_STATES; state++)
        waiting += state == UNIT_HELD ? 0 : queue->recipients[state];
    return waiting;
}

static bool is_trouble(const struct queue *queue, uint64_t waiting)
{
    uint64_t later = queue->recipients[UNIT_SCHEDULED] + sites_resting(queue);
    return waiting && (queue->stall.failures >= STALL_FAILURES || waiting > later);
}

static void raise_alarm(struct queue *queue, uint64_t waiting, int64_t age_ms)
{
    struct stall *stall = &queue->stall;
    struct log_entry entry;
    stall->since_ms = clock_wall_ms() - age_ms;
    log_begin(&entry, LOG_ERROR, "error");
    log_string(&entry, "text",
               "nothing at all has been delivered for long, though mail waits; is the network, the DNS or the smart host down?");
    log_number(&entry, "minutes", (long long)(age_ms / 60000));
    log_number(&entry, "waiting", (long long)waiting);
    if (stall->cause) {
        log_text(&entry, "site", stall->cause->site);
        log_text(&entry, "reply", stall->cause->reply);
    }
    log_end(&entry);
}

static void end_alarm(struct queue *queue)
{
    queue->stall.since_ms = 0;
    log_say(LOG_INFO, "notice", "the alarm that nothing is delivered is over");
}

void stall_tick(struct queue *queue)
{
    struct stall *stall = &queue->stall;
    int64_t now_ms = clock_monotonic_ms(), most_ms = queue_conf(queue)->queue.stall_alarm_ms;
    uint64_t waiting = count_waiting(queue), delivered = queue->rates.totals[RATE_DELIVERED];
    bool moves = delivered != stall->delivered || !waiting;
    if (moves)
        stall_fini(queue);
    stall->delivered = delivered;
    bool trouble = !moves && is_trouble(queue, waiting);
    stall->well_ms = trouble && stall->well_ms ? stall->well_ms : now_ms;
    int64_t age_ms = now_ms - stall->well_ms;
    if (trouble && most_ms && age_ms >= most_ms && !stall->since_ms)
        raise_alarm(queue, waiting, age_ms);
    else if (!trouble && stall->since_ms)
        end_alarm(queue);
}

json_t *stall_describe(const struct queue *queue)
{
    const struct stall *stall = &queue->stall;
    if (!stall->since_ms)
        return json_null();
    return json_pack("{s:o, s:o}", "since", describe_time(stall->since_ms), "reply",
                     stall->cause ? describe_text(stall->cause->reply) : json_string(""));
}

void stall_fini(struct queue *queue)
{
    queue->stall.failures = 0;
    queue->stall.well_ms = 0;
    cause_drop(&queue->stall.cause);
}
