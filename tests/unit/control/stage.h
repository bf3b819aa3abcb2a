/* The control role's parts without its process: a loop, the two listening sockets in a folder of its own, and queue, policy and dns
 * played by the test at the other ends of their channels. */
#ifndef POSTERN_TESTS_UNIT_CONTROL_STAGE_H
#define POSTERN_TESTS_UNIT_CONTROL_STAGE_H

#include "../../../relay/base/clock.h"
#include "../../../relay/base/log.h"
#include "../../../relay/base/stream.h"
#include "../../../relay/base/text.h"
#include "../../../relay/control/asking.h"
#include "../../../relay/control/http.h"
#include "../../../relay/control/looking.h"
#include "../../../relay/control/socket.h"
#include "../../../relay/control/visitor.h"
#include "../unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STAGE           static inline __attribute__((unused))
#define STAGE_ASKED_MAX 64
#define PATIENCE_MS     20000

/* A role that control asks. */
struct stage_peer {
    struct ipc *control; /* control's end */
    struct ipc *own;     /* the test's end */
    struct admin_ask asked[STAGE_ASKED_MAX];
    unsigned count;
    struct admin_want want; /* the last */
    unsigned wants;
};

struct stage {
    char folder[64], path[96];
    struct role role;
    struct conf conf;
    char hostname[32];
    struct control control;
    struct stage_peer queue, policy;
    uint16_t port;
};

STAGE void stage_queue_said(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)fd;
    asking_received(((struct control *)context)->asking, CONTROL_QUEUE, type, body, size);
}

STAGE void stage_policy_said(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)fd;
    asking_received(((struct control *)context)->asking, CONTROL_POLICY, type, body, size);
}

STAGE void stage_asked(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct stage_peer *peer = context;
    (void)size;
    (void)fd;
    if (type == ADMIN_WANT) {
        peer->want = *(const struct admin_want *)body;
        peer->wants++;
        return;
    }
    assert_true(peer->count < STAGE_ASKED_MAX);
    peer->asked[peer->count++] = *(const struct admin_ask *)body;
}

STAGE void stage_join(struct stage *stage, struct stage_peer *peer, enum control_peer kind, ipc_handler said)
{
    int fds[2];
    assert_true(ipc_pair(fds));
    peer->control = ipc_new(stage->role.loop, fds[0], &admin_channel, IPC_FRONT, said, NULL, &stage->control);
    peer->own = ipc_new(stage->role.loop, fds[1], &admin_channel, IPC_BACK, stage_asked, NULL, peer);
    stage->control.peers[kind] = peer->control;
}

/* Queue and policy are there only WITH_PEERS. */
STAGE void stage_open(struct stage *stage, bool with_peers)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(stage, 0, sizeof *stage);
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "control");
    text_copy(stage->folder, sizeof stage->folder, SPAN("/tmp/postern-control-XXXXXX"));
    assert_non_null(mkdtemp(stage->folder));
    text_format(stage->path, sizeof stage->path, "%s/socket", stage->folder);
    text_copy(stage->hostname, sizeof stage->hostname, SPAN("relay.example.net"));
    stage->conf = (struct conf){ .hostname = stage->hostname, .auth.backend = CONF_BACKEND_SASLDB };
    stage->role = (struct role){ .kind = ROLE_CONTROL, .loop = loop_new(), .conf = &stage->conf };
    stage->control.role = &stage->role;
    stage->control.asking = asking_new(&stage->control);
    stage->control.looking = looking_new(&stage->control);
    stage->control.visitors = visitor_listen(&stage->control, socket_admin(stage->path, NULL));
    int http = socket_http("127.0.0.1:0");
    assert_int_equal(getsockname(http, (struct sockaddr *)&address, &size), 0);
    stage->port = ntohs(address.sin_port);
    stage->control.http = http_new(&stage->control, http);
    if (with_peers) {
        stage_join(stage, &stage->queue, CONTROL_QUEUE, stage_queue_said);
        stage_join(stage, &stage->policy, CONTROL_POLICY, stage_policy_said);
    }
}

/* PEER's process has died. */
STAGE void stage_part(struct stage *stage, struct stage_peer *peer, enum control_peer kind)
{
    ipc_free(&peer->control);
    ipc_free(&peer->own);
    stage->control.peers[kind] = NULL;
    asking_gone(stage->control.asking, kind);
}

STAGE void stage_close(struct stage *stage)
{
    http_free(&stage->control.http);
    visitor_close_all(&stage->control.visitors);
    asking_free(&stage->control.asking);
    looking_free(&stage->control.looking);
    ipc_free(&stage->queue.control);
    ipc_free(&stage->queue.own);
    ipc_free(&stage->policy.control);
    ipc_free(&stage->policy.own);
    stream_drop_lingering();
    loop_free(&stage->role.loop);
    unlink(stage->path);
    assert_int_equal(rmdir(stage->folder), 0);
}

STAGE void stage_turn(struct stage *stage)
{
    for (unsigned i = 0; i < 4; i++)
        loop_once(stage->role.loop, false);
}

/* An administrator. */
STAGE int stage_visit(const struct stage *stage)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    text_copy(address.sun_path, sizeof address.sun_path, span_of(stage->path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A machine. */
STAGE int stage_connect(const struct stage *stage)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(stage->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends TEXT while the loop turns; false where the other side has closed before all was taken. */
STAGE bool stage_send(struct stage *stage, int fd, struct span text)
{
    int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (text.n) {
        ssize_t n = send(fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        text = span_skip(text, n > 0 ? (size_t)n : 0);
        stage_turn(stage);
        assert_true(clock_monotonic_ms() < end);
    }
    return true;
}

/* Reads what comes until the other side closes, closes FD, and returns it as text (until the next call). */
STAGE const char *stage_read(struct stage *stage, int fd)
{
    static char text[256 * 1024];
    int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    size_t size = 0;
    for (;;) {
        ssize_t n = recv(fd, text + size, sizeof text - 1 - size, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        size += n > 0 ? (size_t)n : 0;
        assert_true(size < sizeof text - 1);
        stage_turn(stage);
        assert_true(clock_monotonic_ms() < end);
    }
    close(fd);
    text[size] = '\0';
    return text;
}

/* One administrator's line and its answer. */
STAGE const char *stage_ask(struct stage *stage, const char *line)
{
    int fd = stage_visit(stage);
    assert_true(stage_send(stage, fd, span_of(line)) && stage_send(stage, fd, SPAN("\n")));
    return stage_read(stage, fd);
}

/* Turns until PEER was asked COUNT times. */
STAGE void stage_await(struct stage *stage, const struct stage_peer *peer, unsigned count)
{
    int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (peer->count < count) {
        stage_turn(stage);
        assert_true(clock_monotonic_ms() < end);
    }
}

/* What PEER says of TICKET: a piece of a value, or the end. */
STAGE void stage_say(const struct stage_peer *peer, uint64_t ticket, const char *text, bool ends)
{
    static struct admin_text message;
    message = (struct admin_text){ .ticket = ticket, .ends = ends, .size = (uint32_t)strlen(text) };
    memcpy(message.text, text, message.size);
    assert_true(ipc_send(peer->own, ADMIN_TEXT, &message, offsetof(struct admin_text, text) + message.size, -1));
}

STAGE void stage_end(const struct stage_peer *peer, uint64_t ticket, uint32_t result, const char *reason)
{
    struct admin_end message = { .ticket = ticket, .result = result };
    text_copy(message.reason, sizeof message.reason, span_of(reason));
    assert_true(ipc_send(peer->own, ADMIN_END, &message, sizeof message, -1));
}

#endif
