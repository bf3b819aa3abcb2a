/* What a server answers that is taken for Redis: first the reader and the answers to the script alone, in pieces as the first byte says;
 * then the whole store, both of whose connections hear the rest. Whatever it is, it ends, numbers are within their bounds, memory too,
 * and nothing is decided that was not asked. */
#include "../../policy/pairs.h"
#include "../../policy/store_redis.h"
#include "../../relay/base/clock.h"
#include "../../relay/base/log.h"
#include "../../relay/base/text.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLAIMS 3
#define KEYS   2
#define ROUNDS 20 /* of the loop: accept, read, answer, read … */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listening = -1;
static struct loop *loop;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void clean_up(void)
{
    unlink(address.sun_path);
}

static void set_up(void)
{
    const char *place = getenv("TMPDIR");
    text_format(address.sun_path, sizeof address.sun_path, "%s/fuzz-%d", place ? place : "/tmp", (int)getpid());
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(bind(listening, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listening, 16) == 0);
    atexit(clean_up);
    loop = loop_new();
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "fuzz");
}

static void interpret(const redisReply *reply)
{
    char why[64];
    int64_t waits_ms[CLAIMS];
    uint64_t used[KEYS];
    struct span text = redis_reply_text(reply);
    require(text.p || !text.n);
    if (redis_reply_error(reply, why, sizeof why))
        for (const char *at = why; *at; at++)
            require((unsigned char)*at >= ' ');
    if (!redis_script_answer(reply, waits_ms, CLAIMS, used, KEYS))
        return;
    for (unsigned i = 0; i < CLAIMS; i++)
        require(waits_ms[i] >= REDIS_NOT_LOOKED && (waits_ms[i] <= BUCKET_TIME_MAX || waits_ms[i] == BUCKET_NEVER));
    for (unsigned i = 0; i < KEYS; i++)
        require(used[i] <= 4 * REDIS_SCRIPT_UNITS_MAX);
}

static void read_answers(struct span bytes, size_t piece)
{
    struct redis_replies *replies = redis_replies_new();
    enum redis_progress progress = REDIS_MORE;
    while (bytes.n && progress != REDIS_BAD && redis_replies_feed(replies, span_head(bytes, piece))) {
        redisReply *reply;
        bytes = span_skip(bytes, piece);
        while ((progress = redis_replies_next(replies, &reply)) == REDIS_DONE) {
            interpret(reply);
            freeReplyObject(reply);
        }
    }
    redis_replies_free(&replies);
}

static void begins(void *context)
{
    (void)context;
}

static void changed(void *context, struct span account, struct span json)
{
    (void)context;
    require(account.n <= REDIS_SHARED_ACCOUNT_MAX && json.n <= REDIS_SHARED_TEXT_MAX);
}

static void learned(void *context, struct span name, uint64_t used, int64_t asked_ms)
{
    (void)context;
    require(name.n == 1 && used <= 4 * REDIS_SCRIPT_UNITS_MAX && asked_ms <= clock_monotonic_ms());
}

static void heard(void *context, struct span message)
{
    struct pair_texts pair;
    struct buffer again;
    struct span rest = message;
    (void)context;
    buffer_init(&again, message.n + 1);
    while (pairs_next(&rest, &pair))
        require(pairs_add(&again, &pair));
    require(span_equal(buffer_span(&again), span_head(message, message.n - rest.n)));
    buffer_fini(&again);
}

static void answered(void *context, const struct store_redis_answer *answer)
{
    (void)context;
    require(answer->outcome <= STORE_REDIS_UNKNOWN);
}

static void talk_to_store(struct span bytes)
{
    static const struct store_redis_events events = { learned, { begins, changed, begins, heard } };
    const struct store_redis_settings settings = { address.sun_path, "", 10000, 10000 };
    const struct redis_key key = { SPAN("x"), { 1, 1000, 1, 0 }, 0 };
    const struct redis_claim claim = { .n = 1 };
    struct store_redis *store = store_redis_new(loop, &settings, &events, NULL);
    int fds[8];
    unsigned nfds = 0;
    store_redis_owe(store, &key, 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        int fd = nfds < 8 ? accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            (void)!send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
            fds[nfds++] = fd;
        }
        store_redis_ask(store, &(struct redis_ask){ &key, 1, &claim, 1 }, answered, NULL);
        store_redis_publish(store, SPAN("a"), SPAN("b"));
        loop_once(loop, false);
    }
    store_redis_free(&store);
    while (nfds)
        close(fds[--nfds]);
    for (int fd = accept(listening, NULL, NULL); fd >= 0; fd = accept(listening, NULL, NULL))
        close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (listening < 0)
        set_up();
    struct span bytes = span_make((const char *)data + 1, size - 1);
    heard(NULL, bytes);
    read_answers(bytes, data[0] ? data[0] : bytes.n + 1);
    talk_to_store(bytes);
    return 0;
}
