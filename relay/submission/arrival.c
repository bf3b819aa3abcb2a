/* The header is read here, before there is a stream, and not a byte beyond it: with implicit TLS the client's hello may lie right
 * behind it. Version 1 does not say how long it is, so its last part is read byte by byte. */
#include "arrival.h"

#include "../base/text.h"
#include "listener.h"
#include "proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRIVAL_MS 10000 /* for the whole header */

struct arrival {
    struct list node;
    struct front *front;
    unsigned index;
    int fd;
    struct netaddr balancer;
    struct watch watch;
    struct timer timer;
    size_t size;
    char header[PROXY_HEADER_MAX];
};

/* Frees ARRIVAL and returns its socket, the caller's now. */
static int let_go(struct arrival *arrival)
{
    int fd = arrival->fd;
    list_remove(&arrival->node);
    arrival->front->connections[arrival->index]--;
    watch_fini(&arrival->watch);
    timer_fini(&arrival->timer);
    free(arrival);
    return fd;
}

static void timed_out(void *context)
{
    close(let_go(context));
}

static void complete(struct arrival *arrival, const struct netaddr *client)
{
    struct front *front = arrival->front;
    unsigned index = arrival->index;
    struct netaddr known = client->family ? *client : arrival->balancer;
    int fd = let_go(arrival);
    listener_admit(front, index, fd, &known);
}

static void ready(void *context, int fd, unsigned what)
{
    struct arrival *arrival = context;
    (void)what;
    for (;;) {
        size_t used, wanted = proxy_wants(span_make(arrival->header, arrival->size));
        struct netaddr client;
        ssize_t n = read(fd, arrival->header + arrival->size, wanted);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        arrival->size += n > 0 ? (size_t)n : 0;
        enum proxy_progress progress = proxy_parse(span_make(arrival->header, arrival->size), &client, &used);
        if (progress == PROXY_DONE) {
            complete(arrival, &client);
            return;
        }
        if (n <= 0 || progress == PROXY_BAD) {
            close(let_go(arrival));
            return;
        }
    }
}

void arrival_new(struct front *front, unsigned index, int fd, const struct netaddr *balancer)
{
    if (front->connections[index] >= front->conf->listeners[index].max_connections) {
        close(fd);
        return;
    }
    struct arrival *arrival = text_zalloc(sizeof *arrival);
    arrival->front = front;
    arrival->index = index;
    arrival->fd = fd;
    arrival->balancer = *balancer;
    front->connections[index]++;
    list_append(&front->arrivals, &arrival->node);
    watch_set(&arrival->watch, front->role->loop, fd, WATCH_READ, ready, arrival);
    timer_set(&arrival->timer, front->role->loop, ARRIVAL_MS, timed_out, arrival);
}

void arrival_free_all(struct front *front)
{
    LIST_EACH(node, &front->arrivals)
        close(let_go(LIST_ENTRY(node, struct arrival, node)));
}
