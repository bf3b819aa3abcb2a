/* Answers for people: no line is wider than 80 columns, whatever script it is in and however long its parts are; no character is cut in
 * two; nothing is left out; and values that are missing or of another kind do no harm. */
#include "../../../relay/cli/print.h"
#include "../../../relay/base/text.h"
#include "../../../relay/cli/print_account.h"
#include "capture.h"

#include <locale.h>
#include <time.h>
#include <wchar.h>

#define WIDTH 80

static struct capture capture;

/* What PRINT makes of the JSON text VALUE. */
static const char *print(void (*print_value)(const json_t *value), const char *value)
{
    json_error_t error;
    json_t *root = json_loads(value, JSON_DECODE_ANY, &error);
    if (!root)
        fail_msg("%s: %s", value, error.text);
    capture_begin(&capture);
    print_value(root);
    capture_end(&capture);
    json_decref(root);
    return capture.out;
}

/* How many columns LINE takes, or -1 where it is no UTF-8. */
static int columns(struct span line)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
    mbstate_t state = { 0 };
    int sum = 0;
    while (line.n && sum >= 0) {
        wchar_t wide;
        size_t n = mbrtowc(&wide, line.p, line.n, &state);
        sum = n > line.n ? -1 : sum + (wcwidth(wide) < 0 ? 1 : wcwidth(wide));
        line = span_skip(line, n);
    }
    uselocale(before);
    freelocale(utf8);
    return sum;
}

static void check_width(const char *text)
{
    if (*text && text[strlen(text) - 1] != '\n')
        fail_msg("no line end in \"%s\"", text);
    for (struct span rest = span_of(text); rest.n;) {
        struct span line = span_cut(&rest, '\n');
        if (columns(line) < 0 || columns(line) > WIDTH)
            fail_msg("%d columns: \"%.*s\"", columns(line), SPAN_ARGS(line));
    }
}

static void (*const printers[])(const json_t *value) = {
    print_status, print_entry, print_life, print_trace, print_limit, print_attempt, print_changed,
};

/* Every member that any of the printers looks at, each with the text %1$s or the number %2$s. */
static const char everything[] =
    "{\"version\": \"%1$s\", \"since\": \"2026-11-24T22:15:03Z\", \"queue\": {\"messages\": %2$s, \"recipients\": %2$s, \"due\": "
    "%2$s, "
    "\"scheduled\": %2$s, \"held\": %2$s}, \"sites\": [{\"site\": \"%1$s\", \"state\": \"resting\", \"waiting\": %2$s, "
    "\"connections\": "
    "%2$s, \"next\": \"2026-11-24T22:15:03Z\", \"row\": \"%1$s\", \"limit\": %2$s, \"rate\": 1.5, \"reply\": \"%1$s\"}], "
    "\"stalled\": {\"since\": \"2026-11-24T22:15:03Z\", \"reply\": \"%1$s\"}, \"accounts\": [{\"account\": \"%1$s\", \"limit\": "
    "\"%1$s\"}], "
    "\"id\": \"06h123zab6f4ssce0000\", \"arrived\": \"2026-11-24T22:15:03Z\", \"size\": %2$s, \"state\": \"scheduled\", "
    "\"from\": "
    "\"%1$s\", \"account\": \"%1$s\", \"client\": \"192.0.2.1\", \"recipients\": [{\"to\": \"%1$s\", \"state\": \"scheduled\", "
    "\"attempts\": %2$s, \"next\": \"2026-11-24T22:15:03Z\", \"reply\": \"%1$s\"}], \"events\": [{\"time\": "
    "\"2026-11-24T22:15:03Z\", "
    "\"event\": \"accepted\", \"from\": \"%1$s\", \"client\": \"%1$s\", \"nrcpt\": %2$s, \"size\": %2$s}, {\"event\": "
    "\"deferred\", "
    "\"to\": \"%1$s\", \"mx\": \"%1$s\", \"tls\": \"%1$s\", \"attempt\": %2$s, \"reply\": \"%1$s\", \"next\": "
    "\"2026-11-24T22:15:03Z\"}], "
    "\"truncated\": true, \"route\": \"%1$s\", \"site\": \"%1$s\", \"address\": \"%1$s\", \"tls\": \"verify\", "
    "\"class\": \"%1$s\", \"entry\": \"%1$s\", \"source\": \"%1$s\", \"sources\": [{\"name\": \"%1$s\", \"addresses\": "
    "[\"%1$s\", "
    "\"2001:db8:1111:2222:3333:4444:5555:6666\"], \"helo\": \"%1$s\"}], \"hosts\": "
    "[{\"preference\": "
    "%2$s, \"name\": \"%1$s\", \"port\": %2$s, \"addresses\": [\"%1$s\", \"%1$s\", \"2001:db8:1111:2222:3333:4444:5555:6666\"], "
    "\"problem\": \"%1$s\"}], \"problem\": \"%1$s\", \"reply\": \"%1$s\", \"limit\": \"%1$s\", \"key\": \"account\", \"value\": "
    "\"%1$s\", "
    "\"left\": %2$s, \"rate\": %2$s, \"count\": \"first-time-recipients\", \"per\": \"1h\", \"then\": \"suspend\", \"mode\": "
    "\"observe\", "
    "\"first\": \"2026-11-24T22:15:03Z\", \"last\": \"2026-11-24T22:15:03Z\", \"changed\": %2$s}";

#define E10 "eeeeeeeeee"
#define U10 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
#define W5  "\xe9\x83\xb5\xe4\xbb\xb6\xe9\x83\xb5\xe4\xbb\xb6\xe9\x83\xb5" /* two columns each */

static const char *const texts[] = {
    "",
    "a",
    "alice@example.net",
    E10 E10 E10 E10 E10 E10 E10 "@example.net",
    E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10,
    U10 U10 U10 U10 U10 U10 U10 U10 U10 "@" U10 U10,
    "a" W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5,
    W5 W5 W5 " " W5 W5 W5 W5 " " W5 W5 W5 W5 W5 W5 W5 W5 W5 W5 W5,
    "e\xcc\x81\xcc\x82\xcc\x83" E10 "\xcc\x81" E10 E10 E10 E10 E10 E10 E10 "e\xcc\x81\xcc\x82 end", /* marks of no width */
    "\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7 550 5.1.1 The mailbox that you tried to reach does not exist; look for a typing mistake",
    "550 5.7.1 one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen",
    "\\\\x1b[31mred\\\\x0d\\\\x0a",
};

/* TEXT without spaces and line ends. */
static void squeeze(const char *text, char *dest)
{
    for (; *text; text++)
        if (*text != ' ' && *text != '\n')
            *dest++ = *text;
    *dest = '\0';
}

static void no_line_is_too_wide(void **state)
{
    static const char *const numbers[] = { "0", "1", "12345", "2147483647" };
    static char value[16384], shown[CAPTURE_SIZE], wanted[2048];
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t j = 0; j < COUNT(numbers); j++) {
            snprintf(value, sizeof value, everything, texts[i], numbers[j]);
            for (size_t k = 0; k < COUNT(printers); k++) {
                print(printers[k], value);
                check_width(capture.out);
                squeeze(capture.out, shown);
                squeeze(texts[i], wanted);
                if (k < 6 && !strchr(texts[i], '\\') && !strstr(shown, wanted)) /* nothing is left out */
                    fail_msg("printer %zu leaves \"%s\" out of:\n%s", k, texts[i], capture.out);
            }
        }
    }
}

/* Rows of one limit stand together, whatever the order in which they came. */
static void would_is_put_together_by_limit(void **state)
{
    static const char rows[] =
        "[{\"limit\": \"hourly\", \"key\": \"account\", \"value\": \"alice\", \"count\": \"recipients\", \"mode\": \"observe\", "
        "\"then\": \"defer\", \"questions\": 12, \"units\": 240, \"days\": [{\"day\": \"2026-11-23\"}, {\"day\": "
        "\"2026-11-24\"}]}, "
        "{\"limit\": \"size\", \"key\": \"client\", \"value\": \"192.0.2.1\", \"count\": \"bytes\", \"mode\": \"enforce\", "
        "\"then\": \"reject\", \"questions\": 1, \"units\": 2097152, \"days\": [{\"day\": \"2026-11-24\"}]}, "
        "{\"limit\": \"hourly\", \"key\": \"account\", \"value\": \"bob\", \"count\": \"recipients\", \"mode\": \"observe\", "
        "\"then\": \"defer\", \"questions\": 1, \"units\": 1, \"days\": [{\"day\": \"2026-11-23\"}]}, "
        "{\"limit\": \"hourly\", \"key\": \"account\", \"value\": null, \"count\": \"recipients\", \"mode\": \"observe\", "
        "\"then\": \"defer\", \"questions\": 13, \"units\": 241, \"days\": [{\"day\": \"2026-11-23\", \"keys\": 2}, {\"day\": "
        "\"2026-11-24\", \"keys\": 1}]}]";
    (void)state;
    assert_string_equal(print(print_would, rows),
                        "hourly (recipients by account), only observed, would have been deferred:\n"
                        "  who                               how often    how much  days  last day\n"
                        "  alice                                    12         240     2  2026-11-24\n"
                        "  bob                                       1           1     1  2026-11-23\n"
                        "  all together                             13         241     2  2026-11-24\n"
                        "  affected: 2 on 2026-11-23, 1 on 2026-11-24\n"
                        "\n"
                        "size (bytes by client), in force, was rejected:\n"
                        "  who                               how often    how much  days  last day\n"
                        "  192.0.2.1                                 1        2.0M     1  2026-11-24\n");
    check_width(capture.out);
    print(print_would, "[{}, 7, {\"days\": 7, \"value\": 7}]");
    check_width(capture.out);
    for (size_t i = 0; i < COUNT(texts); i++) {
        static char value[4096];
        snprintf(value, sizeof value,
                 "[{\"limit\": \"%s\", \"value\": \"%s\", \"then\": \"%s\", \"questions\": 9223372036854775807, \"units\": "
                 "9223372036854775807, \"days\": [{\"day\": \"2026-11-24\"}]}]",
                 texts[i], texts[i], texts[i]);
        print(print_would, value);
        check_width(capture.out);
    }
}

static void other_kinds_do_no_harm(void **state)
{
    static const char *const values[] = {
        "{}",
        "[]",
        "7",
        "\"text\"",
        "null",
        "{\"since\": 7, \"queue\": [], \"sites\": {}, \"accounts\": 7, \"unavailable\": [7, null, {}]}",
        "{\"sites\": [7, null, []], \"accounts\": [7], \"recipients\": [7, []], \"events\": [null, 7], \"hosts\": [7, {}]}",
        "{\"hosts\": [{\"addresses\": [7, null], \"port\": -1, \"preference\": -99999}], \"size\": -1, \"changed\": -5}",
        "{\"arrived\": \"yesterday\", \"events\": [{\"time\": \"9999999999-01-01T00:00:00Z\"}, {\"time\": \"\"}]}",
        "{\"size\": 9223372036854775807, \"arrived\": \"9999-12-31T23:59:59Z\", \"changed\": 9223372036854775807}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        for (size_t k = 0; k < COUNT(printers); k++) {
            print(printers[k], values[i]);
            check_width(capture.out);
            assert_string_equal(capture.err, "");
        }
    }
}

static void screens_look_like_this(void **state)
{
    static const struct {
        void (*print)(const json_t *value);
        const char *value, *part;
    } cases[] = {
        { print_status, "{}", "Sites: none in use, none in trouble\nAccounts: none in trouble\n" },
        { print_status, "{\"queue\": {\"messages\": 1, \"recipients\": 2, \"held\": 3}}",
          "Queue: 1 message to 2 recipients: 0 due, 0 scheduled, 3 held\n" },
        { print_status, "{\"queue\": {\"messages\": 0, \"recipients\": 1}}", "Queue: 0 messages to 1 recipient: 0 due" },
        { print_status, "{\"sites\": [{\"site\": \"mx.example\", \"state\": \"open\", \"waiting\": 3, \"connections\": 1}]}",
          "Sites:\n  mx.example                             open          3 waiting   1 open\n" },
        { print_status,
          "{\"sites\": [{\"site\": \"mx.example\", \"state\": \"slowed\", \"rate\": 9.876, \"limit\": 5, \"row\": "
          "\"gmail-rate\", "
          "\"reply\": \"421 4.7.28 slower\"}]}",
          "0 open\n      at most 9.88 messages a second, 5 connections; row gmail-rate\n      421 4.7.28 slower\n" },
        { print_trace, "{\"site\": \"mx.example\", \"state\": \"slowed\", \"limit\": 5, \"row\": \"exim-connections\"}",
          "Site:  mx.example (slowed)\n       at most 5 connections; row exim-connections\nTLS:" },
        { print_status, "{\"stalled\": {\"since\": \"2026-11-24T22:15:03Z\", \"reply\": \"connection refused\"}}",
          "though mail\n       waits\n       connection refused\n" },
        { print_status, "{\"accounts\": [{\"account\": \"alice\", \"limit\": \"hourly\"}]}",
          "Accounts:\n  alice                                  over limit hourly\n" },
        { print_status, "{\"unavailable\": [\"queue\"]}", "The queue role does not answer; it is being started again.\n" },
        { print_entry, "{\"id\": \"x\", \"state\": \"held\", \"size\": 1536, \"from\": \"\", \"client\": \"\"}", "x  - (" },
        { print_entry, "{\"id\": \"x\", \"state\": \"held\", \"size\": 1536}",
          " ago)  1.5K  held\n    from <> by postern itself\n" },
        { print_entry, "{\"from\": \"a@b\", \"account\": \"alice\", \"client\": \"192.0.2.1\"}", "\n    from <a@b> by alice\n" },
        { print_entry, "{\"from\": \"a@b\", \"client\": \"192.0.2.1\", \"size\": 1023}",
          "1023B  \n    from <a@b> by 192.0.2.1\n" },
        { print_entry,
          "{\"recipients\": [{\"to\": \"c@d\", \"state\": \"scheduled\", \"attempts\": 2, \"reply\": \"450 later\"}]}",
          "\n    to c@d                                    scheduled tried 2x\n        450 later\n" },
        { print_entry, "{\"headers\": \"Subject: a\\n b\\n\"}", "\n\nSubject: a\n b\n" },
        { print_life, "{\"id\": \"x\", \"from\": \"a@b\", \"account\": \"alice\", \"state\": \"done\"}",
          "x  from <a@b> by alice, done\n" },
        { print_life, "{\"events\": [{\"event\": \"accepted\", \"from\": \"a@b\", \"nrcpt\": 2, \"size\": 100}]}",
          "accepted\n                       from <a@b>, -, 2 recipients, 100B\n" },
        { print_life, "{\"events\": [{\"event\": \"accepted\", \"from\": \"a@b\", \"nrcpt\": 1, \"size\": 100}]}",
          "from <a@b>, -, 1 recipient, 100B\n" },
        { print_life,
          "{\"events\": [{\"event\": \"delivered\", \"to\": \"c@d\", \"mx\": \"mx\", \"attempt\": 1, \"reply\": \"250 ok\"}]}",
          "delivered c@d\n                       by mx, TLS none, attempt 1\n                       250 ok\n" },
        { print_life, "{\"truncated\": true}", "and more; the log has them all\n" },
        { print_trace,
          "{\"address\": \"a@b\", \"state\": \"unused\", \"tls\": \"verify\", \"hosts\": [{\"preference\": 10, \"name\": "
          "\"mx\", \"port\": 25, \"addresses\": [\"192.0.2.1\", \"192.0.2.2\"]}]}",
          "Mail for a@b goes to its MX hosts\nSite:  none yet (unused)\nTLS:   verify\nHosts:\n     10  mx:25  192.0.2.1, "
          "192.0.2.2\n" },
        { print_trace, "{\"address\": \"a@b\", \"route\": \"*\", \"site\": \"s\", \"problem\": \"nothing\"}",
          "Mail for a@b goes by route \"*\"\nSite:  s ()\nTLS:   \nHosts: none\n" },
        { print_trace,
          "{\"address\": \"a@b\", \"from\": \"c@d\", \"account\": \"carol\", \"route\": \"sales\", \"class\": \"bulk\", "
          "\"entry\": \"carol\"}",
          "Mail for a@b from <c@d> by carol goes by route \"sales\"\n       account \"carol\", class bulk\nSite: " },
        { print_trace, "{\"address\": \"a@b\", \"from\": null, \"account\": \"carol\", \"class\": \"staff\", \"entry\": \"*\"}",
          "Mail for a@b by carol goes to its MX hosts\n       account \"carol\" is not in the configuration; \"*\" holds, class "
          "staff\nSite: " },
        { print_trace, "{\"address\": \"a@b\", \"from\": \"\", \"account\": \"carol\", \"class\": \"\", \"entry\": \"\"}",
          "Mail for a@b from <> by carol goes to its MX hosts\n       account \"carol\" is not in the configuration\nSite: " },
        { print_trace,
          "{\"source\": \"bulk\", \"sources\": [{\"name\": \"b1\", \"addresses\": [\"192.0.2.8\"], \"helo\": \"b1.example\"}, "
          "{\"name\": "
          "\"b2\", \"addresses\": [\"192.0.2.9\", \"2001:db8::9\"], \"helo\": \"b2.example\"}]}",
          "From:  pool \"bulk\"\n         b1  192.0.2.8 as b1.example\n         b2  192.0.2.9, 2001:db8::9 as "
          "b2.example\nTLS: " },
        { print_trace,
          "{\"source\": \"\", \"sources\": [{\"name\": \"\", \"addresses\": [\"192.0.2.7\"], \"helo\": \"r.example\"}]}",
          "From:  delivery.source\n         192.0.2.7 as r.example\nTLS: " },
        { print_trace, "{\"source\": \"\", \"sources\": []}", "From:  any address of this machine\nTLS: " },
        { print_limit,
          "{\"limit\": \"hourly\", \"key\": \"account\", \"value\": \"alice\", \"left\": 180, \"rate\": 200, \"count\": "
          "\"messages\", "
          "\"per\": \"1h\", \"then\": \"defer\"}",
          "hourly  account alice\n    180 of 200 messages in 1h left; then defer\n" },
        { print_limit,
          "{\"limit\": \"hourly\", \"key\": \"account\", \"value\": \"alice\", \"left\": 48, \"burst\": 50, \"rate\": 200, "
          "\"count\": "
          "\"recipients\", \"per\": \"1h\", \"then\": \"defer\"}",
          "\n    48 of 50 recipients left (200 in 1h); then defer\n" },
        { print_attempt,
          "{\"address\": \"2001:db8::2\", \"family\": \"IPv6\", \"first\": null, \"last\": \"2026-11-24T22:15:03Z\", "
          "\"attempts\": 3}",
          "2001:db8::2\n    3 attempts since long ago, the last 2026-11-24 " },
        { print_attempt, "{\"address\": \"192.0.2.7\", \"first\": \"2026-11-24T12:15:03Z\", \"attempts\": 1}",
          "192.0.2.7\n    1 attempt since 2026-11-24 " },
        { print_attempt, "{\"address\": \"192.0.2.7\", \"account\": null, \"login\": null}", " ago)\n    account -\n" },
        { print_attempt, "{\"address\": \"192.0.2.7\", \"account\": \"alice\", \"login\": \"2026-11-24T12:15:03Z\"}",
          "    account alice (last login from there " },
        { print_changed, "{\"changed\": 1}", "1 message\n" },
        { print_changed, "{\"changed\": 2}", "2 messages\n" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (!strstr(print(cases[i].print, cases[i].value), cases[i].part))
            fail_msg("case %zu: no\n%s\nin:\n%s", i, cases[i].part, capture.out);
}

static void long_texts_break_at_spaces(void **state)
{
    (void)state;
    print(print_trace,
          "{\"reply\": \"550 5.7.1 one two three four five six seven eight nine ten eleven twelve thirteen fourteen\"}");
    assert_non_null(strstr(
        capture.out, "\n  550 5.7.1 one two three four five six seven eight nine ten eleven twelve\n  thirteen fourteen\n"));
    print(print_trace, "{\"reply\": \"" E10 E10 E10 E10 E10 E10 E10 E10 E10 "\"}");
    assert_non_null(strstr(capture.out, "\n  " E10 E10 E10 E10 E10 E10 E10 "eeeeeeee\n  ee" E10 "\n"));
}

/* An account with one of everything that its answers may have. */
static const char account_members[] =
    "{\"account\": \"%1$s\", \"state\": \"%1$s\", \"reason\": \"%1$s\", \"since\": \"2026-11-24T22:15:03.000Z\", \"by\": "
    "\"%1$s\", "
    "\"weight\": %2$s, \"queued\": %2$s, \"held\": %2$s, \"strikes\": [{\"time\": \"2026-11-24T22:15:03.000Z\", \"weight\": "
    "%2$s, "
    "\"text\": \"%1$s\", \"forgiven\": true}, {}], \"signals\": [{\"time\": \"2026-11-24T22:15:03.000Z\", \"kind\": "
    "\"first-time-recipients\", \"client\": \"2001:db8:1111:2222:3333:4444:5555:6666\", \"id\": \"06h123zab6f4ssce0000\", "
    "\"from\": "
    "\"%1$s\", \"to\": \"%1$s\", \"text\": \"%1$s\"}, {}], \"networks\": [{\"network\": "
    "\"2001:db8:1111:2222:3333:4444:5555:6666/48\", "
    "\"first\": \"2026-11-24T22:15:03.000Z\", \"last\": \"2026-11-24T22:15:03.000Z\", \"count\": %2$s}], \"samples\": "
    "[{\"time\": "
    "\"2026-11-24T22:15:03.000Z\", \"id\": \"06h123zab6f4ssce0000\", \"client\": \"2001:db8:1111:2222:3333:4444:5555:6666\", "
    "\"from\": "
    "\"%1$s\", \"to\": \"%1$s\", \"recipients\": %2$s, \"subject\": \"%1$s\"}], \"curve\": [{\"hour\": "
    "\"2026-11-24T22:00:00.000Z\", "
    "\"recipients\": %2$s, \"refused\": %2$s, \"delivered\": %2$s, \"bounced\": %2$s, \"spam\": %2$s}], \"unavailable\": "
    "[\"queue\"]}";

static void accounts_are_not_too_wide(void **state)
{
    static void (*const account_printers[])(const json_t *value) = { print_account, print_account_row };
    static const char *const numbers[] = { "0", "1", "4294967295" };
    static char value[65536], shown[CAPTURE_SIZE], wanted[2048];
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t j = 0; j < COUNT(numbers); j++)
            for (size_t k = 0; k < COUNT(account_printers); k++) {
                snprintf(value, sizeof value, account_members, texts[i], numbers[j]);
                print(account_printers[k], value);
                check_width(capture.out);
                squeeze(capture.out, shown);
                squeeze(texts[i], wanted);
                if (!strchr(texts[i], '\\') && !strstr(shown, wanted))
                    fail_msg("printer %zu leaves \"%s\" out of:\n%s", k, texts[i], capture.out);
            }
}

static void an_account_as_it_is_shown(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    const char *shown = print(
        print_account,
        "{\"account\": \"alice\", \"state\": \"suspended\", \"reason\": \"more than 25 hard-bounces in 1d (limit bounces)\", "
        "\"since\": "
        "\"2020-11-24T22:15:03.000Z\", \"by\": \"limit bounces\", \"weight\": 100, \"queued\": 1, \"held\": 12, \"strikes\": "
        "[{\"time\": \"2020-11-24T22:15:03.000Z\", \"weight\": 100, \"text\": \"more than 25 hard-bounces\"}], \"curve\": "
        "[{\"hour\": "
        "\"2020-11-24T22:00:00.000Z\", \"recipients\": 500, \"bounced\": 26}]}");
    assert_non_null(strstr(shown, "alice is suspended\n    since 2020-11-24 22:15:03 ("));
    assert_non_null(strstr(shown, " ago), by limit bounces\n    more than 25 hard-bounces in 1d (limit bounces)\n"
                                  "Queue: 1 message, 12 held\nStrikes weigh 100; at 100 an account is suspended\nStrikes:\n"
                                  "  2020-11-24 22:15:03  weight 100  more than 25 hard-bounces\n"
                                  "Hour               recipients   refused  delivered  bounced   spam\n"
                                  "  2020-11-24 22:00        500         0          0       26      0\n"));
    assert_string_equal(print(print_account_row, "{\"account\": \"bob\", \"state\": \"active\", \"since\": null, \"weight\": 40, "
                                                 "\"strikes\": 1, \"signals\": 1}"),
                        "bob                                      active    strikes weigh 40, 1 signal\n");
    assert_string_equal(print(print_account_row, "{}"),
                        "                                                   strikes weigh 0, 0 signals\n");
    print(print_account, "{}");
    print(print_account, "{\"strikes\": 7, \"signals\": {}, \"curve\": [1, null], \"unavailable\": [5], \"since\": 7}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_line_is_too_wide),        cmocka_unit_test(accounts_are_not_too_wide),
        cmocka_unit_test(an_account_as_it_is_shown),  cmocka_unit_test(would_is_put_together_by_limit),
        cmocka_unit_test(other_kinds_do_no_harm),     cmocka_unit_test(screens_look_like_this),
        cmocka_unit_test(long_texts_break_at_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
