/* A metric is a row: its name, what it means, and where in the overview it stands. All are gauges but the events, which count from zero
 * again when the queue process is started anew, as Prometheus expects of a counter. */
#include "metrics.h"

#include "../base/text.h"

struct metric {
    const char *name;
    const char *help;
    const char *member;
    const char *word; /* 1 while the member says this, not a number; NULL: it is a number */
};

static const struct metric of_queue[] = {
    { "postern_queue_messages", "Messages in the queue.", "messages", NULL },
    { "postern_queue_recipients", "Recipients that have not got their message yet.", "recipients", NULL },
    { "postern_queue_recipients_due", "Recipients that are being sent to or wait for a connection.", "due", NULL },
    { "postern_queue_recipients_scheduled", "Recipients that wait for their next attempt.", "scheduled", NULL },
    { "postern_queue_recipients_held", "Recipients that are held until an administrator releases them.", "held", NULL },
};

static const struct metric of_site[] = {
    { "postern_site_waiting", "Recipients that wait at a site.", "waiting", NULL },
    { "postern_site_connections", "Connections to a site.", "connections", NULL },
    { "postern_site_connections_limit", "Connections that a site may have now.", "limit", NULL },
    { "postern_site_failures", "Failures in a row at a site.", "failures", NULL },
    { "postern_site_resting", "1 while a site is left alone after failures.", "state", "resting" },
    { "postern_site_slowed", "1 while a site gets less than it might, for what it replied.", "state", "slowed" },
};

static void describe_as(const struct metric *metric, const char *type, struct buffer *out)
{
    buffer_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, type);
}

static void describe(const struct metric *metric, struct buffer *out)
{
    describe_as(metric, "gauge", out);
}

/* The characters of a label's value (text format: backslash, quote and line end are escaped). */
static void add_label(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' || text.p[i] == '"')
            buffer_add_byte(out, '\\');
        buffer_add_byte(out, text.p[i] == '\n' ? ' ' : text.p[i]);
    }
}

static json_int_t value_of(const struct metric *metric, const json_t *object)
{
    const json_t *member = json_object_get(object, metric->member);
    if (metric->word)
        return json_is_string(member) && strcmp(json_string_value(member), metric->word) == 0;
    return json_integer_value(member);
}

static void print_queue(const json_t *queue, struct buffer *out)
{
    for (size_t i = 0; i < sizeof of_queue / sizeof *of_queue; i++) {
        describe(&of_queue[i], out);
        buffer_addf(out, "%s %lld\n", of_queue[i].name, (long long)value_of(&of_queue[i], queue));
    }
}

static void print_sites(const json_t *sites, struct buffer *out)
{
    size_t at;
    const json_t *site;
    for (size_t i = 0; i < sizeof of_site / sizeof *of_site && json_array_size(sites); i++) {
        describe(&of_site[i], out);
        json_array_foreach(sites, at, site)
        {
            buffer_addf(out, "%s{site=\"", of_site[i].name);
            add_label(out, span_of(json_string_value(json_object_get(site, "site"))));
            buffer_addf(out, "\"} %lld\n", (long long)value_of(&of_site[i], site));
        }
    }
}

/* What the queue did since its process began. */
static void print_rates(const json_t *rates, struct buffer *out)
{
    static const struct metric done = { "postern_events_total", "Messages accepted; recipients delivered, deferred, bounced.",
                                        NULL, NULL };
    const char *event;
    json_t *rate;
    describe_as(&done, "counter", out);
    json_object_foreach((json_t *)(uintptr_t)rates, event, rate)
    {
        buffer_addf(out, "%s{event=\"", done.name);
        add_label(out, span_of(event));
        buffer_addf(out, "\"} %lld\n", (long long)json_integer_value(json_object_get(rate, "total")));
    }
}

/* Whether each role that was asked answered. */
static void print_up(const json_t *overview, struct buffer *out)
{
    static const char *const roles[] = { "queue", "policy" };
    static const struct metric up = { "postern_up", "1 while a role answers.", NULL, NULL };
    const json_t *unavailable = json_object_get(overview, "unavailable"), *name;
    size_t at;
    describe(&up, out);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        bool away = false;
        json_array_foreach(unavailable, at, name) away = away || strcmp(json_string_value(name), roles[i]) == 0;
        buffer_addf(out, "%s{role=\"%s\"} %d\n", up.name, roles[i], !away);
    }
}

bool metrics_print(const json_t *overview, struct buffer *out)
{
    static const struct metric build = { "postern_info", "The version.", NULL, NULL };
    static const struct metric trouble = { "postern_accounts_in_trouble", "Accounts that reached a limit.", NULL, NULL };
    static const struct metric stalled = { "postern_delivery_stalled", "1 while nothing at all is delivered, though mail waits.",
                                           NULL, NULL };
    describe(&build, out);
    buffer_addf(out, "%s{version=\"%s\"} 1\n", build.name, POSTERN_VERSION);
    print_up(overview, out);
    print_queue(json_object_get(overview, "queue"), out);
    describe(&stalled, out);
    buffer_addf(out, "%s %d\n", stalled.name, json_is_object(json_object_get(overview, "stalled")));
    print_rates(json_object_get(overview, "rates"), out);
    describe(&trouble, out);
    buffer_addf(out, "%s %zu\n", trouble.name, json_array_size(json_object_get(overview, "accounts")));
    print_sites(json_object_get(overview, "sites"), out);
    return !out->overflow;
}
