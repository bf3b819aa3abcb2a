/* The order matters in both directions. What can fail, certificates, comes before the writer's thread is started, so that a
 * start that fails has nothing to undo on another thread; and the channels' ends are there before the first session can ask
 * them. At the end sessions go first, as each may have a question open or an intake in the writer; then the writer (ask_queue),
 * which puts on the disk what was committed; then the rest.
 *
 * A drain has three things to wait for: sessions in a transaction, messages at the writer, and the callback that is running just
 * now, which may still hold a session. So the end is always told from the loop, by a timer of 0 ms, and looked at once more
 * there. */
#include "front.h"

#include "../base/text.h"
#include "arrival.h"
#include "ask_auth.h"
#include "ask_dns.h"
#include "ask_policy.h"
#include "ask_queue.h"
#include "certificates.h"
#include "clients.h"
#include "listener.h"
#include "session.h"
#include "tickets.h"

#include <stdlib.h>

static bool needs_tls(const struct conf *conf)
{
    for (size_t i = 0; i < conf->nlisteners; i++)
        if (conf->listeners[i].tls != CONF_LISTENER_NONE)
            return true;
    return false;
}

struct front *front_new(struct role *role)
{
    struct front *front = text_zalloc(sizeof *front);
    front->role = role;
    front->conf = role->conf;
    list_init(&front->listeners);
    list_init(&front->arrivals);
    list_init(&front->sessions);
    list_init(&front->ended);
    front->tickets = tickets_new();
    front->clients = clients_new();
    front->connections = text_zalloc((role->conf->nlisteners + 1) * sizeof *front->connections);
    front->auth = ask_auth_new(front);
    front->dns = ask_dns_new(front);
    front->policy = ask_policy_new(front);
    if (needs_tls(role->conf)) {
        front->certificates = certificates_new(role->conf, role->secrets);
        if (!front->certificates) {
            front_free(&front);
            return NULL;
        }
    }
    front->queue = ask_queue_new(front);
    return front;
}

void front_free(struct front **front)
{
    struct front *it = *front;
    if (!it)
        return;
    *front = NULL;
    listener_close_all(it);
    arrival_free_all(it);
    LIST_EACH(node, &it->sessions)
        session_free(LIST_ENTRY(node, struct session, node));
    ask_queue_free(&it->queue);
    ask_policy_free(&it->policy);
    ask_dns_free(&it->dns);
    ask_auth_free(&it->auth);
    certificates_free(&it->certificates);
    clients_free(&it->clients);
    tickets_free(&it->tickets);
    timer_fini(&it->finish);
    free(it->connections);
    free(it);
}

static void finished(void *context)
{
    struct front *front = context;
    if (list_empty(&front->sessions) && !front->committing)
        role_finished(front->role);
}

void front_settle(struct front *front)
{
    if (front->role->draining && list_empty(&front->sessions) && !front->committing)
        timer_set(&front->finish, front->role->loop, 0, finished, front);
}

void front_drain(struct front *front)
{
    listener_close_all(front);
    arrival_free_all(front);
    LIST_EACH(node, &front->sessions)
        session_drain(LIST_ENTRY(node, struct session, node));
    front_settle(front);
}
