/* The script in a real Redis, by a clock that the test sets, beside the buckets of one machine: the same to the unit. */
#include "../../../policy/redis_script.h"

#include "../../../relay/base/text.h"
#include "redis.h"

static struct redis redis;
static char sha[REDIS_SCRIPT_SHA_SIZE];

static redisReply *run(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(redis.asks, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s", reply->str);
    return reply;
}

static void set_clock(int64_t now_ms)
{
    freeReplyObject(run("SET clock [%lld,%lld]", (long long)(now_ms / 1000), (long long)(now_ms % 1000 * 1000)));
}

/* Loads TEXT and notes its name. */
static void load(const char *text)
{
    redisReply *reply = run("SCRIPT LOAD %s", text);
    assert_true(text_copy(sha, sizeof sha, redis_reply_text(reply)));
    freeReplyObject(reply);
}

/* TEXT, which is freed, with WITH in the place of WHAT. */
static char *replaced(char *text, const char *what, const char *with)
{
    size_t size = strlen(text) + strlen(with) + 1;
    char *at = strstr(text, what), *other = text_zalloc(size);
    assert_non_null(at);
    snprintf(other, size, "%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
    free(text);
    return other;
}

/* The script with a clock of its own, and keys that do not expire by Redis's meanwhile. */
static int set_up(void **state)
{
    (void)state;
    if (redis_folder(&redis) != 0)
        return -1;
    redis_start(&redis);
    char *text = replaced(text_dup(redis_script_text()), "redis.call('TIME')", "cjson.decode(redis.call('GET', 'clock'))");
    text = replaced(text, "empty + 1000", "empty + 100000000");
    load(text);
    free(text);
    set_clock(1000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return redis_end(&redis);
}

static redisReply *ask_reply(const struct redis_ask *ask)
{
    struct buffer out;
    void *reply = NULL;
    buffer_init(&out, 1 << 20);
    assert_true(redis_script_command(ask, sha, &out));
    assert_int_equal(redisAppendFormattedCommand(redis.asks, buffer_span(&out).p, buffer_size(&out)), REDIS_OK);
    assert_int_equal(redisGetReply(redis.asks, &reply), REDIS_OK);
    buffer_fini(&out);
    return reply;
}

static void ask(const struct redis_ask *question, int64_t *waits_ms, uint64_t *used)
{
    redisReply *reply = ask_reply(question);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s", reply->str);
    assert_true(redis_script_answer(reply, waits_ms, question->nclaims, used, question->nkeys));
    freeReplyObject(reply);
}

/* One claim on one key; returns its wait. */
static int64_t one(const char *name, struct bucket_rule rule, uint64_t n, unsigned flags, uint64_t known, uint64_t *ret_used)
{
    const struct redis_key key = { span_of(name), rule, known };
    const struct redis_claim claim = { 0, 0, flags, 0, n };
    int64_t wait_ms;
    ask(&(struct redis_ask){ &key, 1, &claim, 1 }, &wait_ms, ret_used);
    return wait_ms;
}

static void burst_is_exact(void **state)
{
    const struct bucket_rule rule = { 100, 3600000, 100, 0 };
    uint64_t used;
    (void)state;
    for (unsigned i = 0; i < 150; i++) {
        int64_t wait_ms = one("exact", rule, 1, REDIS_REFUSE, 0, &used);
        assert_int_equal(wait_ms, i < 100 ? 0 : 36000);
        assert_int_equal(used, i < 100 ? i + 1 : 100);
    }
    set_clock(1000 + 35999);
    assert_int_equal(one("exact", rule, 1, REDIS_REFUSE, 0, &used), 1);
    set_clock(1000 + 36000);
    assert_int_equal(one("exact", rule, 1, REDIS_REFUSE, 0, &used), 0);
    assert_int_equal(one("exact", rule, 1, REDIS_REFUSE, 0, &used), 36000);
    assert_true(one("exact", rule, 101, REDIS_REFUSE, 0, &used) == BUCKET_NEVER);
    set_clock(1000);
}

static void all_or_nothing(void **state)
{
    const struct redis_key keys[] = { { SPAN("small"), { 1, 60000, 2, 0 }, 0 }, { SPAN("large"), { 1, 60000, 100, 0 }, 0 } };
    const struct redis_claim claims[] = { { 0, 1, 0, 0, 3 },          { 0, 0, REDIS_REFUSE, 0, 2 },
                                          { 1, 1, 0, 0, 10 },         { 1, 0, REDIS_REFUSE, 0, 1 },
                                          { 2, 1, 0, 0, 20 },         { 2, 0, REDIS_IF_FITS, 0, 1 },
                                          { 3, 1, REDIS_LOOK, 0, 50 } };
    int64_t waits_ms[7];
    uint64_t used[2];
    (void)state;
    ask(&(struct redis_ask){ keys, 2, claims, 7 }, waits_ms, used);
    static const int64_t expected[7] = { 0, 0, 0, 60000, 0, 60000, 0 };
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(waits_ms[i], expected[i]);
    assert_int_equal(used[0], 2);
    assert_int_equal(used[1], 23); /* the second question was refused as a whole */
}

static void groups_stops_and_clears(void **state)
{
    const struct redis_key keys[] = { { SPAN("unique"), { 1, 60000, 2, 0 }, 0 }, { SPAN("slow"), { 1, 60000, 3, 3 }, 0 } };
    const struct redis_claim claims[] = {
        { 0, 0, REDIS_REFUSE, 1, 3 },                               /* refused, so its group is still new */
        { 1, 0, REDIS_REFUSE, 1, 1 }, { 2, 0, REDIS_REFUSE, 1, 1 }, /* the same thing */
        { 2, 1, REDIS_STOP, 0, 1 },   { 3, 0, REDIS_REFUSE, 2, 2 }, /* refused */
        { 3, 1, REDIS_STOP, 0, 1 },   { 4, 1, REDIS_STOP, 0, 3 },   /* waits */
        { 5, 1, REDIS_STOP, 0, 1 },
    };
    static const int64_t expected[] = { BUCKET_NEVER, 0, 0, 0, 60000, 0, 60000, REDIS_NOT_LOOKED };
    int64_t waits_ms[8];
    uint64_t used[2];
    (void)state;
    ask(&(struct redis_ask){ keys, 2, claims, 8 }, waits_ms, used);
    for (unsigned i = 0; i < 8; i++)
        assert_true(waits_ms[i] == expected[i]);
    assert_int_equal(used[0], 1);
    assert_int_equal(used[1], 4);
    assert_int_equal(one("slow", keys[1].rule, 2, REDIS_CLEAR, 0, &used[1]), 0);
    assert_int_equal(used[1], 2);
}

/* What others know is not believed for a while after a clearing, and then again. */
static void cleared_is_cleared(void **state)
{
    const struct bucket_rule rule = { 10, 3600000, 10, 0 };
    uint64_t used;
    (void)state;
    set_clock(1000);
    assert_int_equal(one("cleared", rule, 10, 0, 0, &used), 0);
    one("cleared", rule, 1, REDIS_CLEAR, 0, &used);
    assert_int_equal(used, 1);
    one("cleared", rule, 1, 0, 9, &used);
    assert_int_equal(used, 2);
    set_clock(3001);
    one("cleared", rule, 1, 0, 9, &used);
    assert_int_equal(used, 10);
    set_clock(1000);
}

/* What a round does follows from its number, so that one that failed can be looked at. */
static uint64_t seed;

static uint64_t next_random(void)
{
    seed += 0x9e3779b97f4a7c15; /* splitmix64 */
    uint64_t z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned bound)
{
    return (unsigned)(next_random() >> 32) % bound;
}

static uint64_t random_wide(unsigned bits)
{
    uint64_t value = next_random();
    return value >> (64 - (1 + below(bits)));
}

/* One random rule, followed through random times and amounts on both sides. */
static void compare(unsigned round)
{
    seed = round;
    const struct bucket_rule rule = { 1 + random_wide(50), 1 + (int64_t)random_wide(38), 1 + random_wide(50),
                                      below(2) ? random_wide(50) : 0 };
    struct bucket_table *table = bucket_new(&rule, 1 << 20);
    int64_t now_ms = 1000000, wait_ms, expected_ms;
    uint64_t used;
    char name[32];
    snprintf(name, sizeof name, "random-%u", round);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t n = below(3) ? random_wide(50) % (rule.burst + 2) : random_wide(4);
        unsigned flags = (unsigned[]){ 0, REDIS_REFUSE, REDIS_LOOK, REDIS_IF_FITS }[below(4)];
        now_ms += below(4) ? (int64_t)random_wide(39) % (4 * rule.per_ms) : (int64_t)random_wide(20);
        set_clock(now_ms);
        bool fits = bucket_fits(table, span_of(name), n, now_ms, &expected_ms);
        wait_ms = one(name, rule, n, flags, 0, &used);
        if (fits)
            expected_ms = 0;
        if (expected_ms < (int64_t)1 << 31 && expected_ms != wait_ms && rule.burst < (uint64_t)1 << 13)
            fail_msg("round %u step %u: waits %lld, not %lld", round, i, (long long)wait_ms, (long long)expected_ms);
        assert_int_equal(wait_ms == 0, expected_ms == 0);
        assert_int_equal(wait_ms == BUCKET_NEVER, expected_ms == BUCKET_NEVER);
        if (!(flags & REDIS_LOOK) && (fits || !flags) && n)
            bucket_count(table, span_of(name), n, now_ms);
        else if (!(flags & REDIS_LOOK) && (fits || flags != REDIS_REFUSE))
            bucket_refused(table, span_of(name),
                           now_ms); /* drained now, as the script does: after BUCKET_TIME_MAX it matters when */
        struct bucket bucket = bucket_look(table, span_of(name), now_ms);
        if (used != bucket.used)
            fail_msg("round %u step %u: rule %llu/%lld burst %llu debt %llu: %llu used, not %llu", round, i,
                     (unsigned long long)rule.count, (long long)rule.per_ms, (unsigned long long)rule.burst,
                     (unsigned long long)rule.debt, (unsigned long long)used, (unsigned long long)bucket.used);
    }
    bucket_free(&table);
}

static void same_as_on_one_machine(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 150; round++)
        compare(round);
    set_clock(1000);
}

static void rates_may_differ(void **state)
{
    const struct bucket_rule slow = { 10, 3600000, 10, 0 }, fast = { 1000, 86400000, 500, 0 };
    uint64_t used;
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        set_clock(1000 + i * 100);
        assert_int_equal(one("differs", i % 2 ? slow : fast, 1, REDIS_REFUSE, 0, &used), 0);
        assert_in_range(used, i, i + 1);
    }
    one("differs", fast, 100, 0, 0, &used);
    assert_in_range(used, 105, 106);
    assert_in_range(one("differs", slow, 1, REDIS_REFUSE, 0, &used), 1, BUCKET_TIME_MAX);
    assert_in_range(used, 105, 106); /* the smaller burst takes nothing away */
    one("differs", slow, 1, 0, 0, &used);
    assert_in_range(used, 105, 106);
    set_clock(1000);
}

static void known_heals_a_loss(void **state)
{
    const struct bucket_rule rule = { 100, 3600000, 100, 0 };
    uint64_t used;
    (void)state;
    assert_int_equal(one("lost", rule, 1, REDIS_REFUSE, 60, &used), 0);
    assert_int_equal(used, 61);
    one("lost", rule, 1, REDIS_REFUSE, 62, &used); /* a little ahead is the clock, not a loss */
    assert_int_equal(used, 62);
    one("lost", rule, 1, REDIS_LOOK, 1000, &used);
    assert_int_equal(used, 100);
}

/* A bucket that was written by a clock far ahead is as full as it was, and drains from now on. */
static void a_clock_that_was_ahead(void **state)
{
    const struct bucket_rule rule = { 100, 3600000, 100, 0 };
    uint64_t used;
    (void)state;
    set_clock(1000 + BUCKET_TIME_MAX);
    assert_int_equal(one("ahead", rule, 100, REDIS_REFUSE, 0, &used), 0);
    set_clock(1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(one("ahead", rule, 1, REDIS_REFUSE, 0, &used), 36000);
        assert_int_equal(used, 100);
    }
    set_clock(1000 + 36000);
    assert_int_equal(one("ahead", rule, 1, REDIS_REFUSE, 0, &used), 0);
    assert_int_equal(one("ahead", rule, 1, REDIS_REFUSE, 0, &used), 36000);
    set_clock(1000 + 3600000 + 36000);
    assert_int_equal(one("ahead", rule, 100, REDIS_REFUSE, 0, &used), 0);
    assert_int_equal(one("ahead", rule, 1, REDIS_REFUSE, 0, &used), 36000);
    set_clock(1000);
}

static void foreign_values_count_as_empty(void **state)
{
    static const char *const values[] = {
        "", "1", "1 2 3", "1 2 3 4 5 6", "x", "-1 0 1000 1000", "99999999999999999 0 1000 1000", "7 0 0 1000", "7 2000 1000 1000"
    };
    const struct bucket_rule rule = { 10, 3600000, 10, 0 };
    uint64_t used;
    (void)state;
    for (unsigned i = 0; i < COUNT(values); i++) {
        freeReplyObject(run("SET foreign %s", values[i]));
        one("foreign", rule, 1, 0, 0, &used);
        assert_int_equal(used, i < 7 ? 1 : 8);
    }
    freeReplyObject(run("SET foreign %s", "9999999999999999 0 1000 1000"));
    assert_true(one("foreign", rule, 1, REDIS_REFUSE, 0, &used) > 0);
    freeReplyObject(run("DEL foreign"));
    freeReplyObject(run("HSET foreign a b"));
    one("foreign", rule, 1, 0, 0, &used);
    assert_int_equal(used, 1);
}

static void expires_when_drained(void **state)
{
    const struct bucket_rule rule = { 100, 3600000, 100, 0 };
    uint64_t used;
    (void)state;
    one("expires", rule, 10, 0, 0, &used);
    redisReply *reply = run("PTTL expires");
    assert_in_range(reply->integer, 100360000 - 60000, 100360000 + 36000 + 1000);
    freeReplyObject(reply);
    one("looked-at", rule, 10, REDIS_LOOK, 0, &used);
    reply = run("EXISTS looked-at");
    assert_int_equal(reply->integer, 0);
    freeReplyObject(reply);
}

static void a_batch_at_its_limits(void **state)
{
    static struct redis_key keys[REDIS_SCRIPT_KEYS_MAX + 1];
    static struct redis_claim claims[REDIS_SCRIPT_CLAIMS_MAX + 1];
    static char names[REDIS_SCRIPT_KEYS_MAX][16];
    static int64_t waits_ms[REDIS_SCRIPT_CLAIMS_MAX];
    static uint64_t used[REDIS_SCRIPT_KEYS_MAX];
    struct buffer out;
    (void)state;
    for (unsigned i = 0; i < REDIS_SCRIPT_KEYS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "many-%u", i);
        keys[i] = (struct redis_key){ span_of(names[i]), { 1, 60000, 100, 0 }, 0 };
    }
    for (unsigned i = 0; i < REDIS_SCRIPT_CLAIMS_MAX; i++)
        claims[i] = (struct redis_claim){ i / 8, i % REDIS_SCRIPT_KEYS_MAX, 0, 0, 1 };
    ask(&(struct redis_ask){ keys, REDIS_SCRIPT_KEYS_MAX, claims, REDIS_SCRIPT_CLAIMS_MAX }, waits_ms, used);
    assert_int_equal(used[REDIS_SCRIPT_KEYS_MAX - 1], REDIS_SCRIPT_CLAIMS_MAX / REDIS_SCRIPT_KEYS_MAX);
    buffer_init(&out, 1 << 20);
    assert_false(redis_script_command(&(struct redis_ask){ keys, REDIS_SCRIPT_KEYS_MAX + 1, claims, 1 }, sha, &out));
    assert_false(redis_script_command(&(struct redis_ask){ keys, 1, claims, REDIS_SCRIPT_CLAIMS_MAX + 1 }, sha, &out));
    buffer_fini(&out);
    buffer_init(&out, 100);
    assert_false(redis_script_command(&(struct redis_ask){ keys, 1, claims, 1 }, sha, &out));
    assert_int_equal(buffer_size(&out), 0);
    buffer_fini(&out);
}

static void by_redis_own_clock(void **state)
{
    const struct bucket_rule rule = { 100, 3600000, 100, 0 };
    uint64_t used;
    (void)state;
    char kept[REDIS_SCRIPT_SHA_SIZE];
    memcpy(kept, sha, sizeof kept);
    load(redis_script_text().p);
    assert_int_equal(one("clock", rule, 10, REDIS_REFUSE, 0, &used), 0);
    assert_int_equal(used, 10);
    memcpy(sha, kept, sizeof sha);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_stops_and_clears),
        cmocka_unit_test(cleared_is_cleared),
        cmocka_unit_test(burst_is_exact),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(same_as_on_one_machine),
        cmocka_unit_test(rates_may_differ),
        cmocka_unit_test(known_heals_a_loss),
        cmocka_unit_test(a_clock_that_was_ahead),
        cmocka_unit_test(foreign_values_count_as_empty),
        cmocka_unit_test(expires_when_drained),
        cmocka_unit_test(a_batch_at_its_limits),
        cmocka_unit_test(by_redis_own_clock),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
