/* The firewall's rules as text, what nft's listing of them tells, and nft as a program that may be missing, fail, or say too much. What
 * the rules do is in tests/lab/firewall_lab.py. */
#include "../../../relay/base/text.h"
#include "../../../relay/cli/firewall_report.h"
#include "../../../relay/cli/firewall_rules.h"
#include "../../../relay/cli/nft.h"
#include "../../../relay/conf/read.h"
#include "../unit.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD  "hostname = \"relay.example.net\"\ntls { certificate = \"/c\" key = \"/k\" }\n"
#define PLAIN HEAD "listener submission { address = { \"0.0.0.0:587\", \"[::]:587\" } }\n"

static void complain(void *context, const char *line)
{
    (void)context;
    fail_msg("%s", line);
}

/* Writes the rules for the configuration TEXT into OUT, which is made here. */
static bool write_rules(const char *text, const struct firewall_rules *rules, size_t max, struct buffer *out)
{
    struct conf *conf = conf_read_text("test", span_of(text), complain, NULL);
    assert_non_null(conf);
    buffer_init(out, max);
    bool written = firewall_rules_write(conf, rules, out);
    conf_free(&conf);
    return written;
}

static void rules_name_what_the_configuration_says(void **state)
{
#define OFFICE(networks)                                                                                                         \
    HEAD "listener office { address = { \"198.51.100.1:25\", \"[2001:db8::1]:25\", \"192.0.2.1:2525\", \"127.0.0.1:25\" } "      \
         "auth = none networks = { " networks " } }\n"
    static const struct {
        const char *conf;
        struct firewall_rules rules;
        const char *there, *missing;
    } cases[] = {
        { PLAIN, { "postern", NULL, 0 }, "table inet postern {}\ndelete table inet postern\n\ntable inet postern {\n", "flush" },
        { PLAIN, { "postern", NULL, 0 }, "        meta skuid \"postern\" return\n", "prerouting" },
        { PLAIN, { "someone", NULL, 0 }, "        meta skuid \"someone\" return\n", "skuid \"postern\"" },
        { PLAIN, { "postern", NULL, 0 }, "        tcp dport 25 jump passing\n", "oifname !=" },
        { PLAIN, { "postern", NULL, 0 }, "        counter reject with tcp reset\n", " drop\n" },
        { PLAIN, { "postern", NULL, 0 }, "        size 16384\n        timeout 7d\n", "hook input" },
        { PLAIN, { "postern", "ppp*", 0 }, "        oifname != \"ppp*\" return\n", "iifname" },
        { PLAIN, { "postern", NULL, 587 }, "        meta l4proto tcp counter redirect to :587\n", "iifname" },
        { PLAIN, { "postern", "eth0", 587 }, "        iifname == \"eth0\" return\n", "iifname !=" },
        { OFFICE("\"198.51.100.0/24\", \"2001:db8::/32\""),
          { "postern", NULL, 0 },
          "            198.51.100.0/24,\n",
          "127.0.0.1," },
        { OFFICE("\"198.51.100.0/24\", \"2001:db8::/32\""),
          { "postern", NULL, 0 },
          "            2001:db8::/32,\n",
          "192.0.2.1," },
        { OFFICE("\"198.51.100.0/24\""), { "postern", NULL, 0 }, "            198.51.100.1,\n", " 0.0.0.0" },
        { OFFICE("\"198.51.100.0/24\""), { "postern", NULL, 0 }, "            2001:db8::1,\n", NULL },
        { OFFICE("\"192.0.2.7\""), { "postern", NULL, 0 }, "            192.0.2.7/32,\n", NULL },
        { OFFICE("\"0.0.0.0/0\", \"0.0.0.0/1\", \"128.0.0.0/7\", \"::/0\", \"2000::/3\""),
          { "postern", NULL, 0 },
          "198.51.100.1,",
          "/0," },
        { OFFICE("\"0.0.0.0/0\", \"0.0.0.0/1\", \"128.0.0.0/7\", \"::/0\", \"2000::/3\""),
          { "postern", NULL, 0 },
          "198.51.100.1,",
          "/3," },
        { OFFICE("\"0.0.0.0/0\", \"0.0.0.0/1\", \"128.0.0.0/7\", \"::/0\", \"2000::/3\""),
          { "postern", NULL, 0 },
          "198.51.100.1,",
          "128.0.0.0" },
        { HEAD "listener submission { address = { \"0.0.0.0:587\" } networks = { \"192.0.2.0/24\" } }\n",
          { "postern", NULL, 0 },
          "192.168.0.0/16",
          "192.0.2.0/24" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out;
        assert_true(write_rules(cases[i].conf, &cases[i].rules, FIREWALL_RULES_MAX, &out));
        const char *text = buffer_text(&out);
        if (!strstr(text, cases[i].there) || (cases[i].missing && strstr(text, cases[i].missing)))
            fail_msg("case %zu: no \"%s\", or \"%s\" in:\n%s", i, cases[i].there, cases[i].missing, text);
        for (struct span rest = span_of(text); rest.n;)
            assert_true(span_cut(&rest, '\n').n <= 80);
        buffer_fini(&out);
    }
}

static void rules_that_do_not_fit_are_told(void **state)
{
    const struct firewall_rules rules = { "postern", "eth0", 587 };
    struct buffer out;
    (void)state;
    assert_true(write_rules(PLAIN, &rules, FIREWALL_RULES_MAX, &out));
    size_t size = buffer_size(&out);
    buffer_fini(&out);
    for (size_t max = 0; max < size; max += 7) {
        assert_false(write_rules(PLAIN, &rules, max, &out));
        buffer_fini(&out);
    }
}

static void interfaces_have_names_that_need_no_quoting(void **state)
{
    static const char *const good[] = {
        "eth0", "ppp*", "wlp2s0.100", "br-lan", "veth@if3", "abcdefghijklmno", "abcdefghijklmno*"
    };
    static const char *const bad[] = { "",         "*",  "a*b", "**", "a b", "a\"", "a\n", "a/b", "$x", "abcdefghijklmnop",
                                       "\xc3\xbc", "a;b" };
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!firewall_rules_is_interface(span_of(good[i])))
            fail_msg("%s is one", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (firewall_rules_is_interface(span_of(bad[i])))
            fail_msg("%s is none", bad[i]);
    assert_false(firewall_rules_is_interface(span_make("a\0b", 3)));
}

/* nft itself, in a network of its own, takes every kind of file that is written. */
static void nft_accepts_the_rules(void **state)
{
    static const struct firewall_rules rules[] = {
        { "root", NULL, 0 }, { "root", "eth0", 0 }, { "root", "ppp*", 587 }, { "root", NULL, 587 }
    };
    static const char *const confs[] = {
        PLAIN, OFFICE("\"198.51.100.0/24\", \"10.0.0.0/8\", \"10.1.0.0/16\", \"192.0.2.7\", \"2001:db8::/32\"")
    };
    (void)state;
    if (geteuid() != 0 || access(NFT_PROGRAM, X_OK) != 0)
        skip(); /* only root may have nft check */
    for (size_t i = 0; i < COUNT(rules) * COUNT(confs); i++) {
        char path[] = "/tmp/postern-rules-XXXXXX";
        struct buffer out;
        int fd = mkstemp(path), status;
        assert_true(write_rules(confs[i % COUNT(confs)], &rules[i / COUNT(confs)], FIREWALL_RULES_MAX, &out));
        assert_int_equal(write(fd, buffer_text(&out), buffer_size(&out)), buffer_size(&out));
        close(fd);
        pid_t pid = fork();
        if (pid == 0) {
            if (unshare(CLONE_NEWNET) != 0)
                _exit(77);
            execl(NFT_PROGRAM, "nft", "-c", "-f", path, (char *)NULL);
            _exit(127);
        }
        waitpid(pid, &status, 0);
        unlink(path);
        buffer_fini(&out);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip(); /* no namespaces here */
        assert_int_equal(status, 0);
    }
}

/* --- the report --- */

#define NOW_MS (INT64_C(1795860900) * 1000) /* 2026-11-28T10:15:00Z */
#define SET(name, size, elements)                                                                                                \
    "{\"set\": {\"family\": \"inet\", \"name\": \"" name "\", \"table\": \"postern\", \"size\": " size                           \
    ", \"timeout\": 604800, \"elem\": [" elements "]}}"
#define ELEMENT(address, expires, packets)                                                                                       \
    "{\"elem\": {\"val\": \"" address "\", \"expires\": " expires ", \"counter\": {\"packets\": " packets ", \"bytes\": 60}}}"
#define EMPTY6        SET("tried6", "8", "") ", " SET("first6", "8", "")
#define LISTING(sets) "{\"nftables\": [{\"metainfo\": {\"version\": \"1.0.6\"}}, {\"table\": {\"name\": \"postern\"}}, " sets "]}"
#define ATTEMPT(address, family, first, last, count)                                                                             \
    "{\"address\":\"" address "\",\"family\":\"" family "\",\"first\":" first ",\"last\":\"" last "\",\"attempts\":" count "}"

static void listings_become_attempts(void **state)
{
    static const struct {
        const char *listing, *values; /* NULL: it is none */
        bool full;
    } cases[] = {
        { "", NULL, false },
        { "[]", NULL, false },
        { "{\"nftables\": 7}", NULL, false },
        { "{\"nftables\": [7, {\"set\": null}, {\"set\": {\"name\": 7}}]}", NULL, false },
        { LISTING(SET("tried4", "8", "")), NULL, false },
        { "{\"nftables\": [{\"set\": {\"name\": \"tried4\"}}, {\"set\": {\"name\": \"tried6\"}}]}", "[]", false },
        { LISTING(SET("tried4", "8", "") ", " EMPTY6), "[]", false },
        { LISTING(SET("tried4", "8", ELEMENT("192.0.2.7", "604790", "3")) ", " SET(
              "first4", "8", "{\"elem\": {\"val\": \"192.0.2.7\", \"expires\": 604000}}") ", " EMPTY6),
          "[" ATTEMPT("192.0.2.7", "IPv4", "\"2026-11-28T10:01:40.000Z\"", "2026-11-28T10:14:50.000Z", "3") "]", false },
        { LISTING(SET("tried4", "2", ELEMENT("192.0.2.7", "604800", "1") ", " ELEMENT("192.0.2.8", "604740", "20")) ", " SET(
              "tried6", "8", ELEMENT("2001:DB8:0::7", "604800", "5"))),
          "[" ATTEMPT("192.0.2.8", "IPv4", "null", "2026-11-28T10:14:00.000Z",
                      "20") "," ATTEMPT("2001:db8::7", "IPv6", "null", "2026-11-28T10:15:00.000Z",
                                        "5") "," ATTEMPT("192.0.2.7", "IPv4", "null", "2026-11-28T10:15:00.000Z", "1") "]",
          true },
        { LISTING(SET("tried4", "8", "{\"elem\": {\"val\": \"192.0.2.9\", \"timeout\": 3600, \"expires\": 3540}}") ", " EMPTY6),
          "[" ATTEMPT("192.0.2.9", "IPv4", "null", "2026-11-28T10:14:00.000Z", "0") "]", false },
        { LISTING(
              SET("tried4", "8",
                  "7, null, {\"elem\": 7}, \"192.0.2.1\", " ELEMENT("a; b", "1", "1") ", {\"elem\": {\"val\": 7}}") ", " EMPTY6),
          "[]", false },
        { LISTING(SET("tried4", "8", ELEMENT("192.0.2.7", "999999999999999999", "1")) ", " EMPTY6),
          "[" ATTEMPT("192.0.2.7", "IPv4", "null", "2026-11-28T10:15:00.000Z", "1") "]", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool full = false;
        json_t *values = firewall_report_read(span_of(cases[i].listing), NOW_MS, &full);
        char *text = values ? json_dumps(values, JSON_COMPACT) : NULL;
        if (!text != !cases[i].values || (text && strcmp(text, cases[i].values) != 0) || full != cases[i].full)
            fail_msg("case %zu: %s, full %d", i, text ? text : "none", full);
        free(text);
        json_decref(values);
    }
}

/* --- the program --- */

static void programs_that_fail_are_told(void **state)
{
    static const struct {
        const char *script;
        bool done;
        const char *told; /* the answer, or part of the reason */
    } cases[] = {
        { "echo \"$*\"", true, "-j list table inet postern\n" },
        { "cat; echo $LC_ALL $HOME", true, "C\n" },
        { "echo 'Error: No such file or directory' >&2; exit 1", false, "the rules are not loaded here" },
        { "echo x; printf 'Operation not \\033permitted\\nmore\\n' >&2; exit 1", false, " fails: Operation not \\x1bpermitted" },
        { "exit 3", false, " fails: it does not say why" },
        { "kill -9 $$", false, " fails: it does not say why" },
        { "while :; do echo 0123456789012345678901234567890123456789; done", false, " is larger than 200000 bytes" },
    };
    char path[] = "/tmp/postern-nft-XXXXXX", reason[NFT_REASON_SIZE];
    struct buffer out;
    (void)state;
    assert_non_null(mkdtemp(path));
    char program[64];
    text_format(program, sizeof program, "%s/nft", path);
    for (size_t i = 0; i < COUNT(cases); i++) {
        FILE *file = fopen(program, "w");
        assert_non_null(file);
        fprintf(file, "#!/bin/sh\n%s\n", cases[i].script);
        fclose(file);
        assert_int_equal(chmod(program, 0700), 0);
        buffer_init(&out, 200000);
        bool done = nft_list(program, &out, reason);
        if (done != cases[i].done || (done ? strcmp(buffer_text(&out), cases[i].told) != 0 : !strstr(reason, cases[i].told)))
            fail_msg("case %zu: %d, \"%s\", \"%s\"", i, done, done ? buffer_text(&out) : "", done ? "" : reason);
        buffer_fini(&out);
    }
    unlink(program);
    buffer_init(&out, 200000);
    assert_false(nft_list(program, &out, reason));
    assert_non_null(strstr(reason, "No such file or directory); install the package nftables"));
    buffer_fini(&out);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_name_what_the_configuration_says),
        cmocka_unit_test(rules_that_do_not_fit_are_told),
        cmocka_unit_test(interfaces_have_names_that_need_no_quoting),
        cmocka_unit_test(nft_accepts_the_rules),
        cmocka_unit_test(listings_become_attempts),
        cmocka_unit_test(programs_that_fail_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
