/* The life that all roles share, played with a role that only notes what is done to it: the order of a start, what ends it and how, and
 * that nothing but the list of messages is understood. */
#include "../../../relay/role/role.h"
#include "../../../relay/base/text.h"
#include "../parent.h"

#define SETTINGS                                                                                                                 \
    "hostname = \"relay.example.net\"\n"                                                                                         \
    "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
#define NEW_SETTINGS "postmaster = \"new@example.net\"\n" SETTINGS

/* What the role in its process noted, in memory that the test shares. */
static struct notes {
    unsigned started, sandboxed, opened, settled, drained, stopped;
    unsigned peers, listeners, before_open; /* handed over; too early */
    unsigned last_kind, last_slot, slot, processes;
    bool refuses, lingers; /* what it is to do: `start` fails; `drain` does not finish at once */
    bool answered, done;
    uint64_t ticket;
    size_t answer_size;
    char postmaster[64];
} * notes;

static struct parent parent;
static int raw; /* the parent's socket, for what ipc would not send */

static bool start(struct role *role)
{
    notes->started++;
    notes->slot = role->slot;
    notes->processes = role->processes;
    return !notes->refuses;
}

static void sandbox(struct role *role, struct sandbox *allowed)
{
    (void)role;
    (void)allowed;
    notes->sandboxed++;
}

static void open_up(struct role *role)
{
    (void)role;
    notes->opened++;
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    (void)role;
    notes->peers++;
    notes->before_open += !notes->opened;
    notes->last_kind = kind;
    notes->last_slot = slot;
    close(fd);
}

static void listener(struct role *role, unsigned which, unsigned address, int fd)
{
    (void)role;
    notes->listeners++;
    notes->before_open += !notes->opened;
    notes->last_kind = which;
    notes->last_slot = address;
    close(fd);
}

static void settings(struct role *role)
{
    notes->settled++;
    text_copy(notes->postmaster, sizeof notes->postmaster, span_of(role->conf->postmaster));
}

static void drain(struct role *role)
{
    notes->drained++;
    if (!notes->lingers)
        role_finished(role);
}

static void answer(struct role *role, uint64_t ticket, bool done, const char *text)
{
    (void)role;
    notes->answered = true;
    notes->ticket = ticket;
    notes->done = done;
    notes->answer_size = strlen(text);
}

static void stop(struct role *role)
{
    (void)role;
    notes->stopped++;
}

static int noting_main(int fd)
{
    static const struct role_steps steps = { start, sandbox, open_up, peer, listener, settings, drain, answer, stop, false };
    struct role role = { .kind = ROLE_CONTROL };
    return role_run(&role, fd, &steps);
}

/* A role of no steps at all. */
static int bare_main(int fd)
{
    static const struct role_steps steps = { 0 };
    struct role role = { .kind = ROLE_DNS };
    return role_run(&role, fd, &steps);
}

static void begin(int (*role_main)(int fd))
{
    int fds[2];
    memset(notes, 0, sizeof *notes);
    parent = (struct parent){ .loop = loop_new() };
    assert_true(ipc_pair(fds));
    fflush(NULL);
    parent.pid = fork();
    if (parent.pid == 0) {
        close(fds[0]);
        exit(role_main(fds[1]));
    }
    close(fds[1]);
    raw = dup(fds[0]);
    parent.ipc = ipc_new(parent.loop, fds[0], &parent_role_channel, IPC_FRONT, parent_received, parent_closed, &parent);
}

static void say(unsigned type, const void *body, size_t size, int fd)
{
    assert_true(ipc_send(parent.ipc, type, body, size, fd));
}

static void say_start(void)
{
    struct parent_start message = { 3, 4 };
    say(PARENT_START, &message, sizeof message, -1);
}

static void say_empty(unsigned type)
{
    struct parent_empty nothing = { 0 };
    say(type, &nothing, sizeof nothing, -1);
}

static void say_pair(unsigned type, uint32_t a, uint32_t b)
{
    const uint32_t body[2] = { a, b };
    int fd = memfd_create("handed", MFD_CLOEXEC);
    say(type, body, sizeof body, fd);
    close(fd);
}

/* Settings or secrets out of a file with TEXT, which the message says has SIZE bytes. */
static void say_file(unsigned type, const char *text, uint64_t size)
{
    struct parent_settings settings_message = { .size_bytes = size, .keep_user = true };
    struct parent_secrets secrets_message = { 0 };
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    if (type == PARENT_SETTINGS)
        say(type, &settings_message, sizeof settings_message, fd);
    else
        say(type, &secrets_message, sizeof secrets_message, fd);
    close(fd);
}

static void start_whole(void)
{
    parent_settings(&parent, SETTINGS, false);
    say_start();
    parent_wait(&parent, &parent.ready);
}

/* The role ends by itself; returns its exit status. */
static int await_end(void)
{
    int status = 0;
    if (parent.ipc)
        parent_wait(&parent, &parent.gone);
    assert_int_equal(waitpid(parent.pid, &status, 0), parent.pid);
    ipc_free(&parent.ipc);
    loop_free(&parent.loop);
    close(raw);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int set_up(void **state)
{
    (void)state;
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notes == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(notes, sizeof *notes);
}

/* --- starts that fail --- */

static void nothing_more(void)
{
}

static void only_settings(void)
{
    say_file(PARENT_SETTINGS, SETTINGS, strlen(SETTINGS));
}

static void only_secrets(void)
{
    struct parent_secrets message = { 0 };
    struct bundle *bundle = bundle_new();
    int fd = bundle_save(bundle);
    say(PARENT_SECRETS, &message, sizeof message, fd);
    close(fd);
    bundle_free(&bundle);
}

static void wrong_settings(void)
{
    say_file(PARENT_SETTINGS, "hostname = 1\n", strlen("hostname = 1\n"));
}

static void empty_settings(void)
{
    say_file(PARENT_SETTINGS, "", 0);
}

static void huge_settings(void)
{
    say_file(PARENT_SETTINGS, SETTINGS, UINT64_MAX);
}

static void wrong_secrets(void)
{
    only_settings();
    say_file(PARENT_SECRETS, "these are no secrets", 0);
}

static void a_start_too_early_fails(void **state)
{
    static void (*const before[])(void) = { nothing_more,   only_settings, only_secrets, wrong_settings,
                                            empty_settings, huge_settings, wrong_secrets };
    (void)state;
    for (size_t i = 0; i < COUNT(before); i++) {
        begin(noting_main);
        before[i]();
        say_start();
        if (await_end() != 1)
            fail_msg("case %zu did not fail", i);
        assert_false(notes->started || notes->opened || notes->stopped);
        assert_false(parent.ready);
    }
}

static void a_role_that_cannot_start_fails(void **state)
{
    (void)state;
    begin(noting_main);
    notes->refuses = true;
    parent_settings(&parent, SETTINGS, false);
    say_pair(PARENT_PEER, ROLE_DNS, 0);
    say_start();
    assert_int_equal(await_end(), 1);
    assert_int_equal(notes->started, 1);
    assert_false(notes->sandboxed || notes->opened || notes->peers || notes->stopped || parent.ready);
}

/* --- what is not on the list --- */

static void unknown_messages_end_it(void **state)
{
    static const struct {
        uint32_t type, size; /* as the packet's header says */
        size_t body;         /* bytes that follow */
    } cases[] = {
        { PARENT_ROLE_COUNT, 1, 1 },
        { UINT32_MAX, 1, 1 },
        { ROLE_READY, 1, 1 }, /* the other side's */
        { ROLE_COMMAND, sizeof(struct parent_command), sizeof(struct parent_command) },
        { PARENT_PING, 0, 0 },
        { PARENT_PING, 2, 2 },
        { PARENT_PING, 1, 0 },
        { PARENT_PING, 1, 3 },
        { PARENT_START, 4, 4 },
        { PARENT_ANSWER, 60016, 1 },
        { PARENT_PEER, sizeof(struct parent_peer), sizeof(struct parent_peer) }, /* without its descriptor */
    };
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        uint32_t packet[64] = { cases[i / 2].type, cases[i / 2].size };
        begin(noting_main);
        if (i % 2) /* both before and after START */
            start_whole();
        assert_true(send(raw, packet, 8 + cases[i / 2].body, MSG_NOSIGNAL) > 0);
        if (await_end() != 0)
            fail_msg("case %zu", i);
        assert_int_equal(notes->stopped, i % 2);
        assert_int_equal(notes->peers, 0);
    }
}

static void a_descriptor_too_many_ends_it(void **state)
{
    const uint32_t packet[] = { PARENT_PING, 1, 0 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    struct iovec part = { (void *)(uintptr_t)packet, 9 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    (void)state;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    begin(noting_main);
    memcpy(CMSG_DATA(header), &raw, sizeof raw);
    assert_true(sendmsg(raw, &message, MSG_NOSIGNAL) > 0);
    assert_int_equal(await_end(), 0);
}

static void the_parents_end_is_its_end(void **state)
{
    (void)state;
    for (int started = 0; started < 2; started++) {
        begin(noting_main);
        if (started)
            start_whole();
        shutdown(raw, SHUT_RDWR); /* the test's other descriptors keep the socket alive */
        ipc_free(&parent.ipc);
        assert_int_equal(await_end(), 0);
        assert_int_equal(notes->stopped, started);
        assert_int_equal(notes->drained, 0);
    }
}

/* --- a life in order --- */

static void what_comes_early_is_handed_over_later(void **state)
{
    (void)state;
    begin(noting_main);
    say_pair(PARENT_PEER, ROLE_DNS, 7);
    say_pair(PARENT_LISTENER, 1, 2);
    say_pair(PARENT_PEER, ROLE_KINDS, 0); /* nobody */
    say_pair(PARENT_PEER, ROLE_DNS, ROLE_SLOTS);
    say_pair(PARENT_PEER, UINT32_MAX, UINT32_MAX);
    start_whole();
    assert_int_equal(notes->peers, 1);
    assert_int_equal(notes->listeners, 1);
    assert_int_equal(notes->before_open, 0);
    assert_int_equal(notes->slot, 3);
    assert_int_equal(notes->processes, 4);
    assert_true(notes->started == 1 && notes->sandboxed == 1 && notes->opened == 1);
    say_pair(PARENT_PEER, ROLE_QUEUE, ROLE_SLOTS - 1);
    say_empty(PARENT_DRAIN);
    parent_wait(&parent, &parent.finished);
    assert_int_equal(await_end(), 0);
    assert_int_equal(notes->peers, 2);
    assert_int_equal(notes->last_kind, ROLE_QUEUE);
    assert_int_equal(notes->last_slot, ROLE_SLOTS - 1);
    assert_true(notes->drained == 1 && notes->stopped == 1);
}

/* What it was handed before START is closed where START never comes: the test's own end of it hears that. */
static void what_comes_early_is_not_kept_beyond_the_end(void **state)
{
    struct parent_peer message = { ROLE_DNS, 0 };
    int fds[2];
    char byte;
    (void)state;
    begin(noting_main);
    assert_true(ipc_pair(fds));
    say(PARENT_PEER, &message, sizeof message, fds[1]);
    close(fds[1]);
    say_empty(PARENT_DRAIN);
    assert_int_equal(await_end(), 0);
    assert_true(parent.finished);
    assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
    close(fds[0]);
    assert_false(notes->started || notes->drained || notes->stopped);
}

static void a_reload_is_told_once_it_runs(void **state)
{
    (void)state;
    begin(noting_main);
    parent_settings(&parent, SETTINGS, true); /* nothing runs yet: no reload */
    start_whole();
    assert_int_equal(notes->settled, 0);
    parent_settings(&parent, NEW_SETTINGS, true);
    parent_settings(&parent, NEW_SETTINGS, true);
    say_empty(PARENT_DRAIN);
    assert_int_equal(await_end(), 0);
    assert_int_equal(notes->settled, 2);
    assert_string_equal(notes->postmaster, "new@example.net");
}

/* A parent that hands over nonsense is not believed: the process ends and is started again with what there is then. */
static void a_wrong_reload_ends_it(void **state)
{
    (void)state;
    begin(noting_main);
    start_whole();
    wrong_settings();
    assert_int_equal(await_end(), 1);
    assert_int_equal(notes->stopped, 1);
}

static void drains_once(void **state)
{
    (void)state;
    begin(noting_main);
    notes->lingers = true;
    start_whole();
    say_empty(PARENT_DRAIN);
    say_empty(PARENT_DRAIN);
    say_empty(PARENT_PING);
    shutdown(raw, SHUT_WR);
    assert_int_equal(await_end(), 0);
    assert_int_equal(notes->drained, 1);
    assert_int_equal(notes->stopped, 1);
}

static void answers_are_bounded_texts(void **state)
{
    static struct parent_answer message = { .ticket = 9, .done = 1 };
    (void)state;
    memset(message.text, 'a', sizeof message.text); /* no NUL */
    begin(noting_main);
    start_whole();
    say(PARENT_ANSWER, &message, sizeof message, -1);
    say_empty(PARENT_DRAIN);
    assert_int_equal(await_end(), 0);
    assert_true(notes->answered && notes->done);
    assert_int_equal(notes->ticket, 9);
    assert_int_equal(notes->answer_size, PARENT_ROLE_TEXT - 1);
}

static void a_role_without_steps_lives_too(void **state)
{
    static struct parent_answer message = { .ticket = 9 };
    (void)state;
    begin(bare_main);
    say_pair(PARENT_PEER, ROLE_QUEUE, 0);
    start_whole();
    say_pair(PARENT_LISTENER, 0, 0);
    say(PARENT_ANSWER, &message, sizeof message, -1);
    parent_settings(&parent, NEW_SETTINGS, true);
    say_empty(PARENT_PING);
    say_empty(PARENT_DRAIN);
    parent_wait(&parent, &parent.finished);
    assert_int_equal(await_end(), 0);
}

/* --- peers by slot --- */

static void peers_are_picked_evenly(void **state)
{
    static struct role_peers peers;
    struct loop *loop = loop_new();
    struct ipc *channels[3];
    unsigned picked[3] = { 0 };
    (void)state;
    assert_null(role_peers_pick(&peers, 0));
    role_peers_drop(&peers, 5); /* not there */
    for (unsigned i = 0; i < 3; i++) {
        int fds[2];
        assert_true(ipc_pair(fds));
        close(fds[1]);
        channels[i] = ipc_new(loop, fds[0], &parent_role_channel, IPC_FRONT, NULL, NULL, NULL);
        role_peers_set(&peers, i * 100, channels[i]);
    }
    for (uint64_t hash = 0; hash < 300; hash++)
        for (unsigned i = 0; i < 3; i++)
            picked[i] += role_peers_pick(&peers, hash) == channels[i];
    assert_true(picked[0] == 100 && picked[1] == 100 && picked[2] == 100);
    assert_ptr_equal(role_peers_pick(&peers, UINT64_MAX), role_peers_pick(&peers, UINT64_MAX));
    role_peers_drop(&peers, 0);
    assert_int_equal(peers.count, 2);
    for (uint64_t hash = 0; hash < 10; hash++)
        assert_ptr_not_equal(role_peers_pick(&peers, hash), NULL);
    role_peers_drop(&peers, 100);
    role_peers_drop(&peers, 200);
    role_peers_drop(&peers, 200);
    assert_null(role_peers_pick(&peers, 1));
    loop_free(&loop);
}

static void users_are_apart(void **state)
{
    (void)state;
    assert_null(role_user(ROLE_PARENT));
    assert_null(role_user(ROLE_KINDS));
    for (unsigned kind = ROLE_PARENT + 1; kind < ROLE_KINDS; kind++)
        assert_non_null(role_user(kind));
    assert_string_not_equal(role_user(ROLE_SUBMISSION), role_user(ROLE_AUTH));
    assert_string_not_equal(role_user(ROLE_SUBMISSION), role_user(ROLE_QUEUE));
    assert_string_not_equal(role_user(ROLE_DELIVERY), role_user(ROLE_QUEUE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_too_early_fails),
        cmocka_unit_test(a_role_that_cannot_start_fails),
        cmocka_unit_test(unknown_messages_end_it),
        cmocka_unit_test(a_descriptor_too_many_ends_it),
        cmocka_unit_test(the_parents_end_is_its_end),
        cmocka_unit_test(what_comes_early_is_handed_over_later),
        cmocka_unit_test(what_comes_early_is_not_kept_beyond_the_end),
        cmocka_unit_test(a_reload_is_told_once_it_runs),
        cmocka_unit_test(a_wrong_reload_ends_it),
        cmocka_unit_test(drains_once),
        cmocka_unit_test(answers_are_bounded_texts),
        cmocka_unit_test(a_role_without_steps_lives_too),
        cmocka_unit_test(peers_are_picked_evenly),
        cmocka_unit_test(users_are_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
