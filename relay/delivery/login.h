/* AUTH as a client (RFC 4954), over verified TLS only: SCRAM-SHA-256 (RFC 7677), PLAIN (RFC 4616) and LOGIN with a password, by libsasl2's
 * client side; OAUTHBEARER (RFC 7628) and XOAUTH2 with an access token. Bytes only: it makes the lines to send. */
#ifndef POSTERN_DELIVERY_LOGIN_H
#define POSTERN_DELIVERY_LOGIN_H

#include "../base/buffer.h"

#include <stdint.h>

#define LOGIN_LINE_MAX 12288 /* of a line we send (RFC 4954 4) */

struct login;

/* Who logs in where, and with what; borrowed until login_free. */
struct login_setup {
    const char *user;
    struct span secret; /* a password, or an access token */
    bool is_token;
    const char *host;
    uint16_t port;
};

/* Loads libsasl2's mechanisms: before the sandbox closes. False, with a log line, where it cannot be used: then nobody logs in with a
 * password. Its nonces come from LOGIN_RANDOM, which the sandbox must leave to open. */
bool login_load(void);

/* Frees what login_load made. */
void login_unload(void);

#define LOGIN_RANDOM "/dev/urandom"

/* Begins with the best of MECHANISMS (EHLO_AUTH_…) for such a secret, and appends the AUTH command with its CRLF to OUT, which the caller
 * wipes. NULL where there is none. */
struct login *login_new(unsigned mechanisms, const struct login_setup *setup, struct buffer *out);

/* Answers a 334 with TEXT: appends the response with its CRLF. False where the mechanism has nothing more to say, or finds that the
 * server does not know the password. */
bool login_continue(struct login *login, struct span text, struct buffer *out);

/* The server said 235. Has it shown before, where the mechanism wants that, that it knows the password? */
bool login_is_mutual(const struct login *login);

/* Wipes and frees *LOGIN and nulls it. NULL is fine. */
void login_free(struct login **login);

/* The mechanisms that could be used with such a secret, for people: "SCRAM-SHA-256, PLAIN, LOGIN". */
const char *login_names(bool is_token);

#endif
