/* The channels to the auth processes. The twin of relay/auth's end; what is said is in channels/submission_auth.h. */
#ifndef POSTERN_SUBMISSION_ASK_AUTH_H
#define POSTERN_SUBMISSION_ASK_AUTH_H

#include "../channels/submission_auth.h"
#include "front.h"
#include "wait.h"

/* What the continuation of an exchange gets: one of the two. A NULL answer: the process has gone, or is stuck. */
struct ask_auth_answer {
    const struct auth_challenge *challenge; /* another response is wanted; data_size is checked */
    const struct auth_done *done;           /* the end; verdict and data_size are checked */
};

/* An exchange as both ends know it. */
struct exchange {
    uint64_t ticket;
    unsigned slot; /* of the auth process */
    bool lost;     /* that process has gone */
    char
        *account; /* accepted and let in already, but the client owes an empty response to the server's last message; else NULL */
    uint64_t tag; /* the account's then, from policy */
};

/* No auth process yet. */
struct ask_auth *ask_auth_new(struct front *front);

/* Closes all channels, frees *AUTH and nulls it. NULL is fine. Sessions must be gone. */
void ask_auth_free(struct ask_auth **auth);

/* The auth process SLOT is there, at FD (owned from here on). */
void ask_auth_peer(struct ask_auth *auth, unsigned slot, int fd);

/* Begins an exchange of SESSION: BEGIN carries everything but ticket and client, SIZE of its bytes are sent. The answer goes to THEN.
 * False where there is no auth process: 454. */
bool ask_auth_begin(struct session *session, struct auth_begin *begin, size_t size, wait_then then);

/* The client's next response, DATA, within session->exchange. False as above. */
bool ask_auth_respond(struct session *session, struct span data, wait_then then);

/* Tells the auth process that session->exchange is over. Its ticket is void. */
void ask_auth_cancel(struct session *session);

#endif
