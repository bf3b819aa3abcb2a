/* What limits have counted, for a person. A limit's table may have a million keys; so an answer is bounded (ADMIN_ROWS_MAX),
 * begins with those used last, which are the ones that somebody asks about, and says so where it was cut. It is made in one go:
 * at 200 bytes a row that is 2 MB and some tens of milliseconds, in which policy answers nobody; it is an administrator who
 * asks.
 *
 * With a filter the answer has a row for each limit that counts for the account or client, used or not: "how much has she left"
 * is the question then. Where an account is, and who is at a client, is not known; a limit that is for some networks or accounts only is told
 * of where it may count. Without one, keys that have used nothing are left out, since the table forgets them when it likes.
 *
 * An account is in trouble while nothing more fits, and for some minutes after it was refused: a bucket that has regained one
 * recipient a second ago would else look healthy in every other `postern status`. Names are the clients' words and are escaped.
 */
#include "admin.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "../relay/conf/values.h"

#include <jansson.h>
#include <stdlib.h>

#define TROUBLE_MS (5 * 60 * 1000) /* who was refused so lately is in trouble, though a little would fit */

struct rows {
    const struct limit *limit;
    admin_send send;
    void *context;
    size_t count;
    bool stopped, more;
};

/* What a person may read of TEXT, and JSON may hold. */
static json_t *shown(struct span text)
{
    char escaped[4 * KEY_SIZE];
    text_escape(escaped, sizeof escaped, text);
    return json_string(escaped);
}

static json_t *when(int64_t wait_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wait_ms == 0)
        return json_null();
    clock_rfc3339(clock_wall_ms() + wait_ms, text);
    return json_string(text);
}

static json_t *row_of(const struct limit *limit, const struct bucket *bucket)
{
    const struct conf_limit *conf = limit->conf;
    char per[32];
    values_time_print(conf->rate.per_ms, per);
    return json_pack("{s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o}", "limit", shown(span_of(conf->name)), "key",
                     key_name(conf->key), "value", shown(bucket->key), "count", limit_count_name(conf->count), "used",
                     (json_int_t)bucket->used, "left", (json_int_t)bucket->left, "burst",
                     (json_int_t)bucket_rule_of(limit->buckets).burst, "rate", (json_int_t)conf->rate.count, "per", per, "then",
                     limit_then_name(conf->then), "mode", limit->enforced ? "enforce" : "observe", "next", when(bucket->wait_ms));
}

bool admin_send_json(json_t *json, admin_send send, void *context)
{
    char *text = json_dumps(json, JSON_COMPACT);
    bool sent = text && send(context, text);
    free(text);
    json_decref(json);
    return sent;
}

static bool send_row(void *context, const struct bucket *bucket)
{
    struct rows *rows = context;
    if (!bucket->used)
        return true;
    rows->more = rows->count >= ADMIN_ROWS_MAX;
    if (rows->more)
        return false;
    rows->count++;
    rows->stopped = !admin_send_json(row_of(rows->limit, bucket), rows->send, rows->context);
    return !rows->stopped;
}

/* Do limits of KIND count for what FILTER names, an account or a client? */
static bool is_of_filter(enum conf_limit_key kind, const struct key_subject *filter)
{
    return filter->account.n ? kind == CONF_KEY_ACCOUNT : kind == CONF_KEY_CLIENT || kind == CONF_KEY_NETWORK;
}

/* FILTER, an account or a client, where SELECTOR may mean it: the account in that network, or the client with that account or class. */
static struct key_subject as_selected(const struct key_subject *filter, struct span selector)
{
    struct key_subject subject = *filter;
    struct netaddr_network network;
    bool is_network = netaddr_parse_network(selector, &network);
    if (filter->account.n && is_network)
        subject.client = network.address;
    if (filter->account.n || is_network)
        return subject;
    if (span_starts_nocase(selector, SPAN("class:")))
        subject.class = span_skip(selector, 6);
    else
        subject.account = selector;
    return subject;
}

/* Does LIMIT count for what FILTER names? Then KEY is what it counts by. */
static bool counts_for(const struct limit *limit, const struct key_subject *filter, char key[KEY_SIZE])
{
    const struct conf_strings *apply_to = &limit->conf->apply_to;
    if (!is_of_filter(limit->conf->key, filter))
        return false;
    bool counts = limit_is_about(limit, filter, key);
    for (size_t i = 0; i < apply_to->count && !counts; i++) {
        const struct key_subject subject = as_selected(filter, span_of(apply_to->items[i]));
        counts = limit_is_about(limit, &subject, key);
    }
    return counts;
}

/* What ASK filters by. NULL, or why it makes no sense. */
static const char *read_filter(const struct admin_ask *ask, struct key_subject *filter, char account[ACCOUNT_NAME_SIZE])
{
    struct span client = span_of_array(ask->client, sizeof ask->client);
    account_normal(span_of_array(ask->account, sizeof ask->account), account);
    filter->account = span_of(account);
    if (client.n && filter->account.n)
        return "limits count for an account or for a client; ask for one of them";
    if (client.n && !netaddr_parse(client, &filter->client))
        return "the client is no address; give one as 192.0.2.1 or 2001:db8::1";
    return NULL;
}

/* One limit's rows: that of the filter, or all. */
static void send_limit(struct rows *rows, const struct key_subject *filter, int64_t now_ms)
{
    char key[KEY_SIZE];
    if (!filter->account.n && !filter->client.family) {
        bucket_each(rows->limit->buckets, now_ms, send_row, rows);
        return;
    }
    if (!counts_for(rows->limit, filter, key))
        return;
    struct bucket bucket = bucket_look(rows->limit->buckets, span_of(key), now_ms);
    rows->count++;
    rows->stopped = !admin_send_json(row_of(rows->limit, &bucket), rows->send, rows->context);
}

enum admin_result admin_limits(struct judge *judge, const struct admin_ask *ask, int64_t now_ms, admin_send send, void *context,
                               char ret_reason[400])
{
    struct limit_set *limits = judge_limits(judge);
    struct rows rows = { .send = send, .context = context };
    struct key_subject asked = { .client = { .family = 0 } }, filter;
    char account[ACCOUNT_NAME_SIZE];
    const char *wrong = read_filter(ask, &asked, account);
    text_copy(ret_reason, 400, span_of(wrong));
    if (wrong)
        return ADMIN_REFUSED;
    judge_subject(judge, asked.account, &asked.client, &filter);
    for (size_t i = 0; i < limit_number(limits) && !rows.stopped && !rows.more; i++) {
        rows.limit = limit_at(limits, i);
        if (rows.limit->counted)
            send_limit(&rows, &filter, now_ms);
    }
    if (rows.more)
        text_format(ret_reason, 400, "only the first %d are shown; ask for one account or client", ADMIN_ROWS_MAX);
    return ADMIN_DONE;
}

struct suspended {
    const struct standing *standing;
    json_t *accounts;
};

struct trouble {
    const struct limit *limit;
    json_t *accounts;
};

static bool add_trouble(void *context, const struct bucket *bucket)
{
    struct trouble *trouble = context;
    bool over = bucket->wait_ms > 0 || (bucket->refused && bucket->used && bucket->idle_ms < TROUBLE_MS);
    if (over)
        json_array_append_new(trouble->accounts,
                              json_pack("{s:o, s:s, s:o, s:I, s:I, s:o}", "account", shown(bucket->key), "state", "limited",
                                        "limit", shown(span_of(trouble->limit->conf->name)), "used", (json_int_t)bucket->used,
                                        "left", (json_int_t)bucket->left, "next", when(bucket->wait_ms)));
    return json_array_size(trouble->accounts) < ADMIN_TROUBLE_MAX;
}

static bool add_suspended(void *context, struct span account)
{
    struct suspended *suspended = context;
    json_array_append_new(suspended->accounts,
                          json_pack("{s:o, s:s, s:o}", "account", shown(account), "state", "suspended", "reason",
                                    shown(span_of(standing_reason(suspended->standing, account)))));
    return json_array_size(suspended->accounts) < ADMIN_TROUBLE_MAX;
}

static json_t *store_of(const struct admin_store *store)
{
    char since[CLOCK_TEXT_SIZE];
    if (!store->redis)
        return json_pack("{s:s}", "kind", "local");
    clock_rfc3339(store->since_ms, since);
    return json_pack("{s:s, s:s, s:s}", "kind", "redis", "state", store->connected ? "connected" : "away", "since", since);
}

enum admin_result admin_status(struct limit_set *limits, const struct standing *standing, const struct admin_store *store,
                               int64_t now_ms, admin_send send, void *context)
{
    struct trouble trouble = { .accounts = json_array() };
    struct suspended suspended = { standing, trouble.accounts };
    standing_each(standing, true, add_suspended, &suspended);
    for (size_t i = 0; i < limit_number(limits); i++) {
        trouble.limit = limit_at(limits, i);
        if (trouble.limit->conf->key == CONF_KEY_ACCOUNT && trouble.limit->enforced &&
            trouble.limit->conf->then != CONF_THEN_SUSPEND)
            bucket_each(trouble.limit->buckets, now_ms, add_trouble, &trouble);
    }
    admin_send_json(json_pack("{s:o, s:o}", "accounts", trouble.accounts, "store", store_of(store)), send, context);
    return ADMIN_DONE;
}

/* What is told of WOULD, and of which keys. */
struct would_rows {
    const struct key_subject *filter;
    admin_send send;
    void *context;
    size_t count;
    bool more;
};

static json_t *date_of(uint32_t day)
{
    char text[CLOCK_TEXT_SIZE];
    clock_rfc3339((int64_t)day * 86400000, text);
    return json_stringn(text, strlen("2026-11-24"));
}

static json_t *days_of(const struct would_row *row)
{
    json_t *days = json_array();
    for (size_t i = 0; i < row->ndays; i++) {
        const struct would_day *day = &row->days[i];
        json_t *value = json_pack("{s:o, s:I, s:I}", "day", date_of(day->day), "questions", (json_int_t)day->questions, "units",
                                  (json_int_t)day->units);
        if (!row->value)
            json_object_set_new(value, "keys", json_integer(day->keys));
        json_array_append_new(days, value);
    }
    return days;
}

/* Is ROW one that FILTER leaves? All keys of a limit together are nobody's. */
static bool is_wanted(const struct would_row *row, const struct key_subject *filter)
{
    char key[KEY_SIZE];
    if (!filter->account.n && !filter->client.family)
        return true;
    return row->value && is_of_filter(row->key, filter) && key_of(row->key, filter, key) && strcmp(key, row->value) == 0;
}

static bool send_would(void *context, const struct would_row *row)
{
    struct would_rows *rows = context;
    if (!is_wanted(row, rows->filter))
        return true;
    rows->more = rows->more || (row->value && rows->count == ADMIN_WOULD_MAX);
    if (row->value && rows->count++ >= ADMIN_WOULD_MAX)
        return true;
    json_t *value =
        json_pack("{s:o, s:s, s:o, s:s, s:s, s:s, s:o, s:I, s:I}", "limit", shown(span_of(row->limit)), "key", key_name(row->key),
                  "value", row->value ? shown(span_of(row->value)) : json_null(), "count", limit_count_name(row->count), "mode",
                  row->enforced ? "enforce" : "observe", "then", limit_then_name(row->then), "days", days_of(row), "questions",
                  (json_int_t)row->questions, "units", (json_int_t)row->units);
    return admin_send_json(value, rows->send, rows->context);
}

enum admin_result admin_would(struct would *would, const struct admin_ask *ask, int64_t wall_ms, admin_send send, void *context,
                              char ret_reason[400])
{
    struct key_subject filter = { .client = { .family = 0 } };
    struct would_rows rows = { .filter = &filter, .send = send, .context = context };
    char account[ACCOUNT_NAME_SIZE];
    const char *wrong = read_filter(ask, &filter, account);
    text_copy(ret_reason, 400, span_of(wrong));
    if (wrong)
        return ADMIN_REFUSED;
    would_each(would, wall_ms, send_would, &rows);
    if (rows.more)
        text_format(ret_reason, 400, "only the first %d are shown; ask for one account or client", ADMIN_WOULD_MAX);
    return ADMIN_DONE;
}

enum admin_result admin_login_of(const struct logins *logins, const struct admin_ask *ask, int64_t wall_ms, admin_send send,
                                 void *context, char ret_reason[400])
{
    struct netaddr client;
    char address[NETADDR_TEXT_SIZE], account[ACCOUNT_NAME_SIZE], when_text[CLOCK_TEXT_SIZE];
    int64_t when_ms;
    ret_reason[0] = '\0';
    if (!netaddr_parse(span_of_array(ask->client, sizeof ask->client), &client)) {
        text_copy(ret_reason, 400, SPAN("the client is no address; give one as 192.0.2.1 or 2001:db8::1"));
        return ADMIN_REFUSED;
    }
    netaddr_print(&client, address);
    if (!logins_of(logins, &client, wall_ms, account, &when_ms)) {
        text_format(ret_reason, 400, "nobody is known to have logged in from %s", address);
        return ADMIN_NOT_FOUND;
    }
    clock_rfc3339(when_ms, when_text);
    admin_send_json(json_pack("{s:s, s:o, s:s}", "client", address, "account", shown(span_of(account)), "when", when_text), send,
                    context);
    return ADMIN_DONE;
}
