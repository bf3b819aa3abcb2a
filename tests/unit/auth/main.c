/* The whole role in a process of its own, inside its sandbox, started as the parent starts it. What the sandbox forbids shows here:
 * a plugin that is loaded too late, a file that cannot be opened. */
#include "../../../relay/base/bundle.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/base/scram.h"
#include "../../../relay/base/text.h"
#include "../../../relay/channels/parent_role.h"
#include "../../../relay/channels/submission_auth.h"
#include "../../../relay/role/mains.h"
#include "../unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000

static struct {
    char folder[64];
    char users[96];
    pid_t child;
    struct loop *loop;
    struct ipc *parent;     /* as the parent */
    struct ipc *submission; /* as a submission process */
    bool ready, finished, challenged, done;
    struct auth_challenge challenge;
    struct auth_done end;
} t;

static void from_role(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)context;
    (void)body;
    (void)size;
    (void)fd;
    t.ready |= type == ROLE_READY;
    t.finished |= type == ROLE_FINISHED;
}

static void from_auth(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)context;
    (void)size;
    (void)fd;
    if (type == AUTH_CHALLENGE) {
        t.challenge = *(const struct auth_challenge *)body;
        t.challenged = true;
    } else {
        t.end = *(const struct auth_done *)body;
        t.done = true;
    }
}

static void wait_for(const bool *what)
{
    int64_t until = clock_monotonic_ms() + PATIENCE_MS;
    while (!*what) {
        assert_true(clock_monotonic_ms() < until);
        loop_once(t.loop, false);
        usleep(1000);
    }
}

static void write_users(const char *name, const char *password)
{
    struct scram_verifier verifier;
    char printed[SCRAM_TEXT_SIZE], other[128];
    assert_true(scram_make(span_of(password), SCRAM_ITERATIONS_DEFAULT, &verifier));
    scram_print(&verifier, printed);
    text_format(other, sizeof other, "%s.new", t.users);
    FILE *file = fopen(other, "w");
    assert_non_null(file);
    fprintf(file, "%s:%s\n", name, printed);
    fclose(file);
    assert_int_equal(chmod(other, 0600), 0);
    assert_int_equal(rename(other, t.users), 0);
}

static void send_settings(void)
{
    char text[1024];
    text_format(text, sizeof text,
                "hostname = \"relay.example.net\"\n"
                "listener submission { address = { \"127.0.0.1:5870\" } tls = starttls auth = required }\n"
                "tls { certificate = \"/nonexistent/cert.pem\" key = \"/nonexistent/key.pem\" }\n"
                "auth { backend = file file = \"%s\" }\n",
                t.users);
    struct parent_settings settings = { .size_bytes = strlen(text), .keep_user = true };
    int fd = memfd_create("settings", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_true(ipc_send(t.parent, PARENT_SETTINGS, &settings, sizeof settings, fd));
    close(fd);
    struct bundle *bundle = bundle_new();
    fd = bundle_save(bundle);
    bundle_free(&bundle);
    assert_true(ipc_send(t.parent, PARENT_SECRETS, &(struct parent_secrets){ 0 }, sizeof(struct parent_secrets), fd));
    close(fd);
}

static void send_peer(void)
{
    int fds[2];
    struct parent_peer peer = { ROLE_SUBMISSION, 0 };
    assert_true(ipc_pair(fds));
    assert_true(ipc_send(t.parent, PARENT_PEER, &peer, sizeof peer, fds[0]));
    close(fds[0]);
    t.submission = ipc_new(t.loop, fds[1], &submission_auth_channel, IPC_FRONT, from_auth, NULL, NULL);
}

static int set_up(void **state)
{
    int fds[2];
    (void)state;
    memset(&t, 0, sizeof t);
    text_copy(t.folder, sizeof t.folder, SPAN("/tmp/postern-auth-XXXXXX"));
    assert_non_null(mkdtemp(t.folder));
    text_format(t.users, sizeof t.users, "%s/users", t.folder);
    write_users("alice", "pencil");
    assert_true(ipc_pair(fds));
    fflush(stdout);
    t.child = fork();
    if (t.child == 0) {
        close(fds[1]);
        _exit(auth_main(fds[0]));
    }
    close(fds[0]);
    t.loop = loop_new();
    t.parent = ipc_new(t.loop, fds[1], &parent_role_channel, IPC_FRONT, from_role, NULL, NULL);
    send_settings();
    send_peer();
    struct parent_start start = { .slot = 0, .processes = 1 };
    assert_true(ipc_send(t.parent, PARENT_START, &start, sizeof start, -1));
    wait_for(&t.ready);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ipc_free(&t.submission);
    ipc_free(&t.parent);
    loop_free(&t.loop);
    if (t.child > 0) {
        kill(t.child, SIGKILL);
        waitpid(t.child, NULL, 0);
    }
    unlink(t.users);
    rmdir(t.folder);
    return 0;
}

static void ask(const char *mechanism, struct span data, const bool *what)
{
    static struct auth_begin begin;
    static uint64_t ticket;
    begin = (struct auth_begin){ .ticket = ++ticket, .tls = 1, .has_initial = 1, .data_size = (uint32_t)data.n };
    begin.client.family = 4;
    text_copy(begin.mechanism, sizeof begin.mechanism, span_of(mechanism));
    memcpy(begin.data, data.p, data.n);
    t.challenged = t.done = false;
    assert_true(ipc_send(t.submission, AUTH_BEGIN, &begin, offsetof(struct auth_begin, data) + data.n, -1));
    wait_for(what);
}

static void works_inside_its_sandbox(void **state)
{
    int status;
    (void)state;
    ask("PLAIN", SPAN("\0alice\0pencil"), &t.done);
    assert_int_equal(t.end.verdict, AUTH_ACCEPTED);
    assert_string_equal(t.end.account, "alice");
    ask("PLAIN", SPAN("\0alice\0crayon"), &t.done);
    assert_int_equal(t.end.verdict, AUTH_REFUSED);
    write_users("bob", "pencil"); /* renamed into place: another inode in the same folder */
    ask("PLAIN", SPAN("\0alice\0pencil"), &t.done);
    assert_int_equal(t.end.verdict, AUTH_REFUSED);
    ask("PLAIN", SPAN("\0bob\0pencil"), &t.done);
    assert_int_equal(t.end.verdict, AUTH_ACCEPTED);
    ask("SCRAM-SHA-256", SPAN("n,,n=bob,r=abcdefghij"), &t.challenged);
    assert_memory_equal(t.challenge.data, "r=abcdefghij", 12);
    ask("LOGIN", SPAN("bob"), &t.challenged);
    assert_true(ipc_send(t.parent, PARENT_DRAIN, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1));
    wait_for(&t.finished);
    assert_int_equal(waitpid(t.child, &status, 0), t.child);
    t.child = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_inside_its_sandbox, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
