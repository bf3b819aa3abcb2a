/* Two names for a connection. Its number is the queue's, and is what the channel speaks of; a new queue process begins to count
 * anew, so the numbers of one that has gone are forgotten at once, while its connections may still finish their last
 * transaction. Its serial is our own, is never used twice, and is what the DNS is asked with: an answer always finds its
 * connection or nobody.
 *
 * Queue and delivery talk past each other now and then: CLOSED is on its way here when ASSIGN is on its way there. What speaks
 * of a number that is unknown is dropped without a word; the queue learns of the end from CLOSED and has
 * counted no attempt. What could only be a bug of the queue (a number twice, too many recipients) is dropped too: to answer it
 * with an assertion would end connections that have done nothing wrong. */
#include "pool.h"

#include "../base/text.h"
#include "connection.h"

#include <unistd.h>

/* A question's ticket is the connection's serial and the host's index in one number. */
#define POOL_INDEX_BITS 8

static struct span key_of(const uint64_t *number)
{
    return span_make((const char *)number, sizeof *number);
}

void pool_init(struct pool *pool)
{
    list_init(&pool->connections);
    pool->by_number = map_new(0);
    pool->by_serial = map_new(0);
    for (unsigned place = 0; place < DELIVERY_SEGMENTS; place++)
        pool->segments[place] = -1;
}

static void put_segment(struct pool *pool, unsigned place, int fd)
{
    if (pool->segments[place] >= 0)
        close(pool->segments[place]);
    pool->segments[place] = fd;
}

static void return_segments(struct pool *pool)
{
    for (unsigned place = 0; place < DELIVERY_SEGMENTS; place++)
        put_segment(pool, place, -1);
}

void pool_fini(struct pool *pool)
{
    LIST_EACH(node, &pool->connections)
        connection_free(LIST_ENTRY(node, struct connection, node));
    return_segments(pool);
    map_free(&pool->by_number, NULL);
    map_free(&pool->by_serial, NULL);
}

void pool_enter(struct pool *pool, struct connection *connection)
{
    connection->serial = ++pool->serials;
    list_append(&pool->connections, &connection->node);
    map_put(pool->by_number, key_of(&connection->number), connection, NULL);
    map_put(pool->by_serial, key_of(&connection->serial), connection, NULL);
}

void pool_leave(struct pool *pool, struct connection *connection)
{
    list_remove(&connection->node);
    map_remove(pool->by_serial, key_of(&connection->serial));
    if (map_get(pool->by_number, key_of(&connection->number)) == connection)
        map_remove(pool->by_number, key_of(&connection->number));
}

void pool_open(struct pool *pool, const struct delivery_open *open)
{
    if (map_get(pool->by_number, key_of(&open->connection)))
        log_say(LOG_ERROR, "error", "the queue opened connection %llu twice; the second is not made",
                (unsigned long long)open->connection);
    else
        connection_open(pool, open);
}

void pool_segment(struct pool *pool, const struct delivery_segment *segment, int fd)
{
    struct delivery_lacks lacks = { segment->place };
    if (segment->place >= DELIVERY_SEGMENTS) {
        close(fd);
        return;
    }
    put_segment(pool, segment->place, fd);
    if (fd < 0)
        ipc_send_soon(pool->queue, DELIVERY_LACKS, &lacks, sizeof lacks);
}

void pool_forget(struct pool *pool, const struct delivery_forget *forget)
{
    if (forget->place < DELIVERY_SEGMENTS)
        put_segment(pool, forget->place, -1);
}

void pool_assign(struct pool *pool, const struct delivery_assign *assign)
{
    struct connection *connection = map_get(pool->by_number, key_of(&assign->connection));
    if (connection && assign->count <= ASSIGN_RECIPIENTS_MAX && assign->segment < DELIVERY_SEGMENTS)
        connection_assign(connection, assign, pool->segments[assign->segment]);
}

void pool_close(struct pool *pool, const struct delivery_close *close)
{
    struct connection *connection = map_get(pool->by_number, key_of(&close->connection));
    if (connection)
        connection_close(connection);
}

void pool_queue_gone(struct pool *pool)
{
    pool->queue = NULL;
    return_segments(pool);
    LIST_EACH(node, &pool->connections) {
        struct connection *connection = LIST_ENTRY(node, struct connection, node);
        map_remove(pool->by_number, key_of(&connection->number));
        connection_abandon(connection);
    }
}

static void ask_tlsa(struct pool *pool, uint64_t ticket, const char *host, uint16_t port)
{
    struct dns_ask_tlsa question = { .ticket = ticket, .port = port };
    text_copy(question.host, sizeof question.host, span_of(host));
    ipc_send_soon(pool->dns, DNS_ASK_TLSA, &question, sizeof question);
}

void pool_ask(struct pool *pool, uint64_t serial, unsigned index, const char *host, uint16_t tlsa_port)
{
    struct dns_ask_address question = { .ticket = serial << POOL_INDEX_BITS | index };
    if (tlsa_port) {
        ask_tlsa(pool, question.ticket, host, tlsa_port);
        return;
    }
    text_copy(question.host, sizeof question.host, span_of(host));
    ipc_send_soon(pool->dns, DNS_ASK_ADDRESS, &question, sizeof question);
}

/* The connection that TICKET is of, or NULL. *ret_index is the host's. */
static struct connection *asker_of(const struct pool *pool, uint64_t ticket, unsigned *ret_index)
{
    uint64_t serial = ticket >> POOL_INDEX_BITS;
    *ret_index = (unsigned)(ticket & ((1u << POOL_INDEX_BITS) - 1));
    return map_get(pool->by_serial, key_of(&serial));
}

void pool_address(struct pool *pool, const struct dns_address *answer)
{
    unsigned index;
    struct connection *connection = asker_of(pool, answer->ticket, &index);
    if (connection)
        connection_address(connection, index, answer);
}

void pool_tlsa(struct pool *pool, const struct dns_tlsa *answer)
{
    unsigned index;
    struct connection *connection = asker_of(pool, answer->ticket, &index);
    if (connection)
        connection_tlsa(connection, index, answer);
}

void pool_dns_came(struct pool *pool)
{
    LIST_EACH(node, &pool->connections)
        connection_ask_again(LIST_ENTRY(node, struct connection, node));
}

void pool_secrets_came(struct pool *pool, const struct bundle *secrets)
{
    pool->secrets = secrets;
    LIST_EACH(node, &pool->connections)
        connection_secrets(LIST_ENTRY(node, struct connection, node));
}

void pool_drain(struct pool *pool)
{
    pool->draining = true;
    if (list_empty(&pool->connections)) {
        pool->emptied(pool->context);
        return;
    }
    LIST_EACH(node, &pool->connections)
        connection_close(LIST_ENTRY(node, struct connection, node));
}
