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

/* Sends the next N numbers soon. */
static void send_soon(struct world *world, uint64_t from, uint64_t n)
{
    for (uint64_t i = from; i < from + n; i++)
        assert_true(ipc_send_soon(world->front, NUMBER, &(struct number){ i }, sizeof(struct number)));
}

/* Packets that wait to be read at the far end of the front's channel; they are thrown away. */
static unsigned packets(int fd)
{
    char bytes[65536];
    unsigned n = 0;
    while (read(fd, bytes, sizeof bytes) > 0)
        n++;
    return n;
}

static void test_what_is_sent_soon_goes_together(void **state)
{
    struct world *world = *state;
    int fds[2];
    assert_true(ipc_pair(fds));
    struct ipc *front = world->front;
    world->front = ipc_new(world->loop, fds[0], &channel, IPC_FRONT, on_received, on_closed, world);
    send_soon(world, 0, 100);
    assert_int_equal(packets(fds[1]), 0);
    serve(world);
    assert_int_equal(packets(fds[1]), 1);
    send_soon(world, 0, 5000);
    serve(world);
    assert_in_range(packets(fds[1]), 2, 10);
    ipc_free(&world->front);
    close(fds[1]);
    world->front = front;
}

/* Whatever is mixed, and where the socket takes no more. */
static void test_soon_keeps_the_order(void **state)
{
    struct world *world = *state;
    uint64_t sent = 0;
    for (unsigned round = 0; round < 3; round++) {
        send_soon(world, sent, 3);
        assert_true(ipc_send(world->front, NUMBER, &(struct number){ sent + 3 }, sizeof(struct number), -1));
        send_soon(world, sent + 4, 2);
        sent += 6;
        serve(world);
        assert_int_equal(world->received, sent);
    }
    while (!ipc_backlog(world->front))
        send_soon(world, sent++, 1);
    send_soon(world, sent, 1000);
    while (world->received < sent + 1000)
        loop_once(world->loop, false);
    assert_true(world->in_order);
    assert_int_equal(ipc_backlog(world->front), 0);
}

/* The backlog's limit is one of messages, together or not. */
static void test_soon_has_a_limit(void **state)
{
    struct world *world = *state;
    size_t sent = 0;
    while (sent < 10 * IPC_BACKLOG_MAX && ipc_send_soon(world->front, NUMBER, &(struct number){ sent }, sizeof(struct number)))
        sent++;
    assert_in_range(ipc_backlog(world->front), 1, IPC_BACKLOG_MAX);
    assert_true(sent < 10 * IPC_BACKLOG_MAX);
    while (world->received < sent)
        loop_once(world->loop, false);
    assert_true(world->in_order);
}

static void test_soon_and_the_end(void **state)
{
    struct world *world = *state;
    send_soon(world, 0, 3);
    ipc_free(&world->front); /* what was promised is sent */
    serve(world);
    assert_int_equal(world->received, 3);
    assert_int_equal(world->closed, 1);
    reconnect(world, &channel);
    world->free_back = true;
    world->next = 0;
    send_soon(world, 0, 3);
    serve(world);
    assert_int_equal(world->received, 4); /* who has freed the channel gets no more of the packet */
    assert_int_equal(world->closed, 2);
    assert_false(ipc_send_soon(world->front, NUMBER, &(struct number){ 0 }, sizeof(struct number)));
    assert_false(ipc_send_soon(NULL, NUMBER, &(struct number){ 0 }, sizeof(struct number)));
}

static void test_nothing_shows_behind_a_short_message_of_many(void **state)
{
    struct world *world = *state;
    struct words words = { 5, "hello" };
    struct words longer = { 900, "" };
    memset(longer.text, 'x', sizeof longer.text);
    ipc_send_soon(world->front, WORDS, &longer, sizeof longer);
    ipc_send_soon(world->front, WORDS, &words, offsetof(struct words, text) + 5);
    ipc_send_soon(world->front, NUMBER, &(struct number){ 0 }, sizeof(struct number));
    serve(world);
    assert_int_equal(world->received, 3);
    assert_string_equal(world->words.text, "hello");
    for (size_t i = 5; i < sizeof words.text; i++)
        assert_int_equal(world->words.text[i], 0);
    assert_true(world->in_order);
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

/* A good message and a bad one in the same packet: not even the good one is handed on. */
static void test_a_forged_message_among_good_ones(void **state)
{
    static const struct {
        uint32_t type, size;
        size_t sent; /* of it and its header */
    } cases[] = {
        { 99, 8, 16 },      { ANSWER, 8, 16 },     { NUMBER, 8, 12 },          { NUMBER, 8, 4 },  { WORDS, 2, 16 },
        { NUMBER, 16, 24 }, { FILE_GIVEN, 8, 16 }, { NUMBER, UINT32_MAX, 16 }, { NUMBER, 8, 20 }, { NUMBER, 8, 24 },
    };
    struct world *world = *state;
    ipc_free(&world->front);
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t packet[20] = { NUMBER, 8, 0, 0, cases[i].type, cases[i].size };
        int fds[2];
        world->closed = world->received = 0;
        ipc_free(&world->back);
        assert_true(ipc_pair(fds));
        world->back = ipc_new(world->loop, fds[1], &channel, IPC_BACK, on_received, on_closed, world);
        assert_true(write(fds[0], packet, 16 + cases[i].sent) > 0);
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
        cmocka_unit_test_setup_teardown(test_a_forged_message_among_good_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_sent_soon_goes_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_soon_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_soon_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_soon_and_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_shows_behind_a_short_message_of_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
