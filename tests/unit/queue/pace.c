/* What a site takes is found out: a receiver with limits, and a clock, that exist only here. */
#include "../../../relay/queue/pace.h"

#include "../unit.h"

#define CONNECTIONS_MAX 20
#define MINUTE_MS       60000
#define HISTORY         4096

/* A receiver that takes `most` messages in any `window_ms`, over `connections`, and answers each after `latency_ms` and up to `jitter_ms`. */
struct receiver {
    unsigned most;
    int64_t window_ms;
    bool fixed; /* windows begin at the full minute, or whatever they are */
    unsigned connections;
    unsigned latency_ms;
    unsigned jitter_ms;
    bool unknown;             /* half the recipients do not exist */
    int64_t history[HISTORY]; /* when the last ones were taken */
    unsigned taken;
    int64_t window_begin_ms;
    unsigned in_window;
};

/* A sender that has always something to send, as site.c does it. */
struct line {
    int64_t begun_ms;
    int64_t ends_ms;
    bool open, ready;
};
struct sender {
    struct pace pace;
    struct pace_bounds bounds;
    struct line lines[CONNECTIONS_MAX];
    unsigned accepted, refused;
    unsigned seed;
};

static bool takes(struct receiver *receiver, int64_t now_ms)
{
    if (receiver->fixed) {
        int64_t begin_ms = now_ms / receiver->window_ms * receiver->window_ms;
        receiver->in_window = begin_ms == receiver->window_begin_ms ? receiver->in_window : 0;
        receiver->window_begin_ms = begin_ms;
        return receiver->in_window < receiver->most && ++receiver->in_window;
    }
    if (receiver->taken >= receiver->most &&
        now_ms - receiver->history[(receiver->taken - receiver->most) % HISTORY] < receiver->window_ms)
        return false;
    receiver->history[receiver->taken++ % HISTORY] = now_ms;
    return true;
}

static unsigned count_open(const struct sender *sender)
{
    unsigned open = 0;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        open += sender->lines[i].open;
    return open;
}

static unsigned count_busy(const struct sender *sender)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        busy += sender->lines[i].ready && sender->lines[i].ends_ms;
    return busy;
}

/* A line whose time has come: it is ready for the first time, or refused as one too many; or its message is taken or refused. */
static void finish(struct sender *sender, struct receiver *receiver, struct line *line, int64_t now_ms)
{
    bool one_too_many = !line->ready && count_open(sender) > receiver->connections;
    if (one_too_many)
        pace_too_many(&sender->pace, count_open(sender), now_ms);
    if (one_too_many || !line->ready) {
        line->open = line->ready = !one_too_many;
    } else if (takes(receiver, now_ms)) {
        if (receiver->unknown && sender->accepted % 2)
            pace_answered(&sender->pace, now_ms);
        else
            pace_taken(&sender->pace, &sender->bounds, count_open(sender), now_ms);
        sender->accepted++;
    } else {
        pace_too_fast(&sender->pace, &sender->bounds, line->begun_ms, now_ms);
        sender->refused++;
        line->open = line->ready = false;
    }
    line->ends_ms = 0;
}

static unsigned below(struct sender *sender, unsigned n)
{
    sender->seed = sender->seed * 1103515245u + 12345;
    return n ? (sender->seed >> 16) % n : 0;
}

static void begin(struct sender *sender, const struct receiver *receiver, struct line *line, int64_t now_ms)
{
    line->begun_ms = now_ms;
    line->ends_ms = now_ms + receiver->latency_ms + below(sender, receiver->jitter_ms + 1);
}

/* One millisecond. */
static void turn(struct sender *sender, struct receiver *receiver, int64_t now_ms)
{
    struct line *closed = NULL;
    bool idle = false;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct line *line = &sender->lines[i];
        if (line->ends_ms && line->ends_ms <= now_ms)
            finish(sender, receiver, line, now_ms);
        if (line->ready && !line->ends_ms && !pace_delay(&sender->pace, &sender->bounds, now_ms)) {
            pace_sent(&sender->pace, &sender->bounds, now_ms);
            begin(sender, receiver, line, now_ms);
        }
        idle = idle || (line->ready && !line->ends_ms);
        closed = line->open ? closed : line;
    }
    if (closed && !idle && count_open(sender) < pace_wanted(&sender->pace, &sender->bounds, count_busy(sender), now_ms)) {
        closed->open = true;
        begin(sender, receiver, closed, now_ms);
    }
}

struct result {
    double share;   /* percent of the allowance that was used, once found */
    double refused; /* percent of what was sent then */
};

/* Runs for MINUTES, of which the first is for finding out. */
static struct result simulate(struct receiver receiver, double bound, unsigned minutes)
{
    struct sender sender = { .bounds = { CONNECTIONS_MAX, bound }, .seed = 7 };
    pace_init(&sender.pace);
    int64_t begin_ms = 1000000020;
    for (int64_t ms = 0; ms < minutes * (int64_t)MINUTE_MS; ms++) {
        if (ms == MINUTE_MS)
            sender.accepted = sender.refused = 0;
        turn(&sender, &receiver, begin_ms + ms);
    }
    double allowed = (double)receiver.most * (minutes - 1) * MINUTE_MS / (double)receiver.window_ms;
    struct result result = { 100.0 * sender.accepted / allowed, 100.0 * sender.refused / (sender.accepted + sender.refused) };
    print_message("note %u in %lld ms%s, %u connections, %u ms: %.1f %% used, %.2f %% refused, %.2f a second, %u connections\n",
                  receiver.most, (long long)receiver.window_ms, receiver.fixed ? " (fixed)" : "", receiver.connections,
                  receiver.latency_ms, result.share, result.refused, sender.pace.rate, sender.pace.limit);
    return result;
}

static void an_allowance_is_found_and_kept(void **state)
{
    static const struct receiver receivers[] = {
        { .most = 10, .window_ms = 1000, .connections = 5, .latency_ms = 20, .jitter_ms = 3 },
        { .most = 10, .window_ms = 1000, .connections = 5, .latency_ms = 20, .jitter_ms = 3, .fixed = true },
        { .most = 10, .window_ms = 1000, .connections = 5, .latency_ms = 200, .jitter_ms = 20, .fixed = true },
        { .most = 100, .window_ms = 10000, .connections = 5, .latency_ms = 50, .jitter_ms = 10 },
        { .most = 2, .window_ms = 1000, .connections = 2, .latency_ms = 50, .jitter_ms = 10 },
        { .most = 100, .window_ms = 1000, .connections = 10, .latency_ms = 50, .jitter_ms = 1, .fixed = true },
        { .most = 10, .window_ms = 1000, .connections = 5, .latency_ms = 20, .jitter_ms = 3, .unknown = true },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof receivers / sizeof *receivers; i++) {
        struct result result = simulate(receivers[i], 0, 10);
        assert_true(result.share >= 90);
        assert_true(result.refused < 1);
    }
}

/* What is allowed by the minute is used up before the first refusal, so it takes longer. */
static void long_windows(void **state)
{
    static const struct receiver receivers[] = {
        { .most = 300, .window_ms = MINUTE_MS, .connections = 5, .latency_ms = 20, .jitter_ms = 3 },
        { .most = 300, .window_ms = MINUTE_MS, .connections = 5, .latency_ms = 20, .jitter_ms = 3, .fixed = true },
        { .most = 1200, .window_ms = MINUTE_MS, .connections = 2, .latency_ms = 20, .jitter_ms = 3, .fixed = true },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof receivers / sizeof *receivers; i++) {
        struct result result = simulate(receivers[i], 0, 60);
        assert_true(result.share >= 80);
        assert_true(result.refused < 1);
    }
}

static void a_bound_is_kept_to(void **state)
{
    struct receiver receiver = { .most = 10, .window_ms = 1000, .connections = 5, .latency_ms = 20 };
    (void)state;
    struct result result = simulate(receiver, 5, 3);
    assert_true(result.share > 49 && result.share <= 50.1);
    assert_true(result.refused <= 0);
}

/* The only connection is refused again and again: ever longer pauses, then no hope; one success, and all is well. */
static void the_only_connection_is_refused(void **state)
{
    struct pace pace;
    struct pace_bounds bounds = { CONNECTIONS_MAX, 0 };
    int64_t now_ms = 1000, pause_ms = PACE_PAUSE_MS;
    (void)state;
    pace_init(&pace);
    for (unsigned i = 0; i <= PACE_CUTS_MAX; i++, pause_ms *= 2) {
        assert_false(pace_is_hopeless(&pace));
        assert_true(pace_not_now(&pace, now_ms, now_ms));
        assert_false(pace_not_now(&pace, now_ms, now_ms + 1));
        assert_int_equal(pace_delay(&pace, &bounds, now_ms), pause_ms);
        now_ms += pause_ms + 1;
    }
    assert_true(pace_is_hopeless(&pace));
    assert_int_equal(pace_connections(&pace, &bounds), 1);
    pace_taken(&pace, &bounds, 1, now_ms);
    assert_false(pace_is_hopeless(&pace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allowance_is_found_and_kept),
        cmocka_unit_test(long_windows),
        cmocka_unit_test(a_bound_is_kept_to),
        cmocka_unit_test(the_only_connection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
