/* Screens are made for 80 columns, so that they fit a terminal, a mail and a printed page; what does not fit in its column gets
 * lines of its own instead of being cut, since the end of a reply is often what matters.
 *
 * Columns are counted as a terminal shows them: an address or a reply may hold any UTF-8 (RFC 6531, RFC 6532), whose characters
 * take none, one or two. The C.UTF-8 locale is asked for that, whatever the caller's own is. Bytes that could move the cursor
 * never come this far: the daemon escapes them (text_escape), and --json gives the same text.
 *
 * A field that is missing reads as "" or 0: a newer or older daemon's answer is shown as far as it goes, during an upgrade too.
 * Times come in UTC and are shown by this machine's clock, as journalctl shows its own. */
#include "print.h"

#include "../base/buffer.h"
#include "../base/text.h"

#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define WIDTH        80
#define EVENT_INDENT 23

/* The text at NAME, or "". */
static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int64_t number_at(const json_t *object, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(object, name));
}

/* An RFC 3339 time in UTC to seconds since 1970; 0 where it is none. */
static time_t seconds_of(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

/* A time as the clock on the wall has it: "2026-11-24 22:15:03". */
static const char *local_time(const char *text, char shown[32])
{
    time_t seconds = seconds_of(text);
    struct tm tm;
    if (!seconds || !localtime_r(&seconds, &tm) || !strftime(shown, 32, "%Y-%m-%d %H:%M:%S", &tm))
        text_copy(shown, 32, SPAN("-"));
    return shown;
}

/* A span of time in its two largest units: "3m12s", "2d4h". */
static const char *duration(int64_t seconds, char shown[32])
{
    static const struct {
        int64_t size;
        char name;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;
    seconds = seconds < 0 ? 0 : seconds;
    while (i < 3 && seconds < units[i].size)
        i++;
    if (i == 3 || seconds % units[i].size < units[i + 1].size)
        text_format(shown, 32, "%" PRId64 "%c", seconds / units[i].size, units[i].name);
    else
        text_format(shown, 32, "%" PRId64 "%c%" PRId64 "%c", seconds / units[i].size, units[i].name,
                    seconds % units[i].size / units[i + 1].size, units[i + 1].name);
    return shown;
}

/* How long from now until (or since) TEXT. */
static const char *away(const char *text, char shown[32])
{
    int64_t seconds = (int64_t)difftime(seconds_of(text), time(NULL));
    return duration(seconds < 0 ? -seconds : seconds, shown);
}

static const char *size(int64_t bytes, char shown[32])
{
    static const char units[] = "BKMGT";
    double value = (double)bytes;
    size_t i = 0;
    while (value >= 1024 && i + 2 < sizeof units) {
        value /= 1024;
        i++;
    }
    text_format(shown, 32, i && value < 10 ? "%.1f%c" : "%.0f%c", value, units[i]);
    return shown;
}

/* What makes a word for one of something a word for N. */
static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* --- columns --- */

/* How many columns of a terminal the character at the front of TEXT takes; *ret_n is how many bytes it has. */
static size_t character(struct span text, size_t *ret_n)
{
    static locale_t utf8;
    wchar_t wide;
    *ret_n = 1;
    if ((unsigned char)text.p[0] < 0x80)
        return 1;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return ((unsigned char)text.p[0] & 0xc0) != 0x80; /* a character's first byte stands for all of it */
    locale_t before = uselocale(utf8);
    size_t n = mbrtowc(&wide, text.p, text.n, &(mbstate_t){ 0 });
    int columns = n <= text.n ? wcwidth(wide) : 1;
    uselocale(before);
    *ret_n = n && n <= text.n ? n : 1;
    return columns < 0 ? 1 : (size_t)columns;
}

/* How many bytes of TEXT have room in COLUMNS columns; *ret_used is how many of these they take. */
static size_t fit(struct span text, size_t columns, size_t *ret_used)
{
    size_t at = 0, n;
    *ret_used = 0;
    while (at < text.n) {
        size_t wide = character(span_skip(text, at), &n);
        if (*ret_used + wide > columns)
            break;
        *ret_used += wide;
        at += n;
    }
    return at;
}

/* How many bytes of TEXT, N of which have room in a line, to put there: up to the last space in its second half where there is one. */
static size_t line_end(struct span text, size_t n)
{
    size_t end = n;
    while (n < text.n && end > n / 2 && text.p[end] != ' ')
        end--;
    return n < text.n && text.p[end] == ' ' && end > n / 2 ? end : n;
}

/* TEXT from column AT on, where the cursor stands, and on as many lines more as it needs, each behind INDENT spaces. */
static void flow(size_t at, size_t indent, const char *text)
{
    struct span rest = span_of(text);
    do {
        size_t used, n = line_end(rest, fit(rest, at < WIDTH ? WIDTH - at : 0, &used));
        if (rest.n && !n && at <= indent)
            character(rest, &n); /* no room at all: go on nevertheless */
        printf("%.*s\n", (int)n, rest.p);
        rest = span_trim(span_skip(rest, n));
        at = indent;
        if (rest.n)
            printf("%*s", (int)indent, "");
    } while (rest.n);
}

/* The same for a formatted text. */
__attribute__((format(printf, 3, 4))) static void flow_format(size_t at, size_t indent, const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    flow(at, indent, text);
}

/* TEXT, where there is one, on lines of its own behind INDENT spaces. */
static void wrapped(size_t indent, const char *text)
{
    if (!*text)
        return;
    printf("%*s", (int)indent, "");
    flow(indent, indent, text);
}

/* TEXT in a column of a table: from AT on and WIDE. One that is wider gets lines of its own, and the row goes on below. */
static void column(size_t at, size_t wide, const char *text)
{
    size_t used, n = fit(span_of(text), wide, &used);
    if (n == strlen(text)) {
        printf("%s%*s", text, (int)(wide - used), "");
    } else {
        flow(at, at + 2, text);
        printf("%*s", (int)(at + wide), "");
    }
}

/* --- the answers --- */

static void print_site(const json_t *site)
{
    char shown[32];
    const char *next = text_at(site, "next");
    printf("  ");
    column(2, 38, text_at(site, "site"));
    flow_format(40, 40, " %-8s %6" PRId64 " waiting %3" PRId64 " open", text_at(site, "state"), number_at(site, "waiting"),
                number_at(site, "connections"));
    if (*next)
        printf("      tried again in %s\n", away(next, shown));
    wrapped(6, text_at(site, "reply"));
}

void print_status(const json_t *status)
{
    const json_t *queue = json_object_get(status, "queue"), *item;
    int64_t messages = number_at(queue, "messages"), recipients = number_at(queue, "recipients");
    char since[32], up[32];
    size_t i;
    flow_format(0, 4, "postern %s, up since %s (%s)", text_at(status, "version"), local_time(text_at(status, "since"), since),
                away(text_at(status, "since"), up));
    printf("\n");
    flow_format(
        0, 7, "Queue: %" PRId64 " message%s to %" PRId64 " recipient%s: %" PRId64 " due, %" PRId64 " scheduled, %" PRId64 " held",
        messages, plural(messages), recipients, plural(recipients), number_at(queue, "due"), number_at(queue, "scheduled"),
        number_at(queue, "held"));
    int64_t damaged = number_at(json_object_get(status, "spool"), "damaged");
    if (damaged)
        flow_format(0, 7, "Spool: %" PRId64 " segment%s damaged; the log says what, and postern check where", damaged,
                    damaged == 1 ? "" : "s");
    printf("Sites:%s\n", json_array_size(json_object_get(status, "sites")) ? "" : " none in use, none in trouble");
    json_array_foreach(json_object_get(status, "sites"), i, item)
    {
        print_site(item);
    }
    printf("Accounts:%s\n", json_array_size(json_object_get(status, "accounts")) ? "" : " none in trouble");
    json_array_foreach(json_object_get(status, "accounts"), i, item)
    {
        printf("  ");
        column(2, 38, text_at(item, "account"));
        flow_format(40, 40, " over limit %s", text_at(item, "limit"));
    }
    json_array_foreach(json_object_get(status, "unavailable"), i, item)
    {
        printf("The %s role does not answer; it is being started again.\n",
               json_string_value(item) ? json_string_value(item) : "");
    }
}

static void print_recipient(const json_t *recipient)
{
    char shown[32], tried[48] = "", then[48] = "";
    const char *next = text_at(recipient, "next");
    if (number_at(recipient, "attempts"))
        text_format(tried, sizeof tried, " tried %" PRId64 "x", number_at(recipient, "attempts"));
    if (*next)
        text_format(then, sizeof then, ", next in %s", away(next, shown));
    printf("    to ");
    column(7, 38, text_at(recipient, "to"));
    flow_format(45, 45, " %-9s%s%s", text_at(recipient, "state"), tried, then);
    wrapped(8, text_at(recipient, "reply"));
}

void print_entry(const json_t *entry)
{
    const json_t *recipient;
    const char *account = text_at(entry, "account"), *from = text_at(entry, "from"), *headers = text_at(entry, "headers");
    char arrived[32], age[32], bytes[32];
    size_t i;
    printf("%s  %s (%s ago)  %s  %s\n", text_at(entry, "id"), local_time(text_at(entry, "arrived"), arrived),
           away(text_at(entry, "arrived"), age), size(number_at(entry, "size"), bytes), text_at(entry, "state"));
    printf("    ");
    flow_format(4, 8, "from <%s> by %s", from,
                *account                    ? account
                : *text_at(entry, "client") ? text_at(entry, "client")
                                            : "postern itself");
    json_array_foreach(json_object_get(entry, "recipients"), i, recipient)
    {
        print_recipient(recipient);
    }
    if (*headers)
        printf("\n%s", headers);
}

static void print_event(const json_t *event)
{
    char shown[32], bytes[32];
    const char *to = text_at(event, "to"), *mx = text_at(event, "mx"), *next = text_at(event, "next");
    printf("  %s  ", local_time(text_at(event, "time"), shown));
    flow_format(23, EVENT_INDENT, *to ? "%-9s %s" : "%s", text_at(event, "event"), to);
    if (strcmp(text_at(event, "event"), "accepted") == 0) {
        int64_t recipients = number_at(event, "nrcpt");
        printf("%*s", EVENT_INDENT, "");
        flow_format(EVENT_INDENT, EVENT_INDENT, "from <%s>, %s, %" PRId64 " recipient%s, %s", text_at(event, "from"),
                    *text_at(event, "client") ? text_at(event, "client") : "-", recipients, plural(recipients),
                    size(number_at(event, "size"), bytes));
    }
    if (*mx) {
        printf("%*s", EVENT_INDENT, "");
        flow_format(EVENT_INDENT, EVENT_INDENT, "by %s, TLS %s, attempt %" PRId64, mx,
                    *text_at(event, "tls") ? text_at(event, "tls") : "none", number_at(event, "attempt"));
    }
    wrapped(EVENT_INDENT, text_at(event, "reply"));
    if (*next)
        printf("%*stried again at %s\n", EVENT_INDENT, "", local_time(next, shown));
}

void print_life(const json_t *life)
{
    const char *account = text_at(life, "account");
    const json_t *event;
    size_t i;
    flow_format(0, 4, "%s  from <%s>%s%s, %s", text_at(life, "id"), text_at(life, "from"), *account ? " by " : "", account,
                text_at(life, "state"));
    json_array_foreach(json_object_get(life, "events"), i, event)
    {
        print_event(event);
    }
    if (json_is_true(json_object_get(life, "truncated")))
        printf("  … and more; the log has them all\n");
}

static void print_host(const json_t *host)
{
    const json_t *address;
    struct buffer line;
    size_t i;
    buffer_init(&line, 8192);
    buffer_addf(&line, "%5" PRId64 "  %s", number_at(host, "preference"), text_at(host, "name"));
    if (number_at(host, "port"))
        buffer_addf(&line, ":%" PRId64, number_at(host, "port"));
    json_array_foreach(json_object_get(host, "addresses"), i, address)
    {
        buffer_addf(&line, "%s%s", i ? ", " : "  ", json_string_value(address) ? json_string_value(address) : "");
    }
    if (*text_at(host, "problem"))
        buffer_addf(&line, "  %s", text_at(host, "problem"));
    printf("  ");
    flow(2, 9, buffer_text(&line));
    buffer_fini(&line);
}

void print_trace(const json_t *trace)
{
    const char *route = text_at(trace, "route"), *site = text_at(trace, "site");
    const json_t *host;
    size_t i;
    flow_format(0, 7, "Mail for %s goes %s%s%s", text_at(trace, "address"), *route ? "by route \"" : "to its MX hosts", route,
                *route ? "\"" : "");
    flow_format(0, 7, "Site:  %s (%s)", *site ? site : "none yet", text_at(trace, "state"));
    printf("TLS:   %s\n", text_at(trace, "tls"));
    printf("Hosts:\n");
    json_array_foreach(json_object_get(trace, "hosts"), i, host)
    {
        print_host(host);
    }
    if (*text_at(trace, "problem"))
        wrapped(0, text_at(trace, "problem"));
    if (*text_at(trace, "reply"))
        wrapped(2, text_at(trace, "reply"));
}

void print_limit(const json_t *limit)
{
    flow_format(0, 4, "%s  %s %s", text_at(limit, "limit"), text_at(limit, "key"), text_at(limit, "value"));
    printf("    ");
    flow_format(4, 4, "%" PRId64 " of %" PRId64 " %s in %s left; then %s%s", number_at(limit, "left"), number_at(limit, "rate"),
                text_at(limit, "count"), text_at(limit, "per"), text_at(limit, "then"),
                strcmp(text_at(limit, "mode"), "observe") == 0 ? " (only observed)" : "");
}

/* --- what limits did not let pass, or would not have --- */

#define WHO_WIDTH  34
#define ROW_INDENT (2 + WHO_WIDTH)

/* "deferred" for "defer". */
static const char *participle(const char *then)
{
    static const struct {
        const char *then, *done;
    } words[] = { { "slow", "slowed down" },
                  { "defer", "deferred" },
                  { "reject", "rejected" },
                  { "hold", "held" },
                  { "suspend", "reason to suspend the account" } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].then, then) == 0)
            return words[i].done;
    return then;
}

static bool is_same(const json_t *a, const json_t *b, const char *name)
{
    return strcmp(text_at(a, name), text_at(b, name)) == 0;
}

/* Do rows A and B tell of one limit? */
static bool is_of_same_limit(const json_t *a, const json_t *b)
{
    return is_same(a, b, "limit") && is_same(a, b, "key") && is_same(a, b, "count") && is_same(a, b, "mode");
}

static bool is_of_all_keys(const json_t *row)
{
    return !json_is_string(json_object_get(row, "value"));
}

static void print_would_row(const json_t *row)
{
    const json_t *days = json_object_get(row, "days");
    size_t count = json_array_size(days);
    bool bytes = strcmp(text_at(row, "count"), "bytes") == 0;
    char much[32];
    if (bytes)
        size(number_at(row, "units"), much);
    else
        text_format(much, sizeof much, "%" PRId64, number_at(row, "units"));
    printf("  ");
    column(2, WHO_WIDTH, is_of_all_keys(row) ? "all together" : text_at(row, "value"));
    flow_format(ROW_INDENT, ROW_INDENT, "%9" PRId64 "%12s%6zu  %s", number_at(row, "questions"), much, count,
                count ? text_at(json_array_get(days, count - 1), "day") : "-");
}

/* How many keys were affected, day by day. */
static void print_keys(const json_t *row)
{
    const json_t *days = json_object_get(row, "days"), *day;
    struct buffer line;
    size_t i;
    buffer_init(&line, 8192);
    buffer_addf(&line, "affected: ");
    json_array_foreach(days, i, day)
    {
        buffer_addf(&line, "%s%" PRId64 " on %s", i ? ", " : "", number_at(day, "keys"), text_at(day, "day"));
    }
    if (i)
        wrapped(2, buffer_text(&line));
    buffer_fini(&line);
}

/* The limit that the row at FIRST tells of, with all rows from there on that do so, too. */
static void print_would_limit(const json_t *rows, size_t first)
{
    const json_t *head = json_array_get(rows, first);
    bool observed = strcmp(text_at(head, "mode"), "observe") == 0;
    if (first)
        printf("\n");
    flow_format(0, 4, "%s (%s by %s), %s %s:", text_at(head, "limit"), text_at(head, "count"), text_at(head, "key"),
                observed ? "only observed, would have been" : "in force, was", participle(text_at(head, "then")));
    printf("  %-*s%9s%12s%6s  %s\n", WHO_WIDTH, "who", "how often", "how much", "days", "last day");
    for (size_t i = first; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!is_of_same_limit(head, row))
            continue;
        print_would_row(row);
        if (is_of_all_keys(row))
            print_keys(row);
    }
}

void print_would(const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        size_t before = 0;
        while (before < i && !is_of_same_limit(json_array_get(rows, before), json_array_get(rows, i)))
            before++;
        if (before == i)
            print_would_limit(rows, i);
    }
}

void print_attempt(const json_t *attempt)
{
    char first[32], last[32], ago[32];
    int64_t n = number_at(attempt, "attempts");
    const char *account = text_at(attempt, "account"), *login = text_at(attempt, "login"), *since = text_at(attempt, "first");
    flow_format(0, 4, "%s", text_at(attempt, "address"));
    printf("    ");
    flow_format(4, 4, "%" PRId64 " attempt%s since %s, the last %s (%s ago)", n, plural(n),
                *since ? local_time(since, first) : "long ago", local_time(text_at(attempt, "last"), last),
                away(text_at(attempt, "last"), ago));
    printf("    ");
    if (*account)
        flow_format(4, 4, "account %s (last login from there %s ago)", account, away(login, ago));
    else
        printf("account -\n");
}

void print_changed(const json_t *changed)
{
    int64_t n = number_at(changed, "changed");
    printf("%" PRId64 " message%s\n", n, plural(n));
}
