/* `postern user` as a function: what it answers, what it leaves in the file, and how it asks on a terminal. */
#include "../../../relay/cli/user.h"
#include "../../../relay/base/scram.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char folder[64], users[96];
static struct conf conf;

static int set_up(void **state)
{
    (void)state;
    text_copy(folder, sizeof folder, SPAN("/tmp/postern-user-XXXXXX"));
    assert_non_null(mkdtemp(folder));
    text_format(users, sizeof users, "%s/users", folder);
    conf.auth = (struct conf_auth){ .backend = CONF_BACKEND_FILE, .file = users };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(users);
    assert_int_equal(rmdir(folder), 0); /* no temporary file is left */
    return 0;
}

/* What came out of one call. */
struct outcome {
    int status;
    char out[4096];
    char err[4096];
};

static void read_back(FILE *file, char *text, size_t size)
{
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs the command with INPUT as its standard input. */
static void run(const char *verb, const char *name, const char *input, bool json, struct outcome *outcome)
{
    int before[3] = { dup(0), dup(1), dup(2) };
    FILE *in = tmpfile(), *out = tmpfile(), *err = tmpfile();
    fputs(input, in);
    rewind(in);
    fflush(stdout);
    fflush(stderr);
    dup2(fileno(in), 0);
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    outcome->status = user_run(&conf, verb, name, json);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 3; i++) {
        dup2(before[i], i);
        close(before[i]);
    }
    fclose(in);
    read_back(out, outcome->out, sizeof outcome->out);
    read_back(err, outcome->err, sizeof outcome->err);
}

static void read_users(char *text, size_t size)
{
    FILE *file = fopen(users, "r");
    assert_non_null(file);
    read_back(file, text, size);
}

static void write_users(const char *text, mode_t mode)
{
    FILE *file = fopen(users, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(users, mode), 0);
}

/* Does the user file let NAME in with PASSWORD? */
static bool lets_in(const char *name, const char *password)
{
    char text[8192], found[SCRAM_NAME_SIZE];
    struct scram_verifier verifier;
    read_users(text, sizeof text);
    for (struct span rest = span_of(text); rest.n;)
        if (scram_line(span_cut(&rest, '\n'), found, &verifier) == SCRAM_LINE_ACCOUNT && strcmp(found, name) == 0)
            return scram_check(&verifier, span_of(password));
    return false;
}

static void lives_through_its_life(void **state)
{
    struct outcome outcome;
    struct stat status;
    (void)state;
    run("add", "Alice", "wonder land\n", false, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.err, "");
    assert_non_null(strstr(outcome.out, "Account alice is added"));
    assert_non_null(strstr(outcome.out, "no restart is needed"));
    assert_true(lets_in("alice", "wonder land"));
    assert_int_equal(stat(users, &status), 0);
    assert_int_equal(status.st_mode & 07, 0);
    run("add", "alice", "x\n", false, &outcome);
    assert_int_equal(outcome.status, 1);
    assert_non_null(strstr(outcome.err, "already"));
    assert_true(lets_in("alice", "wonder land"));
    run("passwd", "alice", "another\r\nrest\n", false, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_true(lets_in("alice", "another"));
    run("add", "bob", "no line end", true, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_non_null(strstr(outcome.out, "\"account\":\"bob\""));
    assert_true(lets_in("bob", "no line end"));
    run("list", NULL, "", false, &outcome);
    assert_string_equal(outcome.out, "alice\nbob\n");
    run("list", "", "", true, &outcome);
    assert_string_equal(outcome.out, "[\"alice\",\"bob\"]\n");
    run("list", "bob", "", true, &outcome);
    assert_string_equal(outcome.out, "[\"bob\"]\n");
    run("remove", "alice", "", false, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_false(lets_in("alice", "another"));
    assert_true(lets_in("bob", "no line end"));
    run("list", "alice", "", false, &outcome);
    assert_int_equal(outcome.status, 1);
}

static void refuses(void **state)
{
    static char long_name[300], long_password[SCRAM_PASSWORD_MAX + 3];
    memset(long_name, 'a', sizeof long_name - 1);
    memset(long_password, 'p', sizeof long_password - 2);
    long_password[sizeof long_password - 2] = '\n';
    const struct {
        const char *verb;
        const char *name;
        const char *input;
        int status;
    } cases[] = {
        { "add", "", "x\n", 2 },          { "add", NULL, "x\n", 2 },      { "remove", NULL, "", 2 },
        { "rename", "a", "", 2 },         { NULL, NULL, "", 2 },          { "add", "a:b", "x\n", 1 },
        { "add", "a b", "x\n", 1 },       { "add", "a\tb", "x\n", 1 },    { "add", "a\nb", "x\n", 1 },
        { "add", "#a", "x\n", 1 },        { "add", "*", "x\n", 1 },       { "add", "a\x7f", "x\n", 1 },
        { "add", "\xff", "x\n", 1 },      { "add", long_name, "x\n", 1 }, { "add", "a", "", 1 },
        { "add", "a", "\n", 1 },          { "add", "a", "x\ty\n", 1 },    { "add", "a", "\xff\n", 1 },
        { "add", "a", long_password, 1 }, { "passwd", "a", "x\n", 1 },    { "remove", "a", "", 1 },
    };
    struct outcome outcome;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        run(cases[i].verb, cases[i].name, cases[i].input, false, &outcome);
        assert_int_equal(outcome.status, cases[i].status);
        assert_string_not_equal(outcome.err, "");
        assert_string_equal(outcome.out, "");
        assert_int_equal(access(users, F_OK), -1);
    }
    conf.auth.backend = CONF_BACKEND_SASLAUTHD;
    run("add", "a", "x\n", false, &outcome);
    assert_int_equal(outcome.status, 1);
    conf.auth.backend = CONF_BACKEND_FILE;
    text_copy(long_name, sizeof long_name, SPAN("/nonexistent/users"));
    conf.auth.file = long_name;
    run("list", NULL, "", false, &outcome);
    assert_int_equal(outcome.status, 1);
    assert_non_null(strstr(outcome.err, "/nonexistent"));
}

/* What is not the account's stays as it was, its mode too, and nothing is followed but the file's own link. */
/* Where the accounts are in another store, the tool of that one is named. */
static void names_the_tool_of_another_store(void **state)
{
    static const struct {
        enum conf_auth_backend backend;
        const char *verb, *name, *told;
    } cases[] = {
        { CONF_BACKEND_SASLDB, "add", "alice", ": type saslpasswd2 -c -u relay.example.net alice\n" },
        { CONF_BACKEND_SASLDB, "add", "alice@example.org", ": type saslpasswd2 -c alice@example.org\n" },
        { CONF_BACKEND_SASLDB, "passwd", "alice", ": type saslpasswd2 -u relay.example.net alice\n" },
        { CONF_BACKEND_SASLDB, "remove", "alice", ": type saslpasswd2 -d -u relay.example.net alice\n" },
        { CONF_BACKEND_SASLDB, "list", NULL, ": type sasldblistusers2\n" },
        { CONF_BACKEND_SASLDB, "add", "\x1b[2J", "this cannot be an account's name" },
        { CONF_BACKEND_SASLAUTHD, "add", "alice", "saslauthd looks" },
    };
    struct outcome outcome;
    (void)state;
    conf.hostname = (char *)(uintptr_t) "relay.example.net";
    for (size_t i = 0; i < COUNT(cases); i++) {
        conf.auth.backend = cases[i].backend;
        run(cases[i].verb, cases[i].name, "secret\n", false, &outcome);
        if (outcome.status != 1 || *outcome.out || !strstr(outcome.err, cases[i].told))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, outcome.err, cases[i].told);
    }
}

static void leaves_the_rest_alone(void **state)
{
    static const char before[] = "# the first floor\n\nbroken line\nALICE:nonsense\nbob:x\n  # the rest\nalice:y";
    struct outcome outcome;
    struct stat status;
    char text[2048], link[128];
    (void)state;
    write_users(before, 0604);
    text_format(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink("users", link), 0);
    conf.auth.file = link;
    run("passwd", "alice", "wonder\n", false, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(link, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0604);
    read_users(text, sizeof text);
    assert_memory_equal(text, "# the first floor\n\nbroken line\nalice:SCRAM-SHA-256$4096:", 56);
    assert_non_null(strstr(text, "\nbob:x\n  # the rest\n"));
    assert_null(strstr(text, "alice:y"));
    assert_true(lets_in("alice", "wonder"));
    run("remove", "alice", "", false, &outcome);
    read_users(text, sizeof text);
    assert_string_equal(text, "# the first floor\n\nbroken line\nbob:x\n  # the rest\n");
    unlink(link);
}

static void waits_for_the_lock(void **state)
{
    struct outcome outcome;
    (void)state;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    pid_t child = fork();
    if (child == 0) {
        usleep(300000);
        _exit(0); /* its copy of the lock goes with it */
    }
    close(fd);
    run("add", "alice", "x\n", false, &outcome);
    assert_int_equal(outcome.status, 0);
    waitpid(child, NULL, 0);
}

/* A terminal with the command on it, in a process of its own. */
static pid_t on_terminal(const char *verb, int *ret_terminal)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), status;
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const char *name = ptsname(terminal);
    assert_non_null(name);
    *ret_terminal = terminal;
    fflush(stdout);
    pid_t child = fork();
    if (child)
        return child;
    signal(SIGINT, SIG_DFL); /* who is started in the background has it ignored */
    setsid();
    int other = open(name, O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(other, i);
    status = user_run(&conf, verb, "alice", false);
    fflush(stdout);
    _exit(status);
}

/* Reads from the terminal until WANTED has come; all that came is in SEEN. */
static void expect(int terminal, const char *wanted, char *seen, size_t size)
{
    size_t at = 0;
    seen[0] = '\0';
    while (!strstr(seen, wanted)) {
        struct pollfd ready = { .fd = terminal, .events = POLLIN };
        assert_int_equal(poll(&ready, 1, 20000), 1);
        ssize_t n = read(terminal, seen + at, size - 1 - at);
        assert_true(n > 0);
        at += (size_t)n;
        seen[at] = '\0';
    }
}

static void type(int terminal, const char *text)
{
    assert_int_equal(write(terminal, text, strlen(text)), (ssize_t)strlen(text));
}

static bool echoes(int terminal)
{
    struct termios now;
    assert_int_equal(tcgetattr(terminal, &now), 0);
    return now.c_lflag & ECHO;
}

static void asks_twice_without_echo(void **state)
{
    static const struct {
        const char *second;
        const char *end;
        int status;
    } cases[] = {
        { "wonder land\n", "is added", 0 },
        { "wonderland\n", "differ", 1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char seen[2048];
        int terminal, status;
        pid_t child = on_terminal("add", &terminal);
        expect(terminal, "alice: ", seen, sizeof seen);
        assert_false(echoes(terminal));
        type(terminal, "wonder land\n");
        expect(terminal, "alice: ", seen, sizeof seen);
        assert_null(strstr(seen, "wonder"));
        type(terminal, cases[i].second);
        expect(terminal, cases[i].end, seen, sizeof seen);
        assert_null(strstr(seen, "wonder"));
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].status);
        assert_true(echoes(terminal));
        assert_int_equal(access(users, F_OK), cases[i].status ? -1 : 0);
        close(terminal);
        unlink(users);
    }
}

/* Ctrl-Z stops the program with a terminal that echoes; continued, it asks again. */
static void asks_again_after_a_stop(void **state)
{
    char seen[2048];
    int terminal, status;
    (void)state;
    pid_t child = on_terminal("add", &terminal);
    expect(terminal, "alice: ", seen, sizeof seen);
    kill(child, SIGTSTP); /* typed, it would be dropped: the child's process group has no shell */
    expect(terminal, "alice: ", seen, sizeof seen);
    type(terminal, "wonder land\n");
    expect(terminal, "alice: ", seen, sizeof seen);
    type(terminal, "wonder land\n");
    expect(terminal, "is added", seen, sizeof seen);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(terminal);
}

static void mends_the_terminal_when_interrupted(void **state)
{
    char seen[2048];
    int terminal, status;
    (void)state;
    pid_t child = on_terminal("add", &terminal);
    expect(terminal, "alice: ", seen, sizeof seen);
    type(terminal, "won\x03"); /* Ctrl-C */
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
    assert_true(echoes(terminal));
    close(terminal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lives_through_its_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_tool_of_another_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_the_rest_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_for_the_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_twice_without_echo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_again_after_a_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mends_the_terminal_when_interrupted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
