/* The inside of a client, for the files that make it up: client.c (the machine), greet.c (until it is ready), post.c
 * (transactions). Nobody else includes this.
 *
 * A stage is a reply that is waited for, and has a row in a table: what is sent on entering it, how long the reply may take, and
 * what follows each class of reply. A step returns the next stage; STAGE_ENDED means that the client is gone and must not be
 * touched. */
#ifndef POSTERN_DELIVERY_SESSION_H
#define POSTERN_DELIVERY_SESSION_H

#include "../base/stream.h"
#include "client.h"
#include "ehlo.h"
#include "login.h"

#define SESSION_DOMAINS_MAX 64 /* a server that takes more of one session gets no more in ours */

enum stage {
    STAGE_BANNER,
    STAGE_EHLO,
    STAGE_HELO,
    STAGE_STARTTLS,
    STAGE_HANDSHAKE,
    STAGE_LOGIN,
    STAGE_READY, /* no reply is due */
    STAGE_MAIL,
    STAGE_RCPT, /* of recipient `at` */
    STAGE_DATA,
    STAGE_CONTENT, /* content is being sent; a reply is early */
    STAGE_DOT,
    STAGE_RSET,
    STAGES,
    STAGE_ENDED = STAGES
};

struct client {
    struct client_setup setup;
    const struct client_events *events;
    void *context;
    struct stream *stream;
    enum stage stage;
    struct reply reply;
    struct ehlo ehlo;
    struct login *login; /* NULL: not begun */
    char *challenge;     /* of the server, in base64; NULL: none yet */
    char tls[DELIVERY_TLS_SIZE];
    SSL *ssl; /* the stream's, from the handshake on; NULL: there was none */
    bool secured;
    bool mismatched;                 /* client_is_mismatched */
    struct transaction *transaction; /* NULL: none is under way */
    uint64_t mails;                  /* MAIL commands so far */
    bool doubted;                    /* client_is_doubted */
    unsigned domains;        /* different ones of recipients so far, with their hashes; counted where the server has a limit */
    uint64_t *domain_hashes; /* NULL: none; else room for SESSION_DOMAINS_MAX */
    unsigned at;             /* recipient whose reply is due */
    bool timed_out;          /* what ended the stream, for `lost` */
    bool pipelined;          /* MAIL, all RCPT and DATA were sent at once */
};

/* What a step may return: the stage that follows. */
typedef enum stage (*stage_step)(struct client *client);

struct stage_row {
    const char *doing;  /* "waiting for the greeting": for people */
    size_t timeout;     /* offset of an int64_t in struct conf_delivery */
    stage_step perform; /* on entering; returns the same stage, or another where nothing is to be waited for; may be NULL */
    stage_step on[4];   /* replies 2xx, 3xx, 4xx, 5xx; NULL: a reply that makes no sense here */
    stage_step lost;    /* the connection broke, or time ran out; NULL: client_lost */
};

#define STAGE_TIMEOUT(member) offsetof(struct conf_delivery, member)

/* Rows of the stages up to STAGE_LOGIN, and of those behind STAGE_READY. */
extern const struct stage_row greet_stages[STAGES];
extern const struct stage_row post_stages[STAGES];

/* What greet begins with: the server's greeting (RFC 5321 3.1), or the handshake of implicit TLS. */
enum stage greet_begin(struct client *client);

/* What greet goes on with once TLS is there: EHLO anew, as nothing that was said in clear counts (RFC 3207 4.2); with implicit TLS the
 * greeting. */
enum stage greet_secured(struct client *client);

/* What post begins with for client->transaction: STAGE_MAIL, or STAGE_READY where nothing can be sent. */
enum stage post_begin(struct client *client);

/* Ends the client for REASON; how, follows from its stage. */
enum stage client_fail(struct client *client, const struct reason *reason);

/* The same with what the server just replied as the reason. */
enum stage client_refused(struct client *client);

/* The reply makes no sense here. */
enum stage client_puzzled(struct client *client);

/* The stream broke. */
enum stage client_lost(struct client *client);

/* Ends the client with END. */
enum stage client_end(struct client *client, enum client_end end, const struct reason *reason);

#endif
