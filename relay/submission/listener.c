/* Processes share the listening sockets, so each takes a few connections at a time and leaves the others theirs. Who is refused is
 * told so in one plain line, before TLS, at no cost but that line. Where no descriptor is left the socket stays readable and an
 * event loop would spin: the listener rests for a moment instead, and its sessions go on. */
#include "listener.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "arrival.h"
#include "clients.h"
#include "session.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER_BATCH   8
#define LISTENER_REST_MS 200
#define LISTENER_LOG_MS  60000 /* between two complaints */

struct listener {
    struct list node;
    struct front *front;
    unsigned index;
    int fd;
    struct watch watch;
    struct timer rest;
    int64_t complained_ms;
};

static bool in_networks(const struct conf_networks *networks, const struct netaddr *client)
{
    for (size_t i = 0; i < networks->count; i++)
        if (netaddr_in_network(client, &networks->items[i]))
            return true;
    return false;
}

/* Counts CLIENT in at listener INDEX. NULL, or the reply that refuses it. */
static const char *admit(struct front *front, unsigned index, const struct netaddr *client)
{
    const struct conf_listener *listener = &front->conf->listeners[index];
    unsigned processes = front->role->processes ? front->role->processes : 1;
    uint64_t share = (listener->max_connections + processes - 1) / processes;
    if (listener->networks.count && !in_networks(&listener->networks, client))
        return "554 5.7.1 your address may not connect here";
    if (front->connections[index] >= share)
        return "421 4.7.0 too many connections; try again later";
    if (!clients_enter(front->clients, index, client, listener->max_connections_per_client))
        return "421 4.7.0 too many connections from your address";
    return NULL;
}

static void log_refused(const struct front *front, unsigned index, const struct netaddr *client, const char *reply)
{
    char text[NETADDR_TEXT_SIZE];
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "rejected");
    netaddr_print(client, text);
    log_string(&entry, "client", text);
    log_string(&entry, "listener", front->conf->listeners[index].name);
    log_string(&entry, "reply", reply);
    log_end(&entry);
}

/* Says REPLY to a socket that has no session. */
static void turn_away(int fd, const char *reply)
{
    char line[128];
    text_format(line, sizeof line, "%s\r\n", reply);
    if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

void listener_admit(struct front *front, unsigned index, int fd, const struct netaddr *client)
{
    const char *reply = admit(front, index, client);
    if (reply) {
        log_refused(front, index, client, reply);
        turn_away(fd, reply);
    } else {
        session_new(front, index, fd, client);
    }
}

static void take(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
    struct front *front = listener->front;
    const struct conf_listener *conf = &front->conf->listeners[listener->index];
    struct netaddr client;
    if (!netaddr_from_sockaddr((const struct sockaddr *)address, &client)) {
        close(fd);
        return;
    }
    /* Only a proxy's word about an address is taken. Whoever else comes here directly is a client like any other. */
    if (conf->proxy_protocol && in_networks(&conf->proxies, &client))
        arrival_new(front, listener->index, fd, &client);
    else
        listener_admit(front, listener->index, fd, &client);
}

static void rested(void *context)
{
    struct listener *listener = context;
    watch_want(&listener->watch, WATCH_READ);
}

static void rest(struct listener *listener)
{
    int64_t now = clock_monotonic_ms();
    if (!listener->complained_ms || now - listener->complained_ms > LISTENER_LOG_MS) {
        log_say(LOG_WARNING, "error", "Listener %s cannot accept a connection: %s; it tries again in a moment.",
                listener->front->conf->listeners[listener->index].name, strerror(errno));
        listener->complained_ms = now;
    }
    watch_want(&listener->watch, 0);
    timer_set(&listener->rest, listener->front->role->loop, LISTENER_REST_MS, rested, listener);
}

static void ready(void *context, int fd, unsigned what)
{
    struct listener *listener = context;
    (void)what;
    for (unsigned i = 0; i < LISTENER_BATCH; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int client = accept4(fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0)
            take(listener, client, &address);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(listener);
        if (client < 0)
            return;
    }
}

void listener_new(struct front *front, unsigned index, int fd)
{
    int on = 1;
    if (index >= front->conf->nlisteners) {
        close(fd);
        return;
    }
    struct listener *listener = text_zalloc(sizeof *listener);
    listener->front = front;
    listener->index = index;
    listener->fd = fd;
    list_append(&front->listeners, &listener->node);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit both */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    watch_set(&listener->watch, front->role->loop, fd, WATCH_READ, ready, listener);
}

void listener_close_all(struct front *front)
{
    LIST_EACH(node, &front->listeners) {
        struct listener *listener = LIST_ENTRY(node, struct listener, node);
        list_remove(&listener->node);
        watch_fini(&listener->watch);
        timer_fini(&listener->rest);
        close(listener->fd);
        free(listener);
    }
}
