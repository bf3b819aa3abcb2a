/* Control asks on behalf of an administrator, queue or policy answers: with JSON text in pieces, then an end. FRONT is control.
 *
 * A list is as long as it is, and whoever reads it may be slow: control then has the queue rest (ADMIN_WANT). Policy's answers are
 * short and it does not heed that.
 *
 * If the asked role goes, control answers that it is being started again. If control goes, what it asked is dropped. */
#ifndef POSTERN_CHANNELS_ADMIN_H
#define POSTERN_CHANNELS_ADMIN_H

#include "../base/ipc.h"
#include "../smtp/limits.h"

#define ADMIN_TEXT_MAX  16384
#define ADMIN_NO_SENDER "<>" /* the null path, as ADMIN_SITE's `sender` */

enum admin_verb {
    ADMIN_STATUS,     /* queue: {"queue": {…}, "sites": […], "spool": {…}}; policy: {"accounts": […]} */
    ADMIN_QUEUE_LIST, /* one JSON object a piece: an element of the list */
    ADMIN_QUEUE_SHOW, /* the object of `id`, with "headers" (the message's own header, escaped) */
    ADMIN_QUEUE_HOLD, /* {"changed": N} */
    ADMIN_QUEUE_RELEASE,
    ADMIN_QUEUE_REMOVE,
    ADMIN_QUEUE_RETRY,
    ADMIN_QUEUE_ADOPT,  /* look for pairs that came into the spool: {"segments": N} */
    ADMIN_MESSAGE,      /* {"id", …, "events": […]} */
    ADMIN_SITE,         /* queue, for trace: {"route", "site", "state", "source", …} of the domain in `recipient`, for mail from
                            * `sender` (ADMIN_NO_SENDER: without one; "": whoever sends) by `account` ("": nobody's in particular) */
    ADMIN_LIMITS,       /* policy: one object a piece */
    ADMIN_ACCOUNT_LIST, /* policy: one object a piece: those that are suspended or have strikes */
    ADMIN_ACCOUNT_SHOW, /* policy: {"account", "state", …}; queue: {"held", "queued"} of that account */
    ADMIN_ACCOUNT_SUSPEND, /* policy: {"account", "state"} */
    ADMIN_ACCOUNT_RESUME,
    ADMIN_WOULD,    /* policy: what limits did not let pass, or would not have; one object a piece */
    ADMIN_LOGIN_OF, /* policy: {"client", "account", "when"} of who logged in last from `client` */
    ADMIN_VERBS
};

/* Filters that are "" or 0 do not count; all that are given must fit. */
struct admin_ask {
    uint64_t ticket;
    uint32_t verb;
    uint8_t all; /* --all: no filter was meant to be needed */
    char id[32];
    char account[256];
    char client[64];
    char sender[SMTP_ADDRESS_SIZE];
    char recipient[SMTP_ADDRESS_SIZE];
    char site[SMTP_DOMAIN_SIZE];
};

/* Part of the answer. A piece that `ends` completes one JSON value. */
struct admin_text {
    uint64_t ticket;
    uint8_t ends;
    uint32_t size;
    char text[ADMIN_TEXT_MAX]; /* sent in part */
};

enum admin_result { ADMIN_DONE, ADMIN_NOT_FOUND, ADMIN_REFUSED };

/* The end of the answer. */
struct admin_end {
    uint64_t ticket;
    uint32_t result;  /* enum admin_result */
    char reason[400]; /* not done: why, and what to do; sent in part */
};

/* What control wants of an answer that comes in many pieces. */
enum admin_pace {
    ADMIN_REST,   /* it is not read as fast as it comes: nothing more until ADMIN_GO_ON */
    ADMIN_GO_ON,  /* it was read */
    ADMIN_FORGET, /* nobody waits for it any more; what changes something is done to its end all the same */
};
struct admin_want {
    uint64_t ticket;
    uint32_t pace; /* enum admin_pace */
};

#define ADMIN_MESSAGES(X)                                                                                                        \
    X(ADMIN_ASK, IPC_FRONT, struct admin_ask, IPC_WHOLE(struct admin_ask), false)                                                \
    X(ADMIN_TEXT, IPC_BACK, struct admin_text, IPC_PART(struct admin_text, text), false)                                         \
    X(ADMIN_WANT, IPC_FRONT, struct admin_want, IPC_WHOLE(struct admin_want), false)                                             \
    X(ADMIN_END, IPC_BACK, struct admin_end, IPC_PART(struct admin_end, reason), false)

enum admin_message { IPC_ENUM(ADMIN_MESSAGES) ADMIN_COUNT };
extern const struct ipc_channel admin_channel;

#endif
