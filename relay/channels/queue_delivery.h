/* Queue decides what and where, delivery does it. FRONT is the queue.
 *
 * Queue says OPEN for each connection it wants to a site; delivery connects, greets, secures and logs in, then pulls with NEXT.
 * Queue answers with ASSIGN (a message of that site and where it lies), later when it has one, or with CLOSE.
 * For each recipient of an ASSIGN there is exactly one OUTCOME, then one NEXT or CLOSED ends the transaction. CLOSED says why
 * the connection ended: before the first NEXT it means that the site could not be reached. Recipients of an ASSIGN without an
 * OUTCOME when delivery or the connection goes are deferred: a duplicate is possible only where the remote had said 250.
 *
 * Connections are named by the queue (a number never used twice in a process's life).
 *
 * Delivery reads messages by descriptors that the queue lends it, in DELIVERY_SEGMENTS places that the queue fills (SEGMENT) and clears
 * (FORGET) as it likes. An ASSIGN names a place; what it needs of the segment is read, or its descriptor doubled, before the next message
 * of the channel. */
#ifndef POSTERN_CHANNELS_QUEUE_DELIVERY_H
#define POSTERN_CHANNELS_QUEUE_DELIVERY_H

#include "../base/ipc.h"
#include "../base/uid.h"
#include "../smtp/limits.h"
#include "dns.h"

#define ASSIGN_RECIPIENTS_MAX 100 /* of one transaction (RFC 5321 4.5.3.1.8) */
#define DELIVERY_SEGMENTS     16  /* that a delivery process has been lent at a time */
#define DELIVERY_MX_SIZE      320 /* "mx1.example.net[192.0.2.1]:25" */
#define DELIVERY_TLS_SIZE     64  /* "TLSv1.3 TLS_AES_256_GCM_SHA384", "none" */

/* One host to try, in this order. Hosts of equal preference may be tried in any order. */
struct delivery_host {
    uint16_t preference;
    uint16_t port;
    char name[SMTP_DOMAIN_SIZE];
};

struct delivery_open {
    uint64_t connection;
    char site[SMTP_DOMAIN_SIZE]; /* the site's name, for the log */
    char route
        [SMTP_DOMAIN_SIZE]; /* name of the route in the configuration whose tls, user and password count; "" = MX, delivery's own */
    char source[SMTP_DOMAIN_SIZE]; /* name of the pool of sources that it comes from; "": delivery.source */
    uint8_t sts;                   /* nothing is sent to a host whose certificate does not verify (RFC 8461 4) */
    char domain
        [SMTP_DOMAIN_SIZE]; /* that all mail of the site is for, where that counts (DELIVERY_CLOSED's wants_domain); else "" */
    char alias_of[SMTP_DOMAIN_SIZE]; /* what it is an alias of, or "" */
    uint8_t is_mx;                   /* hosts come from MX: private addresses and this relay itself are refused */
    uint8_t count;
    struct delivery_host hosts[DNS_HOSTS_MAX]; /* sent in part */
};

/* fd: a segment, read-only, which is at PLACE from here on; what was there is closed. */
struct delivery_segment {
    uint32_t place; /* below DELIVERY_SEGMENTS */
};

/* The segment at PLACE is closed. */
struct delivery_forget {
    uint32_t place;
};

/* The segment for PLACE came without its descriptor, since this process has no room for one: nothing is there. */
struct delivery_lacks {
    uint32_t place;
};

/* The next message of a connection that is ready. */
struct delivery_assign {
    uint64_t connection;
    struct uid id;
    uint32_t segment; /* its place */
    uint64_t offset;  /* of the record */
    uint32_t attempt;
    uint32_t count;
    uint32_t recipients[ASSIGN_RECIPIENTS_MAX]; /* indices into the envelope; sent in part */
};

/* End the connection politely; it has no transaction. */
struct delivery_close {
    uint64_t connection;
};

/* The connection is ready for a message. */
struct delivery_next {
    uint64_t connection;
    char mx[DELIVERY_MX_SIZE];
    char tls[DELIVERY_TLS_SIZE];
};

enum delivery_verdict {
    DELIVERY_DONE,      /* 250 after the dot */
    DELIVERY_TEMPORARY, /* try later */
    DELIVERY_PERMANENT, /* bounce */
    DELIVERY_DAMAGED    /* its record in the segment is not as it was written: nothing was sent; try later */
};

/* What became of one recipient. */
struct delivery_outcome {
    uint64_t connection;
    struct uid id;
    uint32_t recipient;
    uint32_t verdict;                  /* enum delivery_verdict */
    uint8_t dsn;                       /* the server has DSN (RFC 3461), and was told what the sender wants to hear */
    uint8_t remote;                    /* the reply is the remote's own words; else ours ("connection timed out") */
    char enhanced[SMTP_ENHANCED_SIZE]; /* never "" but for DELIVERY_DONE */
    char mx[DELIVERY_MX_SIZE];
    char tls[DELIVERY_TLS_SIZE];
    char reply[SMTP_REPLY_TEXT_SIZE + 8]; /* "550 5.1.1 no such user", printable; sent in part */
};

#define DELIVERY_DIALOGUE_MAX 4000

/* What was said in a transaction that failed for a recipient, for people: told before the NEXT or CLOSED that ends it. */
struct delivery_dialogue {
    uint64_t connection;
    struct uid id;
    uint32_t size;
    char text[DELIVERY_DIALOGUE_MAX]; /* lines that end in LF, else printable; sent in part */
};

enum delivery_end {
    DELIVERY_ENDED,       /* asked for, idle too long, or enough messages: nothing is wrong */
    DELIVERY_LOST,        /* in use, then broken: 421, reset, timeout */
    DELIVERY_UNREACHABLE, /* no host could be reached and made ready; temporary */
    DELIVERY_IMPOSSIBLE /* and never will be: loop to this relay, private address, no host has an address; permanent for every recipient */
};

struct delivery_closed {
    uint64_t connection;
    uint32_t end; /* enum delivery_end */
    uint8_t
        wants_domain; /* a certificate is for another name than the host's, perhaps for the domain's, which would do (RFC 7672 3.2.2) */
    char enhanced[SMTP_ENHANCED_SIZE];
    char mx[DELIVERY_MX_SIZE];
    char reply[SMTP_REPLY_TEXT_SIZE + 8]; /* what was said or happened last, printable; sent in part */
};

#define QUEUE_DELIVERY_MESSAGES(X)                                                                                               \
    X(DELIVERY_OPEN, IPC_FRONT, struct delivery_open, IPC_PART(struct delivery_open, hosts), false)                              \
    X(DELIVERY_SEGMENT, IPC_FRONT, struct delivery_segment, IPC_WHOLE(struct delivery_segment), true)                            \
    X(DELIVERY_FORGET, IPC_FRONT, struct delivery_forget, IPC_WHOLE(struct delivery_forget), false)                              \
    X(DELIVERY_ASSIGN, IPC_FRONT, struct delivery_assign, IPC_PART(struct delivery_assign, recipients), false)                   \
    X(DELIVERY_CLOSE, IPC_FRONT, struct delivery_close, IPC_WHOLE(struct delivery_close), false)                                 \
    X(DELIVERY_LACKS, IPC_BACK, struct delivery_lacks, IPC_WHOLE(struct delivery_lacks), false)                                  \
    X(DELIVERY_NEXT, IPC_BACK, struct delivery_next, IPC_WHOLE(struct delivery_next), false)                                     \
    X(DELIVERY_OUTCOME, IPC_BACK, struct delivery_outcome, IPC_PART(struct delivery_outcome, reply), false)                      \
    X(DELIVERY_CLOSED, IPC_BACK, struct delivery_closed, IPC_PART(struct delivery_closed, reply), false)                         \
    X(DELIVERY_DIALOGUE, IPC_BACK, struct delivery_dialogue, IPC_PART(struct delivery_dialogue, text), false)

enum queue_delivery_message { IPC_ENUM(QUEUE_DELIVERY_MESSAGES) QUEUE_DELIVERY_COUNT };
extern const struct ipc_channel queue_delivery_channel;

#endif
