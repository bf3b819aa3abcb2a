/* A server is there while somebody waits for it or is at work with it, and in the list of those whose turn it may be while somebody waits and
 * it has a place free. So whoever is next is found without a look at those who are not. */
#include "turns.h"

#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

struct server {
    struct list node; /* in `ready`, or in none */
    struct list waiting;
    unsigned nat_work;
    struct netaddr address; /* its key: no port */
};

struct turns {
    struct map *servers;
    struct list ready; /* the next in front */
    unsigned nat_work;
    size_t nwaiting;
    bool serving;
};

struct turns *turns_new(void)
{
    struct turns *turns = text_zalloc(sizeof *turns);
    turns->servers = map_new(0);
    list_init(&turns->ready);
    return turns;
}

void turns_free(struct turns **turns)
{
    if (!*turns)
        return;
    map_free(&(*turns)->servers, free);
    free(*turns);
    *turns = NULL;
}

static struct span key_of(const struct netaddr *address)
{
    return span_make((const char *)address, sizeof *address);
}

static struct server *server_at(struct turns *turns, const struct netaddr *address)
{
    struct netaddr key = *address;
    key.port = 0;
    struct server *server = map_get(turns->servers, key_of(&key));
    if (server)
        return server;
    server = text_zalloc(sizeof *server);
    server->address = key;
    list_init(&server->node);
    list_init(&server->waiting);
    map_put(turns->servers, key_of(&key), server, NULL);
    return server;
}

/* Puts SERVER where it belongs now: behind the others that are ready, in no list, or out of memory. */
static void settle(struct turns *turns, struct server *server)
{
    bool is_wanted = !list_empty(&server->waiting);
    list_remove(&server->node);
    if (is_wanted && server->nat_work < TURNS_PER_SERVER_MAX)
        list_append(&turns->ready, &server->node);
    if (is_wanted || server->nat_work)
        return;
    map_remove(turns->servers, key_of(&server->address));
    free(server);
}

/* Not within itself: where each turn is over at once, thousands that wait would be as many calls deep. */
static void serve(struct turns *turns)
{
    if (turns->serving)
        return;
    turns->serving = true;
    while (turns->nat_work < TURNS_MAX && !list_empty(&turns->ready)) {
        struct server *server = LIST_ENTRY(turns->ready.next, struct server, node);
        struct turn *turn = LIST_ENTRY(server->waiting.next, struct turn, node);
        list_remove(&turn->node);
        turns->nwaiting--;
        turns->nat_work++;
        server->nat_work++;
        turn->has_come = true;
        settle(turns, server);
        turn->come(turn->context);
    }
    turns->serving = false;
}

void turns_join(struct turns *turns, struct turn *turn, const struct netaddr *address, void (*come)(void *context), void *context)
{
    struct server *server = server_at(turns, address);
    *turn = (struct turn){ .server = server, .come = come, .context = context };
    bool is_first = list_empty(&server->waiting);
    list_append(&server->waiting, &turn->node);
    turns->nwaiting++;
    if (is_first)
        settle(turns, server);
    serve(turns);
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct server *server = turn->server;
    if (!server)
        return;
    if (turn->has_come) {
        turns->nat_work--;
        server->nat_work--;
    } else {
        list_remove(&turn->node);
        turns->nwaiting--;
    }
    *turn = (struct turn){ .server = NULL };
    if (list_empty(&server->node) || list_empty(&server->waiting)) /* one that is ready keeps its place */
        settle(turns, server);
    serve(turns);
}

size_t turns_waiting(const struct turns *turns)
{
    return turns->nwaiting;
}
