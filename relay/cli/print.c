#include "print.h"

#include "../base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WIDTH 80

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

/* TEXT on as many lines as it needs, each behind INDENT spaces, broken at spaces where there are some. */
static void wrapped(unsigned indent, const char *text)
{
    struct span rest = span_of(text);
    size_t room = WIDTH - indent;
    while (rest.n) {
        size_t n = rest.n < room ? rest.n : room;
        while (n < rest.n && n > room / 2 && rest.p[n] != ' ')
            n--;
        printf("%*s%.*s\n", (int)indent, "", (int)n, rest.p);
        rest = span_trim(span_skip(rest, n));
    }
}

static void print_site(const json_t *site)
{
    char shown[32];
    const char *next = text_at(site, "next");
    printf("  %-38.38s %-8s %6" PRId64 " waiting %3" PRId64 " open\n", text_at(site, "site"), text_at(site, "state"),
           number_at(site, "waiting"), number_at(site, "connections"));
    if (*next)
        printf("      tried again in %s\n", away(next, shown));
    wrapped(6, text_at(site, "reply"));
}

void print_status(const json_t *status)
{
    const json_t *queue = json_object_get(status, "queue"), *item;
    char since[32], up[32];
    size_t i;
    printf("postern %s, up since %s (%s)\n\n", text_at(status, "version"), local_time(text_at(status, "since"), since),
           away(text_at(status, "since"), up));
    printf("Queue: %" PRId64 " messages to %" PRId64 " recipients: %" PRId64 " due, %" PRId64 " scheduled, %" PRId64 " held\n",
           number_at(queue, "messages"), number_at(queue, "recipients"), number_at(queue, "due"), number_at(queue, "scheduled"),
           number_at(queue, "held"));
    printf("Sites:%s\n", json_array_size(json_object_get(status, "sites")) ? "" : " none in use, none in trouble");
    json_array_foreach(json_object_get(status, "sites"), i, item)
    {
        print_site(item);
    }
    printf("Accounts:%s\n", json_array_size(json_object_get(status, "accounts")) ? "" : " none in trouble");
    json_array_foreach(json_object_get(status, "accounts"), i, item)
    {
        printf("  %-38.38s over limit %s\n", text_at(item, "account"), text_at(item, "limit"));
    }
    json_array_foreach(json_object_get(status, "unavailable"), i, item)
    {
        printf("The %s role does not answer; it is being started again.\n",
               json_string_value(item) ? json_string_value(item) : "");
    }
}

static void print_recipient(const json_t *recipient)
{
    char shown[32];
    const char *next = text_at(recipient, "next");
    printf("    to %-42.42s %-9s", text_at(recipient, "to"), text_at(recipient, "state"));
    if (number_at(recipient, "attempts"))
        printf(" tried %" PRId64 "x", number_at(recipient, "attempts"));
    if (*next)
        printf(", next in %s", away(next, shown));
    printf("\n");
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
    printf("    from <%s> by %s\n", from,
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
    char shown[32];
    const char *to = text_at(event, "to"), *mx = text_at(event, "mx"), *next = text_at(event, "next");
    printf("  %s  %-9s", local_time(text_at(event, "time"), shown), text_at(event, "event"));
    if (*to)
        printf(" %s", to);
    if (strcmp(text_at(event, "event"), "accepted") == 0)
        printf(" from <%s>, %s, %" PRId64 " recipients, %s", text_at(event, "from"),
               *text_at(event, "client") ? text_at(event, "client") : "-", number_at(event, "nrcpt"),
               size(number_at(event, "size"), shown));
    printf("\n");
    if (*mx)
        printf("%*sby %s, TLS %s, attempt %" PRId64 "\n", 23, "", mx, *text_at(event, "tls") ? text_at(event, "tls") : "none",
               number_at(event, "attempt"));
    wrapped(23, text_at(event, "reply"));
    if (*next)
        printf("%*stried again at %s\n", 23, "", local_time(next, shown));
}

void print_life(const json_t *life)
{
    const char *account = text_at(life, "account");
    const json_t *event;
    size_t i;
    printf("%s  from <%s>%s%s, %s\n", text_at(life, "id"), text_at(life, "from"), *account ? " by " : "", account,
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
    size_t i;
    printf("  %5" PRId64 "  %s", number_at(host, "preference"), text_at(host, "name"));
    if (number_at(host, "port"))
        printf(":%" PRId64, number_at(host, "port"));
    json_array_foreach(json_object_get(host, "addresses"), i, address)
    {
        printf("%s%s", i ? ", " : "  ", json_string_value(address) ? json_string_value(address) : "");
    }
    printf("%s%s\n", *text_at(host, "problem") ? "  " : "", text_at(host, "problem"));
}

void print_trace(const json_t *trace)
{
    const char *route = text_at(trace, "route"), *site = text_at(trace, "site");
    const json_t *host;
    size_t i;
    printf("Mail for %s goes %s%s%s\n", text_at(trace, "address"), *route ? "by route \"" : "to its MX hosts", route,
           *route ? "\"" : "");
    printf("Site:  %s (%s)\n", *site ? site : "none yet", text_at(trace, "state"));
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
    printf("%-16.16s %-8s %-22.22s %" PRId64 " of %" PRId64 " %s in %s left; then %s%s\n", text_at(limit, "limit"),
           text_at(limit, "key"), text_at(limit, "value"), number_at(limit, "left"), number_at(limit, "rate"),
           text_at(limit, "count"), text_at(limit, "per"), text_at(limit, "then"),
           strcmp(text_at(limit, "mode"), "observe") == 0 ? " (only observed)" : "");
}

void print_changed(const json_t *changed)
{
    int64_t n = number_at(changed, "changed");
    printf("%" PRId64 " message%s\n", n, n == 1 ? "" : "s");
}
