/* The submission role: the moments of its life, and what happens at each. */
#include "../role/mains.h"
#include "ask_auth.h"
#include "ask_dns.h"
#include "ask_policy.h"
#include "ask_queue.h"
#include "front.h"
#include "listener.h"

#include <unistd.h>

static bool start(struct role *role)
{
    role->state = front_new(role);
    return role->state != NULL;
}

static void allow(struct role *role, struct sandbox *sandbox)
{
    (void)role;
    sandbox->duties = SANDBOX_ACCEPT;
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct front *front = role->state;
    if (kind == ROLE_AUTH)
        ask_auth_peer(front->auth, slot, fd);
    else if (kind == ROLE_DNS)
        ask_dns_peer(front->dns, slot, fd);
    else if (kind == ROLE_POLICY)
        ask_policy_peer(front->policy, slot, fd);
    else if (kind == ROLE_QUEUE)
        ask_queue_peer(front->queue, slot, fd);
    else
        close(fd);
}

static void listener(struct role *role, unsigned index, unsigned address, int fd)
{
    (void)address;
    if (role->draining)
        close(fd);
    else
        listener_new(role->state, index, fd);
}

static void drain(struct role *role)
{
    front_drain(role->state);
}

static void stop(struct role *role)
{
    struct front *front = role->state;
    front_free(&front);
    role->state = NULL;
}

int submission_main(int fd)
{
    static const struct role_steps steps = {
        .start = start, .sandbox = allow, .peer = peer, .listener = listener, .drain = drain, .stop = stop
    };
    struct role role = { .kind = ROLE_SUBMISSION };
    return role_run(&role, fd, &steps);
}
