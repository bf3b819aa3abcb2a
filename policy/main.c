/* The policy role: one process that counts for all of submission, so that a limit holds whichever process a client is at. Each
 * question is answered at once, from memory, or as soon as a Redis that is shared with other machines has answered (see flight.h); the
 * folder is only written (see store_local).
 *
 * Peers ask and are answered on their own channel; nothing of them is kept here, so that one that goes takes nothing along. What it
 * was allowed stays counted. */
#include "../relay/base/bundle.h"
#include "../relay/base/clock.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "../relay/role/mains.h"
#include "peers.h"
#include "policy.h"
#include "tidings.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define USER     "postern-queue"
#define SWEEP_MS 5000 /* also what a kill may cost of what is known of refusals, logins and evidence */

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    peers_add(role->state, kind, slot, fd);
}

static void sweep(void *context)
{
    struct policy *policy = context;
    limit_sweep(decide_limits(policy->decide), clock_monotonic_ms());
    would_flush(decide_would(policy->decide), false);
    judge_flush(policy->judge, false);
    timer_again(&policy->sweep, SWEEP_MS);
}

/* A folder that cannot be had is no reason not to serve: limits count in memory then, which is logged. */
static bool start(struct role *role)
{
    store_local_prepare(role->conf->policy.directory, USER);
    struct policy *policy = text_zalloc(sizeof *policy);
    policy->role = role;
    policy->decide = decide_new(role->conf);
    policy->judge = judge_new(&tidings_events, policy);
    machines_init(&policy->machines, policy->judge);
    decide_set_judge(policy->decide, policy->judge);
    flights_init(&policy->flights, policy->decide, peers_decided);
    list_init(&policy->peers);
    role->state = policy;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct policy *policy = role->state;
    policy->path = (struct sandbox_path){ role->conf->policy.directory, true };
    policy->may_connect = role->conf->policy.redis_store;
    sandbox->duties = SANDBOX_READ_FILES | SANDBOX_WRITE_FILES | (policy->may_connect ? SANDBOX_CONNECT : 0u);
    sandbox->paths = &policy->path;
    sandbox->npaths = 1;
}

static void open_store(struct policy *policy)
{
    const struct conf *conf = policy->role->conf;
    if (conf->nlimits)
        policy->store = store_local_new(policy->role->loop, conf->policy.directory, decide_limits(policy->decide),
                                        decide_seen(policy->decide));
}

/* Shares limits through the Redis of the settings, or with nobody; what was shared before goes on where the settings are the same. */
static void open_sharing(struct policy *policy)
{
    const struct conf_policy *conf = &policy->role->conf->policy;
    char name[BUNDLE_NAME_MAX], password[1024] = "";
    if (conf->redis_store && !policy->may_connect)
        log_say(LOG_WARNING, "notice",
                "store = redis takes effect when postern is started again; until then limits are not shared");
    if (*conf->redis_password_file && text_format(name, sizeof name, "password:%s", conf->redis_password_file))
        text_copy(password, sizeof password, bundle_line(policy->role->secrets, name));
    const struct sharing_settings settings = { conf->redis, password, conf->redis_timeout_ms };
    bool wanted = conf->redis_store && policy->may_connect;
    if (policy->sharing)
        sharing_limits(policy->sharing, decide_limits(policy->decide)); /* those that it knows are gone after a reload */
    if (policy->sharing && wanted)
        sharing_change(policy->sharing, &settings);
    else if (!wanted)
        sharing_free(&policy->sharing);
    else
        policy->sharing =
            sharing_new(policy->role->loop, &settings, decide_limits(policy->decide), &machines_events, &policy->machines);
    flights_set_sharing(&policy->flights, policy->sharing);
    machines_set_sharing(&policy->machines, policy->sharing);
    OPENSSL_cleanse(password, sizeof password);
}

/* The sandbox is closed and the user is the role's: only now are files read that this user wrote. */
static void begin(struct role *role)
{
    struct policy *policy = role->state;
    open_store(policy);
    would_open(decide_would(policy->decide), role->conf->policy.directory);
    judge_open(policy->judge, role->conf->policy.directory);
    open_sharing(policy);
    tag_load(role->conf->policy.directory, &policy->reports.key);
    tidings_opened(policy);
    timer_set(&policy->sweep, role->loop, SWEEP_MS, sweep, policy);
}

static void settings(struct role *role)
{
    struct policy *policy = role->state;
    if (policy->sharing)
        sharing_settle(policy->sharing); /* what is under way is decided by the limits that it began with */
    decide_settings(policy->decide, role->conf);
    open_sharing(policy);
    if (policy->store)
        store_local_limits(policy->store, decide_limits(policy->decide));
    else
        open_store(policy);
}

static void stop(struct role *role)
{
    struct policy *policy = role->state;
    if (!policy)
        return;
    peers_drop(policy);
    flights_set_sharing(&policy->flights, NULL);
    machines_set_sharing(&policy->machines, NULL);
    machines_fini(&policy->machines);
    sharing_free(&policy->sharing);
    timer_fini(&policy->sweep);
    would_flush(decide_would(policy->decide), true);
    tidings_drop(policy);
    store_local_free(&policy->store);
    judge_flush(policy->judge, true); /* last, since it has the most files to write */
    decide_set_judge(policy->decide, NULL);
    judge_free(&policy->judge);
    decide_free(&policy->decide);
    free(policy);
    role->state = NULL;
}

int policy_main(int fd)
{
    static const struct role_steps steps = {
        .start = start,
        .sandbox = sandbox,
        .open = begin,
        .peer = peer,
        .settings = settings,
        .stop = stop,
    };
    struct role role = { .kind = ROLE_POLICY };
    return role_run(&role, fd, &steps);
}
