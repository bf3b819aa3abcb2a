/* From a recipient's domain to its site: by the route in the settings, or by the MX answer of the dns role and the policy that the sts role
 * knows, remembered for their TTL. */
#ifndef POSTERN_QUEUE_DOMAIN_H
#define POSTERN_QUEUE_DOMAIN_H

#include "../channels/dns.h"
#include "../channels/sts.h"
#include "unit.h"

struct domain;
struct envelope;
struct site;

#define DOMAINS_MAX     50000 /* known at the same time: those not used longest are forgotten */
#define DOMAIN_FEW      20    /* a message to so many recipients at most does not wait behind its sender's larger ones */
#define DOMAIN_LINE_MAX 10000 /* domains of one sender that wait to be asked for */

/* No domain known yet. */
struct domains *domains_new(void);

/* Frees all domains, and nulls *DOMAINS (NULL is fine). Units that wait for an answer must not be used any more. */
void domains_free(struct domains **domains);

/* What decides beside the domain where a message goes, and where from. Borrowed from the settings. */
struct domain_way {
    const struct conf_route *special; /* conf_route_special; NULL: none */
    const char *pool;                 /* conf_pool_for; "": none */
};

/* What decides for mail of ENVELOPE to the domain NAME, which here and below is in its ASCII form (address_key). */
struct domain_way domain_way(const struct queue *queue, const struct envelope *envelope, struct span name);

/* The domain NAME (lower case) by WAY, made where it is new; NULL where there are DOMAINS_MAX and none can be forgotten. */
struct domain *domain_get(struct queue *queue, struct span name, struct domain_way way);

/* The site of DOMAIN where it is known and not out of date, else NULL. */
struct site *domain_site(struct queue *queue, struct domain *domain);

/* UNIT, whose recipients are all of DOMAIN, waits for its site: it goes there, is deferred, or bounces when the answer is there. False where
 * too many domains of its sender wait already. */
bool domain_wait(struct queue *queue, struct domain *domain, struct unit *unit);

/* Asks for DOMAIN's site where it is not known, for nobody in particular. */
void domain_ask(struct queue *queue, struct domain *domain);

/* What is known of the domain NAME by WAY without asking or noting anything: its site, or NULL. */
struct site *domain_known_site(const struct queue *queue, struct span name, struct domain_way way);

/* The dns role's ANSWER. One to a question that is not open is dropped. */
void domains_answer(struct queue *queue, const struct dns_mx *answer);

/* The channel to the dns role, borrowed; NULL: it has gone. What was asked of the one before is asked again. */
void domains_channel(struct queue *queue, struct ipc *dns);

/* A host of SITE shows a certificate for a name that is not its own, and that may be the name of a domain that leads there (RFC 7672 3.2.2).
 * Such a certificate is good for that domain alone: each whose MX records are signed, so that nobody else named the host, gets a site of its
 * own from now on, and what waits for it goes there. False where there is none that has not got one. */
bool domains_separate(struct queue *queue, struct site *site);

/* The sts role's POLICY of a domain. One that nobody waits for is dropped. */
void domains_policy(struct queue *queue, const struct sts_policy *policy);

/* The channel to the sts role, borrowed; NULL: it has gone. What is not answered is asked again. */
void domains_sts(struct queue *queue, struct ipc *sts);

/* Once a second, at NOW_MS (monotonic): questions that nobody answers. */
void domains_tick(struct queue *queue, int64_t now_ms);

/* Routes may have changed: nothing is known any more. */
void domains_forget(struct queue *queue);

#endif
