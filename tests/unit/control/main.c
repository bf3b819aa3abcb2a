/* The control role as a process, in its sandbox: it answers administrators, asks the parent and the roles that come and go, and ends in
 * order with all of them connected. */
#include "../parent.h"

#include "../../../relay/base/text.h"
#include "../../../relay/channels/admin.h"
#include "../../../relay/role/mains.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

static char folder[64], path[96];
static struct parent parent;

/* What the queue, played here, was asked last. */
struct asked {
    bool came;
    struct admin_ask ask;
};

static void take_question(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct asked *asked = context;
    (void)type;
    (void)size;
    (void)fd;
    asked->came = true;
    asked->ask = *(const struct admin_ask *)body;
}

static int set_up(void **state)
{
    char text[400];
    (void)state;
    text_copy(folder, sizeof folder, SPAN("/tmp/postern-control-XXXXXX"));
    text_format(path, sizeof path, "%s/socket", mkdtemp(folder));
    text_format(text, sizeof text,
                "hostname = \"relay.example.net\"\n"
                "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
                "control { socket = \"%s\" }\nlog { level = error }\n",
                path);
    parent_start(&parent, control_main, text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int status = parent_end(&parent, true);
    unlink(path);
    return status || rmdir(folder);
}

/* The queue from here on, with whose end of the channel it answers (parent_peer's is the one that asks). */
static struct ipc *join(struct asked *asked)
{
    struct parent_peer peer = { ROLE_QUEUE, 0 };
    int fds[2];
    assert_true(ipc_pair(fds));
    assert_true(ipc_send(parent.ipc, PARENT_PEER, &peer, sizeof peer, fds[1]));
    close(fds[1]);
    return ipc_new(parent.loop, fds[0], &admin_channel, IPC_BACK, take_question, NULL, asked);
}

/* Connects and sends LINE. */
static int say(const char *line)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    text_copy(address.sun_path, sizeof address.sun_path, span_of(path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
    return fd;
}

/* All that comes until the role closes; closes FD. */
static const char *hear(int fd)
{
    static char text[65536];
    int64_t end = clock_monotonic_ms() + PARENT_PATIENCE_MS;
    size_t size = 0;
    for (ssize_t n = 1; n != 0;) {
        n = recv(fd, text + size, sizeof text - 1 - size, MSG_DONTWAIT);
        size += n > 0 ? (size_t)n : 0;
        assert_true(n >= 0 || errno == EAGAIN);
        loop_once(parent.loop, false);
        if (n < 0)
            usleep(1000);
        assert_true(clock_monotonic_ms() < end);
    }
    close(fd);
    text[size] = '\0';
    return text;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in \"%s\"", part, text);
}

static void answer(uint64_t ticket, bool done, const char *text)
{
    static struct parent_answer message;
    message = (struct parent_answer){ .ticket = ticket, .done = done };
    text_copy(message.text, sizeof message.text, span_of(text));
    assert_true(ipc_send(parent.ipc, PARENT_ANSWER, &message, offsetof(struct parent_answer, text) + strlen(text), -1));
}

/* Each hears the answer to what it asked itself, whichever comes first. */
static void asks_the_parent(void **state)
{
    struct parent_command first, second;
    (void)state;
    parent.commanded = false;
    int reload = say("{\"command\": \"reload\"}\n");
    parent_wait(&parent, &parent.commanded);
    first = parent.command;
    assert_int_equal(first.verb, PARENT_RELOAD);
    parent.commanded = false;
    int stop = say("{\"command\": \"stop\"}\n");
    parent_wait(&parent, &parent.commanded);
    second = parent.command;
    assert_int_equal(second.verb, PARENT_STOP);
    assert_int_not_equal(first.ticket, second.ticket);
    answer(second.ticket + 100, true, "nobody asked");
    answer(second.ticket, true, "");
    assert_string_equal(hear(stop), "{\"done\":true,\"exit\":0,\"reason\":\"\"}\n");
    answer(first.ticket, false, "x:1: a\x1b[2J\nx:2: b\n");
    assert_string_equal(hear(reload), "{\"done\":false,\"exit\":1,\"reason\":\"x:1: a\\\\x1b[2J\\nx:2: b\"}\n");
}

static void asks_the_queue_that_is_there_now(void **state)
{
    static const char line[] = "{\"command\": \"queue list\"}\n";
    struct admin_end end = { .result = ADMIN_DONE };
    struct asked old = { .came = false }, new = { .came = false };
    (void)state;
    has(hear(say(line)), "queue process is being started again");
    struct ipc *queue = join(&old);
    int fd = say(line);
    parent_wait(&parent, &old.came);
    ipc_free(&queue); /* it dies while it is asked */
    has(hear(fd), "queue process is being started again");
    queue = join(&new);
    fd = say(line);
    parent_wait(&parent, &new.came);
    end.ticket = new.ask.ticket;
    assert_true(ipc_send(queue, ADMIN_END, &end, sizeof end, -1));
    assert_string_equal(hear(fd), "{\"done\":true,\"exit\":0,\"reason\":\"\"}\n");
    ipc_free(&queue);
}

/* A queue that says what is not on the list is let go, and control goes on. */
static void a_peer_that_breaks_the_rules_is_dropped(void **state)
{
    const uint32_t packet[] = { 77, 0 };
    struct parent_peer peer = { ROLE_QUEUE, 0 };
    char byte;
    int fds[2];
    (void)state;
    assert_true(ipc_pair(fds));
    assert_true(ipc_send(parent.ipc, PARENT_PEER, &peer, sizeof peer, fds[1]));
    close(fds[1]);
    assert_int_equal(send(fds[0], packet, sizeof packet, MSG_NOSIGNAL), sizeof packet);
    has(hear(say("{\"command\": \"ping\"}\n")), "\"done\":true");
    int64_t end = clock_monotonic_ms() + PARENT_PATIENCE_MS;
    while (recv(fds[0], &byte, 1, MSG_DONTWAIT) != 0) { /* until it is closed over there */
        usleep(1000);
        assert_true(clock_monotonic_ms() < end);
    }
    close(fds[0]);
    has(hear(say("{\"command\": \"queue list\"}\n")), "queue process is being started again");
}

static void ends_with_all_connected(void **state)
{
    struct asked asked = { .came = false };
    char byte;
    (void)state;
    struct ipc *queue = join(&asked);
    int waits = say("{\"command\": \"status\"}\n"), half = say("{\"comm");
    parent_wait(&parent, &asked.came);
    struct parent_empty nothing = { 0 };
    assert_true(ipc_send(parent.ipc, PARENT_DRAIN, &nothing, sizeof nothing, -1));
    parent_wait(&parent, &parent.finished); /* tear_down looks at how it ended */
    assert_true(recv(waits, &byte, 1, 0) <= 0 && recv(half, &byte, 1, 0) <= 0);
    close(waits);
    close(half);
    ipc_free(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_the_parent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_the_queue_that_is_there_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_breaks_the_rules_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_with_all_connected, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
