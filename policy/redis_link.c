/* hiredis's own connections are not used: their output and input have no bounds, and a lack of memory would end the process. The
 * socket is a struct stream; hiredis reads what comes (redis_reply.h). */
#include "redis_link.h"

#include "../relay/base/buffer.h"
#include "../relay/base/netaddr.h"
#include "../relay/base/random.h"
#include "../relay/base/stream.h"
#include "../relay/base/text.h"
#include "redis_script.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_MAX     65536
#define WAIT_FIRST_MS 10
#define COMMAND_MAX   4096 /* of AUTH */

enum phase { LINK_CLOSED, LINK_CONNECTING, LINK_LOGIN, LINK_OPEN };

struct redis_link {
    struct loop *loop;
    const struct redis_link_events *events;
    void *context;
    enum phase phase;
    struct stream *stream;
    struct redis_replies *replies;
    struct timer retry;
    int64_t wait_ms, connect_ms;
    char where[REDIS_LINK_WHERE_SIZE];
    char password[1024];
};

static void lose(struct redis_link *link, const char *why)
{
    char kept[REDIS_LINK_WHY_SIZE]; /* it may be the stream's */
    text_copy(kept, sizeof kept, span_of(why));
    link->phase = LINK_CLOSED;
    stream_free(&link->stream);
    redis_replies_free(&link->replies);
    int64_t jitter = random_below((uint32_t)link->wait_ms / 4 + 1);
    timer_again(&link->retry, link->wait_ms - jitter);
    link->wait_ms = link->wait_ms * 2 < REDIS_LINK_WAIT_MAX_MS ? link->wait_ms * 2 : REDIS_LINK_WAIT_MAX_MS;
    link->events->lost(link->context, kept);
}

void redis_link_drop(struct redis_link *link, const char *why)
{
    if (link->phase != LINK_CLOSED)
        lose(link, why);
}

static void open_up(struct redis_link *link)
{
    link->phase = LINK_OPEN;
    stream_deadline(link->stream, 0);
    link->events->opened(link->context);
}

static void logged_in(struct redis_link *link, const redisReply *reply)
{
    char why[REDIS_LINK_WHY_SIZE - 40], text[REDIS_LINK_WHY_SIZE];
    if (span_equal(redis_reply_text(reply), SPAN("OK"))) {
        open_up(link);
        return;
    }
    bool says_why = redis_reply_error(reply, why, sizeof why);
    text_format(text, sizeof text, "it does not take the password: %s", says_why ? why : "not OK");
    lose(link, text);
}

static void readable(void *context)
{
    struct redis_link *link = context;
    struct span input = stream_input(link->stream);
    redisReply *reply;
    bool good = redis_replies_feed(link->replies, input);
    enum redis_progress progress = REDIS_BAD;
    stream_consume(link->stream, input.n);
    while (good && link->replies && (progress = redis_replies_next(link->replies, &reply)) == REDIS_DONE) {
        if (link->phase == LINK_LOGIN)
            logged_in(link, reply);
        else
            link->events->answered(link->context, reply);
        freeReplyObject(reply);
    }
    if (link->replies && progress == REDIS_BAD)
        lose(link, "its answer is not Redis's protocol, or too long");
}

static void connected(void *context)
{
    struct redis_link *link = context;
    struct buffer out;
    const struct span login[] = { SPAN("AUTH"), span_of(link->password) };
    if (!*link->password) {
        open_up(link);
        return;
    }
    link->phase = LINK_LOGIN;
    buffer_init(&out, COMMAND_MAX);
    redis_script_arguments(login, 2, &out);
    stream_write(link->stream, buffer_span(&out));
    buffer_wipe(&out);
}

static void ended(void *context, enum stream_end why)
{
    struct redis_link *link = context;
    lose(link, why == STREAM_TIMEOUT ? "it does not answer in time" : stream_problem(link->stream));
}

static socklen_t address_of(const char *where, struct sockaddr_storage *address)
{
    struct netaddr inet;
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    if (*where != '/')
        return netaddr_parse_port(span_of(where), &inet) ? netaddr_to_sockaddr(&inet, address) : 0;
    if (!text_copy(local.sun_path, sizeof local.sun_path, span_of(where)))
        return 0;
    *address = (struct sockaddr_storage){ .ss_family = AF_UNIX };
    memcpy(address, &local, sizeof local);
    return sizeof local;
}

/* A socket that connects, or -1 with errno. */
static int connect_to(const char *where)
{
    struct sockaddr_storage address;
    socklen_t size = address_of(where, &address);
    int one = 1, fd = size ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (!size)
        errno = EINVAL;
    if (fd < 0)
        return -1;
    if (address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

static void attempt(void *context)
{
    static const struct stream_events events = { .readable = readable, .connected = connected, .ended = ended };
    struct redis_link *link = context;
    int fd = connect_to(link->where);
    if (fd < 0) {
        lose(link, strerror(errno));
        return;
    }
    link->phase = LINK_CONNECTING;
    link->replies = redis_replies_new();
    link->stream = stream_new(link->loop, fd, INPUT_MAX, &events, link);
    stream_connecting(link->stream);
    stream_deadline(link->stream, link->connect_ms);
}

struct redis_link *redis_link_new(struct loop *loop, const struct redis_link_settings *settings,
                                  const struct redis_link_events *events, void *context)
{
    struct redis_link *link = text_zalloc(sizeof *link);
    link->loop = loop;
    link->events = events;
    link->context = context;
    link->connect_ms = settings->connect_ms;
    link->wait_ms = WAIT_FIRST_MS;
    text_copy(link->where, sizeof link->where, span_of(settings->where));
    text_copy(link->password, sizeof link->password, span_of(settings->password));
    timer_set(&link->retry, loop, 0, attempt, link);
    return link;
}

void redis_link_free(struct redis_link **link)
{
    if (!*link)
        return;
    stream_free(&(*link)->stream);
    redis_replies_free(&(*link)->replies);
    timer_fini(&(*link)->retry);
    OPENSSL_cleanse((*link)->password, sizeof(*link)->password);
    free(*link);
    *link = NULL;
}

bool redis_link_send(struct redis_link *link, struct span command)
{
    if (link->phase != LINK_OPEN)
        return false;
    if (stream_pending(link->stream) + command.n > REDIS_LINK_OUTPUT_MAX) {
        lose(link, "it does not read what is sent");
        return false;
    }
    stream_write(link->stream, command);
    return true;
}

void redis_link_proved(struct redis_link *link)
{
    link->wait_ms = WAIT_FIRST_MS;
}

bool redis_link_is_open(const struct redis_link *link)
{
    return link->phase == LINK_OPEN;
}
