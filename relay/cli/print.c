/* One function an answer, in the order of the commands; what they print with is in screen.h. */
#include "print.h"

#include "../base/buffer.h"
#include "../base/text.h"
#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVENT_INDENT 23

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

/* What a site gets, and which row of the table of replies says so. */
static void print_pace(unsigned indent, const json_t *site)
{
    const json_t *rate = json_object_get(site, "rate");
    const char *row = screen_text_at(site, "row");
    char most[64] = "";
    if (!*row && !json_is_number(rate))
        return;
    if (json_is_number(rate))
        text_format(most, sizeof most, "%.2f messages a second, ", json_number_value(rate));
    printf("%*s", (int)indent, "");
    screen_flow_format(indent, indent, "at most %s%" PRId64 " connections%s%s", most, screen_number_at(site, "limit"),
                       *row ? "; row " : "", row);
}

static void print_site(const json_t *site)
{
    char shown[32];
    const char *next = screen_text_at(site, "next");
    printf("  ");
    screen_column(2, 38, screen_text_at(site, "site"));
    screen_flow_format(40, 40, " %-8s %6" PRId64 " waiting %3" PRId64 " open", screen_text_at(site, "state"),
                       screen_number_at(site, "waiting"), screen_number_at(site, "connections"));
    if (*next)
        printf("      tried again in %s\n", screen_away(next, shown));
    if (json_is_true(json_object_get(site, "alarm")))
        screen_flow_format(6, 6, "ALARM: this smart host cannot be used; its mail waits");
    print_pace(6, site);
    screen_wrapped(6, screen_text_at(site, "reply"));
}

static int64_t of_last_minute(const json_t *status, const char *what)
{
    return screen_number_at(json_object_get(json_object_get(status, "rates"), what), "minute");
}

static void print_stall(const json_t *stalled)
{
    char since[32];
    if (!json_is_object(stalled))
        return;
    screen_flow_format(0, 7, "ALARM: nothing at all has been delivered since %s, though mail waits",
                       screen_local_time(screen_text_at(stalled, "since"), since));
    screen_wrapped(7, screen_text_at(stalled, "reply"));
}

void print_status(const json_t *status)
{
    const json_t *queue = json_object_get(status, "queue"), *item;
    int64_t messages = screen_number_at(queue, "messages"), recipients = screen_number_at(queue, "recipients");
    char since[32], up[32];
    size_t i;
    screen_flow_format(0, 4, "postern %s, up since %s (%s)", screen_text_at(status, "version"),
                       screen_local_time(screen_text_at(status, "since"), since),
                       screen_away(screen_text_at(status, "since"), up));
    printf("\n");
    screen_flow_format(
        0, 7, "Queue: %" PRId64 " message%s to %" PRId64 " recipient%s: %" PRId64 " due, %" PRId64 " scheduled, %" PRId64 " held",
        messages, screen_plural(messages), recipients, screen_plural(recipients), screen_number_at(queue, "due"),
        screen_number_at(queue, "scheduled"), screen_number_at(queue, "held"));
    screen_flow_format(
        0, 7, "In the last minute: %" PRId64 " accepted, %" PRId64 " delivered, %" PRId64 " deferred, %" PRId64 " bounced",
        of_last_minute(status, "accepted"), of_last_minute(status, "delivered"), of_last_minute(status, "deferred"),
        of_last_minute(status, "bounced"));
    print_stall(json_object_get(status, "stalled"));
    int64_t damaged = screen_number_at(json_object_get(status, "spool"), "damaged");
    if (damaged)
        screen_flow_format(0, 7, "Spool: %" PRId64 " segment%s damaged; the log says what, and postern check where", damaged,
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
        screen_column(2, 38, screen_text_at(item, "account"));
        if (strcmp(screen_text_at(item, "state"), "suspended") == 0)
            screen_flow_format(40, 42, " suspended: %s", screen_text_at(item, "reason"));
        else
            screen_flow_format(40, 40, " over limit %s", screen_text_at(item, "limit"));
    }
    const json_t *store = json_object_get(status, "store");
    if (strcmp(screen_text_at(store, "state"), "away") == 0)
        screen_flow_format(0, 7, "Redis: away since %s (%s); limits count on this machine alone until it is back",
                           screen_local_time(screen_text_at(store, "since"), since),
                           screen_away(screen_text_at(store, "since"), up));
    json_array_foreach(json_object_get(status, "unavailable"), i, item)
    {
        printf("The %s role does not answer; it is being started again.\n",
               json_string_value(item) ? json_string_value(item) : "");
    }
}

static void print_recipient(const json_t *recipient)
{
    char shown[32], tried[48] = "", then[48] = "";
    const char *next = screen_text_at(recipient, "next");
    if (screen_number_at(recipient, "attempts"))
        text_format(tried, sizeof tried, " tried %" PRId64 "x", screen_number_at(recipient, "attempts"));
    if (*next)
        text_format(then, sizeof then, ", next in %s", screen_away(next, shown));
    printf("    to ");
    screen_column(7, 38, screen_text_at(recipient, "to"));
    screen_flow_format(45, 45, " %-9s%s%s", screen_text_at(recipient, "state"), tried, then);
    screen_wrapped(8, screen_text_at(recipient, "reply"));
}

void print_entry(const json_t *entry)
{
    const json_t *recipient;
    const char *account = screen_text_at(entry, "account"), *from = screen_text_at(entry, "from"),
               *headers = screen_text_at(entry, "headers");
    char arrived[32], age[32], bytes[32];
    size_t i;
    printf("%s  %s (%s ago)  %s  %s\n", screen_text_at(entry, "id"), screen_local_time(screen_text_at(entry, "arrived"), arrived),
           screen_away(screen_text_at(entry, "arrived"), age), size(screen_number_at(entry, "size"), bytes),
           screen_text_at(entry, "state"));
    printf("    ");
    screen_flow_format(4, 8, "from <%s> by %s", from,
                       *account                           ? account
                       : *screen_text_at(entry, "client") ? screen_text_at(entry, "client")
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
    const char *to = screen_text_at(event, "to"), *mx = screen_text_at(event, "mx"), *next = screen_text_at(event, "next");
    printf("  %s  ", screen_local_time(screen_text_at(event, "time"), shown));
    screen_flow_format(23, EVENT_INDENT, *to ? "%-9s %s" : "%s", screen_text_at(event, "event"), to);
    if (strcmp(screen_text_at(event, "event"), "accepted") == 0) {
        int64_t recipients = screen_number_at(event, "nrcpt");
        printf("%*s", EVENT_INDENT, "");
        screen_flow_format(EVENT_INDENT, EVENT_INDENT, "from <%s>, %s, %" PRId64 " recipient%s, %s",
                           screen_text_at(event, "from"),
                           *screen_text_at(event, "client") ? screen_text_at(event, "client") : "-", recipients,
                           screen_plural(recipients), size(screen_number_at(event, "size"), bytes));
    }
    if (*mx) {
        printf("%*s", EVENT_INDENT, "");
        screen_flow_format(EVENT_INDENT, EVENT_INDENT, "by %s, TLS %s, attempt %" PRId64, mx,
                           *screen_text_at(event, "tls") ? screen_text_at(event, "tls") : "none",
                           screen_number_at(event, "attempt"));
    }
    screen_wrapped(EVENT_INDENT, screen_text_at(event, "reply"));
    if (*next)
        printf("%*stried again at %s\n", EVENT_INDENT, "", screen_local_time(next, shown));
}

void print_life(const json_t *life)
{
    const char *account = screen_text_at(life, "account");
    const json_t *event;
    size_t i;
    screen_flow_format(0, 4, "%s  from <%s>%s%s, %s", screen_text_at(life, "id"), screen_text_at(life, "from"),
                       *account ? " by " : "", account, screen_text_at(life, "state"));
    json_array_foreach(json_object_get(life, "events"), i, event)
    {
        print_event(event);
    }
    if (json_is_true(json_object_get(life, "truncated")))
        printf("  … and more; the log has them all\n");
    if (json_array_size(json_object_get(life, "dialogue")))
        printf("What was said in the last attempt that failed:\n");
    json_array_foreach(json_object_get(life, "dialogue"), i, event)
    {
        screen_wrapped(2, json_string_value(event) ? json_string_value(event) : "");
    }
}

static void add_addresses(struct buffer *line, const json_t *object)
{
    const json_t *address;
    size_t i;
    json_array_foreach(json_object_get(object, "addresses"), i, address)
    {
        buffer_addf(line, "%s%s", i ? ", " : "", json_string_value(address) ? json_string_value(address) : "");
    }
}

static void print_host(const json_t *host)
{
    struct buffer line;
    buffer_init(&line, 8192);
    buffer_addf(&line, "%5" PRId64 "  %s", screen_number_at(host, "preference"), screen_text_at(host, "name"));
    if (screen_number_at(host, "port"))
        buffer_addf(&line, ":%" PRId64, screen_number_at(host, "port"));
    if (json_array_size(json_object_get(host, "addresses")))
        buffer_add_text(&line, "  ");
    add_addresses(&line, host);
    if (screen_number_at(host, "tlsa"))
        buffer_addf(&line, "  DANE, %" PRId64 " TLSA record%s", screen_number_at(host, "tlsa"),
                    screen_number_at(host, "tlsa") == 1 ? "" : "s");
    if (*screen_text_at(host, "problem"))
        buffer_addf(&line, "  %s", screen_text_at(host, "problem"));
    printf("  ");
    screen_flow(2, 9, buffer_text(&line));
    buffer_fini(&line);
}

/* What the configuration says of the account. */
static void print_entry_of(const char *account, const json_t *trace)
{
    const char *entry = screen_text_at(trace, "entry"), *class = screen_text_at(trace, "class");
    bool is_own = *entry && strcmp(entry, "*") != 0;
    printf("       ");
    screen_flow_format(7, 9, "account \"%s\"%s%s%s%s", account, is_own ? "" : " is not in the configuration",
                       *entry && !is_own ? "; \"*\" holds" : "", *class ? ", class " : "", class);
}

static void print_source(const json_t *source)
{
    const char *name = screen_text_at(source, "name");
    struct buffer line;
    buffer_init(&line, 8192);
    buffer_addf(&line, "%s%s", name, *name ? "  " : "");
    add_addresses(&line, source);
    buffer_addf(&line, " as %s", screen_text_at(source, "helo"));
    printf("         ");
    screen_flow(9, 13, buffer_text(&line));
    buffer_fini(&line);
}

/* Where the connections come from; nothing where that is not known. */
static void print_sources(const json_t *trace)
{
    const json_t *sources = json_object_get(trace, "sources"), *source;
    const char *pool = screen_text_at(trace, "source");
    size_t i;
    if (!json_is_string(json_object_get(trace, "source")))
        return;
    screen_flow_format(0, 7, "From:  %s%s%s",
                       *pool                      ? "pool \""
                       : json_array_size(sources) ? "delivery.source"
                                                  : "any address of this machine",
                       pool, *pool ? "\"" : "");
    json_array_foreach(sources, i, source)
    {
        print_source(source);
    }
}

void print_trace(const json_t *trace)
{
    const char *route = screen_text_at(trace, "route"), *site = screen_text_at(trace, "site"),
               *account = screen_text_at(trace, "account");
    bool has_sender = json_is_string(json_object_get(trace, "from"));
    const json_t *hosts = json_object_get(trace, "hosts"), *host;
    size_t i;
    screen_flow_format(0, 7, "Mail for %s%s%s%s%s%s goes %s%s%s", screen_text_at(trace, "address"), has_sender ? " from <" : "",
                       screen_text_at(trace, "from"), has_sender ? ">" : "", *account ? " by " : "", account,
                       *route ? "by route \"" : "to its MX hosts", route, *route ? "\"" : "");
    if (*account)
        print_entry_of(account, trace);
    screen_flow_format(0, 7, "Site:  %s (%s)", *site ? site : "none yet", screen_text_at(trace, "state"));
    print_pace(7, trace);
    print_sources(trace);
    bool policy = json_is_string(json_object_get(trace, "mta-sts"));
    screen_flow_format(0, 7, "TLS:   %s%s%s", screen_text_at(trace, "tls"), policy ? ", MTA-STS policy: " : "",
                       policy ? screen_text_at(trace, "mta-sts") : "");
    printf("Hosts:%s\n", json_array_size(hosts) ? "" : " none"); /* why, is the error behind it */
    json_array_foreach(hosts, i, host)
    {
        print_host(host);
    }
    if (*screen_text_at(trace, "reply"))
        screen_wrapped(2, screen_text_at(trace, "reply"));
}

/* What is left is left of the burst; the rate is what comes back. */
void print_limit(const json_t *limit)
{
    int64_t rate = screen_number_at(limit, "rate"), burst = screen_number_at(limit, "burst");
    const char *count = screen_text_at(limit, "count"), *per = screen_text_at(limit, "per");
    char left[160];
    if (!burst || burst == rate)
        text_format(left, sizeof left, "%" PRId64 " %s in %s left", rate, count, per);
    else
        text_format(left, sizeof left, "%" PRId64 " %s left (%" PRId64 " in %s)", burst, count, rate, per);
    screen_flow_format(0, 4, "%s  %s %s", screen_text_at(limit, "limit"), screen_text_at(limit, "key"),
                       screen_text_at(limit, "value"));
    printf("    ");
    screen_flow_format(4, 4, "%" PRId64 " of %s; then %s%s", screen_number_at(limit, "left"), left, screen_text_at(limit, "then"),
                       strcmp(screen_text_at(limit, "mode"), "observe") == 0 ? " (only observed)" : "");
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
    return strcmp(screen_text_at(a, name), screen_text_at(b, name)) == 0;
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
    bool bytes = strcmp(screen_text_at(row, "count"), "bytes") == 0;
    char much[32];
    if (bytes)
        size(screen_number_at(row, "units"), much);
    else
        text_format(much, sizeof much, "%" PRId64, screen_number_at(row, "units"));
    printf("  ");
    screen_column(2, WHO_WIDTH, is_of_all_keys(row) ? "all together" : screen_text_at(row, "value"));
    screen_flow_format(ROW_INDENT, ROW_INDENT, "%9" PRId64 "%12s%6zu  %s", screen_number_at(row, "questions"), much, count,
                       count ? screen_text_at(json_array_get(days, count - 1), "day") : "-");
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
        buffer_addf(&line, "%s%" PRId64 " on %s", i ? ", " : "", screen_number_at(day, "keys"), screen_text_at(day, "day"));
    }
    if (i)
        screen_wrapped(2, buffer_text(&line));
    buffer_fini(&line);
}

/* The limit that the row at FIRST tells of, with all rows from there on that do so, too. */
static void print_would_limit(const json_t *rows, size_t first)
{
    const json_t *head = json_array_get(rows, first);
    bool observed = strcmp(screen_text_at(head, "mode"), "observe") == 0;
    if (first)
        printf("\n");
    screen_flow_format(0, 4, "%s (%s by %s), %s %s:", screen_text_at(head, "limit"), screen_text_at(head, "count"),
                       screen_text_at(head, "key"), observed ? "only observed, would have been" : "in force, was",
                       participle(screen_text_at(head, "then")));
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
    int64_t n = screen_number_at(attempt, "attempts");
    const char *account = screen_text_at(attempt, "account"), *login = screen_text_at(attempt, "login"),
               *since = screen_text_at(attempt, "first");
    screen_flow_format(0, 4, "%s", screen_text_at(attempt, "address"));
    printf("    ");
    screen_flow_format(4, 4, "%" PRId64 " attempt%s since %s, the last %s (%s ago)", n, screen_plural(n),
                       *since ? screen_local_time(since, first) : "long ago",
                       screen_local_time(screen_text_at(attempt, "last"), last),
                       screen_away(screen_text_at(attempt, "last"), ago));
    printf("    ");
    if (*account)
        screen_flow_format(4, 4, "account %s (last login from there %s ago)", account, screen_away(login, ago));
    else
        printf("account -\n");
}

void print_changed(const json_t *changed)
{
    int64_t n = screen_number_at(changed, "changed");
    printf("%" PRId64 " message%s\n", n, screen_plural(n));
}
