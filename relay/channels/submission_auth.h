/* Submission asks, auth answers: one SASL exchange per ticket. Submission decodes base64 and enforces TLS; auth knows
 * passwords. Which auth process is asked follows from the client's address, so that its failures are counted in one place.
 *
 * If auth goes: every ticket in flight is answered 454 4.7.0. If submission goes: auth drops its exchanges. */
#ifndef POSTERN_CHANNELS_SUBMISSION_AUTH_H
#define POSTERN_CHANNELS_SUBMISSION_AUTH_H

#include "../base/ipc.h"
#include "../base/netaddr.h"

#define AUTH_DATA_MAX     12288
#define AUTH_ACCOUNT_SIZE 256
#define AUTH_BINDING_MAX  64

/* Begins an exchange. */
struct auth_begin {
    uint64_t ticket;
    struct netaddr client;
    char mechanism[32];  /* in capitals, one of the configured ones */
    uint8_t tls;         /* 1: under TLS (always, for now) */
    uint8_t has_initial; /* an initial response came, maybe an empty one */
    uint8_t binding_size;
    unsigned char binding[AUTH_BINDING_MAX]; /* tls-exporter (RFC 9266); size 0: none, no -PLUS */
    uint32_t data_size;
    char data[AUTH_DATA_MAX]; /* the initial response; sent in part */
};

/* The client's next response. */
struct auth_response {
    uint64_t ticket;
    uint32_t data_size;
    char data[AUTH_DATA_MAX]; /* sent in part */
};

/* The client gave up ("*"), or has gone. Nothing is answered. Counts as no failure. */
struct auth_cancel {
    uint64_t ticket;
};

/* A challenge for the client. */
struct auth_challenge {
    uint64_t ticket;
    uint32_t data_size;
    char data[AUTH_DATA_MAX]; /* sent in part */
};

enum auth_verdict {
    AUTH_ACCEPTED,  /* 235 2.7.0 */
    AUTH_REFUSED,   /* 535 5.7.8: unknown or wrong, nobody learns which */
    AUTH_MALFORMED, /* 501 5.5.2: not what the mechanism wants */
    AUTH_MECHANISM, /* 504 5.5.4: not offered */
    AUTH_TEMPORARY, /* 454 4.7.0: the credential store does not answer */
    AUTH_LOCKED     /* 421 4.7.0: too many failures from this address, or for this account */
};

/* The end of the exchange. */
struct auth_done {
    uint64_t ticket;
    uint8_t verdict;                 /* enum auth_verdict */
    uint32_t delay_ms;               /* wait this long before the answer is sent: failures slow down */
    char account[AUTH_ACCOUNT_SIZE]; /* in normal form; where not accepted the claimed one, "" where that can be nobody's name */
    uint32_t data_size;
    char data[AUTH_DATA_MAX]; /* accepted: the server's last message, to be sent as a challenge first; sent in part */
};

#define SUBMISSION_AUTH_MESSAGES(X)                                                                                              \
    X(AUTH_BEGIN, IPC_FRONT, struct auth_begin, IPC_PART(struct auth_begin, data), false)                                        \
    X(AUTH_RESPONSE, IPC_FRONT, struct auth_response, IPC_PART(struct auth_response, data), false)                               \
    X(AUTH_CANCEL, IPC_FRONT, struct auth_cancel, IPC_WHOLE(struct auth_cancel), false)                                          \
    X(AUTH_CHALLENGE, IPC_BACK, struct auth_challenge, IPC_PART(struct auth_challenge, data), false)                             \
    X(AUTH_DONE, IPC_BACK, struct auth_done, IPC_PART(struct auth_done, data), false)

enum submission_auth_message { IPC_ENUM(SUBMISSION_AUTH_MESSAGES) SUBMISSION_AUTH_COUNT };
extern const struct ipc_channel submission_auth_channel;

#endif
