/* A connection as the queue knows it: a number, a site's hosts, and work pulled one transaction after the other. Behind it stand the
 * sessions that it takes to get there: several hosts, a second try without TLS, a fresh one for a kept one that died. */
#ifndef POSTERN_DELIVERY_CONNECTION_H
#define POSTERN_DELIVERY_CONNECTION_H

#include "client.h"
#include "pool.h"
#include "race.h"
#include "report.h"

struct connection {
    struct list node; /* in pool->connections */
    struct pool *pool;
    uint64_t number; /* the queue's */
    uint64_t serial; /* ours, never used twice */
    bool orphan;     /* its queue has gone: tell nobody */
    bool closing;    /* the queue asked for its end */
    struct route route;
    char *domain, *alias_of; /* of all mail here, where that counts; "": it does not */
    struct connect way;
    struct race race; /* over the way */
    struct connect_target target;
    struct client *client;
    bool plain;                      /* this target without STARTTLS */
    bool helo;                       /* this target with HELO … */
    bool helo_unsure;                /* … though it did not refuse EHLO */
    unsigned others;                 /* sources that were tried since the host refused one */
    bool learnt;                     /* that this target serves is known */
    bool asked;                      /* for a newer secret, since the login was refused */
    bool awaits;                     /* it */
    bool renewed;                    /* a fresh session was begun for this transaction already */
    struct transaction *transaction; /* NULL: none is under way */
    struct report_place place;
    struct timer timer; /* waiting for the DNS, for secrets, or for work */
};

/* Begins what OPEN asks for. It may have ended already when this returns. */
void connection_open(struct pool *pool, const struct delivery_open *open);

/* Takes a transaction; FD is its segment, borrowed, or -1 where there is none. */
void connection_assign(struct connection *connection, const struct delivery_assign *assign, int fd);

/* Ends politely: now, or after its transaction. */
void connection_close(struct connection *connection);

/* The queue has gone. */
void connection_abandon(struct connection *connection);

/* The addresses of host INDEX are known. */
void connection_address(struct connection *connection, unsigned index, const struct dns_address *answer);

/* The TLSA records of host INDEX are known. */
void connection_tlsa(struct connection *connection, unsigned index, const struct dns_tlsa *answer);

/* There is a DNS again: asks anew for what is missing. */
void connection_ask_again(struct connection *connection);

/* The pool has new secrets. */
void connection_secrets(struct connection *connection);

/* Ends at once, telling nobody, and frees. */
void connection_free(struct connection *connection);

#endif
