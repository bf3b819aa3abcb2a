/* A DNS answer's bytes (RFC 1035 4.1): what it says about one question. Knows no socket and no clock. */
#ifndef POSTERN_DNS_ANSWER_H
#define POSTERN_DNS_ANSWER_H

#include "../base/netaddr.h"
#include "../channels/dns.h"
#include "name.h"

/* Types of records that are asked for (RFC 1035 3.2.2, RFC 3596). */
enum answer_type { ANSWER_A = 1, ANSWER_MX = 15, ANSWER_AAAA = 28 };

/* One record of the asked type. */
struct answer_record {
    uint16_t preference;    /* MX */
    struct name_wire host;  /* MX */
    struct netaddr address; /* A, AAAA: port 0 */
};

/* What an answer says as a whole. */
struct answer {
    enum dns_status status; /* DNS_OK: there are records; DNS_NO_MAIL: the name has none of this type; DNS_NXDOMAIN; a failure */
    uint32_t ttl_s; /* least of the records' and of the aliases' that led to them; of the SOA where there are none (RFC 2308 5) */
    bool has_ttl;   /* false: nothing said how long this holds */
};

/* Reads BYTES, the answer to the question for records of TYPE of NAME, and calls EACH with every record of the name (or of what it
 * is an alias of), in the order of the answer. Records of other names are not looked at, nor is the additional section. An answer
 * to another question, with lying counts or lengths, without an end of its aliases, or that only refers to other servers is
 * DNS_MALFORMED; EACH may have been called then, and what it got does not count. */
struct answer answer_read(struct span bytes, const struct name_wire *name, enum answer_type type,
                          void (*each)(void *context, const struct answer_record *record), void *context);

#endif
