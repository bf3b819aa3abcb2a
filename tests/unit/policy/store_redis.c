/* Decisions by a real Redis: counted by two as by one, away and back, with what was counted meanwhile; and suspensions. */
#include "../../../policy/store_redis.h"

#include "../../../relay/base/text.h"
#include "redis.h"

#define HOUR     3600000
#define PATIENCE 10000 /* as decision_ms: no test here is about slowness */

static struct redis redis;
static struct loop *loop;
static struct store_redis *one, *two;
static const struct bucket_rule hourly = { 100, HOUR, 100, 0 };

/* What was heard of suspensions, in words: "begins alice=x end bob= …". */
static char heard[2][1024];
static uint64_t last_learned;

static void begins(void *context)
{
    strncat(context, "begins ", 1000);
}

static void changed(void *context, struct span account, struct span json)
{
    char text[200];
    snprintf(text, sizeof text, "%.*s%s%.*s ", SPAN_ARGS(account), json.p ? "=" : " free", (int)json.n, json.p ? json.p : "");
    if (strlen(context) < 800)
        strncat(context, text, 200);
}

static void complete(void *context)
{
    strncat(context, "end ", 100);
}

static void said(void *context, struct span message)
{
    if (strlen(context) < 800 && message.n < 100)
        strncat(context, message.p, message.n);
}

static void learned(void *context, struct span name, uint64_t used, int64_t asked_ms)
{
    (void)context;
    assert_true(name.n > 0 && asked_ms <= clock_monotonic_ms());
    last_learned = used;
}

static const struct store_redis_events events = { learned, { begins, changed, complete, said } };

static struct store_redis *begin(unsigned index, const char *password)
{
    const struct store_redis_settings settings = { redis.where, password, PATIENCE, PATIENCE };
    heard[index][0] = '\0';
    return store_redis_new(loop, &settings, &events, heard[index]);
}

/* Serves the loop until STORE is connected, or not. */
static void until(const struct store_redis *store, bool connected)
{
    int64_t since_ms, end = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    while (store_redis_is_connected(store, &since_ms) != connected) {
        loop_once(loop, false);
        usleep(200);
        assert_true(clock_monotonic_ms() < end);
    }
    assert_true(since_ms <= clock_wall_ms());
}

/* Serves the loop until store INDEX has heard TEXT. */
static void until_heard(unsigned index, const char *text)
{
    int64_t end = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    while (!strstr(heard[index], text)) {
        loop_once(loop, false);
        usleep(200);
        if (clock_monotonic_ms() >= end)
            fail_msg("heard \"%s\", not \"%s\"", heard[index], text);
    }
}

static int set_up(void **state)
{
    (void)state;
    if (redis_folder(&redis) != 0)
        return -1;
    redis_start(&redis);
    loop = loop_new();
    one = begin(0, "");
    two = begin(1, "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_redis_free(&one);
    store_redis_free(&two);
    loop_free(&loop);
    return redis_end(&redis);
}

struct outcome {
    bool done;
    enum store_redis_outcome outcome;
    int64_t wait_ms;
    uint64_t used;
};

static void answered(void *context, const struct store_redis_answer *answer)
{
    struct outcome *outcome = context;
    assert_false(outcome->done);
    outcome->done = true;
    outcome->outcome = answer->outcome;
    if (answer->outcome == STORE_REDIS_DECIDED) {
        outcome->wait_ms = answer->waits_ms[0];
        outcome->used = answer->used[0];
    }
}

static bool ask(struct store_redis *store, const char *name, uint64_t n, uint64_t known, struct outcome *outcome)
{
    const struct redis_key key = { span_of(name), hourly, known };
    const struct redis_claim claim = { .flags = REDIS_REFUSE, .n = n };
    *outcome = (struct outcome){ .done = false };
    return store_redis_ask(store, &(struct redis_ask){ &key, 1, &claim, 1 }, answered, outcome);
}

static struct outcome take(struct store_redis *store, const char *name, uint64_t n)
{
    struct outcome outcome;
    assert_true(ask(store, name, n, 0, &outcome));
    assert_false(outcome.done);
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_DECIDED);
    return outcome;
}

static void owe(struct store_redis *store, const char *name, uint64_t n, uint64_t known)
{
    store_redis_owe(store, &(struct redis_key){ span_of(name), hourly, known }, n);
}

static void shared_by_two(void **state)
{
    unsigned allowed = 0;
    (void)state;
    until(one, true);
    until(two, true);
    for (unsigned i = 0; i < 150; i++)
        allowed += take(i % 2 ? one : two, "both", 1).wait_ms == 0;
    assert_int_equal(allowed, 100);
}

static void many_at_once(void **state)
{
    static struct outcome outcomes[2 * REDIS_PIPE_MAX];
    unsigned asked = 0, allowed = 0;
    (void)state;
    until(one, true);
    while (asked < COUNT(outcomes) && ask(one, "many", 1, 0, &outcomes[asked]))
        asked++;
    assert_in_range(asked, REDIS_PIPE_MAX - 10, REDIS_PIPE_MAX); /* then this machine decides */
    owe(one, "many", 1, 1);
    for (unsigned i = 0; i < asked; i++) {
        redis_wait(loop, &outcomes[i].done);
        assert_int_equal(outcomes[i].outcome, STORE_REDIS_DECIDED);
        allowed += outcomes[i].wait_ms == 0;
    }
    assert_int_equal(allowed, 100);
}

static void away_and_back(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    take(one, "away", 40);
    redis_kill(&redis);
    until(one, false);
    assert_false(ask(one, "away", 1, 40, &outcome));
    owe(one, "away", 5, 45);
    owe(two, "away", 7, 47);
    owe(one, "away", 3, 48);
    redis_start(&redis); /* which has forgotten everything */
    until(one, true);
    until(two, true);
    assert_int_equal(take(one, "away", 1).used, 56); /* 40 known, 5 and 3 of one, 7 of the other, 1 */
}

static void learns_of_others(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    take(two, "learned", 30);
    last_learned = 0;
    owe(one, "learned", 2, 2);
    assert_int_equal(store_redis_owed(one, SPAN("learned")), 0); /* under way */
    owe(one, "learned", 1, 3);
    assert_int_equal(store_redis_owed(one, SPAN("learned")), 1);
    while (last_learned != 33)
        loop_once(loop, true);
    store_redis_forget(one, &(struct redis_key){ SPAN("learned"), hourly, 0 });
    while (last_learned)
        loop_once(loop, true);
    redis_kill(&redis);
    until(one, false);
    owe(one, "learned", 5, 5);
    store_redis_forget(one, &(struct redis_key){ SPAN("learned"), hourly, 0 });
    owe(one, "learned", 1, 1);
    redis_start(&redis);
    until(one, true);
    assert_true(ask(one, "learned", 1, 1, &outcome));
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.used, 2);
}

static void lost_in_flight(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    kill(redis.pid, SIGSTOP);
    assert_true(ask(one, "flight", 1, 0, &outcome));
    redis_kill(&redis);
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_UNKNOWN);
    redis_start(&redis);
    until(one, true);
}

static void slow_is_away(void **state)
{
    const struct store_redis_settings settings = { redis.where, "", 50, PATIENCE };
    struct outcome outcome;
    char nothing[1024] = "";
    (void)state;
    struct store_redis *store = store_redis_new(loop, &settings, &events, nothing);
    until(store, true);
    kill(redis.pid, SIGSTOP);
    assert_true(ask(store, "slow", 1, 0, &outcome));
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_UNKNOWN);
    assert_false(ask(store, "slow", 1, 0, &outcome));
    kill(redis.pid, SIGCONT);
    until(store, true);
    assert_in_range(take(one, "slow", 1).used, 1, 2); /* what was in flight is counted once at most */
    store_redis_free(&store);
}

static void forgotten_script(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    freeReplyObject(redisCommand(redis.asks, "SCRIPT FLUSH"));
    assert_true(ask(one, "script", 1, 0, &outcome));
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_UNCOUNTED);
    owe(one, "script", 1, 1);
    until(one, true);
    assert_int_equal(take(one, "script", 1).used, 2);
}

static void cannot_be_written(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    freeReplyObject(redisCommand(redis.asks, "CONFIG SET min-replicas-to-write 3"));
    assert_true(ask(one, "full", 1, 0, &outcome));
    redis_wait(loop, &outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_UNCOUNTED);
    until(one, false);
    for (unsigned i = 0; i < 100; i++) {
        int64_t since_ms;
        loop_once(loop, false);
        usleep(1000);
        assert_false(store_redis_is_connected(one, &since_ms));
    }
    freeReplyObject(redisCommand(redis.asks, "CONFIG SET min-replicas-to-write 0"));
    until(one, true);
}

static void settled(void **state)
{
    struct outcome outcome;
    (void)state;
    until(one, true);
    assert_true(ask(one, "settled", 1, 0, &outcome));
    store_redis_settle(one);
    assert_true(outcome.done);
    assert_int_equal(outcome.outcome, STORE_REDIS_UNKNOWN);
    take(one, "settled", 1);
    assert_true(ask(one, "settled", 1, 0, &outcome)); /* answered by store_redis_free below */
    store_redis_free(&one);
    assert_true(outcome.done);
    one = begin(0, "");
}

static void password(void **state)
{
    struct redis guarded;
    char nothing[1024] = "";
    int64_t since_ms;
    (void)state;
    assert_int_equal(redis_folder(&guarded), 0);
    redis_start_with(&guarded, "--requirepass", "open sesame");
    struct store_redis_settings settings = { guarded.where, "open sesame", PATIENCE, PATIENCE };
    struct store_redis *store = store_redis_new(loop, &settings, &events, nothing);
    until(store, true);
    store_redis_free(&store);
    for (unsigned i = 0; i < 2; i++) {
        settings.password = i ? "wrong" : "";
        store = store_redis_new(loop, &settings, &events, nothing);
        for (unsigned k = 0; k < 50; k++) {
            loop_once(loop, false);
            usleep(1000);
            assert_false(store_redis_is_connected(store, &since_ms));
        }
        store_redis_free(&store);
    }
    assert_int_equal(redis_end(&guarded), 0);
}

static void owes_much(void **state)
{
    char name[32];
    (void)state;
    until(one, true);
    redis_kill(&redis);
    until(one, false);
    for (unsigned i = 0; i < STORE_REDIS_OWED_MAX + 10; i++) {
        snprintf(name, sizeof name, "owed-%u", i);
        owe(one, name, 3, 3);
    }
    redis_start(&redis);
    until(one, true);
    redisReply *reply = redisCommand(redis.asks, "DBSIZE");
    assert_in_range(reply->integer, STORE_REDIS_OWED_MAX, STORE_REDIS_OWED_MAX + 5);
    freeReplyObject(reply);
    assert_int_equal(take(one, "owed-65535", 1).used, 4);
}

static void suspensions(void **state)
{
    (void)state;
    until(one, true);
    until(two, true);
    until_heard(1, "end");
    heard[1][0] = '\0';
    assert_true(store_redis_publish(one, SPAN("alice"), SPAN("{\"why\":1}")));
    until_heard(0, "alice={\"why\":1}");
    until_heard(1, "alice={\"why\":1}");
    assert_true(store_redis_publish(two, SPAN("alice"), span_make(NULL, 0)));
    until_heard(0, "alice free");
    store_redis_say(one, SPAN("word "));
    until_heard(0, "word ");
    until_heard(1, "word ");
    assert_false(store_redis_publish(two, SPAN(""), SPAN("x")));
    static char large[REDIS_SHARED_TEXT_MAX + 1];
    memset(large, 'x', sizeof large);
    assert_false(store_redis_publish(two, SPAN("bob"), span_make(large, sizeof large)));
}

static void suspended_while_away(void **state)
{
    (void)state;
    until(one, true);
    until(two, true);
    freeReplyObject(redisCommand(redis.asks, "CONFIG SET save \"\""));
    redis_kill(&redis);
    until(one, false);
    until(two, false);
    heard[1][0] = '\0';
    assert_true(store_redis_publish(one, SPAN("carol"), SPAN("first")));
    assert_true(store_redis_publish(one, SPAN("dave"), SPAN("later")));
    assert_true(store_redis_publish(one, SPAN("carol"), span_make(NULL, 0)));
    redis_start(&redis);
    until_heard(1, "dave=later");
    assert_null(strstr(heard[1], "carol=first"));
    until_heard(1, "end");
    assert_non_null(strstr(heard[1], "begins"));
}

static void order(const char *command)
{
    redisReply *reply = redisCommand(redis.asks, command);
    assert_true(reply && reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

/* A user of Redis who may count, but not pass on: decisions keep their connection, and who is suspended is read once he may. */
static void may_not_pass_on(void **state)
{
    struct outcome outcome;
    int64_t since_ms, end;
    (void)state;
    until(one, true);
    until_heard(0, "end");
    order("ACL SETUSER default -publish -hscan");
    assert_true(store_redis_publish(one, SPAN("erin"), SPAN("x")));
    end = clock_monotonic_ms() + 2500; /* so that it is tried again in between */
    while (clock_monotonic_ms() < end) {
        assert_true(ask(one, "meanwhile", 1, 0, &outcome));
        redis_wait(loop, &outcome.done);
        assert_int_equal(outcome.outcome, STORE_REDIS_DECIDED);
        assert_true(store_redis_is_connected(one, &since_ms));
        usleep(1000);
    }
    heard[0][0] = '\0';
    order("ACL SETUSER default +publish +hscan");
    until_heard(0, "erin=x");
    until_heard(0, "end");
}

static void many_suspended(void **state)
{
    char name[32];
    (void)state;
    until(one, true);
    until(two, true);
    for (unsigned i = 0; i < 1000; i++)
        freeReplyObject(redisCommand(redis.asks, "HSET postern:suspended crowd-%u x", i));
    heard[1][0] = '\0';
    freeReplyObject(redisCommand(redis.asks, "CLIENT KILL TYPE pubsub")); /* all is read anew */
    until_heard(1, "begins ");
    until_heard(1, "crowd-");
    until_heard(1, "end ");
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "crowd-%u", i);
        freeReplyObject(redisCommand(redis.asks, "HDEL postern:suspended %s", name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_by_two),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(away_and_back),
        cmocka_unit_test(learns_of_others),
        cmocka_unit_test(lost_in_flight),
        cmocka_unit_test(slow_is_away),
        cmocka_unit_test(forgotten_script),
        cmocka_unit_test(cannot_be_written),
        cmocka_unit_test(settled),
        cmocka_unit_test(password),
        cmocka_unit_test(owes_much),
        cmocka_unit_test(suspensions),
        cmocka_unit_test(suspended_while_away),
        cmocka_unit_test(may_not_pass_on),
        cmocka_unit_test(many_suspended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
