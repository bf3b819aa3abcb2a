/* What policy has a domain? From what is kept, from what it announces in the DNS, and where that is news, from its web server; each domain
 * once at a time, however many ask. */
#ifndef POSTERN_STS_INQUIRY_H
#define POSTERN_STS_INQUIRY_H

#include "../channels/dns.h"
#include "../conf/conf.h"
#include "fetch.h"
#include "kept.h"

#define INQUIRY_MAX        20000  /* domains in question at a time; whoever asks for more gets STS_NONE for INQUIRY_TTL_MIN_S */
#define INQUIRY_ASKERS_MAX 100000 /* who waits, in all; the same */
#define INQUIRY_TTL_MIN_S  60     /* an answer holds at least so long, and one given in trouble no longer … */
#define INQUIRY_TTL_MAX_S  3600   /* … and any at most so long: what has changed is found by asking again */
#define INQUIRY_REFRESH_S  86400  /* a policy that is older (or half its max_age) is fetched anew when it is asked for */

struct inquiries;

struct inquiry_answer {
    enum sts_mode mode;
    uint32_t ttl_s;
    struct span hosts; /* borrowed until the callback returns */
};

typedef void (*inquiry_done)(void *context, uint64_t ticket, const struct inquiry_answer *answer);

/* No question is open. KEPT and FETCH are borrowed and outlive it; CONF is looked at now. */
struct inquiries *inquiry_new(struct loop *loop, struct kept *kept, struct fetch *fetch, const struct conf *conf);

/* Frees *INQUIRIES and nulls it; nobody is answered any more. FETCH must have been freed before. NULL is fine. */
void inquiry_free(struct inquiries **inquiries);

/* New settings. */
void inquiry_settings(struct inquiries *inquiries, const struct conf *conf);

/* Asks for the policy of DOMAIN, as it came from outside. DONE is called once, maybe from within this call, and after STS_PATIENCE_MS at the
 * latest: by what is kept, or STS_NONE, while the fetch goes on. */
void inquiry_ask(struct inquiries *inquiries, struct span domain, inquiry_done done, void *context, uint64_t ticket);

/* CONTEXT has gone: what it asked is not answered. */
void inquiry_forget(struct inquiries *inquiries, const void *context);

/* The channel to dns (borrowed), or NULL where that has gone: what it was asked is asked again when it is back. */
void inquiry_dns(struct inquiries *inquiries, struct ipc *dns);

/* The answers of dns. */
void inquiry_txt(struct inquiries *inquiries, const struct dns_txt *txt);
void inquiry_address(struct inquiries *inquiries, const struct dns_address *address);

/* How many domains are in question. */
size_t inquiry_count(const struct inquiries *inquiries);

#endif
