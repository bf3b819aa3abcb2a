/* postern(1)'s words: each that is wrong gets one sentence and exit status 2 without a question to the daemon; each that is right becomes
 * the request that the daemon, played here, gets. */
#include "../../../relay/cli/commands.h"
#include "../../../relay/base/text.h"
#include "../../../relay/cli/firewall_account.h"
#include "capture.h"

#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define WORDS_MAX   12
#define REQUEST_MAX 4096

static char folder[64], file[96], path[96];
static int listener = -1;
static struct capture capture;
static char (*request)[REQUEST_MAX]; /* what the daemon got, shared with its process */

static int set_up(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)state;
    text_copy(folder, sizeof folder, SPAN("/tmp/postern-commands-XXXXXX"));
    text_format(path, sizeof path, "%s/socket", mkdtemp(folder));
    text_format(file, sizeof file, "%s/postern.conf", folder);
    FILE *conf = fopen(file, "w");
    assert_non_null(conf);
    fprintf(conf,
            "hostname = \"relay.example.net\"\n"
            "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
            "control { socket = \"%s\" }\n",
            path);
    fclose(conf);
    text_copy(address.sun_path, sizeof address.sun_path, span_of(path));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    request = mmap(NULL, sizeof *request, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4) || request == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    close(listener);
    munmap(request, sizeof *request);
    unlink(path);
    unlink(file);
    return rmdir(folder);
}

/* The daemon in a process of its own: takes one request and says ANSWER. */
static pid_t play(const char *answer)
{
    fflush(NULL);
    (*request)[0] = '\0';
    pid_t pid = fork();
    if (pid)
        return pid;
    int fd = accept(listener, NULL, NULL);
    size_t size = 0;
    for (ssize_t n = 1; n > 0 && size < REQUEST_MAX - 1 && !memchr(*request, '\n', size); size += n > 0 ? (size_t)n : 0)
        n = recv(fd, *request + size, REQUEST_MAX - 1 - size, 0);
    (*request)[size] = '\0';
    for (struct span rest = span_of(answer); rest.n;) {
        ssize_t n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);
        rest = span_skip(rest, n > 0 ? (size_t)n : rest.n);
    }
    close(fd);
    _exit(0);
}

/* Runs postern with the WORDS, which end with NULL. Returns the exit status; `capture` has what was printed. */
static int run(const struct commands_options *options, const char *const *words)
{
    char *copies[WORDS_MAX + 1] = { NULL };
    int count = 0;
    for (; words[count]; count++)
        copies[count] = text_dup(span_of(words[count]));
    capture_begin(&capture);
    int status = commands_run(options, count, copies);
    capture_end(&capture);
    for (int i = 0; i < count; i++)
        free(copies[i]);
    return status;
}

/* The same with a daemon that says ANSWER. */
static int run_with(const struct commands_options *options, const char *const *words, const char *answer)
{
    pid_t pid = play(answer);
    int status = run(options, words);
    waitpid(pid, NULL, 0);
    return status;
}

static void wrong_words_get_a_sentence(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *told;
    } cases[] = {
        { { "staus" }, "there is no command staus; did you mean postern status" },
        { { "zzz" }, "there is no command zzz; postern alone lists them all" },
        { { "" }, "there is no command" },
        { { "STATUS" }, "there is no command STATUS" },
        { { "queue", "shw", "x" }, "there is no command queue shw; did you mean postern queue show" },
        { { "user" }, "" },
        { { "user", "ad", "alice" }, "there is no command user ad; did you mean postern user add" },
        { { "account", "lis" }, "there is no command account lis; did you mean postern account list" },
        { { "\x1b[2J\xff" }, "there is no command \\x1b[2J\\xff;" },
        { { "status", "now" }, "now is out of place; type postern status" },
        { { "status", "--account", "alice" }, "--account is out of place" },
        { { "status", "--json" }, "--json is out of place; type postern --json status" },
        { { "status", "-f", "x" }, "-f is out of place; type postern -f FILE status" },
        { { "queue", "list", "x" }, "x is out of place; type postern queue list [--account A] [--client IP] [--sender S]" },
        { { "queue", "--colour", "red" }, "--colour is out of place" },
        { { "queue", "list", "-a" }, "-a is out of place" },
        { { "queue", "list", "--account" }, "--account needs a value" },
        { { "queue", "list", "--account", "" }, "--account needs a value" },
        { { "queue", "list", "--account", "a\xff" }, "--account must be valid UTF-8" },
        { { "queue", "list", "--account", "a", "--account", "b" }, "--account is there twice" },
        { { "queue", "list", "account", "a" }, "account is out of place" },
        { { "queue", "show" }, "queue show needs one word more; type postern queue show ID" },
        { { "queue", "show", "" }, "ID needs a value" },
        { { "queue", "show", "\xff" }, "ID must be valid UTF-8" },
        { { "queue", "show", "a", "b" }, "b is out of place; type postern queue show ID" },
        { { "queue", "show", "--all" }, "--all is out of place" },
        { { "queue", "hold" }, "queue hold needs an ID, a filter such as --account A, or --all" },
        { { "queue", "release" }, "queue release needs an ID" },
        { { "queue", "remove" }, "queue remove needs an ID" },
        { { "queue", "remove", "" }, "ID needs a value" },
        { { "queue", "remove", "", "--account", "alice" }, "ID needs a value" },
        { { "queue", "remove", "--sender", "\xff", "--account", "alice" }, "--sender must be valid UTF-8" },
        { { "queue", "remove", "--account", "alice", "--sender", "" }, "--sender needs a value" },
        { { "queue", "remove", "a", "b" }, "b is out of place; type postern queue remove [ID] [--account A]" },
        { { "limits", "--sender", "a@b" },
          "--sender is out of place; type postern limits [--account A] [--client IP] [--would]" },
        { { "limits", "--site", "x", "--all" },
          "--site is out of place; type postern limits [--account A] [--client IP] [--would]" },
        { { "limits", "--all" }, "--all is out of place; type postern limits" },
        { { "account", "list", "--account", "zzz" }, "--account is out of place; type postern account list\n" },
        { { "account", "--all" }, "--all is out of place; type postern account list\n" },
        { { "queue", "retry" }, "queue retry needs an ID" },
        { { "message" }, "message needs one word more; type postern message ID" },
        { { "trace" }, "trace needs one word more; type postern trace ADDRESS" },
        { { "trace", "a@b", "c@d" }, "c@d is out of place; type postern trace ADDRESS [--account A] [--sender S]" },
        { { "trace", "a@b", "--account" }, "--account needs a value" },
        { { "trace", "a@b", "--sender", "" }, "--sender needs a value" },
        { { "trace", "a@b", "--sender", "x@y", "--sender", "<>" }, "--sender is there twice" },
        { { "trace", "a@b", "--client", "192.0.2.1" }, "--client is out of place; type postern trace ADDRESS" },
        { { "trace", "--account", "a" }, "trace needs one word more; type postern trace ADDRESS" },
        { { "limits", "alice" }, "alice is out of place" },
        { { "limits", "--wouldx" }, "--wouldx is out of place; type postern limits [--account A]" },
        { { "limits", "--wouldx" }, "[--client IP] [--would]" },
        { { "status", "--would" }, "--would is out of place; type postern status" },
        { { "user", "add" }, "user add needs one word more; type postern user add NAME" },
        { { "user", "list", "a", "b" }, "b is out of place" },
        { { "reload", "now" }, "now is out of place; type postern reload" },
        { { "stop", "--all" }, "--all is out of place" },
        { { "version", "x" }, "x is out of place" },
        { { "check", "x" }, "x is out of place" },
        { { "firewall", "print", "x" }, "x is out of place; type postern firewall print [--redirect PORT] [--world INTERFACE]" },
        { { "firewall", "print", "--account", "a" }, "--account is out of place; type postern firewall print [--redirect PORT]" },
        { { "firewall", "print", "--redirect" }, "--redirect needs a value" },
        { { "firewall", "print", "--redirect", "0" }, "--redirect 0 is no port" },
        { { "firewall", "print", "--redirect", "65536" }, "--redirect 65536 is no port" },
        { { "firewall", "print", "--redirect", "25x" }, "--redirect 25x is no port" },
        { { "firewall", "print", "--redirect", "1", "--redirect", "2" }, "--redirect is there twice; give it once" },
        { { "firewall", "print", "--world", "" }, "--world needs a value" },
        { { "firewall", "print", "--world", "a b" }, "--world a b is no interface's name" },
        { { "firewall", "print", "--world", "\"" }, "--world \" is no interface's name" },
        { { "firewall", "report", "--world", "eth0" }, "--world is out of place; type postern firewall report" },
        { { "status", "--redirect", "25" }, "--redirect is out of place; type postern status" },
    };
    const struct commands_options options = { file, false };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!*cases[i].told) /* `user` alone lists: see below */
            continue;
        int status = run(&options, cases[i].words);
        if (status != COMMANDS_USAGE || !strstr(capture.err, cases[i].told) || *capture.out)
            fail_msg("case %zu: status %d, \"%s\" does not say \"%s\"", i, status, capture.err, cases[i].told);
        assert_ptr_equal(strchr(capture.err, '\n'), capture.err + strlen(capture.err) - 1); /* one line */
    }
}

static void long_words_are_cut(void **state)
{
    static char word[5000];
    const struct commands_options options = { file, false };
    const char *const alone[] = { word, word, NULL }, *const behind[] = { "queue", word, NULL },
                      *const last[] = { "status", word, NULL };
    (void)state;
    memset(word, 'a', sizeof word - 1);
    assert_int_equal(run(&options, alone), COMMANDS_USAGE);
    assert_int_equal(run(&options, behind), COMMANDS_USAGE);
    assert_int_equal(run(&options, last), COMMANDS_USAGE);
    assert_true(strlen(capture.err) < 1100);
}

#define DONE "{\"done\":true,\"exit\":0,\"reason\":\"\"}\n"

static void right_words_become_a_request(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *request;
    } cases[] = {
        { { "status" }, "{\"command\":\"status\",\"filters\":{}}\n" },
        { { "queue" }, "{\"command\":\"queue list\",\"filters\":{}}\n" },
        { { "queue", "--all" }, "{\"command\":\"queue list\",\"filters\":{\"all\":true}}\n" },
        { { "queue", "list", "--site", "mx.example", "--client", "192.0.2.1" },
          "{\"command\":\"queue list\",\"filters\":{\"site\":\"mx.example\",\"client\":\"192.0.2.1\"}}\n" },
        { { "queue", "remove", "--account", "--all" }, "{\"command\":\"queue remove\",\"filters\":{\"account\":\"--all\"}}\n" },
        { { "queue", "hold", "--sender", "J\xc3\xbcrgen@x", "--recipient", "\"\n" },
          "{\"command\":\"queue hold\",\"filters\":{\"sender\":\"J\xc3\xbcrgen@x\",\"recipient\":\"\\\"\\n\"}}\n" },
        { { "queue", "retry", "x", "--account", "a" },
          "{\"command\":\"queue retry\",\"filters\":{\"account\":\"a\",\"id\":\"x\"}}\n" },
        { { "queue", "show", "x" }, "{\"command\":\"queue show\",\"filters\":{\"id\":\"x\"}}\n" },
        { { "message", "x" }, "{\"command\":\"message\",\"filters\":{\"id\":\"x\"}}\n" },
        { { "trace", "a@b" }, "{\"command\":\"trace\",\"filters\":{\"recipient\":\"a@b\"}}\n" },
        { { "trace", "--account", "a", "x@y", "--sender", "<>" },
          "{\"command\":\"trace\",\"filters\":{\"account\":\"a\",\"sender\":\"<>\",\"recipient\":\"x@y\"}}\n" },
        { { "limits", "--account", "a" }, "{\"command\":\"limits\",\"filters\":{\"account\":\"a\"}}\n" },
        { { "limits", "--client", "192.0.2.1" }, "{\"command\":\"limits\",\"filters\":{\"client\":\"192.0.2.1\"}}\n" },
        { { "account" }, "{\"command\":\"account list\",\"filters\":{}}\n" },
        { { "limits", "--would" }, "{\"command\":\"limits would\",\"filters\":{}}\n" },
        { { "limits", "--account", "a", "--would" }, "{\"command\":\"limits would\",\"filters\":{\"account\":\"a\"}}\n" },
        { { "reload" }, "{\"command\":\"reload\",\"filters\":{}}\n" },
        { { "stop" }, "{\"command\":\"stop\",\"filters\":{}}\n" },
    };
    const struct commands_options options = { file, false };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(run_with(&options, cases[i].words, DONE), COMMANDS_DONE);
        assert_string_equal(*request, cases[i].request);
        assert_string_equal(capture.err, "");
    }
}

/* The report of the firewall asks for each address; it goes without names where nobody answers or nobody is known. */
static void the_account_behind_an_address(void **state)
{
    static const struct {
        const char *answer, *attempt;
    } cases[] = {
        { "{\"value\":{\"client\":\"192.0.2.1\",\"account\":\"alice\",\"when\":\"2026-11-24T22:15:03Z\"}}\n" DONE,
          "{\"account\":\"alice\",\"address\":\"192.0.2.1\",\"login\":\"2026-11-24T22:15:03Z\"}" },
        { "{\"done\":false,\"exit\":1,\"reason\":\"nobody\"}\n", "{\"account\":null,\"address\":\"192.0.2.1\",\"login\":null}" },
        { NULL, "{\"account\":null,\"address\":\"192.0.2.1\",\"login\":null}" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *attempts = json_pack("[{s:s}]", "address", "192.0.2.1");
        pid_t pid = cases[i].answer ? play(cases[i].answer) : -1;
        firewall_account_add(attempts, cases[i].answer ? path : "/nonexistent/socket");
        if (pid > 0)
            waitpid(pid, NULL, 0);
        if (pid > 0)
            assert_string_equal(*request, "{\"command\":\"login of\",\"filters\":{\"client\":\"192.0.2.1\"}}\n");
        char *text = json_dumps(json_array_get(attempts, 0), JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, cases[i].attempt);
        free(text);
        json_decref(attempts);
    }
}

static void answers_are_printed(void **state)
{
#define LIST                                                                                                                     \
    {                                                                                                                            \
        "queue", "list", NULL                                                                                                    \
    }
#define RELOAD                                                                                                                   \
    {                                                                                                                            \
        "reload", NULL                                                                                                           \
    }
#define HOLD                                                                                                                     \
    {                                                                                                                            \
        "queue", "hold", "--all", NULL                                                                                           \
    }
    static const struct {
        const char *words[4];
        bool json;
        const char *answer;
        int status;
        const char *out, *err;
    } cases[] = {
        { LIST, false, DONE, 0, "none\n", "" },
        { LIST, true, DONE, 0, "[]\n", "" },
        { LIST, true, "{\"value\":1}\n" DONE, 0, "[1]\n", "" },
        { LIST, true, "{\"value\":1}\n{\"value\":{\"a\":\"\\u001b\"}}\n" DONE, 0, "[1,\n {\"a\":\"\\u001B\"}]\n", "" },
        { LIST, true, "{\"value\":1}\n{\"done\":false,\"reason\":\"no\"}\n", 1, "[1]\n", "no\n" },
        { LIST, true, "{\"value\":1}\n", 1, "[1]\n", "posternd broke off its answer; it may be starting again: try once more\n" },
        { LIST, true, "", 1, "[]\n", "posternd broke off its answer; it may be starting again: try once more\n" },
        { LIST, true, "no JSON\n[]\n{\"done\":1}\n\n" DONE "{\"value\":2}\n", 0, "[]\n", "" },
        { RELOAD, false, DONE, 0, "done\n", "" },
        { RELOAD, true, DONE, 0, "{}\n", "" },
        { RELOAD, false, "{\"done\":false,\"reason\":\"\"}\n", 1, "", "refused\n" },
        { RELOAD, false, "{\"done\":false}\n", 1, "", "refused\n" },
        { RELOAD, false, "{\"done\":false,\"reason\":\"x:1: a\\nx:2: b\\n\"}\n", 1, "", "x:1: a\nx:2: b\n" },
        { HOLD, false, "{\"value\":{\"changed\":1}}\n" DONE, 0, "1 message\n", "" },
        { HOLD, false, "{\"value\":{\"changed\":0}}\n" DONE, 0, "0 messages\n", "" },
        { HOLD, true, "{\"value\":{\"changed\":2}}\n" DONE, 0, "{\"changed\":2}\n", "" },
        { HOLD, false, "{\"value\":\"nonsense\"}\n" DONE, 0, "0 messages\n", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct commands_options options = { file, cases[i].json };
        if (run_with(&options, cases[i].words, cases[i].answer) != cases[i].status)
            fail_msg("case %zu: another status than %d", i, cases[i].status);
        assert_string_equal(capture.out, cases[i].out);
        assert_string_equal(capture.err, cases[i].err);
    }
}

static void nobody_answers(void **state)
{
    static const char *const words[][3] = { { "status", NULL }, { "queue", "list", NULL }, { "stop", NULL } };
    const char *const check[] = { "check", NULL };
    char elsewhere[128];
    struct commands_options options = { elsewhere, false };
    (void)state;
    text_format(elsewhere, sizeof elsewhere, "%s.none", file);
    FILE *conf = fopen(elsewhere, "w");
    fprintf(conf, "control { socket = \"%s.none\" }\nhostnam = x\n", path); /* a mistake elsewhere does not matter */
    fclose(conf);
    for (size_t i = 0; i < 2 * COUNT(words); i++) {
        options.json = i % 2;
        assert_int_equal(run(&options, words[i / 2]), COMMANDS_REFUSED);
        assert_string_equal(capture.out, "");
        assert_non_null(strstr(capture.err, "posternd does not answer at "));
        assert_non_null(strstr(capture.err, ".none (No such file or directory); is it running? systemctl status postern "
                                            "and journalctl -u postern -n 50 tell\n"));
    }
    assert_int_equal(run(&options, check), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, ":2: there is no hostnam"));
    unlink(elsewhere);
    assert_int_equal(run(&options, check), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, "cannot be read"));
}

/* A file of the caller's own leads to the daemon that it names for certain, or nowhere: never to the one that is there as usual. */
static void another_file_never_means_the_usual_daemon(void **state)
{
    static const struct {
        const char *text; /* %s is the socket; NULL: there is no file */
        const char *why;  /* NULL: the socket is certain */
    } cases[] = {
        { NULL, "cannot be read: No such file or directory; nothing is done" },
        { "", "hostname is missing" },
        { "root:x:0:0:root:/root:/bin/bash\n", ":1: " },
        { "tls {\ncontrol { socket = \"%s\" }\n", ":2: there is no control in section tls" },
        { "control { socket = \"%s\" }\ninclude(\"/nonexistent\")\n", "/nonexistent cannot be read" },
        { "hostname = \"x.example\"\ncontrol { sockt = \"%s\" }\n", ":2: there is no sockt" },
        { "hostname = \"x.example\"\ncontrl { socket = \"%s\" }\n", ":2: there is no contrl" },
        { "hostname = \"x.example\"\nsocket = \"%s\"\n", ":2: there is no socket" },
        { "hostname = \"x.example\"\ncontrol { socket = \"%s\" }\ncontrol { http = \"127.0.0.1:1\" }\n",
          ":3: control is there twice" },
        { "hostname = \"x.example\"\ncontrol { socket = \"/x\" socket = \"%s\" }\n", ":2: socket is set twice" },
        { "hostname = \"x.example\"\nqueue { retry = }\n", "has a mistake (" },
        { "hostnam = x\ncontrol { socket = \"%s\" }\n", NULL },
        { "queue { lifetime = long }\ncontrol { socket = \"%s\" http = 5 }\n", NULL },
    };
    static const char *const words[][3] = { { "stop", NULL }, { "queue", "list", NULL }, { "top", NULL } };
    char elsewhere[128];
    const struct commands_options options = { elsewhere, false };
    (void)state;
    text_format(elsewhere, sizeof elsewhere, "%s.other", file);
    for (size_t i = 0; i < COUNT(cases) * COUNT(words); i++) {
        const char *text = cases[i / COUNT(words)].text, *why = cases[i / COUNT(words)].why;
        if (text) {
            FILE *conf = fopen(elsewhere, "w");
            const char *gap = strstr(text, "%s");
            fprintf(conf, "%.*s%s%s", gap ? (int)(gap - text) : (int)strlen(text), text, gap ? path : "", gap ? gap + 2 : "");
            fclose(conf);
        }
        if (!why) {
            assert_int_equal(run_with(&options, words[i % COUNT(words)], DONE), COMMANDS_DONE);
            continue;
        }
        assert_int_equal(run(&options, words[i % COUNT(words)]), COMMANDS_REFUSED);
        if (!strstr(capture.err, why) || !strstr(capture.err, elsewhere) || !strstr(capture.err, "; nothing is done\n") ||
            strstr(capture.err, "does not answer"))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i / COUNT(words), capture.err, why);
        assert_string_equal(capture.out, "");
        assert_ptr_equal(strchr(capture.err, '\n'), capture.err + strlen(capture.err) - 1);
    }
    unlink(elsewhere);
}

static void checks_and_tells_its_version(void **state)
{
    const char *const check[] = { "check", NULL }, *const version[] = { "version", NULL };
    (void)state;
    assert_int_equal(run_with(&(struct commands_options){ file, false }, check, DONE), COMMANDS_DONE);
    assert_non_null(strstr(capture.out, " has no mistake.\nposternd runs.\n"));
    assert_string_equal(*request, "{\"command\":\"status\",\"filters\":{}}\n");
    static const char hurt[] = "{\"value\":{\"spool\":{\"damaged\":1,\"files\":[\"00000000000000a1.seg\"]}}}\n" DONE;
    assert_int_equal(run_with(&(struct commands_options){ file, false }, check, hurt), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.out, "/00000000000000a1.seg is damaged; "));
    assert_int_equal(run_with(&(struct commands_options){ file, true }, check, ""), COMMANDS_DONE);
    assert_string_equal(capture.out, "{\"configuration\": true, \"running\": false}\n");
    assert_int_equal(run(&(struct commands_options){ file, false }, version), COMMANDS_DONE);
    assert_string_equal(capture.out, "postern " POSTERN_VERSION "\n");
    assert_int_equal(run(&(struct commands_options){ file, true }, version), COMMANDS_DONE);
    assert_string_equal(capture.out, "{\"version\": \"" POSTERN_VERSION "\"}\n");
}

/* `check` finds what `posternd -n` finds in the files that are named, and says of which it may not read. */
static void checks_the_files_that_are_named(void **state)
{
    const char *const check[] = { "check", NULL };
    char other[128], secret[128];
    struct commands_options options = { other, false };
    (void)state;
    text_format(other, sizeof other, "%s.files", file);
    text_format(secret, sizeof secret, "%s.secret", file);
    FILE *conf = fopen(other, "w");
    fprintf(conf,
            "hostname = \"relay.example.net\"\n"
            "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
            "route \"*\" { via = \"smtp.example:587\" tls = verify user = \"office\"\npassword-file = \"%s\" }\n"
            "control { socket = \"%s\" }\n",
            secret, path);
    fclose(conf);
    assert_int_equal(run(&options, check), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, ".files:4: password-file "));
    assert_non_null(strstr(capture.err, ".secret: No such file or directory\n"));
    assert_string_equal(capture.out, "");
    fclose(fopen(secret, "w"));
    assert_int_equal(run(&options, check), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, ".secret: must hold the password on its first line\n"));
    assert_int_equal(chmod(folder, 0755) || chmod(path, 0777) || chmod(other, 0644) || chmod(secret, 0), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    int status = run_with(&options, check, DONE);
    options.json = true;
    int again = run_with(&options, check, DONE);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, COMMANDS_DONE);
    assert_int_equal(again, COMMANDS_DONE);
    assert_string_equal(capture.err, "");
    assert_non_null(strstr(capture.out, "{\"configuration\": true, \"running\": "));
    assert_non_null(strstr(capture.out, ".secret: Permission denied\"]"));
    unlink(secret);
    unlink(other);
}

/* Suspending a name that nobody has would stop nobody. Where the accounts are elsewhere, or cannot be looked at, any name goes. */
static void a_mistyped_account_is_not_suspended(void **state)
{
    static const struct {
        const char *auth, *words[WORDS_MAX];
        const char *told; /* NULL: the daemon is asked */
    } cases[] = {
        { "file = \"%s\"", { "account", "suspend", "alcie" }, "; did you mean alice; nothing is done. " },
        { "file = \"%s\"", { "account", "suspend", "Alicee" }, "; did you mean alice; nothing is done. " },
        { "file = \"%s\"", { "account", "suspend", "zzz" }, ".users; nothing is done. To suspend that name all the same: " },
        { "file = \"%s\"", { "account", "suspend", "a b" }, "there is no account a b in " },
        { "file = \"%s\"", { "account", "suspend", "alcie", "--ahead" }, NULL },
        { "file = \"%s\"", { "account", "suspend", "alice" }, NULL },
        { "file = \"%s\"", { "account", "suspend", "ALICE" }, NULL },
        { "file = \"%s\"", { "account", "show", "alcie" }, NULL },
        { "file = \"%s\"", { "account", "resume", "alcie" }, NULL },
        { "file = \"%s.none\"", { "account", "suspend", "alcie" }, NULL },
        { "file = \"%s\" backend = sasldb", { "account", "suspend", "alcie" }, NULL },
        { "file = \"%s\" bakcend = file", { "account", "suspend", "alcie" }, NULL },
    };
    char other[128], users[128];
    const struct commands_options options = { other, false };
    (void)state;
    text_format(other, sizeof other, "%s.accounts", file);
    text_format(users, sizeof users, "%s.users", file);
    FILE *accounts = fopen(users, "w");
    fprintf(accounts, "# who may send\nbob:x\nalice:x\n");
    fclose(accounts);
    for (size_t i = 0; i < COUNT(cases); i++) {
        FILE *conf = fopen(other, "w");
        const char *gap = strstr(cases[i].auth, "%s");
        fprintf(conf,
                "hostname = \"relay.example.net\"\ncontrol { socket = \"%s\" }\nauth { %.*s%s%s }\n"
                "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n",
                path, (int)(gap - cases[i].auth), cases[i].auth, users, gap + 2);
        fclose(conf);
        if (!cases[i].told) {
            assert_int_equal(run_with(&options, cases[i].words, DONE), COMMANDS_DONE);
            assert_null(strstr(*request, "ahead"));
            continue;
        }
        assert_int_equal(run(&options, cases[i].words), COMMANDS_REFUSED);
        if (!strstr(capture.err, cases[i].told))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, capture.err, cases[i].told);
    }
    unlink(users);
    unlink(other);
}

/* `user` alone lists, and needs the file of accounts that the configuration names. */
static void users_need_their_file(void **state)
{
    const char *const words[] = { "user", NULL };
    char other[128];
    struct commands_options options = { other, false };
    (void)state;
    text_format(other, sizeof other, "%s.users", file);
    FILE *conf = fopen(other, "w");
    fprintf(conf,
            "hostname = \"relay.example.net\"\nauth { file = \"%s/none/users\" }\n"
            "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n",
            folder);
    fclose(conf);
    assert_int_equal(run(&options, words), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, "/none"));
    unlink(other);
}

/* `firewall print` needs a configuration and no daemon. */
static void prints_the_rules_of_its_configuration(void **state)
{
    const char *const words[] = { "firewall", "print", NULL },
                      *const redirected[] = { "firewall", "print", "--redirect", "2525", NULL },
                      *const nowhere[] = { "firewall", "print", "--redirect", "2526", NULL };
    (void)state;
    assert_int_equal(run(&(struct commands_options){ file, false }, words), COMMANDS_DONE);
    assert_non_null(strstr(capture.out, "\ntable inet postern {\n"));
    assert_null(strstr(capture.out, "redirect to"));
    assert_int_equal(run(&(struct commands_options){ file, true }, redirected), COMMANDS_DONE);
    json_t *value = json_loads(capture.out, 0, NULL);
    assert_non_null(strstr(json_string_value(json_object_get(value, "rules")), " redirect to :2525\n"));
    json_decref(value);
    assert_int_equal(run(&(struct commands_options){ file, false }, nowhere), COMMANDS_REFUSED);
    assert_string_equal(capture.out, "");
    assert_non_null(strstr(capture.err, "no listener of the configuration has port 2526"));
    assert_int_equal(run(&(struct commands_options){ "/nowhere/postern.conf", false }, words), COMMANDS_REFUSED);
    assert_non_null(strstr(capture.err, "cannot be read"));
}

/* Who may not ask hears what to do, not that nobody is there. */
static void who_may_not_ask_is_told_how(void **state)
{
    const struct commands_options options = { file, false };
    const char *const stop[] = { "stop", NULL }, *const users[] = { "user", NULL },
                      *const report[] = { "firewall", "report", NULL };
    char other[128], hidden[128];
    const struct commands_options theirs = { other, false };
    (void)state;
    text_format(other, sizeof other, "%s.hidden", file);
    text_format(hidden, sizeof hidden, "%s/users", folder);
    FILE *conf = fopen(other, "w");
    fprintf(conf,
            "hostname = \"relay.example.net\"\nauth { file = \"%s\" }\n"
            "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n",
            hidden);
    fclose(conf);
    fclose(fopen(hidden, "w"));
    assert_int_equal(chmod(folder, 0755) || chmod(file, 0644) || chmod(other, 0644) || chmod(path, 0) || chmod(hidden, 0), 0);
    bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(65534) == 0);
    run(&options, stop);
    assert_non_null(strstr(capture.err, "you may not ask posternd at "));
    assert_non_null(strstr(capture.err, "/socket (Permission denied); use sudo, or be a member of the group postern\n"));
    run(&theirs, users);
    assert_non_null(strstr(capture.err, "/users: Permission denied; use sudo\n"));
    run(&theirs, report);
    assert_non_null(strstr(capture.err, "type sudo postern -f /tmp/"));
    assert_non_null(strstr(capture.err, ".hidden firewall report\n"));
    assert_true(!is_root || seteuid(0) == 0);
    assert_int_equal(chmod(path, 0755), 0);
    unlink(hidden);
    unlink(other);
}

/* --help behind anything does nothing but help, on standard output. */
static void a_command_tells_how_it_is_called(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *told;
    } cases[] = {
        { { "help" }, "usage: postern [-f FILE] [--json] COMMAND\n" },
        { { "help", "stop" }, "usage: postern stop\n           finish what is being sent, then end\n" },
        { { "stop", "--help" }, "usage: postern stop\n" },
        { { "queue", "--help" }, "\n       postern queue adopt DIR\n" },
        { { "help", "account" }, "\n       postern account suspend NAME [--ahead]\n" },
        { { "queue", "remove", "--all", "--help" },
          "usage: postern queue remove [ID] [--account A] [--client IP] [--sender S]\n" },
        { { "message", "x", "--help" }, "usage: postern message ID\n" },
    };
    static const char *const wrong[] = { "staus", "--help", NULL };
    const struct commands_options options = { file, false };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (run(&options, cases[i].words) != COMMANDS_DONE || !strstr(capture.out, cases[i].told) || *capture.err)
            fail_msg("case %zu: no\n%s\nin:\n%s%s", i, cases[i].told, capture.out, capture.err);
        for (struct span rest = span_of(capture.out); rest.n;)
            assert_true(span_cut(&rest, '\n').n <= 80);
    }
    assert_int_equal(run(&options, wrong), COMMANDS_USAGE);
    assert_non_null(strstr(capture.err, "did you mean postern status"));
}

static void help_lists_what_is_there(void **state)
{
    (void)state;
    capture_begin(&capture);
    commands_help();
    capture_end(&capture);
    assert_non_null(strstr(capture.out, "\n  queue remove [ID] "));
    assert_non_null(strstr(capture.out, "\n  trace ADDRESS "));
    assert_non_null(strstr(capture.out, "\nfirewall print: --redirect PORT\n"));
    for (struct span rest = span_of(capture.out); rest.n;)
        assert_true(span_cut(&rest, '\n').n <= 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_get_a_sentence),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(right_words_become_a_request),
        cmocka_unit_test(the_account_behind_an_address),
        cmocka_unit_test(answers_are_printed),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(another_file_never_means_the_usual_daemon),
        cmocka_unit_test(checks_and_tells_its_version),
        cmocka_unit_test(checks_the_files_that_are_named),
        cmocka_unit_test(a_mistyped_account_is_not_suspended),
        cmocka_unit_test(users_need_their_file),
        cmocka_unit_test(prints_the_rules_of_its_configuration),
        cmocka_unit_test(who_may_not_ask_is_told_how),
        cmocka_unit_test(a_command_tells_how_it_is_called),
        cmocka_unit_test(help_lists_what_is_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
