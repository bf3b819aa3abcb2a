/* A domain's MX records put in order (RFC 5321 5.1): who may be tried, who not, and what it means when nobody is left. */
#ifndef POSTERN_DNS_MX_H
#define POSTERN_DNS_MX_H

#include "../base/buffer.h"
#include "../channels/dns.h"
#include "answer.h"
#include "cache.h"

#define MX_PACKED_MAX (1 + SMTP_DOMAIN_SIZE + DNS_HOSTS_MAX * (3 + SMTP_DOMAIN_SIZE)) /* bytes of mx_pack's form */

/* The best hosts seen so far, sorted by preference and name. */
struct mx_set {
    const char *own_name;            /* this relay's */
    char alias_of[SMTP_DOMAIN_SIZE]; /* the name that has the records; "": the domain's own */
    unsigned records;                /* all that were added */
    unsigned null_records;           /* whose host is the root */
    bool has_own;                    /* this relay is among them … */
    uint16_t own_preference;         /* … at best with this preference */
    unsigned count;
    struct dns_host hosts[DNS_HOSTS_MAX];
};

/* An empty set; OWN_NAME is this relay's name in normal form, borrowed. */
void mx_init(struct mx_set *set, const char *own_name);

/* Takes one MX record. A host that is no host name, or an address, is left out; of a host named twice the better preference counts;
 * beyond DNS_HOSTS_MAX the worst goes. */
void mx_add(struct mx_set *set, const struct answer_record *record);

/* All records are in: leaves out this relay and all hosts that are not better than it, and says what the set means. DNS_OK: there
 * are hosts. DNS_NULL_MX: the only record is the root (RFC 7505 3). DNS_LOOP: none is better than this relay. DNS_MALFORMED: no
 * record names a host. */
enum dns_status mx_settle(struct mx_set *set);

/* The set of a name without MX: itself, unless it is this relay (DNS_LOOP). */
enum dns_status mx_implicit(struct mx_set *set, struct span name);

/* Appends the hosts to OUT as the cache keeps them. */
void mx_pack(const struct mx_set *set, struct buffer *out);

/* Makes the channel's message of what is known. Returns how many bytes of it are to be sent. */
size_t mx_unpack(const struct found *found, uint64_t ticket, struct dns_mx *ret_mx);

#endif
