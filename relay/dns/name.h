/* Host names as the DNS role handles them: one normal form, checked once at each door. Bytes only. */
#ifndef POSTERN_DNS_NAME_H
#define POSTERN_DNS_NAME_H

#include "../base/span.h"
#include "../smtp/limits.h"

#include <stdint.h>

#define NAME_WIRE_MAX 255 /* a name in a DNS message, uncompressed (RFC 1035 3.1) */

/* A name as it stands in a DNS message, without compression, letters in lower case: compared byte by byte. */
struct name_wire {
    uint8_t bytes[NAME_WIRE_MAX];
    uint8_t size;
};

/* Writes TEXT in normal form (lower case, no final dot) to DEST. True where it is a host name: labels of 1 to 63 letters, digits,
 * hyphens and underscores (which exist, whatever RFC 1123 says), 253 in all. Everything else, 8-bit included, is false. */
bool name_normal(struct span text, char dest[SMTP_DOMAIN_SIZE]);

/* Writes a name in normal form as it stands in a question. False where NAME is not one. */
bool name_to_wire(struct span name, struct name_wire *ret_wire);

/* Writes WIRE as text in normal form. The root is "". False, and DEST empty, where a label holds what no host name has. */
bool name_from_wire(const struct name_wire *wire, char dest[SMTP_DOMAIN_SIZE]);

/* Same name? */
bool name_equal(const struct name_wire *a, const struct name_wire *b);

/* Reads the name at *AT of MESSAGE, following compression pointers (RFC 1035 4.1.4), and moves *AT behind it. Pointers must lead
 * back, so that a chain ends. False where the name leaves the message, is longer than a name may be, or takes more of them than that has labels. */
bool name_read(struct span message, size_t *at, struct name_wire *ret_wire);

#endif
