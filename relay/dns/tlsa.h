/* TLSA records of a host's port (RFC 6698), gathered as the channel has them. Bytes only: what they mean is OpenSSL's to say. */
#ifndef POSTERN_DNS_TLSA_H
#define POSTERN_DNS_TLSA_H

#include "../base/buffer.h"
#include "../channels/dns.h"
#include "cache.h"

#define TLSA_PACKED_MAX (1 + SMTP_DOMAIN_SIZE + DNS_TLSA_BYTES) /* bytes of tlsa_pack's form */

/* Records, each behind two bytes of its length; all zero is an empty set. */
struct tlsa_set {
    size_t size;
    char bytes[DNS_TLSA_BYTES];
};

/* Adds the record whose data is DATA. One for which there is no room is left out. */
void tlsa_add(struct tlsa_set *set, struct span data);

/* Writes the name where the records of HOST are, for the port that QUESTION ("_25._tcp.…") is about, to NAME. False where it would be too
 * long for a name. */
bool tlsa_name(const char *question, const char *host, char name[SMTP_DOMAIN_SIZE]);

/* Appends SET, found at BASE, to OUT as the cache keeps it. */
void tlsa_pack(const struct tlsa_set *set, const char *base, struct buffer *out);

/* Makes the channel's message of what is known. Returns how many bytes of it are to be sent. */
size_t tlsa_unpack(const struct found *found, uint64_t ticket, struct dns_tlsa *ret_tlsa);

#endif
