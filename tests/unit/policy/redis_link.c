/* A server that is no Redis, or a bad one: garbage, cuts, silence, answers without end. Each costs the connection and nothing else: the
 * store is away, decides nothing, and tries again. */
#include "../../../policy/store_redis.h"

#include "redis.h"

#include "../../../relay/base/text.h"

static struct redis place;
static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    return redis_folder(&place);
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    return rmdir(place.folder);
}

static void begins(void *context)
{
    (void)context;
}

static void changed(void *context, struct span account, struct span json)
{
    (void)context;
    (void)account;
    (void)json;
}

static void learned(void *context, struct span name, uint64_t used, int64_t asked_ms)
{
    (void)context;
    (void)name;
    (void)used;
    (void)asked_ms;
    fail();
}

static const struct store_redis_events events = { learned, { .begins = begins, .changed = changed, .complete = begins } };

/* Talks to a server that says SAYS until it has been heard TIMES; the store must never take it for Redis. */
static void meet(const char *says, size_t size, bool hangs_up, unsigned times)
{
    const struct store_redis_settings settings = { place.where, "", 20, 30 };
    int64_t since_ms, until = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    struct redis_fake fake;
    redis_fake_start(&fake, loop, place.where, says, size, hangs_up);
    struct store_redis *store = store_redis_new(loop, &settings, &events, NULL);
    while (fake.heard < times) {
        loop_once(loop, true);
        assert_false(store_redis_is_connected(store, &since_ms));
        assert_true(clock_monotonic_ms() < until);
    }
    store_redis_owe(store, &(struct redis_key){ SPAN("x"), { 1, 1000, 1, 0 }, 1 }, 1);
    store_redis_free(&store);
    redis_fake_end(&fake, place.where);
}

static void bad_answers(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$9223372036854775807\r\nx",
        "$-5\r\n",
        "$40\r\nabcdef",
        "*2147483647\r\n",
        "*65537\r\n",
        "*60000\r\n*60000\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "+OK\r\n",
        "-ERR unknown command \x1b[31m\r\n",
        "-\r\n",
        "$40\r\n0123456789012345678901234567890123456789\r\n+OK\r\n",
        "$40\r\n0123456789012345678901234567890123456789\r\n*2\r\n:0\r\n:-1\r\n",
        "$40\r\n0123456789012345678901234567890123456789\r\n*2\r\n:0\r\n$1\r\n1\r\n",
        "$40\r\n0123456789012345678901234567890123456789\r\n*3\r\n:0\r\n:1\r\n:1\r\n",
        "\r\n\r\n",
        "$40\r\n0123456789012345678901234567890123456789\r\n", /* and then silence */
    };
    (void)state;
    for (unsigned i = 0; i < COUNT(answers); i++)
        for (unsigned hangs_up = 0; hangs_up < 2; hangs_up++)
            meet(answers[i], strlen(answers[i]), hangs_up, 2);
}

static void silence(void **state)
{
    (void)state;
    meet(NULL, 0, false, 3);
    meet(NULL, 0, true, 3);
}

static void endless(void **state)
{
    size_t size = 200000;
    char *much = text_zalloc(size + 1);
    (void)state;
    for (size_t i = 0; i < size; i++)
        much[i] = "*60000\r\n"[i % 8];
    meet(much, size, false, 2);
    memset(much, 'x', size);
    memcpy(much, "$100000000\r\n", 12);
    meet(much, size, false, 2);
    free(much);
}

static void nobody_there(void **state)
{
    static const char *const places[] = { "/nonexistent/postern", "127.0.0.1:1", "not an address", "/" };
    (void)state;
    for (unsigned i = 0; i < COUNT(places); i++) {
        const struct store_redis_settings settings = { places[i], "", 20, 30 };
        int64_t since_ms, until = clock_monotonic_ms() + 60;
        struct store_redis *store = store_redis_new(loop, &settings, &events, NULL);
        while (clock_monotonic_ms() < until)
            loop_once(loop, true);
        assert_false(store_redis_is_connected(store, &since_ms));
        store_redis_free(&store);
    }
}

/* The reader alone: an answer as large as it may be, and one byte more. */
static void bounds(void **state)
{
    (void)state;
    char *much = text_zalloc(REDIS_REPLY_BYTES_MAX + 100);
    int head = snprintf(much, 100, "$%zu\r\n", REDIS_REPLY_BYTES_MAX - 100);
    memset(much + head, 'x', REDIS_REPLY_BYTES_MAX - 100);
    memcpy(much + head + REDIS_REPLY_BYTES_MAX - 100, "\r\n", 2);
    for (unsigned round = 0; round < 2; round++) {
        struct redis_replies *replies = redis_replies_new();
        redisReply *reply;
        for (unsigned i = 0; i < 3; i++) { /* what was read is not counted for the next */
            struct span bytes = span_make(much, (size_t)head + REDIS_REPLY_BYTES_MAX - 98);
            if (round)
                bytes = span_head(bytes, bytes.n - 1);
            bool fed = redis_replies_feed(replies, bytes);
            assert_int_equal(fed, !round || !i);
            if (!fed)
                break;
            assert_int_equal(redis_replies_next(replies, &reply), round ? REDIS_MORE : REDIS_DONE);
            if (!round)
                freeReplyObject(reply);
        }
        redis_replies_free(&replies);
    }
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_answers),  cmocka_unit_test(silence), cmocka_unit_test(endless),
        cmocka_unit_test(nobody_there), cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
