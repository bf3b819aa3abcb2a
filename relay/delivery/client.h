/* An SMTP session with one server over one TCP connection (RFC 5321), as client: greeted, secured and logged in as the route
 * wants, then one transaction after the other. */
#ifndef POSTERN_DELIVERY_CLIENT_H
#define POSTERN_DELIVERY_CLIENT_H

#include "reason.h"
#include "route.h"
#include "tls.h"
#include "transaction.h"

struct client;

/* How a session ended. */
enum client_end {
    CLIENT_REFUSED, /* it was never made ready: another address may do */
    CLIENT_SILENT,  /* the same, and the server did not even greet */
    CLIENT_LOGIN,   /* the server refused the login: a newer secret may do */
    CLIENT_SPENT,   /* the server takes no more of this transaction in this session: the rest in another */
    CLIENT_NAMELESS, /* our IPv6 address was refused for having no name: the same host over IPv4, with what is open of a transaction */
    CLIENT_RETRY_PLAIN, /* opportunistic TLS failed in the handshake: the same address again, without STARTTLS */
    CLIENT_RETRY_HELO,  /* EHLO was not understood: the same address again, with HELO */
    CLIENT_IDLE,        /* the server closed it between transactions: nobody's fault */
    CLIENT_STALE,       /* a kept connection was found dead before the server answered anything of this transaction */
    CLIENT_LOST,        /* broken in a transaction, whose recipients without an outcome are to be tried later */
    CLIENT_ENDS
};

/* Borrowed for the client's life. */
struct client_setup {
    const struct conf *conf;
    struct tls *tls;
    const struct route *route;
    enum tls_policy policy;
    const struct dns_tlsa *tlsa;   /* with TLS_DANE */
    const char *domain, *alias_of; /* as tls_peer has them */
    const char *host;
    const char *hello; /* our name for EHLO */
    uint16_t port;
    bool plain;        /* no STARTTLS: it failed before */
    bool helo;         /* no EHLO: it failed before … */
    bool helo_unsure;  /* … and was not refused: what the server takes is not known */
    bool ipv4_instead; /* this is IPv6, and the host has IPv4: CLIENT_NAMELESS may come */
};

/* Both may free the client. */
struct client_events {
    /* It takes a transaction: for the first time, and each time after one, all of whose recipients have their outcome then. */
    void (*ready)(void *context);
    /* It is over; client_free it. */
    void (*ended)(void *context, enum client_end end, const struct reason *reason);
};

/* A session over the connected socket that WATCH waits at, which is the client's from here on. Nothing happens before client_begin. */
struct client *client_new(const struct client_setup *setup, struct watch *watch, const struct client_events *events,
                          void *context);

/* Begins. Events come from the loop, or `ended` from within this call. */
void client_begin(struct client *client);

/* Closes the connection at once, frees *CLIENT and nulls it. NULL is fine. */
void client_free(struct client **client);

/* Says QUIT where the session is ready, closes, frees *CLIENT and nulls it. */
void client_quit(struct client **client);

/* Begins TRANSACTION (borrowed until ready or ended), on a client that is ready. Ready may come from within this call, where
 * nothing was to be sent to this server. */
void client_send(struct client *client, struct transaction *transaction);

/* May a transaction be given? */
bool client_is_ready(const struct client *client);

/* Has the final dot been sent, and its reply not been seen: the message may have been delivered already? */
bool client_is_committed(const struct client *client);

/* Was something put off that the server lacks as far as was heard, though an EHLO might tell more? Others should not fail on it too. */
bool client_is_doubted(const struct client *client);

/* Has it had as many transactions as the server takes in a session (RFC 9422)? */
bool client_is_spent(const struct client *client);

/* Did the handshake fail since the certificate, by an authority that the TLSA records name, is for another name? */
bool client_is_mismatched(const struct client *client);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" or "none". */
const char *client_tls(const struct client *client);

#endif
