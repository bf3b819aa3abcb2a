/* Sites: where recipients' mail really goes, with what is known of how it goes there.
 *
 * A site is a route's hosts, or the set of MX hosts, in order of preference, that one or more domains have in common. How many connections and how many messages a
 * second it gets is found out (pace.h) within what the settings allow, by its successes, its failures, and what its replies mean
 * (meaning.h). A site that cannot be reached rests for a step of the retry schedule, then one connection probes it; the units that wait
 * there go on waiting. A smart host, whom all mail waits for, is probed sooner. */
#ifndef POSTERN_QUEUE_SITE_H
#define POSTERN_QUEUE_SITE_H

#include "../base/heap.h"
#include "../base/map.h"
#include "../channels/queue_delivery.h"
#include "cause.h"
#include "meaning.h"
#include "pace.h"
#include "queue.h"

struct unit;

#define SITE_PART        8                /* a site may have an eighth of the connections that are free */
#define SITE_LOST_MAX    3                /* connections broken in use, one after the other, before a site rests */
#define SITE_PATIENCE_MS 20               /* connections that serve so soon may be enough … */
#define SITE_CROWD_MS    1000             /* … or so soon, while very many are begun at once … */
#define SITE_FEW         8                /* … where no more messages wait for each of them */
#define SITE_TOLD_MAX    100              /* waiting units that a failure writes a `deferred` line for */
#define SITE_REST_MAX_MS (30 * 60 * 1000) /* a probe costs little, so a site rests no longer */
#define SITE_PROBE_MS    15000            /* a smart host that is away is probed after, then after twice as long … */

/* Where to: what makes a site. Names are borrowed. */
struct site_host {
    const char *name;
    uint16_t preference;
    uint16_t port;
};
struct site_plan {
    const struct conf_route *route; /* or NULL */
    const char *source;             /* pool of sources; "": delivery.source */
    bool is_mx;
    bool sts; /* the domain's MTA-STS policy demands verified TLS (RFC 8461) */
    const char
        *domain; /* its only one, whose name the hosts' certificates may be for (RFC 7672 3.2.2); "": all who have these hosts */
    const char *alias_of; /* what that is an alias of, or "" */
    unsigned nhosts;
    struct site_host hosts[DNS_HOSTS_MAX]; /* in the order to try */
};

struct site {
    unsigned refs; /* domains that lead here */
    struct list flows;
    uint32_t ready;      /* units that wait here */
    uint32_t recipients; /* of them */
    struct list idle;    /* connections that wait for work */
    struct list in_line; /* it wants connections, of which there are too few for all */
    unsigned connections;
    unsigned open;      /* connections, those being closed left out */
    unsigned busy;      /* of them, in a transaction */
    unsigned opening;   /* of them, not ready for the first time */
    int64_t opening_ms; /* since when some are (monotonic) */
    int64_t sent_ms;    /* when a message was given to one of them last */
    struct pace pace;   /* how much it takes */
    struct pace_bounds bounds;
    uint64_t messages; /* over one connection, at most */
    unsigned failures; /* one after the other: the site could not be reached */
    unsigned probes;   /* of these, rests of a smart host that was away for a moment, as far as is known */
    unsigned lost;     /* one after the other: a connection broke in use */
    int64_t next_ms;   /* rests until (monotonic) */
    int64_t since_ms;  /* rests since */
    int64_t known_ms;  /* something that waits here may belong elsewhere from then on (monotonic) */
    uint64_t rest;     /* the number of that rest (sites_rests_begun) */
    struct heap_node backoff;
    struct heap_node turn;         /* the next message's, where a rate is kept to; or to look whether connections are enough */
    struct cause *cause;           /* of the last failure */
    struct cause *slowing;         /* the last reply that slowed it */
    char route[SMTP_DOMAIN_SIZE];  /* the route whose tls, user and password count; "" = none */
    char source[SMTP_DOMAIN_SIZE]; /* the pool of sources that connections come from; "" = delivery.source */
    bool is_mx;
    bool sts;
    char *domain, *alias_of; /* as in its plan */
    unsigned nhosts;
    struct site_host *hosts; /* names belong to the site */
    char *name;              /* the most preferred host */
    char *key;
    size_t key_size;
};

struct sites {
    struct map *by_key;
    struct map *flows; /* fair.c's */
    struct list line;  /* those that want connections and got none */
    unsigned in_line;  /* how many they are */
    uint64_t rests;    /* begun so far, of all sites */
};

/* No site yet. */
struct sites *sites_new(void);

/* Frees all sites; units and connections must not be used any more. */
void sites_free(struct sites **sites);

/* The site of PLAN, made where it is new. Borrowed: it lives while a domain refers to it, or something waits, runs or rests there. */
struct site *site_get(struct queue *queue, const struct site_plan *plan);

/* One domain more leads to SITE, which is returned. */
struct site *site_share(struct site *site);

/* Mail of a domain that leads to SITE comes here, and it does so until UNTIL_MS (monotonic) for certain. */
void site_is_known(struct site *site, int64_t until_ms);

/* One domain less does; a site that nothing keeps is freed. *SITE becomes NULL. NULL is fine. */
void site_release(struct queue *queue, struct site **site);

/* Frees SITE where nothing keeps it. */
void site_consider(struct queue *queue, struct site *site);

/* UNIT has come for SITE: it is sent where a connection waits, else it waits, and connections are opened as wanted. */
void site_add(struct queue *queue, struct site *site, struct unit *unit);

/* Opens connections to SITE as wanted (site_wanted), as far as delivery processes take them. */
void site_fill(struct queue *queue, struct site *site);

/* A connection has ended: it goes to those sites that wait for one longest. */
void sites_feed(struct queue *queue);

/* As site_fill for all sites. */
void sites_fill(struct queue *queue);

/* Once a second: connections that could not be opened before, sites that nothing keeps. */
void sites_tick(struct queue *queue);

/* How many connections more SITE wants now. */
unsigned site_wanted(const struct queue *queue, const struct site *site);

/* How many rests have begun so far, of all sites: tells those before a moment from those after it, exactly. */
uint64_t sites_rests_begun(const struct queue *queue);

/* How many recipients wait at sites that rest. */
uint64_t sites_resting(const struct queue *queue);

/* Is it a smart host that cannot be used: that is down, or refuses the login? Somebody has to look. */
bool site_alarms(const struct site *site);

/* Rests it? Then nothing is sent there. */
bool site_rests(const struct site *site);

/* May a message be sent to SITE now? Where one waits for its turn only, SITE is woken then. */
bool site_may_send(struct queue *queue, struct site *site);

/* A message is sent to SITE. */
void site_sent(struct site *site);

/* Does it get less than the settings allow because of what it said in the last hour? */
bool site_is_slowed(const struct site *site);

/* SITE took a message in a transaction that began at BEGUN_MS (monotonic): it rests no longer, unless it asked for that since, and may get
 * more. */
void site_succeeded(struct queue *queue, struct site *site, int64_t begun_ms);

/* Such a transaction ended in another way: the site is there and rests no longer, with the same exception; what it gets stays. */
void site_answered(struct queue *queue, struct site *site, int64_t begun_ms);

/* A transaction that began at BEGUN_MS (monotonic), or the attempt to connect, had CAUSE (kept), which means that SITE is to get less, or
 * to rest. False where it does not, so that it is for the caller to say what follows. */
bool site_refused(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms);

/* A connection broke in use because of CAUSE (kept), BEGUN_MS as above: it takes less where that is what it means; nothing follows where it
 * is about one message or sender; else half as many are left, and after SITE_LOST_MAX in a row the site rests. */
void site_lost(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms);

/* None of its hosts could be reached, because of CAUSE (kept); the connection was asked for at BEGUN_MS. It takes less where that is what it
 * means. Where other connections are at work the site takes no more than these; else it rests, and of the units that wait only the first
 * has used up an attempt, and none where it is a smart host. */
void site_unreachable(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms);

/* None ever will be (this relay itself, private addresses, no address at all): what waits there bounces with CAUSE (kept). */
void site_impossible(struct queue *queue, struct site *site, const struct cause *cause);

/* SITE's rest is over (the schedule tells). */
void site_due(void *queue, struct heap_node *node);

/* The next message's turn has come, or SITE has waited long enough for those it has (the schedule tells). */
void site_turn(void *queue, struct heap_node *node);

/* A person wanted SITE tried when RESTS had begun (sites_rests_begun): ends its rest, unless it was tried since and rests again. */
void site_retry(struct queue *queue, struct site *site, uint64_t rests);

/* The ready units of SITE leave for UNPLACED: where they go may have changed. */
void site_unplace(struct queue *queue, struct site *site);

/* The settings have changed: all ready units of all sites leave for UNPLACED, since the routes may be others, and so may bounds. */
void sites_unplace(struct queue *queue);

#endif
