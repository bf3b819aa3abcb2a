/* The channel to the dns role: does a recipient's domain take mail? What is said is in channels/dns.h. */
#ifndef POSTERN_SUBMISSION_ASK_DNS_H
#define POSTERN_SUBMISSION_ASK_DNS_H

#include "../channels/dns.h"
#include "front.h"
#include "wait.h"

/* No dns process yet. */
struct ask_dns *ask_dns_new(struct front *front);

/* Closes the channel, frees *DNS and nulls it. NULL is fine. Sessions must be gone. */
void ask_dns_free(struct ask_dns **dns);

/* The dns process is there, at FD (owned from here on). */
void ask_dns_peer(struct ask_dns *dns, unsigned slot, int fd);

/* Asks for DOMAIN on behalf of SESSION; the answer, a struct dns_mx or NULL, goes to THEN. False where there is nothing to ask: the
 * domain is known to be good from a moment ago, mail for it does not go by MX, or no dns process is there. */
bool ask_dns_domain(struct session *session, struct span domain, wait_then then);

/* Is there nothing to ask about DOMAIN? */
bool ask_dns_needless(const struct front *front, struct span domain);

/* DOMAIN takes mail, as an answer said that holds for TTL_S seconds. */
void ask_dns_good(struct ask_dns *dns, struct span domain, uint32_t ttl_s);

/* The reply that refuses a recipient because of STATUS, in TEXT; NULL where it refuses nothing. */
const char *ask_dns_refusal(enum dns_status status, char *text, size_t size);

#endif
