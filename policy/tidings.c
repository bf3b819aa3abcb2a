#include "tidings.h"

#include "../relay/base/clock.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "../relay/channels/submission_policy.h"
#include "peers.h"

#include <stdlib.h>

static void hold_account(struct peer *peer, struct span account)
{
    struct account_hold hold = { .account = "" };
    text_copy(hold.account, sizeof hold.account, account);
    ipc_send(peer->ipc, ACCOUNT_HOLD, &hold, sizeof hold, -1);
}

static bool hold_one(void *context, struct span account)
{
    hold_account(context, account);
    return true;
}

struct kept_letter {
    char account[ACCOUNT_NAME_SIZE]; /* that it is about … */
    int64_t since_ms;                /* … and since when that is suspended */
    struct letter letter;
};

static bool has_letters(const struct policy *policy, struct span account)
{
    for (size_t i = 0; i < policy->nletters; i++)
        if (span_equal(span_of(policy->letters[i]->account), account))
            return true;
    return false;
}

/* For all letters about one account. */
static bool has_room(const struct policy *policy)
{
    return policy->nletters + JUDGE_LETTERS <= LETTERS_MAX;
}

/* One that cannot be sent now is sent when a queue process comes. */
static void send_letter(struct peer *queue, const struct kept_letter *kept)
{
    ipc_send(queue->ipc, LETTER, &kept->letter, offsetof(struct letter, text) + kept->letter.size, -1);
}

/* A channel keeps no more messages than that for who does not read yet. */
_Static_assert(STANDING_SUSPENDED + LETTERS_MAX <= IPC_BACKLOG_MAX, "who comes is told of all that are suspended at once");

void tidings_queue(struct peer *peer)
{
    struct policy *policy = peer->policy;
    struct accounts_told told = { 0 };
    if (!policy->opened)
        return; /* it comes again then */
    standing_each(judge_standing(policy->judge), true, hold_one, peer);
    ipc_send(peer->ipc, ACCOUNTS_TOLD, &told, sizeof told, -1);
    for (size_t i = 0; i < policy->nletters; i++)
        send_letter(peer, policy->letters[i]);
}

static bool write_one(void *context, struct span account)
{
    struct policy *policy = context;
    if (!has_room(policy))
        return false;
    if (!has_letters(policy, account))
        judge_write(policy->judge, account);
    return true;
}

/* Writes letters about those who are suspended and not told, as far as there is room: an earlier process ended before its letters were
 * stored, or there was no room before. It passes over no more accounts than have letters here. */
static void write_due(struct policy *policy)
{
    standing_each_untold(judge_standing(policy->judge), write_one, policy);
    policy->letters_late = policy->letters_late && !has_room(policy);
}

/* The letter that the queue knows by TICKET, out of those that are kept, or NULL. */
static struct kept_letter *take_letter(struct policy *policy, uint64_t ticket)
{
    for (size_t i = 0; i < policy->nletters; i++) {
        struct kept_letter *kept = policy->letters[i];
        if (kept->letter.ticket != ticket)
            continue;
        policy->letters[i] = policy->letters[--policy->nletters];
        return kept;
    }
    return NULL;
}

void tidings_stored(struct policy *policy, uint64_t ticket)
{
    struct standing *standing = judge_standing(policy->judge);
    struct kept_letter *kept = take_letter(policy, ticket);
    if (!kept)
        return;
    struct span account = span_of(kept->account);
    if (!has_letters(policy, account) && standing_since(standing, account) == kept->since_ms)
        standing_told(standing, account);
    free(kept);
    write_due(policy);
}

static bool end_sessions(void *context, struct span account)
{
    struct peer *peer = context;
    struct policy_end end = { .account = "" };
    text_copy(end.account, sizeof end.account, account);
    ipc_send(peer->ipc, POLICY_END, &end, sizeof end, -1);
    return true;
}

void tidings_submission(struct peer *peer)
{
    if (peer->policy->opened)
        standing_each(judge_standing(peer->policy->judge), true, end_sessions, peer);
}

void tidings_opened(struct policy *policy)
{
    write_due(policy);
    policy->opened = true;
    LIST_EACH(node, &policy->peers) {
        struct peer *peer = LIST_ENTRY(node, struct peer, node);
        if (peer->kind == ROLE_QUEUE)
            tidings_queue(peer);
        else if (peer->kind == ROLE_SUBMISSION)
            tidings_submission(peer);
    }
}

/* The judge's: an account is suspended. Its sessions end first. */
static void account_suspended(void *context, struct span account)
{
    struct policy *policy = context;
    LIST_EACH(node, &policy->peers) {
        struct peer *peer = LIST_ENTRY(node, struct peer, node);
        if (peer->kind == ROLE_SUBMISSION)
            end_sessions(peer, account);
        else if (peer->kind == ROLE_QUEUE)
            hold_account(peer, account);
    }
    machines_tell(&policy->machines, account);
}

static void account_resumed(void *context, struct span account)
{
    struct policy *policy = context;
    struct peer *queue = peers_queue(policy);
    struct account_free free_it = { .account = "" };
    text_copy(free_it.account, sizeof free_it.account, account);
    if (queue)
        ipc_send(queue->ipc, ACCOUNT_FREE, &free_it, sizeof free_it, -1);
    machines_tell(&policy->machines, account);
}

static void keep_letter(struct policy *policy, struct span account, const char *subject, const struct judge_letter *written)
{
    struct peer *queue = peers_queue(policy);
    struct kept_letter *kept = text_zalloc(sizeof *kept);
    struct letter *letter = &kept->letter;
    struct span cut = span_head(span_of(written->text), sizeof letter->text);
    text_copy(kept->account, sizeof kept->account, account);
    kept->since_ms = standing_since(judge_standing(policy->judge), account);
    if (!policy->last_ticket)
        policy->last_ticket = (uint64_t)clock_wall_ms() << 20;
    letter->ticket = ++policy->last_ticket;
    text_copy(letter->to, sizeof letter->to, span_of(written->to));
    text_copy(letter->subject, sizeof letter->subject, span_of(subject));
    letter->size = (uint32_t)cut.n;
    memcpy(letter->text, cut.p, cut.n);
    policy->letters[policy->nletters++] = kept;
    if (queue && policy->opened)
        send_letter(queue, kept);
}

/* The judge's. What is not kept is written again when there is room: all letters about an account or none, so that none is forgotten when
 * the other is stored. Those about an earlier suspension, which wait still, go first. */
static void letters_written(void *context, struct span account, const char *subject, const struct judge_letter *letters,
                            size_t count)
{
    struct policy *policy = context;
    if (has_letters(policy, account))
        return;
    if (policy->nletters + count > LETTERS_MAX) {
        if (!policy->letters_late)
            log_say(LOG_ERROR, "error", "letters about accounts are late: the queue has not stored the %zu before them",
                    policy->nletters);
        policy->letters_late = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        keep_letter(policy, account, subject, &letters[i]);
}

const struct judge_events tidings_events = { account_suspended, account_resumed, letters_written };

void tidings_drop(struct policy *policy)
{
    for (size_t i = 0; i < policy->nletters; i++)
        free(policy->letters[i]);
    policy->nletters = 0;
}
