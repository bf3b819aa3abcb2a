/* A DNS answer's bytes (RFC 1035 4.1): what it says about one question. Knows no socket and no clock. */
#ifndef POSTERN_DNS_ANSWER_H
#define POSTERN_DNS_ANSWER_H

#include "../base/netaddr.h"
#include "../channels/dns.h"
#include "name.h"

/* Types of records that are asked for (RFC 1035 3.2.2, RFC 3596, RFC 6698 7.1). */
enum answer_type { ANSWER_A = 1, ANSWER_CNAME = 5, ANSWER_MX = 15, ANSWER_TXT = 16, ANSWER_AAAA = 28, ANSWER_TLSA = 52 };

/* One record of the asked type. */
struct answer_record {
    uint16_t preference;    /* MX */
    struct name_wire host;  /* MX, CNAME */
    struct netaddr address; /* A, AAAA: port 0 */
    struct span data; /* TXT: its character-strings, each behind its length; TLSA: usage, selector, matching type and data */
};

/* What an answer says as a whole. */
struct answer {
    enum dns_status status; /* DNS_OK: there are records; DNS_NO_MAIL: the name has none of this type; DNS_NXDOMAIN; a failure */
    uint32_t ttl_s; /* least of the records' and of the aliases' that led to them; of the SOA where there are none (RFC 2308 5) */
    bool has_ttl;   /* false: nothing said how long this holds */
    bool secure;    /* who answered vouches for all of it (AD, RFC 4035 3.2.3): signed, or shown not to be there */
    struct name_wire name; /* what was asked for, or what that is an alias of */
};

/* What the code of the answer BYTES says: DNS_OK, DNS_NXDOMAIN, or a failure of who answered; DNS_MALFORMED where that is no message. */
enum dns_status answer_code(struct span bytes);

/* Reads BYTES, the answer to the question for records of TYPE of NAME, and calls EACH with every record of the name (or of what it
 * is an alias of), in the order of the answer. Records of other names are not looked at, nor is the additional section. An answer
 * to another question, with lying counts or lengths, without an end of its aliases, or that only refers to other servers is
 * DNS_MALFORMED; EACH may have been called then, and what it got does not count. Asked for a CNAME it follows none. */
struct answer answer_read(struct span bytes, const struct name_wire *name, enum answer_type type,
                          void (*each)(void *context, const struct answer_record *record), void *context);

#endif
