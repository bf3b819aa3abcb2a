/* The connections of a delivery process, by the queue's number; what they share; and whom they ask. */
#ifndef POSTERN_DELIVERY_POOL_H
#define POSTERN_DELIVERY_POOL_H

#include "../base/list.h"
#include "../base/map.h"
#include "connect.h"
#include "tls.h"

#include "../base/bundle.h"

struct connection;

/* All pointers but the maps are borrowed. */
struct pool {
    struct loop *loop;
    const struct conf *conf;
    const struct bundle *secrets;
    struct tls *tls;
    struct connect_rules rules;
    struct ipc *queue;                  /* NULL: gone */
    struct ipc *dns;                    /* NULL: gone */
    void (*emptied)(void *context);     /* draining, and the last connection has ended */
    void (*ask_secrets)(void *context); /* `secrets` may be old: pool_secrets_came follows; NULL: they are what they are */
    void *context;

    int segments[DELIVERY_SEGMENTS]; /* that the queue has lent; -1: none */
    struct list connections;         /* every one, also those of a queue that has gone */
    struct map *by_number;           /* those of the queue that is there */
    struct map *by_serial;           /* every one, for answers of the DNS */
    uint64_t serials;
    bool draining;
};

/* Makes POOL's own parts; what is borrowed the caller sets. */
void pool_init(struct pool *pool);

/* Ends every connection at once and frees POOL's own parts. */
void pool_fini(struct pool *pool);

/* The queue wants a connection. */
void pool_open(struct pool *pool, const struct delivery_open *open);

/* The queue lends a segment: FD is owned from here on; -1, where this process has no room for it, is told back. */
void pool_segment(struct pool *pool, const struct delivery_segment *segment, int fd);

/* The queue takes a segment back. */
void pool_forget(struct pool *pool, const struct delivery_forget *forget);

/* The queue gives a connection its next message. Where the connection has ended already, this crossed the CLOSED about it: nothing is to
 * be done, and the queue gives the message to another one. */
void pool_assign(struct pool *pool, const struct delivery_assign *assign);

/* The queue has no more for a connection. One that has ended: as above. */
void pool_close(struct pool *pool, const struct delivery_close *close);

/* The queue has gone. Only transactions whose final dot was sent go on to their end, untold; all else is ended, and will be
 * assigned again by the next queue. */
void pool_queue_gone(struct pool *pool);

/* The DNS answered. An answer for a connection that has ended is dropped. */
void pool_address(struct pool *pool, const struct dns_address *answer);

/* The same, of TLSA records. */
void pool_tlsa(struct pool *pool, const struct dns_tlsa *answer);

/* There is a DNS role again: what waits for an answer is asked anew. */
void pool_dns_came(struct pool *pool);

/* SECRETS are what was asked for, and borrowed in place of those before. */
void pool_secrets_came(struct pool *pool, const struct bundle *secrets);

/* Ends: no new connections, those at work finish their transaction. `emptied` follows, perhaps at once. */
void pool_drain(struct pool *pool);

/* For connection.c: enters CONNECTION, which gets its serial here. */
void pool_enter(struct pool *pool, struct connection *connection);

/* For connection.c: takes CONNECTION out, which its owner frees. */
void pool_leave(struct pool *pool, struct connection *connection);

/* For connection.c: asks for the addresses of HOST, or with a TLSA_PORT for its TLSA records of that port; the answer comes to
 * connection_address or connection_tlsa with INDEX. */
void pool_ask(struct pool *pool, uint64_t serial, unsigned index, const char *host, uint16_t tlsa_port);

#endif
