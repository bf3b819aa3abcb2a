/* The other roles ask, dns answers: where mail for a domain goes, what addresses a host has, which certificates it says are its own. The
 * only code that sees a DNS answer's bytes is in the dns role.
 *
 * If dns goes: what was asked is unanswered, which is the same as DNS_TIMEOUT. */
#ifndef POSTERN_CHANNELS_DNS_H
#define POSTERN_CHANNELS_DNS_H

#include "../base/ipc.h"
#include "../base/netaddr.h"
#include "../smtp/limits.h"

#define DNS_HOSTS_MAX     16   /* MX hosts of an answer, the most preferred ones */
#define DNS_ADDRESSES_MAX 16   /* addresses of a host, IPv6 and IPv4 together */
#define DNS_TLSA_BYTES    8192 /* of a host's TLSA records; what is beyond is left out */
#define DNS_TXT_BYTES     4096 /* the same of TXT records */

enum dns_status {
    DNS_OK,
    DNS_NXDOMAIN,  /* 5.1.2: no such name */
    DNS_NO_MAIL,   /* 5.1.2 / 5.4.4: the name exists, but has neither MX nor address */
    DNS_NULL_MX,   /* 5.1.10: takes no mail (RFC 7505) */
    DNS_LOOP,      /* 5.4.6: the best MX host is this relay itself, by name */
    DNS_SERVFAIL,  /* 4.4.3 */
    DNS_TIMEOUT,   /* 4.4.3 */
    DNS_REFUSED,   /* 4.4.3 */
    DNS_MALFORMED, /* 4.4.3: an answer that makes no sense */
    DNS_STATUSES
};

/* Whether a status lets mail wait (true) or settles it. DNS_OK is false. */
static inline bool dns_is_temporary(enum dns_status status)
{
    return status == DNS_SERVFAIL || status == DNS_TIMEOUT || status == DNS_REFUSED || status == DNS_MALFORMED;
}

/* Where does mail for `domain` go (RFC 5321 5.1)? Literals ("[192.0.2.1]") are answered with themselves as the only host. */
struct dns_ask_mx {
    uint64_t ticket;
    char domain[SMTP_DOMAIN_SIZE];
};

/* Which addresses has `host`? An address as text is answered with itself. */
struct dns_ask_address {
    uint64_t ticket;
    char host[SMTP_DOMAIN_SIZE];
};

/* Which TLSA records that count (RFC 7672 2.2) has `host` for `port`? */
struct dns_ask_tlsa {
    uint64_t ticket;
    uint16_t port;
    char host[SMTP_DOMAIN_SIZE];
};

/* Which TXT records has `name`? */
struct dns_ask_txt {
    uint64_t ticket;
    char name[SMTP_DOMAIN_SIZE];
};

struct dns_host {
    uint16_t preference;
    char name[SMTP_DOMAIN_SIZE]; /* lower case, no final dot */
};

/* Hosts by preference, equal ones in the order of the name. Hosts from this relay's own preference on are left out. `implicit`: there is no
 * MX, the domain's own address serves. `secure`: all of it is signed (DNSSEC). An MX whose host has no address is still listed: delivery
 * finds out. */
struct dns_mx {
    uint64_t ticket;
    uint32_t status; /* enum dns_status */
    uint32_t ttl_s;
    uint8_t implicit;
    uint8_t secure;
    uint8_t count;
    char alias_of[SMTP_DOMAIN_SIZE];      /* the name that has the MX records; "": the domain itself */
    struct dns_host hosts[DNS_HOSTS_MAX]; /* sent in part */
};

/* DNS_OK with at least one address; DNS_NXDOMAIN; DNS_NO_MAIL where the name has no address; or a temporary status where nothing
 * is known. One family's trouble does not hide the other's addresses. `may_have_tlsa`: the answer is signed (DNSSEC), or the host is an
 * alias, which may be: it may have TLSA records that count. */
struct dns_address {
    uint64_t ticket;
    uint32_t status; /* enum dns_status */
    uint32_t ttl_s;
    uint16_t count;
    uint8_t may_have_tlsa;
    struct netaddr addresses[DNS_ADDRESSES_MAX]; /* port 0; sent in part */
};

/* DNS_OK with the records, all of one signed answer; DNS_NO_MAIL: it has none that count, and nothing follows; or a temporary status, when
 * nothing may be sent to the host (RFC 7672 2.1.2). `base`: the name that the certificate is for, where the name counts. */
struct dns_tlsa {
    uint64_t ticket;
    uint32_t status; /* enum dns_status */
    uint32_t ttl_s;
    uint32_t size;
    char base[SMTP_DOMAIN_SIZE];
    char records
        [DNS_TLSA_BYTES]; /* each: two bytes of length, the more significant first, then its data (RFC 6698 2.1); sent in part */
};

/* DNS_OK with the records; DNS_NO_MAIL: there are none; DNS_NXDOMAIN; or a temporary status. */
struct dns_txt {
    uint64_t ticket;
    uint32_t status; /* enum dns_status */
    uint32_t ttl_s;
    uint32_t size;
    char records
        [DNS_TXT_BYTES]; /* each: two bytes of length, the more significant first, then its strings, joined; sent in part */
};

/* Takes the first of *REST, which is what a message has in `records`, off. False where there is none. */
bool dns_next_record(struct span *rest, struct span *ret_record);

#define DNS_MESSAGES(X)                                                                                                          \
    X(DNS_ASK_MX, IPC_FRONT, struct dns_ask_mx, IPC_WHOLE(struct dns_ask_mx), false)                                             \
    X(DNS_ASK_ADDRESS, IPC_FRONT, struct dns_ask_address, IPC_WHOLE(struct dns_ask_address), false)                              \
    X(DNS_ASK_TLSA, IPC_FRONT, struct dns_ask_tlsa, IPC_WHOLE(struct dns_ask_tlsa), false)                                       \
    X(DNS_ASK_TXT, IPC_FRONT, struct dns_ask_txt, IPC_WHOLE(struct dns_ask_txt), false)                                          \
    X(DNS_MX, IPC_BACK, struct dns_mx, IPC_PART(struct dns_mx, hosts), false)                                                    \
    X(DNS_ADDRESS, IPC_BACK, struct dns_address, IPC_PART(struct dns_address, addresses), false)                                 \
    X(DNS_TLSA, IPC_BACK, struct dns_tlsa, IPC_PART(struct dns_tlsa, records), false)                                            \
    X(DNS_TXT, IPC_BACK, struct dns_txt, IPC_PART(struct dns_txt, records), false)

enum dns_message { IPC_ENUM(DNS_MESSAGES) DNS_COUNT };
extern const struct ipc_channel dns_channel;

/* A few words for logs and bounces: "the domain does not exist". Static. */
const char *dns_status_text(enum dns_status status);

/* The enhanced code that belongs to STATUS: "5.1.2", "4.4.3" …; "" for DNS_OK. Static. */
const char *dns_status_enhanced(enum dns_status status);

#endif
