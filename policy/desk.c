/* One function a question, with as much of policy as it takes; the answers are made in admin.c and admin_account.c. */
#include "desk.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "admin.h"
#include "admin_account.h"

/* An administrator's question that is being answered. */
struct telling {
    struct peer *peer;
    uint64_t ticket;
};

/* Sends one JSON value, in as many pieces as it needs. */
static bool tell(void *context, const char *json)
{
    const struct telling *telling = context;
    struct admin_text piece = { .ticket = telling->ticket };
    struct span rest = span_of(json);
    do {
        struct span part = span_head(rest, sizeof piece.text);
        rest = span_skip(rest, part.n);
        piece.size = (uint32_t)part.n;
        piece.ends = rest.n == 0;
        memcpy(piece.text, part.p, part.n);
        if (!ipc_send(telling->peer->ipc, ADMIN_TEXT, &piece, offsetof(struct admin_text, text) + part.n, -1))
            return false;
    } while (rest.n);
    return true;
}

static enum admin_result tell_limits(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                     char reason[400])
{
    return admin_limits(policy->judge, ask, clock_monotonic_ms(), tell, telling, reason);
}

static enum admin_result tell_status(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                     char reason[400])
{
    struct admin_store store = { .redis = policy->sharing != NULL };
    (void)ask;
    (void)reason;
    if (policy->sharing)
        store.connected = sharing_is_connected(policy->sharing, &store.since_ms);
    return admin_status(decide_limits(policy->decide), judge_standing(policy->judge), &store, clock_monotonic_ms(), tell,
                        telling);
}

static enum admin_result tell_would(struct policy *policy, const struct admin_ask *ask, struct telling *telling, char reason[400])
{
    return admin_would(decide_would(policy->decide), ask, clock_wall_ms(), tell, telling, reason);
}

static enum admin_result tell_login_of(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                       char reason[400])
{
    return admin_login_of(judge_logins(policy->judge), ask, clock_wall_ms(), tell, telling, reason);
}

typedef enum admin_result (*admin_verb_of_policy)(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                                  char reason[400]);

static const admin_verb_of_policy admin_verbs[ADMIN_VERBS] = {
    [ADMIN_LIMITS] = tell_limits,
    [ADMIN_STATUS] = tell_status,
    [ADMIN_WOULD] = tell_would,
    [ADMIN_LOGIN_OF] = tell_login_of,
};

/* Those about an account need no more than the judge. */
static enum admin_result (*const account_verbs[ADMIN_VERBS])(struct judge *judge, const struct admin_ask *ask, admin_send send,
                                                             void *context, char ret_reason[400]) = {
    [ADMIN_ACCOUNT_LIST] = admin_account_list,
    [ADMIN_ACCOUNT_SHOW] = admin_account_show,
    [ADMIN_ACCOUNT_SUSPEND] = admin_account_suspend,
    [ADMIN_ACCOUNT_RESUME] = admin_account_resume,
};

void desk_answer(struct peer *peer, const struct admin_ask *ask)
{
    struct telling telling = { peer, ask->ticket };
    struct admin_end end = { .ticket = ask->ticket, .result = ADMIN_REFUSED };
    if (ask->verb < ADMIN_VERBS && admin_verbs[ask->verb])
        end.result = admin_verbs[ask->verb](peer->policy, ask, &telling, end.reason);
    else if (ask->verb < ADMIN_VERBS && account_verbs[ask->verb])
        end.result = account_verbs[ask->verb](peer->policy->judge, ask, tell, &telling, end.reason);
    else
        text_copy(end.reason, sizeof end.reason, SPAN("policy knows no answer to this; queue may"));
    ipc_send(peer->ipc, ADMIN_END, &end, offsetof(struct admin_end, reason) + strlen(end.reason), -1);
}
