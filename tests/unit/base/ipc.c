/* Channels: what the table allows arrives whole and in order, anything else ends the channel. */
#include "../../../relay/base/ipc.h"
#include "../unit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct number {
    uint64_t value;
};

struct words {
    uint32_t size;
    char text[1000];
};

#define TEST_MESSAGES(X)                                                                                                         \
    X(NUMBER, IPC_FRONT, struct number, IPC_WHOLE(struct number), false)                                                         \
    X(WORDS, IPC_FRONT, struct words, IPC_PART(struct words, text), false)                                                       \
    X(FILE_GIVEN, IPC_FRONT, struct number, IPC_WHOLE(struct number), true)                                                      \
    X(ANSWER, IPC_BACK, struct number, IPC_WHOLE(struct number), false)
enum test_message { IPC_ENUM(TEST_MESSAGES) TEST_COUNT };
static const struct ipc_kind kinds[] = { TEST_MESSAGES(IPC_KIND) };
static const struct ipc_channel channel = { "test", kinds, TEST_COUNT, false };
static const struct ipc_channel secret_channel = { "secret", kinds, TEST_COUNT, true };

struct world {
    struct loop *loop;
    struct ipc *front, *back;
    int back_fd;
    unsigned received, closed;
    uint64_t next;
    bool in_order, free_back;
    struct words words;
    const char *body; /* where the last message was received; it stays there, as long as the process lives */
    char file_byte;
};

static void on_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    (void)size;
    world->received++;
    world->body = body;
    if (type == NUMBER)
        world->in_order = world->in_order && ((const struct number *)body)->value == world->next++;
    if (type == WORDS)
        memcpy(&world->words, body, sizeof world->words);
    if (type == FILE_GIVEN && fd >= 0) {
        assert_int_equal(read(fd, &world->file_byte, 1), 1);
        close(fd);
    }
    if (world->free_back)
        ipc_free(&world->back);
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed++;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    int fds[2];
    world->loop = loop_new();
    world->in_order = true;
    assert_true(ipc_pair(fds));
    world->front = ipc_new(world->loop, fds[0], &channel, IPC_FRONT, on_received, on_closed, world);
    world->back = ipc_new(world->loop, fds[1], &channel, IPC_BACK, on_received, on_closed, world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    ipc_free(&world->front);
    ipc_free(&world->back);
    loop_free(&world->loop);
    free(world);
    return 0;
}

static void serve(struct world *world)
{
    for (unsigned i = 0; i < 200; i++)
        loop_once(world->loop, false);
}

static void test_backlog_keeps_the_order(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 20000; i++) {
        struct number number = { i };
        assert_true(ipc_send(world->front, NUMBER, &number, sizeof number, -1));
    }
    assert_true(ipc_backlog(world->front) > 0);
    while (world->received < 20000)
        loop_once(world->loop, false);
    assert_true(world->in_order);
    assert_int_equal(ipc_backlog(world->front), 0);
}

static void test_part_of_a_struct_reads_zero_behind(void **state)
{
    struct world *world = *state;
    struct words words = { 5, "hello" };
    struct words longer = { 900, "" };
    memset(longer.text, 'x', sizeof longer.text);
    ipc_send(world->front, WORDS, &longer, sizeof longer, -1);
    ipc_send(world->front, WORDS, &words, offsetof(struct words, text) + 5, -1);
    serve(world);
    assert_int_equal(world->received, 2);
    assert_string_equal(world->words.text, "hello");
    for (size_t i = 5; i < sizeof words.text; i++)
        assert_int_equal(world->words.text[i], 0);
}

/* Two more ends, for CHANNEL. */
static void reconnect(struct world *world, const struct ipc_channel *anew)
{
    int fds[2];
    ipc_free(&world->front);
    ipc_free(&world->back);
    assert_true(ipc_pair(fds));
    world->front = ipc_new(world->loop, fds[0], anew, IPC_FRONT, on_received, on_closed, world);
    world->back = ipc_new(world->loop, fds[1], anew, IPC_BACK, on_received, on_closed, world);
}

static void test_nothing_of_a_refused_packet_shows_behind_the_next(void **state)
{
    struct world *world = *state;
    struct words words = { 5, "hello" };
    char bytes[2000] = { 99 }; /* no such type */
    int fds[2];
    memset(bytes + 8, 'x', sizeof bytes - 8);
    assert_true(ipc_pair(fds));
    struct ipc *broken = ipc_new(world->loop, fds[1], &channel, IPC_BACK, on_received, on_closed, world);
    assert_int_equal(write(fds[0], bytes, sizeof bytes), sizeof bytes);
    serve(world);
    assert_int_equal(world->closed, 1);
    ipc_send(world->front, WORDS, &words, offsetof(struct words, text) + 5, -1);
    serve(world);
    assert_int_equal(world->received, 1);
    assert_string_equal(world->words.text, "hello");
    ipc_free(&broken);
    close(fds[0]);
}

static void test_a_secret_is_wiped_once_it_was_handled(void **state)
{
    static const struct words none;
    struct world *world = *state;
    struct words words = { 900, "" };
    memset(words.text, 's', sizeof words.text);
    ipc_send(world->front, WORDS, &words, sizeof words, -1);
    serve(world);
    assert_memory_equal(world->body, &words, sizeof words);
    for (unsigned free_back = 0; free_back < 2; free_back++) { /* also where the handler frees the channel */
        reconnect(world, &secret_channel);
        world->free_back = free_back;
        ipc_send(world->front, WORDS, &words, sizeof words, -1);
        serve(world);
        assert_memory_equal(&world->words, &words, sizeof words);
        assert_memory_equal(world->body, &none, sizeof none);
    }
}

static void test_descriptor(void **state)
{
    struct world *world = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "!", 1), 1);
    ipc_send(world->front, FILE_GIVEN, &(struct number){ 1 }, sizeof(struct number), fds[0]);
    close(fds[0]);
    close(fds[1]);
    serve(world);
    assert_int_equal(world->file_byte, '!');
}

/* A process without room for a descriptor gets the message all the same, and keeps the channel. */
static void test_no_room_for_a_descriptor(void **state)
{
    struct world *world = *state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int first_free = dup(0);
    ipc_send(world->front, FILE_GIVEN, &(struct number){ 1 }, sizeof(struct number), first_free);
    close(first_free);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)first_free, limit.rlim_max });
    serve(world);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(world->received, 1);
    assert_int_equal(world->closed, 0);
    assert_int_equal(world->file_byte, 0);
    test_descriptor(state);
}

static void test_peer_gone(void **state)
{
    struct world *world = *state;
    ipc_free(&world->back);
    serve(world);
    assert_int_equal(world->closed, 1);
    assert_false(ipc_send(world->front, NUMBER, &(struct number){ 0 }, sizeof(struct number), -1));
    assert_false(ipc_send(NULL, NUMBER, &(struct number){ 0 }, sizeof(struct number), -1));
}

/* What a peer had sent arrives, though it ended with something unread, of which the kernel tells first. */
static void test_last_words_of_a_peer_that_did_not_listen(void **state)
{
    struct world *world = *state;
    ipc_send(world->front, NUMBER, &(struct number){ 1 }, sizeof(struct number), -1);
    ipc_send(world->back, ANSWER, &(struct number){ 2 }, sizeof(struct number), -1);
    ipc_send(world->back, ANSWER, &(struct number){ 3 }, sizeof(struct number), -1);
    ipc_free(&world->back);
    serve(world);
    assert_int_equal(world->received, 2);
    assert_int_equal(world->closed, 1);
}

static void test_free_inside_the_handler(void **state)
{
    struct world *world = *state;
    world->free_back = true;
    for (unsigned i = 0; i < 3; i++)
        ipc_send(world->front, NUMBER, &(struct number){ i }, sizeof(struct number), -1);
    serve(world);
    assert_int_equal(world->received, 1);
    assert_null(world->back);
}

/* A raw packet {type, size, body} that the table does not allow ends the channel and is never handed on. */
static void test_forged_packets_end_the_channel(void **state)
{
    static const struct {
        uint32_t type, size;
        size_t sent;
        bool with_fd;
    } cases[] = {
        { 99, 8, 8, false },          /* no such type */
        { ANSWER, 8, 8, false },      /* the other side's */
        { NUMBER, 4, 4, false },      /* too short */
        { NUMBER, 8, 4, false },      /* says more than there is */
        { NUMBER, 4, 8, false },      /* says less */
        { WORDS, 2000, 2000, false }, /* too long */
        { FILE_GIVEN, 8, 8, false },  /* without its descriptor */
        { NUMBER, 8, 8, true },       /* with one that it does not carry */
    };
    struct world *world = *state;
    ipc_free(&world->front);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fds[2];
        char bytes[2100] = { 0 };
        world->closed = world->received = 0;
        ipc_free(&world->back);
        assert_true(ipc_pair(fds));
        world->back = ipc_new(world->loop, fds[1], &channel, IPC_BACK, on_received, on_closed, world);
        memcpy(bytes, &cases[i].type, 4);
        memcpy(bytes + 4, &cases[i].size, 4);
        struct iovec part = { bytes, 8 + cases[i].sent };
        char control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        if (cases[i].with_fd) {
            message.msg_control = control;
            message.msg_controllen = sizeof control;
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &fds[0], sizeof(int));
        }
        assert_true(sendmsg(fds[0], &message, 0) > 0);
        serve(world);
        assert_int_equal(world->closed, 1);
        assert_int_equal(world->received, 0);
        close(fds[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_backlog_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_of_a_struct_reads_zero_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_of_a_refused_packet_shows_behind_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_secret_is_wiped_once_it_was_handled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room_for_a_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_words_of_a_peer_that_did_not_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_inside_the_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_packets_end_the_channel, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
