/* One SASL exchange from the server's side (RFC 4422), by libsasl2. */
#ifndef POSTERN_AUTH_ATTEMPT_H
#define POSTERN_AUTH_ATTEMPT_H

#include "../conf/conf.h"
#include "credentials.h"

struct attempt;

/* What all attempts of a process share. */
struct attempt_ground {
    enum conf_auth_backend backend;
    const struct conf *conf; /* for the hostname, and how names are taken */
    struct credentials *credentials;
};

/* Where an attempt stands. After all but ATTEMPT_CONTINUES it is over. */
enum attempt_state {
    ATTEMPT_CONTINUES, /* the client is to answer a challenge */
    ATTEMPT_ACCEPTED,
    ATTEMPT_REFUSED,
    ATTEMPT_MALFORMED, /* not what the mechanism wants */
    ATTEMPT_MECHANISM, /* libsasl2 has no such mechanism, or the backend cannot serve it */
    ATTEMPT_TEMPORARY  /* the credential store does not answer */
};

/* Loads libsasl2 with the plugins that BACKEND needs and no others. Opens files: before the sandbox. False, with a log line, where
 * it cannot. Once in a process, until attempt_teardown. */
bool attempt_setup(enum conf_auth_backend backend);

/* Unloads libsasl2. All attempts must be gone. */
void attempt_teardown(void);

/* Does BACKEND serve MECHANISM (its name in capitals)? saslauthd wants the password itself: PLAIN and LOGIN only. */
bool attempt_serves(enum conf_auth_backend backend, struct span mechanism);

/* An attempt with MECHANISM, one that attempt_serves. BINDING is the TLS connection's exporter value (RFC 9266), empty for none; it
 * is to be given only where SCRAM-SHA-256-PLUS is offered to the client. GROUND must outlive the attempt. NULL, with a log line,
 * where libsasl2 refuses. */
struct attempt *attempt_new(const struct attempt_ground *ground, struct span mechanism, struct span binding);

/* Wipes and frees *ATTEMPT and nulls it. NULL is fine. */
void attempt_free(struct attempt **attempt);

/* Takes the client's initial response, or with HAS_INITIAL false begins without. *ret_out is what to send to the client: the next
 * challenge, or with ATTEMPT_ACCEPTED the server's last message, which may be empty. Borrowed until the next call. */
enum attempt_state attempt_begin(struct attempt *attempt, bool has_initial, struct span initial, struct span *ret_out);

/* Takes the client's response to a challenge; else as attempt_begin. */
enum attempt_state attempt_respond(struct attempt *attempt, struct span response, struct span *ret_out);

/* The account in normal form; after ATTEMPT_ACCEPTED only. */
struct span attempt_account(const struct attempt *attempt);

/* The name that the client claimed, as it came and perhaps cut; empty where it gave none. For the log. */
struct span attempt_claimed(const struct attempt *attempt);

/* The account that the client claimed, whether there is such a one or not, in normal form. False where it claimed none, or the name can
 * be no account's. */
bool attempt_name(const struct attempt *attempt, char account[SCRAM_NAME_SIZE]);

/* Why an attempt was not accepted, in a few words for the log. Static. */
const char *attempt_reason(const struct attempt *attempt);

#endif
