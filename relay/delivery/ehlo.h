/* What a server offers: the lines of its reply to EHLO (RFC 5321 4.1.1.1). Bytes only. */
#ifndef POSTERN_DELIVERY_EHLO_H
#define POSTERN_DELIVERY_EHLO_H

#include "../base/span.h"

#include <stdint.h>

enum {
    EHLO_PIPELINING = 1, /* RFC 2920 */
    EHLO_SIZE = 2,       /* RFC 1870 */
    EHLO_8BITMIME = 4,   /* RFC 6152 */
    EHLO_SMTPUTF8 = 8,   /* RFC 6531 */
    EHLO_STARTTLS = 16,  /* RFC 3207 */
    EHLO_AUTH = 32,      /* RFC 4954 */
    EHLO_DSN = 64        /* RFC 3461 */
};

/* Login mechanisms that a server offers and postern knows. */
enum {
    EHLO_AUTH_PLAIN = 1,
    EHLO_AUTH_LOGIN = 2,
    EHLO_AUTH_SCRAM = 4, /* SCRAM-SHA-256 */
    EHLO_AUTH_OAUTHBEARER = 8,
    EHLO_AUTH_XOAUTH2 = 16
};

struct ehlo {
    unsigned offers;     /* EHLO_… */
    unsigned mechanisms; /* EHLO_AUTH_… */
    uint64_t size_max;   /* largest message; 0: no limit was named, as with those of LIMITS (RFC 9422) */
    uint64_t mail_max;   /* transactions of a session */
    uint64_t rcpt_max;   /* RCPT commands of a transaction */
    uint64_t domain_max; /* different domains of recipients in a session */
};

/* Notes what one line offers: LINE is its text behind the code, not of the first line, which is the server's greeting. What
 * is unknown, doubled or malformed is passed over. */
void ehlo_line(struct ehlo *ehlo, struct span line);

#endif
