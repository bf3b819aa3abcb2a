/* Two machines' limits and one Redis: decisions as they are made, from the claims to the answers. */
#include "../../../policy/flight.h"
#include "../../../relay/base/text.h"
#include "redis.h"
#include "settings.h"

#define DAY 86400000

static struct redis redis;
static struct loop *loop;
static struct conf_limit rows[3];
static struct conf conf = { .limits = rows };

static struct machine {
    struct decide *decide;
    struct flights flights;
    struct sharing *sharing;
    bool done;
    struct policy_rcpt_answer answer;
} one, two;

static void nothing(void *context)
{
    (void)context;
}

static void changed(void *context, struct span account, struct span json)
{
    (void)context;
    (void)account;
    (void)json;
}

static void done(void *asker, const struct decision *decision)
{
    struct machine *machine = asker;
    assert_null(decide_answer(decision, &machine->answer));
    machine->done = true;
}

static void begin(struct machine *machine)
{
    static const struct redis_shared_events events = { .begins = nothing, .changed = changed, .complete = nothing };
    const struct sharing_settings settings = { redis.where, "", 10000 };
    int64_t since_ms, end = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    *machine = (struct machine){ .decide = decide_new(&conf) };
    flights_init(&machine->flights, machine->decide, done);
    machine->sharing = sharing_new(loop, &settings, decide_limits(machine->decide), &events, NULL);
    flights_set_sharing(&machine->flights, machine->sharing);
    while (!sharing_is_connected(machine->sharing, &since_ms)) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < end);
    }
}

static void end(struct machine *machine)
{
    flights_set_sharing(&machine->flights, NULL);
    sharing_free(&machine->sharing);
    decide_free(&machine->decide);
}

/* Both machines with the first COUNT rows. */
static void begin_both(size_t count)
{
    conf.nlimits = count;
    freeReplyObject(redisCommand(redis.asks, "FLUSHALL"));
    begin(&one);
    begin(&two);
}

static int end_both(void **state)
{
    (void)state;
    end(&one);
    end(&two);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    if (redis_folder(&redis) != 0)
        return -1;
    redis_start(&redis);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    return redis_end(&redis);
}

static struct conf_limit limit_of(const char *name, enum conf_limit_count count, uint64_t burst, enum conf_limit_then then)
{
    struct conf_limit limit = { .name = settings_text(name), .key = CONF_KEY_ACCOUNT, .count = count, .then = then };
    limit.rate = (struct conf_rate){ burst, DAY };
    return limit;
}

/* Asks MACHINE about COUNT recipients of alice, r<FIRST> and so on; returns how many were allowed. */
static unsigned rcpt(struct machine *machine, unsigned first, unsigned count)
{
    struct policy_rcpt question = { .ticket = 3, .subject.client = { .family = 4, .bytes = { 127, 0, 0, 1 } } };
    unsigned allowed = 0;
    char address[40];
    text_copy(question.subject.account, sizeof question.subject.account, SPAN("alice"));
    for (unsigned i = 0; i < count; i++) {
        text_format(address, sizeof address, "r%u@example.com", first + i);
        policy_rcpt_add(&question, address);
    }
    machine->done = false;
    flights_begin(&machine->flights, machine, decide_begin_rcpt(machine->decide, &question, clock_monotonic_ms()));
    redis_wait(loop, &machine->done);
    assert_int_equal(machine->answer.ticket, 3);
    for (unsigned i = 0; i < machine->answer.count; i++)
        allowed += machine->answer.each[i].verdict == POLICY_ALLOW;
    return allowed;
}

static uint64_t used(struct machine *machine, size_t index)
{
    return bucket_look(limit_at(decide_limits(machine->decide), index)->buckets, SPAN("alice"), clock_monotonic_ms()).used;
}

static bool exists(const char *key)
{
    redisReply *reply = redisCommand(redis.asks, "EXISTS %s", key);
    bool there = reply->integer == 1;
    freeReplyObject(reply);
    return there;
}

static void batches_share_a_limit(void **state)
{
    (void)state;
    rows[0] = limit_of("hourly", CONF_COUNT_RECIPIENTS, 30, CONF_THEN_DEFER);
    rows[1] = limit_of("a:b%", CONF_COUNT_RECIPIENTS, 1000, CONF_THEN_DEFER);
    begin_both(2);
    assert_int_equal(rcpt(&one, 0, 20), 20);
    assert_int_equal(rcpt(&two, 100, 20), 10);
    assert_int_equal(two.answer.count, 20);
    assert_int_equal(used(&two, 0), 30);
    assert_int_equal(used(&two, 1), 30); /* what is refused is counted nowhere */
    assert_true(exists("postern:account:recipients:hourly:alice"));
    assert_true(exists("postern:account:recipients:a%3ab%25:alice"));
}

/* Until MACHINE knows COUNT pairs. */
static void wait_for_pairs(struct machine *machine, size_t count)
{
    int64_t patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    while (seen_count(decide_seen(machine->decide)) < count) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
}

static void known_recipients_are_known_to_both(void **state)
{
    (void)state;
    rows[0] = limit_of("first", CONF_COUNT_FIRST_TIME_RECIPIENTS, 10, CONF_THEN_DEFER);
    begin_both(1);
    assert_int_equal(rcpt(&one, 0, 8), 8);
    wait_for_pairs(&two, 8);
    assert_int_equal(rcpt(&two, 0, 8), 8);
    assert_int_equal(rcpt(&two, 6, 4), 4);
    assert_int_equal(rcpt(&two, 9, 2), 1);
}

static void one_recipient_twice_in_a_batch(void **state)
{
    struct policy_rcpt question = { .ticket = 3, .subject.account = "alice" };
    (void)state;
    rows[0] = limit_of("unique", CONF_COUNT_UNIQUE_RECIPIENTS, 1, CONF_THEN_REJECT);
    begin_both(1);
    for (unsigned i = 0; i < 3; i++)
        policy_rcpt_add(&question, i == 1 ? "B@example.com" : "b@example.com");
    flights_begin(&one.flights, &one, decide_begin_rcpt(one.decide, &question, clock_monotonic_ms()));
    redis_wait(loop, &one.done);
    assert_int_equal(one.answer.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(one.answer.each[i].verdict, POLICY_ALLOW);
    assert_int_equal(rcpt(&one, 0, 1), 0);
}

static void who_waits_ends_the_batch(void **state)
{
    (void)state;
    rows[0] = limit_of("slowly", CONF_COUNT_RECIPIENTS, 5, CONF_THEN_SLOW);
    begin_both(1);
    assert_int_equal(rcpt(&one, 0, 4), 4);
    assert_int_equal(rcpt(&two, 0, 10), 2);
    assert_int_equal(two.answer.count, 2);
    assert_true(two.answer.each[1].delay_ms > 0);
    assert_int_equal(used(&two, 0), 6);
}

static void observed_counts_what_fits(void **state)
{
    (void)state;
    rows[0] = limit_of("watch", CONF_COUNT_RECIPIENTS, 5, CONF_THEN_REJECT);
    rows[0].mode = CONF_MODE_OBSERVE;
    begin_both(1);
    assert_int_equal(rcpt(&one, 0, 10), 10);
    assert_int_equal(used(&one, 0), 5);
}

static void begun_anew_everywhere(void **state)
{
    (void)state;
    rows[0] = limit_of("strikes", CONF_COUNT_RECIPIENTS, 10, CONF_THEN_SUSPEND);
    begin_both(1);
    assert_int_equal(rcpt(&one, 0, 9), 9);
    limit_forget(decide_limits(one.decide), SPAN("alice"));
    assert_int_equal(rcpt(&one, 0, 9), 9); /* it is told before it is asked */
    assert_int_equal(used(&one, 0), 9);
}

/* What Redis has of alice's hard bounces, in LIMIT, rounded up. */
static unsigned long kept_of(const char *limit)
{
    redisReply *reply = redisCommand(redis.asks, "GET postern:account:hard-bounces:%s:alice", limit);
    unsigned long used = 0, rest = 0;
    if (reply->type == REDIS_REPLY_STRING)
        assert_int_equal(sscanf(reply->str, "%lu %lu", &used, &rest), 2);
    freeReplyObject(reply);
    return used + (rest > 0);
}

/* A strike is a beginning for all: what the other machine knew does not come back, and the next strike needs as much as the first. */
static void begun_anew_by_another(void **state)
{
    const struct limit_ask ask = { .count = CONF_COUNT_HARD_BOUNCES, .n = 1 };
    const struct key_subject subject = { .account = SPAN("alice") };
    struct limit_refusal refusal;
    unsigned strikes = 0, since = 0;
    (void)state;
    rows[0] = limit_of("bounces", CONF_COUNT_HARD_BOUNCES, 10, CONF_THEN_SUSPEND);
    begin_both(1);
    /* Eleven to fourteen each: what the other machine counted just now is heard a moment later. */
    for (unsigned i = 0; i < 42; i++) {
        struct machine *machine = i % 2 ? &one : &two, *other = i % 2 ? &two : &one;
        int64_t patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
        bool strike = limit_note(decide_limits(machine->decide), &subject, &ask, clock_monotonic_ms(), &refusal) == LIMIT_SUSPEND;
        if (strike)
            limit_clear(decide_limits(machine->decide), refusal.limit, SPAN("alice"), clock_monotonic_ms());
        since = strike ? 0 : since + 1;
        strikes += strike;
        while (strike ? used(machine, 0) || used(other, 0) || kept_of("bounces")
                      : kept_of("bounces") < (since < 10 ? since : 10)) {
            loop_once(loop, true);
            assert_true(clock_monotonic_ms() < patience);
        }
    }
    assert_int_equal(strikes, 3);
}

static void what_happened_is_told(void **state)
{
    const struct limit_ask ask = { .count = CONF_COUNT_HARD_BOUNCES, .n = 1 };
    const struct key_subject subject = { .account = SPAN("alice") };
    struct limit_refusal refusal;
    unsigned beyond = 0;
    (void)state;
    rows[0] = limit_of("bounces", CONF_COUNT_HARD_BOUNCES, 10, CONF_THEN_SUSPEND);
    begin_both(1);
    for (unsigned i = 0; i < 12; i++) {
        struct machine *machine = i % 2 ? &one : &two;
        int64_t patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
        beyond += limit_note(decide_limits(machine->decide), &subject, &ask, clock_monotonic_ms(), &refusal) == LIMIT_SUSPEND;
        while (i < 10 && used(machine, 0) < i + 1) { /* by what both have counted */
            loop_once(loop, true);
            assert_true(clock_monotonic_ms() < patience);
        }
    }
    assert_in_range(beyond, 1, 2); /* what the other machine has counted just now is heard a moment later */
}

/* Does MACHINE let alice in from NETWORK? */
static bool enters(struct machine *machine, struct span network)
{
    const struct limit_ask ask = { .count = CONF_COUNT_LOGIN_NETWORKS, .n = 1, .whom = network };
    const struct key_subject subject = { .account = SPAN("alice") };
    struct limit_refusal refusal;
    return limit_take(decide_limits(machine->decide), &subject, &ask, 1, clock_monotonic_ms(), &refusal) == LIMIT_ALLOW;
}

/* Networks that were let in are known to both, and refused ones to neither. */
static void networks_are_known_to_both(void **state)
{
    int64_t patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    (void)state;
    rows[0] = limit_of("networks", CONF_COUNT_LOGIN_NETWORKS, 2, CONF_THEN_DEFER);
    begin_both(1);
    assert_true(enters(&one, SPAN("192.0.2.0/24")));
    wait_for_pairs(&two, 1);
    assert_true(enters(&two, SPAN("192.0.2.0/24")));
    assert_int_equal(used(&two, 0), 0);
    assert_true(enters(&two, SPAN("192.0.3.0/24")));
    while (used(&two, 0) < 2) { /* with what it tells, it hears of the other's */
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_false(enters(&two, SPAN("192.0.4.0/24")));
    wait_for_pairs(&one, 2);
    assert_true(enters(&one, SPAN("192.0.3.0/24")));
    assert_int_equal(seen_count(decide_seen(one.decide)), 2);
    assert_int_equal(seen_count(decide_seen(two.decide)), 2);
}

static void a_reload_settles(void **state)
{
    struct policy_rcpt question = { .ticket = 3, .count = 1, .subject.account = "alice" };
    (void)state;
    rows[0] = limit_of("hourly", CONF_COUNT_RECIPIENTS, 5, CONF_THEN_DEFER);
    begin_both(1);
    flights_begin(&one.flights, &one, decide_begin_rcpt(one.decide, &question, clock_monotonic_ms()));
    assert_false(one.done);
    sharing_settle(one.sharing);
    assert_true(one.done);
    decide_settings(one.decide, &conf);
    sharing_limits(one.sharing, decide_limits(one.decide));
    assert_int_equal(rcpt(&one, 0, 10), 4);
}

static void away_decides_here(void **state)
{
    int64_t since_ms, patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    (void)state;
    rows[0] = limit_of("hourly", CONF_COUNT_RECIPIENTS, 10, CONF_THEN_DEFER);
    begin_both(1);
    assert_int_equal(rcpt(&one, 0, 4), 4);
    assert_int_equal(rcpt(&two, 0, 2), 2);
    redis_kill(&redis);
    while (sharing_is_connected(one.sharing, &since_ms) || sharing_is_connected(two.sharing, &since_ms)) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
    assert_int_equal(rcpt(&two, 0, 10), 4); /* it had heard of six */
    redis_start(&redis);
    while (!sharing_is_connected(one.sharing, &since_ms) || !sharing_is_connected(two.sharing, &since_ms)) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
    assert_int_equal(rcpt(&one, 0, 5), 0);
    assert_int_equal(used(&one, 0), 10);
}

/* What was counted while Redis was away is told to it, too, where the way to it has changed meanwhile. */
static void a_change_keeps_what_is_owed(void **state)
{
    int64_t since_ms, patience = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    const struct sharing_settings same = { redis.where, "", 10000 }, other = { redis.where, "", 9000 };
    (void)state;
    rows[0] = limit_of("hourly", CONF_COUNT_RECIPIENTS, 10, CONF_THEN_DEFER);
    begin_both(1);
    sharing_change(two.sharing, &same);
    assert_true(sharing_is_connected(two.sharing, &since_ms));
    assert_int_equal(rcpt(&one, 0, 4), 4);
    assert_int_equal(rcpt(&two, 0, 1), 1); /* it hears of the four: Redis forgets everything */
    redis_kill(&redis);
    while (sharing_is_connected(one.sharing, &since_ms) || sharing_is_connected(two.sharing, &since_ms)) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
    assert_int_equal(rcpt(&two, 0, 3), 3);
    sharing_change(two.sharing, &other);
    redis_start(&redis);
    while (!sharing_is_connected(one.sharing, &since_ms) || !sharing_is_connected(two.sharing, &since_ms)) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < patience);
    }
    assert_int_equal(rcpt(&one, 0, 10), 2);
}

#define TEST(name) cmocka_unit_test_teardown(name, end_both)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batches_share_a_limit),
        TEST(known_recipients_are_known_to_both),
        TEST(one_recipient_twice_in_a_batch),
        TEST(who_waits_ends_the_batch),
        TEST(observed_counts_what_fits),
        TEST(begun_anew_everywhere),
        TEST(begun_anew_by_another),
        TEST(what_happened_is_told),
        TEST(networks_are_known_to_both),
        TEST(a_reload_settles),
        TEST(away_decides_here),
        TEST(a_change_keeps_what_is_owed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
