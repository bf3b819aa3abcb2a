/* A client's connection: where it stands in the protocol, and the loop that turns its input into steps.
 *
 * A session is in one phase (only session_enter changes it) and either works through its input or waits for one answer (wait.h).
 * Nobody frees a session but session.c: handlers reply and enter SESSION_CLOSING, the loop does the rest. */
#ifndef POSTERN_SUBMISSION_SESSION_H
#define POSTERN_SUBMISSION_SESSION_H

#include "../base/buffer.h"
#include "../base/log.h"
#include "../base/stream.h"
#include "front.h"
#include "wait.h"

enum session_phase {
    SESSION_NEW,       /* nothing was said yet */
    SESSION_HANDSHAKE, /* TLS is being set up */
    SESSION_HELO,      /* greeted; EHLO or HELO is due */
    SESSION_READY,     /* between transactions */
    SESSION_AUTH,      /* a SASL response is due */
    SESSION_MAIL,      /* there is a sender, but no recipient */
    SESSION_RCPT,      /* there are recipients */
    SESSION_DATA,      /* content comes */
    SESSION_CLOSING,   /* the last reply was given */
    SESSION_PHASES
};

/* Content that comes though DATA was refused, from a client that does not wait for the answer. */
enum session_stray {
    STRAY_NONE,
    STRAY_POSSIBLE, /* DATA was refused just now */
    STRAY_COMES     /* up to a line with only a dot */
};

struct exchange;
struct transaction;

struct session {
    struct list node; /* in front->sessions */
    struct front *front;
    const struct conf_listener *listener;
    unsigned listener_index;
    struct stream *stream;
    struct netaddr client;
    enum session_phase phase; /* session_enter alone writes it */
    struct wait wait;
    struct buffer replies;           /* what was said and not handed to the stream yet */
    char *helo;                      /* the client's name for itself, or NULL */
    char *account;                   /* who logged in, or NULL */
    uint64_t tag;                    /* the account's, from policy (message/mark.h); 0: none */
    struct exchange *exchange;       /* a SASL exchange in progress, or NULL */
    struct login *login;             /* a password was judged, and policy is asked about it (auth.c); or NULL */
    struct transaction *transaction; /* from MAIL on, or NULL */
    unsigned errors;                 /* bad commands so far */
    unsigned idle_commands;          /* EHLO, NOOP, RSET and the like since the last message */
    unsigned refusals;               /* since the last message */
    unsigned auth_failures;
    unsigned messages;    /* transactions that MAIL began */
    size_t in_hand;       /* bytes at the front of the input that the command being carried out takes */
    size_t skipped;       /* bytes of an overlong line that were thrown away so far */
    const char *skipping; /* the reply that is due at the end of an overlong line, or NULL */
    enum session_stray stray;
    const char *ending; /* the last reply, where the session is to end whatever it does; else NULL */
    bool esmtp;         /* EHLO, not HELO */
    bool fresh;         /* a new command is awaited: its deadline begins anew */
    bool stalled;       /* the client does not read its replies: nothing more is done for it until it does */
};

/* Takes over the connected socket FD of CLIENT, which LISTENER (an index into the settings) accepted and admitted: TLS or the
 * greeting begins. */
void session_new(struct front *front, unsigned listener, int fd, const struct netaddr *client);

/* Ends SESSION at once, whatever it does. */
void session_free(struct session *session);

/* The one way to change the phase. A step that the protocol does not know is a bug and stops the process. */
void session_enter(struct session *session, enum session_phase phase);

/* Works through the input until more is needed or an answer is awaited; then sends what was said. SESSION may be gone when it
 * returns. To be called from the loop or with an answer, never from within a command. */
void session_run(struct session *session);

/* Starts TLS: whatever the client said in clear is forgotten. */
void session_start_tls(struct session *session);

/* Adds a reply, TEXT without its CRLF ("250 2.0.0 ok"); more lines are given one by one. */
void session_reply(struct session *session, const char *text);

/* The same with a formatted text. What comes from the client must be escaped before: a CRLF in it would be a reply of its own. */
void session_replyf(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replies TEXT to a command that was wrong; the listener's max-errors'th such gets 421 4.7.0 instead, and the session ends. */
void session_error(struct session *session, const char *text);

/* Refuses what was asked for a reason outside the protocol: replies TEXT and logs it. RECIPIENT may be NULL. Behind far more refusals
 * than a message has recipients the session ends with a 421 once the command is done. */
void session_refuse(struct session *session, const char *recipient, const char *text);

/* Replies TEXT (NULL: nothing) and ends the session once it is sent. */
void session_close(struct session *session, const char *text);

/* Forgets the transaction: back to SESSION_READY (or stays in SESSION_HELO). */
void session_reset(struct session *session);

/* SESSION ends with TEXT (which must stay valid) as soon as it waits for nothing any more; a message whose storing has begun is
 * answered first. SESSION may be gone. */
void session_end(struct session *session, const char *text);

/* The front end drains: a session outside a transaction is told 421 and ends. SESSION may be gone. */
void session_drain(struct session *session);

/* Adds who the session is (client, account, listener) to a log line. */
void session_log(const struct session *session, struct log_entry *entry);

/* Is the session under TLS? */
bool session_is_secure(const struct session *session);

#endif
