/* A host's addresses of both families, gathered from two answers. */
#ifndef POSTERN_DNS_ADDRESSES_H
#define POSTERN_DNS_ADDRESSES_H

#include "../base/buffer.h"
#include "../channels/dns.h"
#include "cache.h"

#define ADDRESSES_PACKED_MAX                                                                                                     \
    (1 + SMTP_DOMAIN_SIZE + DNS_ADDRESSES_MAX * sizeof(struct netaddr)) /* bytes of addresses_pack's form */

/* At most DNS_ADDRESSES_MAX of each family; all zero is an empty set. */
struct addresses {
    char alias_of[SMTP_DOMAIN_SIZE]; /* the name that has them; "": the host's own */
    unsigned count4, count6;
    struct netaddr v4[DNS_ADDRESSES_MAX];
    struct netaddr v6[DNS_ADDRESSES_MAX];
};

/* Adds ADDRESS, unless it is there already or its family is full. */
void addresses_add(struct addresses *addresses, const struct netaddr *address);

/* Appends them to OUT as the cache keeps them, behind what the host is an alias of: IPv6 and IPv4 in turn, so that neither family alone fills a client's first tries,
 * at most DNS_ADDRESSES_MAX in all. */
void addresses_pack(const struct addresses *addresses, struct buffer *out);

/* What the answers for both families mean together. Addresses win over everything; "no such name" of one over trouble of the other,
 * since it is said of the name and not of the type; trouble over "no data". */
enum dns_status addresses_status(const struct addresses *addresses, enum dns_status a, enum dns_status aaaa);

/* What the host is an alias of, of what is known of its addresses; empty: of nothing, or nothing is known. */
struct span addresses_alias(const struct found *found);

/* Makes the channel's message of what is known. Returns how many bytes of it are to be sent. */
size_t addresses_unpack(const struct found *found, uint64_t ticket, struct dns_address *ret_address);

#endif
