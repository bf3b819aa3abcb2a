/* Sites: where recipients' mail really goes, with what is known of how it goes there.
 *
 * A site is a route's hosts, or the set of MX hosts that one or more domains have in common. Concurrency begins small, grows with each
 * success to delivery.connections-per-site, and shrinks with failure. A site that cannot be reached rests for a step of the retry
 * schedule, then one connection probes it; the units that wait there go on waiting. */
#ifndef POSTERN_QUEUE_SITE_H
#define POSTERN_QUEUE_SITE_H

#include "../base/heap.h"
#include "../base/map.h"
#include "../channels/queue_delivery.h"
#include "cause.h"
#include "queue.h"

struct unit;

#define SITE_LIMIT_FIRST 2                /* connections to a site that nothing is known of */
#define SITE_LOST_MAX    3                /* connections broken in use, one after the other, before a site rests */
#define SITE_TOLD_MAX    100              /* waiting units that a failure writes a `deferred` line for */
#define SITE_REST_MAX_MS (30 * 60 * 1000) /* a probe costs little, so a site rests no longer */
#define SITE_QUIET_MS    (60 * 1000)      /* no growth for so long after a site refused one connection more */

/* Where to: what makes a site. Names are borrowed. */
struct site_host {
    const char *name;
    uint16_t preference;
    uint16_t port;
};
struct site_plan {
    const struct conf_route *route; /* or NULL */
    bool is_mx;
    unsigned nhosts;
    struct site_host hosts[DNS_HOSTS_MAX]; /* in the order to try */
};

struct site {
    unsigned refs; /* domains that lead here */
    struct list flows;
    uint32_t ready;      /* units that wait here */
    uint32_t recipients; /* of them */
    struct list idle;    /* connections that wait for work */
    unsigned connections;
    unsigned open;     /* connections, those being closed left out */
    unsigned busy;     /* of them, in a transaction */
    unsigned opening;  /* of them, not ready for the first time */
    unsigned limit;    /* how many there may be now */
    unsigned failures; /* one after the other: the site could not be reached */
    unsigned lost;     /* one after the other: a connection broke in use */
    int64_t quiet_ms;  /* no growth before (monotonic) */
    int64_t next_ms;   /* rests until (monotonic) */
    int64_t since_ms;  /* rests since */
    struct heap_node backoff;
    struct cause *cause;          /* of the last failure */
    char route[SMTP_DOMAIN_SIZE]; /* the route whose tls, user and password count; "" = none */
    bool is_mx;
    unsigned nhosts;
    struct site_host *hosts; /* names belong to the site */
    char *name;              /* the most preferred host */
    char *key;
    size_t key_size;
};

struct sites {
    struct map *by_key;
    struct map *flows; /* fair.c's */
};

/* No site yet. */
struct sites *sites_new(void);

/* Frees all sites; units and connections must not be used any more. */
void sites_free(struct sites **sites);

/* The site of PLAN, made where it is new. Borrowed: it lives while a domain refers to it, or something waits, runs or rests there. */
struct site *site_get(struct queue *queue, const struct site_plan *plan);

/* One domain more leads to SITE, which is returned. */
struct site *site_share(struct site *site);

/* One domain less does; a site that nothing keeps is freed. *SITE becomes NULL. NULL is fine. */
void site_release(struct queue *queue, struct site **site);

/* Frees SITE where nothing keeps it. */
void site_consider(struct queue *queue, struct site *site);

/* UNIT has come for SITE: it is sent where a connection waits, else it waits, and connections are opened as wanted. */
void site_add(struct queue *queue, struct site *site, struct unit *unit);

/* Opens connections to SITE as wanted (site_wanted), as far as delivery processes take them. */
void site_fill(struct queue *queue, struct site *site);

/* The same for all sites. */
void sites_fill(struct queue *queue);

/* Once a second: connections that could not be opened before, sites that nothing keeps. */
void sites_tick(struct queue *queue);

/* How many connections more SITE wants now. */
unsigned site_wanted(const struct queue *queue, const struct site *site);

/* Rests it? Then nothing is sent there. */
bool site_rests(const struct site *site);

/* SITE took a message: it rests no longer, and may have one connection more. */
void site_succeeded(struct queue *queue, struct site *site);

/* A transaction ended in another way than by success: the site is there and rests no longer; its limit stays. */
void site_answered(struct queue *queue, struct site *site);

/* A connection broke in use because of CAUSE (kept): half as many are left, and after SITE_LOST_MAX in a row the site rests. */
void site_lost(struct queue *queue, struct site *site, const struct cause *cause);

/* None of its hosts could be reached, because of CAUSE (kept). Where other connections are at work the site takes no more than these;
 * else it rests, and of the units that wait only the first has used up an attempt. */
void site_unreachable(struct queue *queue, struct site *site, const struct cause *cause);

/* None ever will be (this relay itself, private addresses, no address at all): what waits there bounces with CAUSE (kept). */
void site_impossible(struct queue *queue, struct site *site, const struct cause *cause);

/* SITE's rest is over (the schedule tells). */
void site_due(void *queue, struct heap_node *node);

/* A person wanted SITE tried, at ASKED_MS (monotonic): ends its rest, unless it was tried since and rests again. */
void site_retry(struct queue *queue, struct site *site, int64_t asked_ms);

/* All ready units of all sites leave for UNPLACED: the routes may have changed. */
void sites_unplace(struct queue *queue);

#endif
