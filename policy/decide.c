/* A question is turned into a subject (who asks, in normal form), then the rules are asked in turn, the first that says no writes the
 * reply. Whatever comes from outside is bounded and made printable before it stands in one: a reply line is ASCII, so bytes beyond
 * become "?". */
#include "decide.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "../relay/smtp/address.h"
#include "answer.h"
#include "judge.h"
#include "limit.h"
#include "sender.h"

#include <stdlib.h>

#define CLAIMS_SPARE_MAX 1024 /* claims that there is room for in memory that is kept */

struct decide {
    const struct conf *conf;
    struct account_table *accounts;
    struct seen *seen;
    struct would *would;
    struct limit_set *limits;
    struct judge *judge;    /* NULL: nobody is ever suspended */
    struct decision *spare; /* or NULL: to be used again, with what memory its claims have */
};

/* Who asks. */
struct subject {
    char account[ACCOUNT_NAME_SIZE];
    const struct conf_account *entry;
    struct span sender;
    struct key_subject key;
};

struct decision {
    struct subject subject; /* without what was only in the question: its sender and domains */
    struct claims claims;
    uint64_t ticket;
    bool batch;
    bool watched; /* a batch: more of the message is wanted */
    uint32_t count;
    struct policy_answer answer;   /* where it is no batch */
    struct policy_answer *answers; /* where it is one: NULL as long as all are plain */
};

struct decide *decide_new(const struct conf *conf)
{
    struct decide *decide = text_zalloc(sizeof *decide);
    decide->seen = seen_new(SEEN_MEMORY);
    decide->would = would_new();
    decide_settings(decide, conf);
    return decide;
}

static void decision_free(struct decision *decision)
{
    if (decision)
        claims_fini(&decision->claims);
    free(decision);
}

void decide_free(struct decide **decide)
{
    if (!*decide)
        return;
    account_free(&(*decide)->accounts);
    limit_free(&(*decide)->limits);
    seen_free(&(*decide)->seen);
    would_free(&(*decide)->would);
    decision_free((*decide)->spare);
    free(*decide);
    *decide = NULL;
}

void decide_settings(struct decide *decide, const struct conf *conf)
{
    decide->conf = conf;
    account_free(&decide->accounts);
    decide->accounts = account_new(conf);
    decide->limits = limit_new(conf, decide->seen, &decide->limits);
    limit_set_would(decide->limits, decide->would);
    decide_set_judge(decide, decide->judge);
}

void decide_set_judge(struct decide *decide, struct judge *judge)
{
    decide->judge = judge;
    if (judge)
        judge_settings(judge, decide->conf, decide->accounts, decide->limits);
}

struct limit_set *decide_limits(struct decide *decide)
{
    return decide->limits;
}

struct seen *decide_seen(struct decide *decide)
{
    return decide->seen;
}

struct would *decide_would(struct decide *decide)
{
    return decide->would;
}

/* Writes who asks as FROM says to *SUBJECT, for as long as FROM and ROOM last. */
static void make_subject(const struct decide *decide, const struct policy_subject *from, struct subject *subject,
                         char room[ADDRESS_KEY_SIZE])
{
    account_normal(span_of_array(from->account, sizeof from->account), subject->account);
    struct span account = span_of(subject->account);
    subject->entry = account_find(decide->accounts, account);
    subject->sender = span_of_array(from->sender, sizeof from->sender);
    subject->key = (struct key_subject){
        .client = from->client,
        .account = account,
        .class = span_of(subject->entry ? subject->entry->class : NULL),
        .sender_domain = address_domain(address_key(subject->sender, room)),
    };
}

/* "account alice", or who it is that may not. */
static const char *who(const struct subject *subject, char text[ANSWER_SHOWN_SIZE])
{
    char name[ANSWER_SHOWN_SIZE - 8];
    if (!subject->key.account.n)
        return "a client that has not logged in";
    text_escape(name, sizeof name, subject->key.account);
    text_format(text, ANSWER_SHOWN_SIZE, "account %s", name);
    return text;
}

static bool check_address(const struct decide *decide, const struct subject *subject, struct span address, const char *role,
                          const char *code, struct policy_answer *answer)
{
    char shown[ANSWER_SHOWN_SIZE], name[ANSWER_SHOWN_SIZE];
    if (sender_allowed(decide->conf, subject->entry, address))
        return true;
    text_escape(shown, sizeof shown, address);
    answer_say(answer, POLICY_REJECT, "%s 5.7.1 <%s> as %s is not for %s to use", code, shown, role, who(subject, name));
    return false;
}

static void slow(const struct limit_refusal *refusal, struct policy_answer *answer)
{
    answer->delay_ms = answer_delay(refusal);
}

static void hold(const struct limit_refusal *refusal, struct policy_answer *answer)
{
    answer_limit(answer, POLICY_HOLD, "", refusal);
}

static void refuse_by_limit(const struct limit_refusal *refusal, struct policy_answer *answer)
{
    if (limit_is_final(refusal))
        answer_limit(answer, POLICY_REJECT, "550 5.7.1 ", refusal);
    else
        answer_limit(answer, POLICY_DEFER, "450 4.7.1 ", refusal);
}

/* Nobody learns more of a suspended account's messages than that. False: it is none. */
static bool refuse_suspended(struct decide *decide, const struct subject *subject, struct policy_answer *answer)
{
    const struct standing *standing = decide->judge ? judge_standing(decide->judge) : NULL;
    if (!standing || !standing_is_suspended(standing, subject->key.account))
        return false;
    answer_suspended(answer, "550 5.7.1 ", subject->key.account, standing_reason(standing, subject->key.account),
                     decide->conf->postmaster);
    return true;
}

/* A limit that suspends is reached. Where the strike is not the last one, its limit begins anew and the question is settled once more. */
static enum limit_verdict strike(struct decide *decide, const struct subject *subject, struct limit_settling again,
                                 struct limit_refusal *refusal)
{
    if (!decide->judge || judge_strike(decide->judge, subject->key.account, refusal, again.now_ms))
        return LIMIT_SUSPEND;
    again.waits_ms = NULL;
    again.unshared = false;
    return limit_settle(decide->limits, &again, &subject->key, refusal);
}

static void settle(struct decide *decide, const struct subject *subject, const struct limit_settling *settling,
                   struct policy_answer *answer)
{
    static void (*const acts[])(const struct limit_refusal *refusal, struct policy_answer *answer) = {
        [LIMIT_SLOW] = slow,
        [LIMIT_HOLD] = hold,
        [LIMIT_REFUSE] = refuse_by_limit,
        [LIMIT_SUSPEND] = refuse_by_limit,
    };
    struct limit_refusal refusal;
    if (refuse_suspended(decide, subject, answer))
        return;
    enum limit_verdict verdict = limit_settle(decide->limits, settling, &subject->key, &refusal);
    if (verdict == LIMIT_SUSPEND)
        verdict = strike(decide, subject, *settling, &refusal);
    if (verdict != LIMIT_ALLOW && !refuse_suspended(decide, subject, answer))
        acts[verdict](&refusal, answer);
}

/* Most batches fit, as a whole. */
static bool settle_whole(struct decide *decide, const struct decision *decision, const struct limit_settling *settling)
{
    struct policy_answer answer;
    return decision->batch && !refuse_suspended(decide, &decision->subject, &answer) &&
           limit_settle_whole(decide->limits, settling);
}

/* What an account did is drawn in its curve: of a batch so many were ALLOWED. Is more of it wanted, since something speaks against it? */
static bool watch(struct decide *decide, const struct decision *decision, uint32_t allowed, int64_t now_ms)
{
    const struct subject *subject = &decision->subject;
    struct span account = subject->key.account;
    uint32_t refused = decision->count - allowed;
    if (!decide->judge || !account.n)
        return false;
    if (allowed) {
        limit_asked(decide->limits, &subject->key, allowed, now_ms);
        curve_note(judge_curve(decide->judge), account, CURVE_RECIPIENTS, allowed, clock_wall_ms());
    }
    if (refused)
        curve_note(judge_curve(decide->judge), account, CURVE_REFUSED, refused, clock_wall_ms());
    return standing_is_watched(judge_standing(decide->judge), account);
}

static struct decision *begin(struct decide *decide, const struct subject *subject, uint64_t ticket, uint32_t count)
{
    struct decision *decision = decide->spare ? decide->spare : text_zalloc(sizeof *decision);
    decide->spare = NULL;
    decision->subject = *subject;
    decision->subject.sender = SPAN("");
    decision->subject.key = (struct key_subject){ .client = subject->key.client, .account = span_of(decision->subject.account) };
    decision->ticket = ticket;
    decision->count = count;
    decision->answer.ticket = ticket; /* else it is zero, and so allows */
    return decision;
}

struct claims *decide_claims(struct decision *decision)
{
    return &decision->claims;
}

const struct policy_answer *decide_answer(const struct decision *decision, struct policy_rcpt_answer *ret_batch)
{
    if (!decision->batch)
        return &decision->answer;
    uint32_t before = ret_batch->told, told = decision->answers ? decision->count : 0;
    while (told && policy_is_plain(&decision->answers[told - 1]))
        told--;
    ret_batch->ticket = decision->ticket;
    ret_batch->count = decision->count;
    ret_batch->watched = decision->watched;
    ret_batch->told = told;
    if (told)
        memcpy(ret_batch->each, decision->answers, told * sizeof ret_batch->each[0]);
    if (before > told)
        memset(ret_batch->each + told, 0, (before - told) * sizeof ret_batch->each[0]);
    return NULL;
}

void decide_drop(struct decide *decide, struct decision **decision)
{
    struct decision *dropped = *decision;
    *decision = NULL;
    if (!dropped)
        return;
    free(dropped->answers);
    if (decide->spare || dropped->claims.room > CLAIMS_SPARE_MAX) {
        decision_free(dropped);
        return;
    }
    struct claims claims = dropped->claims;
    claims_clear(&claims);
    *dropped = (struct decision){ .claims = claims };
    decide->spare = dropped;
}

/* The place for the answer to QUESTION. */
static struct policy_answer *answer_to(struct decision *decision, uint32_t question)
{
    if (!decision->batch)
        return &decision->answer;
    if (!decision->answers)
        decision->answers = text_zalloc(decision->count * sizeof *decision->answers);
    return &decision->answers[question];
}

/* How many questions were looked at by whoever says WAITS_MS. */
static uint32_t looked_at(const struct decision *decision, const int64_t *waits_ms)
{
    uint32_t count = decision->count;
    for (size_t i = 0; waits_ms && i < decision->claims.count; i++)
        if (waits_ms[i] < 0 && decision->claims.items[i].question < count)
            count = decision->claims.items[i].question;
    return count;
}

void decide_end(struct decide *decide, struct decision *decision, const int64_t *waits_ms, bool unshared, int64_t now_ms)
{
    struct limit_settling settling = { &decision->claims, 0, waits_ms, unshared, now_ms };
    uint32_t count = looked_at(decision, waits_ms);
    uint32_t allowed = settle_whole(decide, decision, &settling) ? count : 0;
    for (uint32_t i = allowed; i < count; i++) {
        struct policy_answer *answer = answer_to(decision, i);
        settling.question = i;
        if (answer->verdict == POLICY_ALLOW)
            settle(decide, &decision->subject, &settling, answer);
        allowed += answer->verdict == POLICY_ALLOW || answer->verdict == POLICY_HOLD;
        if (answer->delay_ms && !waits_ms)
            count = i + 1;
    }
    decision->count = count;
    if (decision->batch)
        decision->watched = watch(decide, decision, allowed, now_ms);
    else if (decide->judge && count)
        decision->answer.watched = standing_is_watched(judge_standing(decide->judge), decision->subject.key.account);
}

struct decision *decide_begin_mail(struct decide *decide, const struct policy_mail *mail, int64_t now_ms)
{
    const struct limit_ask asks[] = {
        { .count = CONF_COUNT_MESSAGES, .n = 1 },
        { .count = CONF_COUNT_BYTES, .n = mail->size_bytes, .look = true },
        { .count = CONF_COUNT_HARD_BOUNCES, .n = 1, .look = true }, /* whether there were too many already */
        { .count = CONF_COUNT_SPAM_REPLIES, .n = 1, .look = true },
        { .count = CONF_COUNT_ABUSE_REPORTS, .n = 1, .look = true },
    };
    struct subject subject;
    char room[ADDRESS_KEY_SIZE];
    make_subject(decide, &mail->subject, &subject, room);
    struct decision *decision = begin(decide, &subject, mail->ticket, 1);
    if (!subject.sender.n || check_address(decide, &subject, subject.sender, "sender", "553", &decision->answer))
        limit_gather(decide->limits, &subject.key, asks, sizeof asks / sizeof *asks, 0, now_ms, &decision->claims);
    return decision;
}

static void gather_recipient(struct decide *decide, struct subject *subject, struct span to, unsigned question, int64_t now_ms,
                             struct claims *claims)
{
    char bytes[SMTP_ADDRESS_SIZE]; /* Bob and bob are hardly two people to whom somebody writes for the first time */
    char room[ADDRESS_KEY_SIZE];
    struct span recipient = address_key(span_lower(span_head(to, sizeof bytes), bytes), room), domain = address_domain(recipient);
    const struct limit_ask asks[] = {
        { .count = CONF_COUNT_RECIPIENTS, .n = 1 },
        { .count = CONF_COUNT_UNIQUE_RECIPIENTS, .n = 1, .whom = recipient },
        { .count = CONF_COUNT_FIRST_TIME_RECIPIENTS, .n = 1, .whom = recipient },
        { .count = CONF_COUNT_UNIQUE_DOMAINS, .n = 1, .whom = domain },
    };
    subject->key.recipient_domain = domain;
    limit_gather(decide->limits, &subject->key, asks, sizeof asks / sizeof *asks, question, now_ms, claims);
}

struct decision *decide_begin_rcpt(struct decide *decide, const struct policy_rcpt *rcpt, int64_t now_ms)
{
    uint32_t count = rcpt->count < POLICY_BATCH_MAX ? rcpt->count : POLICY_BATCH_MAX;
    struct subject subject;
    char room[ADDRESS_KEY_SIZE];
    make_subject(decide, &rcpt->subject, &subject, room);
    struct decision *decision = begin(decide, &subject, rcpt->ticket, count);
    decision->batch = true;
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++)
        gather_recipient(decide, &subject, policy_rcpt_next(rcpt, &at), i, now_ms, &decision->claims);
    return decision;
}

/* The From field as a whole: can it be read, and does it say one thing? */
static bool check_form(const struct policy_content *content, struct policy_answer *answer)
{
    bool has_sender = content->header_sender[0] != '\0';
    if (content->from_malformed || (content->from_fields && !content->from_count))
        answer_say(answer, POLICY_REJECT, "554 5.6.0 the From header cannot be read; mail programs could show different senders");
    else if (content->from_fields > 1)
        answer_say(answer, POLICY_REJECT, "550 5.7.1 the message has more than one From header");
    else if (content->from_count > POLICY_FROM_MAX)
        answer_say(answer, POLICY_REJECT, "550 5.7.1 the From header has more than %d addresses", POLICY_FROM_MAX);
    else if (content->from_count > 1 && !has_sender)
        answer_say(answer, POLICY_REJECT,
                   "550 5.7.1 a From header with several addresses needs a Sender header (RFC 5322 3.6.2)");
    return answer->verdict == POLICY_ALLOW;
}

/* Every address in From, since any of them may be what a receiver shows, and Sender. */
static bool check_header(const struct decide *decide, const struct subject *subject, const struct policy_content *content,
                         struct policy_answer *answer)
{
    struct span sender = span_of_array(content->header_sender, sizeof content->header_sender);
    if (!check_form(content, answer))
        return false;
    for (uint32_t i = 0; i < content->from_count; i++) {
        struct span from = span_of_array(content->from[i], sizeof content->from[i]);
        if (!check_address(decide, subject, from, "From", "550", answer))
            return false;
    }
    return !sender.n || check_address(decide, subject, sender, "Sender", "550", answer);
}

struct decision *decide_begin_content(struct decide *decide, const struct policy_content *content, int64_t now_ms)
{
    const struct limit_ask ask = { .count = CONF_COUNT_BYTES, .n = content->size_bytes };
    struct subject subject;
    char room[ADDRESS_KEY_SIZE];
    make_subject(decide, &content->subject, &subject, room);
    struct decision *decision = begin(decide, &subject, content->ticket, 1);
    if (!decide->conf->check_from_header || check_header(decide, &subject, content, &decision->answer))
        limit_gather(decide->limits, &subject.key, &ask, 1, 0, now_ms, &decision->claims);
    return decision;
}

/* Ends DECISION by what is counted here, and frees it. */
static void end_here(struct decide *decide, struct decision *decision, int64_t now_ms, struct policy_answer *ret_answer,
                     struct policy_rcpt_answer *ret_batch)
{
    decide_end(decide, decision, NULL, false, now_ms);
    const struct policy_answer *answer = decide_answer(decision, ret_batch);
    if (answer)
        *ret_answer = *answer;
    decide_drop(decide, &decision);
}

void decide_mail(struct decide *decide, const struct policy_mail *mail, int64_t now_ms, struct policy_answer *ret_answer)
{
    end_here(decide, decide_begin_mail(decide, mail, now_ms), now_ms, ret_answer, NULL);
}

void decide_rcpt(struct decide *decide, const struct policy_rcpt *rcpt, int64_t now_ms, struct policy_rcpt_answer *ret_answer)
{
    ret_answer->told = POLICY_BATCH_MAX; /* whatever it holds, none of it is to stay */
    end_here(decide, decide_begin_rcpt(decide, rcpt, now_ms), now_ms, NULL, ret_answer);
}

void decide_content(struct decide *decide, const struct policy_content *content, int64_t now_ms, struct policy_answer *ret_answer)
{
    end_here(decide, decide_begin_content(decide, content, now_ms), now_ms, ret_answer, NULL);
}
