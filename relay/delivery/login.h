/* AUTH as a client (RFC 4954): PLAIN (RFC 4616) and LOGIN, over verified TLS only. Bytes only: it makes the lines to send. */
#ifndef POSTERN_DELIVERY_LOGIN_H
#define POSTERN_DELIVERY_LOGIN_H

#include "../base/buffer.h"

#include <stdint.h>

#define LOGIN_LINE_MAX 4096 /* of a line we send */

/* A login in progress; all zero is none. */
struct login {
    unsigned mechanism; /* EHLO_AUTH_… that is being done */
    unsigned step;
};

/* Begins with the best of MECHANISMS (EHLO_AUTH_…) and appends the AUTH command with its CRLF to OUT, which the caller wipes.
 * False where none is known. */
bool login_begin(struct login *login, unsigned mechanisms, const char *user, struct span password, struct buffer *out);

/* Answers a 334: appends the response with its CRLF. False where the mechanism has nothing more to say. */
bool login_continue(struct login *login, const char *user, struct span password, struct buffer *out);

#endif
