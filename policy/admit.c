/* A limit of wrong passwords is asked before anything else is looked at, and its refusal is the same whether this password was right, in
 * words, in time, and in what it leaves: nothing is counted then, or the time of the next refusal would tell. So who guesses learns
 * nothing any more. For an account it does not hold from networks where it logged in before, or anybody could lock somebody out by
 * guessing. A suspension is told to the right password alone. */
#include "admit.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "answer.h"

/* REFUSAL as the answer to who comes in. */
static void refuse(const struct limit_refusal *refusal, struct policy_answer *answer)
{
    answer_limit(answer, limit_is_final(refusal) ? POLICY_REJECT : POLICY_DEFER, "421 4.7.0 ", refusal);
}

/* What comes of VERDICT, where REFUSAL says why. */
static void act(enum limit_verdict verdict, const struct limit_refusal *refusal, struct policy_answer *answer)
{
    if (verdict == LIMIT_SLOW)
        answer->delay_ms = answer_delay(refusal);
    else if (verdict != LIMIT_ALLOW)
        refuse(refusal, answer);
}

void admit_connect(struct judge *judge, const struct policy_connect *connect, int64_t now_ms, struct policy_answer *ret_answer)
{
    const struct limit_ask ask = { .count = CONF_COUNT_CONNECTIONS, .n = 1 };
    struct key_subject subject = { .client = connect->client };
    struct limit_refusal refusal;
    *ret_answer = (struct policy_answer){ .ticket = connect->ticket, .verdict = POLICY_ALLOW };
    act(limit_take(judge_limits(judge), &subject, &ask, 1, now_ms, &refusal), &refusal, ret_answer);
}

/* Were there so many wrong passwords that SUBJECT is not let in? */
static bool is_guessed_at(struct judge *judge, const struct key_subject *subject, int64_t now_ms, struct policy_answer *answer)
{
    const struct limit_ask look = { .count = CONF_COUNT_AUTH_FAILURES, .n = 1, .look = true };
    struct key_subject asked = *subject;
    struct limit_refusal refusal;
    if (logins_knows(judge_logins(judge), &subject->client, subject->account, clock_wall_ms()))
        asked.account = SPAN(""); /* the account's limits say nothing here; its client's do */
    act(limit_take(judge_limits(judge), &asked, &look, 1, now_ms, &refusal), &refusal, answer);
    if (answer->verdict == POLICY_ALLOW)
        return false;
    answer->delay_ms = ADMIT_GUESS_MS;
    return true;
}

/* SUBJECT logs in from its network, which may be a new one: as evidence it counts whatever comes of the login. */
static void enter(struct judge *judge, const struct key_subject *subject, int64_t now_ms, struct policy_answer *answer)
{
    char network[KEY_SIZE];
    struct limit_refusal refusal;
    if (standing_is_suspended(judge_standing(judge), subject->account) || !key_of(CONF_KEY_NETWORK, subject, network))
        return;
    const struct limit_ask ask = { .count = CONF_COUNT_LOGIN_NETWORKS, .n = 1, .whom = span_of(network) };
    judge_count(judge, subject, ask.count, ask.whom, now_ms);
    if (!standing_is_suspended(judge_standing(judge), subject->account))
        act(limit_take(judge_limits(judge), subject, &ask, 1, now_ms, &refusal), &refusal, answer);
}

static void welcome(struct judge *judge, const struct key_subject *subject, int64_t now_ms, struct policy_answer *answer)
{
    struct standing *standing = judge_standing(judge);
    logins_note(judge_logins(judge), &subject->client, subject->account, clock_wall_ms());
    enter(judge, subject, now_ms, answer);
    if (standing_is_suspended(standing, subject->account))
        answer_suspended(answer, "525 5.7.13 ", subject->account, standing_reason(standing, subject->account),
                         judge_postmaster(judge));
}

void admit_login(struct judge *judge, const struct policy_login *login, int64_t now_ms, struct policy_answer *ret_answer)
{
    char account[ACCOUNT_NAME_SIZE];
    struct key_subject subject;
    *ret_answer = (struct policy_answer){ .ticket = login->ticket, .verdict = POLICY_ALLOW };
    account_normal(span_of_array(login->account, sizeof login->account), account);
    judge_subject(judge, span_of(account), &login->client, &subject);
    if (is_guessed_at(judge, &subject, now_ms, ret_answer))
        return;
    if (login->accepted)
        welcome(judge, &subject, now_ms, ret_answer);
    else
        judge_count(judge, &subject, CONF_COUNT_AUTH_FAILURES, SPAN(""), now_ms);
}
