/* Each signal does three things: it is kept as evidence, it stands in the curve, and every limit that counts it is asked. A strike's limit
 * begins anew for that account, so that the next strike needs as much again.
 *
 * The order of a suspension: written down and synced, logged, then told to queue and submission. A crash in between leaves the record,
 * and both are told when they meet the next policy process. */
#include "judge.h"

#include "../relay/base/clock.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "../relay/conf/values.h"
#include "../relay/smtp/address.h"
#include "letter.h"
#include "reply.h"

#include <stdlib.h>

#define SHOWN_SIZE       600
#define GENERAL_MESSAGES 10 /* an account that sent fewer says nothing about the relay */
#define GENERAL_SENDERS  10
#define GENERAL_PERCENT  30
#define GENERAL_MS       (10 * 1000) /* so long it is believed before all accounts are looked at again */

struct judge {
    const struct judge_events *events;
    void *context;
    const struct conf *conf;
    const struct account_table *accounts;
    struct limit_set *limits;
    struct standing *standing;
    struct logins *logins;
    struct curve *curve;
    const struct limit *general; /* the limit that gives no strikes … */
    int64_t general_until_ms;    /* … until then, monotonic */
};

struct judge *judge_new(const struct judge_events *events, void *context)
{
    struct judge *judge = text_zalloc(sizeof *judge);
    *judge = (struct judge){ .events = events, .context = context };
    judge->standing = standing_new();
    judge->logins = logins_new();
    judge->curve = curve_new();
    return judge;
}

void judge_free(struct judge **judge)
{
    if (!*judge)
        return;
    standing_free(&(*judge)->standing);
    logins_free(&(*judge)->logins);
    curve_free(&(*judge)->curve);
    free(*judge);
    *judge = NULL;
}

void judge_settings(struct judge *judge, const struct conf *conf, const struct account_table *accounts, struct limit_set *limits)
{
    judge->conf = conf;
    judge->accounts = accounts;
    judge->limits = limits;
    judge->general = NULL;
}

void judge_open(struct judge *judge, const char *folder)
{
    standing_open(judge->standing, folder);
    logins_open(judge->logins, folder);
}

void judge_flush(struct judge *judge, bool sync)
{
    logins_flush(judge->logins, sync);
    standing_flush(judge->standing, sync);
}

struct standing *judge_standing(struct judge *judge)
{
    return judge->standing;
}

struct logins *judge_logins(struct judge *judge)
{
    return judge->logins;
}

struct curve *judge_curve(struct judge *judge)
{
    return judge->curve;
}

struct limit_set *judge_limits(struct judge *judge)
{
    return judge->limits;
}

const char *judge_postmaster(const struct judge *judge)
{
    return judge->conf->postmaster;
}

void judge_subject(const struct judge *judge, struct span account, const struct netaddr *client, struct key_subject *ret_subject)
{
    const struct conf_account *entry = account_find(judge->accounts, account);
    *ret_subject = (struct key_subject){ .client = *client, .account = account };
    if (entry)
        ret_subject->class = span_of(entry->class);
}

static json_t *shown(struct span text)
{
    char escaped[SHOWN_SIZE];
    text_escape(escaped, sizeof escaped, text);
    return json_string(escaped);
}

static json_t *shown_client(const struct netaddr *client)
{
    char text[NETADDR_TEXT_SIZE];
    netaddr_print(client, text);
    return json_string(text);
}

static json_t *shown_id(struct uid id)
{
    char text[UID_TEXT_SIZE];
    uid_print(id, text);
    return json_string(text);
}

json_t *judge_networks(const struct judge *judge, struct span account)
{
    static struct logins_network networks[LOGINS_NETWORKS_MAX];
    char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    size_t n = logins_networks(judge->logins, account, clock_wall_ms(), networks);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        clock_rfc3339(networks[i].first_ms, first);
        clock_rfc3339(networks[i].last_ms, last);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "network", networks[i].text, "first", first, "last", last,
                                              "count", (json_int_t)networks[i].count));
    }
    return list;
}

void judge_write(struct judge *judge, struct span account)
{
    const struct conf_account *entry = account_find(judge->accounts, account);
    json_t *record = standing_show(judge->standing, account, clock_wall_ms());
    char subject[LETTER_SUBJECT_SIZE], name[100];
    struct judge_letter letters[JUDGE_LETTERS];
    struct buffer to_postmaster, to_user;
    size_t count = 0;
    buffer_init(&to_postmaster, LETTER_BUFFER_MAX);
    buffer_init(&to_user, LETTER_BUFFER_MAX);
    text_escape(name, sizeof name, account);
    text_format(subject, sizeof subject, "The account %s is suspended", name);
    letter_to_postmaster(record, judge->conf->hostname, &to_postmaster);
    letters[count++] = (struct judge_letter){ judge->conf->postmaster, buffer_text(&to_postmaster) };
    if (entry && entry->contact && *entry->contact) {
        letter_to_user(record, judge->conf->hostname, judge->conf->postmaster, &to_user);
        letters[count++] = (struct judge_letter){ entry->contact, buffer_text(&to_user) };
    }
    judge->events->letters(judge->context, account, subject, letters, count);
    buffer_fini(&to_postmaster);
    buffer_fini(&to_user);
    json_decref(record);
}

static void log_standing(const char *event, struct span account, const char *reason, const char *by)
{
    struct log_entry entry;
    log_begin(&entry, LOG_WARNING, event);
    log_text(&entry, "account", account);
    if (reason)
        log_string(&entry, "reason", reason);
    log_string(&entry, "by", by);
    log_end(&entry);
}

bool judge_suspend(struct judge *judge, struct span account, const struct judge_order *order)
{
    int64_t wall_ms = clock_wall_ms();
    if (standing_is_suspended(judge->standing, account))
        return false;
    json_t *evidence =
        json_pack("{s:o, s:o}", "networks", judge_networks(judge, account), "curve", curve_show(judge->curve, account, wall_ms));
    if (!standing_suspend(judge->standing, account, order->reason, order->by, evidence,
                          order->since_ms ? order->since_ms : wall_ms))
        return false;
    log_standing("suspended", account, order->reason, order->by);
    judge->events->suspended(judge->context, account);
    if (order->elsewhere)
        standing_told(judge->standing, account);
    else
        judge_write(judge, account);
    return true;
}

bool judge_resume(struct judge *judge, struct span account, const struct judge_order *order)
{
    limit_forget(judge->limits, account);
    if (!standing_resume(judge->standing, account, order->by, order->since_ms ? order->since_ms : clock_wall_ms()))
        return false;
    log_standing("resumed", account, NULL, order->by);
    judge->events->resumed(judge->context, account);
    return true;
}

/* How many accounts send, and of how many the mail is called spam. */
struct blame {
    const struct conf_limit *limit;
    size_t senders, blamed;
};

static void add_blame(void *context, struct span key, struct share share)
{
    struct blame *blame = context;
    (void)key;
    if (share.all < GENERAL_MESSAGES)
        return;
    blame->senders++;
    blame->blamed += (uint64_t)share.bad * 100 >= blame->limit->share * share.all;
}

/* Is it the relay's own address that is called a spammer, rather than one account? Then so many get to hear it that it says nothing
 * about any of them, and to suspend them one after the other would be the greater harm. */
static bool is_general(struct judge *judge, const struct limit *limit, int64_t now_ms)
{
    struct blame blame = { .limit = limit->conf };
    if (limit->conf->count != CONF_COUNT_SPAM_REPLIES || !limit->shares)
        return false;
    if (judge->general == limit && now_ms < judge->general_until_ms)
        return true;
    share_each(limit->shares, true, limit_wall_ms(judge->limits, now_ms), add_blame, &blame);
    if (blame.senders < GENERAL_SENDERS || blame.blamed * 100 < GENERAL_PERCENT * blame.senders)
        return false;
    log_say(LOG_WARNING, "notice",
            "mail of %zu accounts of %zu is called spam: this relay's address may be listed somewhere; limit %s gives no strikes "
            "meanwhile",
            blame.blamed, blame.senders, limit->conf->name);
    judge->general = limit;
    judge->general_until_ms = now_ms + GENERAL_MS;
    return true;
}

bool judge_strike(struct judge *judge, struct span account, const struct limit_refusal *refusal, int64_t now_ms)
{
    const struct conf_limit *limit = refusal->limit->conf;
    char text[SHOWN_SIZE], by[100], name[100], per[32];
    if (standing_is_suspended(judge->standing, account))
        return true;
    limit_clear(judge->limits, refusal->limit, span_of(refusal->key), now_ms);
    if (is_general(judge, refusal->limit, now_ms))
        return false;
    text_escape(name, sizeof name, span_of(limit->name));
    values_time_print(limit->rate.per_ms, per);
    text_format(text, sizeof text, "more than %llu %s in %s (limit %s)", (unsigned long long)limit->rate.count,
                limit_count_name(limit->count), per, name);
    text_format(by, sizeof by, "limit %s", name);
    json_t *strike = json_pack("{s:s, s:s}", "limit", name, "text", text);
    if (!standing_strike(judge->standing, account, (unsigned)limit->weight, strike, clock_wall_ms()))
        return false;
    judge_suspend(judge, account, &(struct judge_order){ .reason = text, .by = by });
    return true;
}

/* Counts what has happened to SUBJECT. */
static void count(struct judge *judge, const struct key_subject *subject, const struct limit_ask *ask, int64_t now_ms)
{
    struct limit_refusal refusal;
    if (limit_note(judge->limits, subject, ask, now_ms, &refusal) == LIMIT_SUSPEND && subject->account.n)
        judge_strike(judge, subject->account, &refusal, now_ms);
}

void judge_count(struct judge *judge, const struct key_subject *subject, enum conf_limit_count what, struct span whom,
                 int64_t now_ms)
{
    const struct limit_ask ask = { .count = what, .n = 1, .whom = whom };
    count(judge, subject, &ask, now_ms);
}

void judge_reply(struct judge *judge, const struct reply_bad *reply, int64_t now_ms)
{
    struct span enhanced = span_of_array(reply->enhanced, sizeof reply->enhanced);
    struct span text = span_of_array(reply->reply, sizeof reply->reply);
    enum reply_kind kind = reply_kind(judge->conf, reply->permanent, enhanced, text);
    char account[ACCOUNT_NAME_SIZE];
    struct key_subject subject;
    if (kind == REPLY_OTHER)
        return;
    account_normal(span_of_array(reply->account, sizeof reply->account), account);
    judge_subject(judge, span_of(account), &reply->client, &subject);
    const struct limit_ask ask = { .count = kind == REPLY_SPAM ? CONF_COUNT_SPAM_REPLIES : CONF_COUNT_HARD_BOUNCES, .n = 1 };
    curve_note(judge->curve, subject.account, kind == REPLY_SPAM ? CURVE_SPAM : CURVE_BOUNCED, 1, clock_wall_ms());
    json_t *signal =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "kind", limit_count_name(ask.count), "client", shown_client(&reply->client),
                  "id", shown_id(reply->id), "from", shown(span_of_array(reply->sender, sizeof reply->sender)), "to",
                  shown(span_of_array(reply->recipient, sizeof reply->recipient)), "text", shown(text));
    standing_signal(judge->standing, subject.account, signal, clock_wall_ms());
    count(judge, &subject, &ask, now_ms);
}

void judge_good(struct judge *judge, const struct replies_good *good, int64_t now_ms)
{
    char account[ACCOUNT_NAME_SIZE];
    struct key_subject subject;
    account_normal(span_of_array(good->account, sizeof good->account), account);
    judge_subject(judge, span_of(account), &good->client, &subject);
    curve_note(judge->curve, subject.account, CURVE_DELIVERED, good->count, clock_wall_ms());
    limit_good(judge->limits, &subject, good->count, now_ms);
}

void judge_refused(struct judge *judge, const struct policy_refused *refused, int64_t now_ms)
{
    const struct limit_ask ask = { .count = CONF_COUNT_HARD_BOUNCES, .n = 1 };
    char account[ACCOUNT_NAME_SIZE];
    struct key_subject subject;
    account_normal(span_of_array(refused->account, sizeof refused->account), account);
    judge_subject(judge, span_of(account), &refused->client, &subject);
    curve_note(judge->curve, subject.account, CURVE_BOUNCED, 1, clock_wall_ms());
    json_t *signal =
        json_pack("{s:s, s:o, s:o, s:s}", "kind", limit_count_name(ask.count), "client", shown_client(&refused->client), "to",
                  shown(span_of_array(refused->recipient, sizeof refused->recipient)), "text",
                  "its domain does not exist or takes no mail; refused at RCPT");
    standing_signal(judge->standing, subject.account, signal, clock_wall_ms());
    count(judge, &subject, &ask, now_ms);
}

/* From where the account sent the message is not known any more; what the report says of it is the reporter's word. */
void judge_report(struct judge *judge, struct span account, const struct policy_report *report, int64_t now_ms)
{
    const struct limit_ask ask = { .count = CONF_COUNT_ABUSE_REPORTS, .n = 1 };
    const struct netaddr unknown = { .family = 0 };
    char type[POLICY_TYPE_SIZE * 4], text[POLICY_TYPE_SIZE * 4 + 100], client[NETADDR_TEXT_SIZE];
    struct key_subject subject;
    judge_subject(judge, account, &unknown, &subject);
    netaddr_print(&report->client, client);
    text_escape(type, sizeof type, span_of_array(report->type, sizeof report->type));
    text_format(text, sizeof text, "reported as %s, handed in by %s", type, client);
    json_t *signal = json_pack("{s:s, s:o, s:o, s:s}", "kind", limit_count_name(ask.count), "id", shown_id(report->id), "to",
                               shown(span_of_array(report->recipient, sizeof report->recipient)), "text", text);
    standing_signal(judge->standing, account, signal, clock_wall_ms());
    count(judge, &subject, &ask, now_ms);
}

void judge_sample(struct judge *judge, const struct policy_sample *sample)
{
    char account[ACCOUNT_NAME_SIZE];
    account_normal(span_of_array(sample->account, sizeof sample->account), account);
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "id", shown_id(sample->id), "client", shown_client(&sample->client), "from",
                  shown(span_of_array(sample->sender, sizeof sample->sender)), "to",
                  shown(span_of_array(sample->recipient, sizeof sample->recipient)), "recipients",
                  (json_int_t)sample->nrecipients, "subject", shown(span_of_array(sample->subject, sizeof sample->subject)));
    standing_sample(judge->standing, span_of(account), json, clock_wall_ms());
}
