/* A domain is known, asked for, or in line to be asked (waitlist.h). When the dns role goes, what it was asked goes back in line and is asked
 * again when it is back, which is within a second or two; what is in line for longer than PATIENCE_MS is deferred with 4.4.3, and so is a
 * question without an answer. Nothing ever bounces because the answer is missing.
 *
 * Where mail goes by MX, the MTA-STS policy of the domain is asked for beside its MX hosts, and both are waited for. The sts role answers
 * within some seconds, also where the domain's own servers do not; where it does not answer itself, being away, mail goes on as it went
 * before, or as if there were no policy (RFC 8461 leaves it to us): a process that does not come up must not stop all mail.
 *
 * What an answer that is not DNS_OK says is not remembered: the dns role has a cache of its own. */
#include "domain.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../message/envelope.h"
#include "place.h"
#include "plan.h"
#include "settle.h"
#include "site.h"
#include "stall.h"
#include "waitlist.h"

#include <stdlib.h>

#define TTL_MIN_S   10
#define TTL_MAX_S   3600
#define UNUSED_MS   (60 * 60 * 1000) /* a domain that nobody used for so long is forgotten */
#define PATIENCE_MS 150000           /* in line: long enough for some 500 names of one sender that nobody answers for */
#define ANSWER_MS   150000           /* asked; the dns role has its own, shorter timeouts */
#define POLICY_MS   75000 /* asked; then mail goes on without the policy: later than the parent ends a role that hangs (60 s) … */
#define WITHOUT_MS  60000 /* … for so long */
#define FORGET_MAX  100   /* domains forgotten a second */
#define KEY_MAX     (3 * SMTP_DOMAIN_SIZE)

/* What an asked domain waits for. */
enum { MISSING_MX = 1, MISSING_POLICY = 2 };

struct domain {
    struct list in_use;  /* all, the one used last at the end */
    struct waiter wait;  /* in line to be asked, or asked */
    struct list waiting; /* units */
    struct site *site;
    int64_t until_ms; /* the site is known until (monotonic) */
    int64_t used_ms;
    uint64_t ticket; /* of the question, while it is asked */
    bool secure;     /* its MX records were signed */
    bool alone;      /* it has sites of its own */
    bool enforced;   /* the policy that was had last says enforce */
    unsigned missing;
    struct dns_mx *mx; /* what came while the other is missing; NULL: nothing, or no policy */
    struct sts_policy *policy;
    size_t name_size;
    size_t key_size;
    const char *route; /* of a special route; "": none */
    const char *pool;
    char name[]; /* the key: name, route and pool, each with its NUL */
};

struct domains {
    struct map *by_name;
    struct list all;
    struct waitlist *waits;
    uint64_t last_ticket;
    struct ipc *dns; /* borrowed; NULL while it is away */
    struct ipc *sts; /* the same */
};

struct domains *domains_new(void)
{
    struct domains *domains = text_zalloc(sizeof *domains);
    domains->by_name = map_new(0);
    list_init(&domains->all);
    domains->waits = waitlist_new();
    return domains;
}

/* What came for DOMAIN so far does not count any more. */
static void drop_answers(struct domain *domain)
{
    free(domain->mx);
    free(domain->policy);
    domain->mx = NULL;
    domain->policy = NULL;
}

static void free_domain(void *value)
{
    drop_answers(value);
    free(value);
}

void domains_free(struct domains **domains)
{
    if (!*domains)
        return;
    map_free(&(*domains)->by_name, free_domain);
    waitlist_free(&(*domains)->waits);
    free(*domains);
    *domains = NULL;
}

static struct domain *of_use(struct list *node)
{
    return LIST_ENTRY(node, struct domain, in_use);
}

static struct domain *of_waiter(struct waiter *waiter)
{
    return LIST_ENTRY(waiter, struct domain, wait);
}

static struct domain *of_open(struct list *node)
{
    return of_waiter(LIST_ENTRY(node, struct waiter, node));
}

static bool is_idle(const struct domain *domain)
{
    return list_empty(&domain->waiting) && !domain->wait.line;
}

static void forget(struct queue *queue, struct domain *domain)
{
    site_release(queue, &domain->site);
    list_remove(&domain->in_use);
    map_remove(queue->domains->by_name, span_make(domain->name, domain->key_size));
    free_domain(domain);
}

/* Makes room for one more; false where the oldest are all waited for. */
static bool make_room(struct queue *queue)
{
    struct domains *domains = queue->domains;
    unsigned looked_at = 0;
    if (map_count(domains->by_name) < DOMAINS_MAX)
        return true;
    LIST_EACH(node, &domains->all) {
        if (is_idle(of_use(node))) {
            forget(queue, of_use(node));
            return true;
        }
        if (++looked_at == FORGET_MAX)
            break;
    }
    return false;
}

struct domain_way domain_way(const struct queue *queue, const struct envelope *envelope, struct span name)
{
    const struct conf *conf = queue_conf(queue);
    struct span sender = span_of(envelope->sender), account = span_of(envelope->account);
    return (struct domain_way){ conf_route_special(conf, name, sender, account), conf_pool_for(conf, sender, account) };
}

static const char *route_name(struct domain_way way)
{
    return way.special ? way.special->name : "";
}

/* Writes the key of the domain NAME by WAY. False where it is too long. */
static bool write_key(struct buffer *key, struct span name, struct domain_way way)
{
    buffer_init(key, KEY_MAX);
    return name.n < SMTP_DOMAIN_SIZE && buffer_add(key, name) && buffer_add_byte(key, '\0') &&
           buffer_add_text(key, route_name(way)) && buffer_add_byte(key, '\0') && buffer_add_text(key, way.pool);
}

static struct domain *make(struct queue *queue, struct span key, struct span name, struct domain_way way)
{
    struct domains *domains = queue->domains;
    if (!make_room(queue))
        return NULL;
    struct domain *domain = text_zalloc(sizeof *domain + key.n + 1);
    memcpy(domain->name, key.p, key.n);
    domain->name_size = name.n;
    domain->key_size = key.n;
    domain->route = domain->name + name.n + 1;
    domain->pool = domain->route + strlen(route_name(way)) + 1;
    list_init(&domain->in_use);
    list_init(&domain->wait.node);
    list_init(&domain->waiting);
    map_put(domains->by_name, key, domain, NULL);
    return domain;
}

struct domain *domain_get(struct queue *queue, struct span name, struct domain_way way)
{
    struct domains *domains = queue->domains;
    struct domain *domain = NULL;
    struct buffer key;
    if (write_key(&key, name, way)) {
        domain = map_get(domains->by_name, buffer_span(&key));
        domain = domain ? domain : make(queue, buffer_span(&key), name, way);
    }
    buffer_fini(&key);
    if (!domain)
        return NULL;
    domain->used_ms = clock_monotonic_ms();
    list_remove(&domain->in_use);
    list_append(&domains->all, &domain->in_use);
    return domain;
}

static void know(struct queue *queue, struct domain *domain, const struct site_plan *plan, int64_t until_ms)
{
    struct site *site = site_share(site_get(queue, plan));
    if (domain->site && domain->site != site)
        site_unplace(queue, domain->site); /* what waits there for this domain follows it */
    site_release(queue, &domain->site);
    domain->site = site;
    domain->until_ms = until_ms;
    site_is_known(site, until_ms);
}

/* The route that DOMAIN's mail goes by, or NULL. A special one that has gone from the settings is one no longer. */
static const struct conf_route *route_of(const struct queue *queue, const struct domain *domain)
{
    const struct conf *conf = queue_conf(queue);
    const struct conf_route *special = *domain->route ? conf_route_named(conf, span_of(domain->route)) : NULL;
    return special ? special : conf_route_for(conf, span_make(domain->name, domain->name_size));
}

/* The pool of sources for DOMAIN's mail by ROUTE (or NULL). */
static const char *pool_of(const struct domain *domain, const struct conf_route *route)
{
    return route && *route->source ? route->source : domain->pool;
}

/* The site of a route with hosts; false where mail goes by MX. */
static bool know_by_route(struct queue *queue, struct domain *domain)
{
    const struct conf_route *route = route_of(queue, domain);
    struct plan plan;
    if (!plan_by_route(route, pool_of(domain, route), &plan))
        return false;
    know(queue, domain, &plan.site, INT64_MAX);
    return true;
}

struct site *domain_site(struct queue *queue, struct domain *domain)
{
    if (domain->site && domain->used_ms < domain->until_ms) {
        site_is_known(domain->site, domain->until_ms);
        return domain->site;
    }
    return know_by_route(queue, domain) ? domain->site : NULL;
}

struct site *domain_known_site(const struct queue *queue, struct span name, struct domain_way way)
{
    struct buffer key;
    const struct domain *domain = write_key(&key, name, way) ? map_get(queue->domains->by_name, buffer_span(&key)) : NULL;
    buffer_fini(&key);
    return domain ? domain->site : NULL;
}

/* DOMAIN is neither in line nor asked any more. */
static void leave_line(struct domains *domains, struct domain *domain)
{
    drop_answers(domain);
    waitlist_leave(domains->waits, &domain->wait);
}

/* Asks for the policy of DOMAIN, as TICKET; while sts is away that waits for it. */
static void ask_policy(struct domains *domains, const struct domain *domain)
{
    struct sts_ask question = { .ticket = domain->ticket };
    text_copy(question.domain, sizeof question.domain, span_make(domain->name, domain->name_size));
    ipc_send_soon(domains->sts, STS_ASK, &question, sizeof question);
}

static bool ask_for(struct queue *queue, struct domain *domain)
{
    struct domains *domains = queue->domains;
    struct dns_ask_mx question = { .ticket = ++domains->last_ticket };
    text_copy(question.domain, sizeof question.domain, span_make(domain->name, domain->name_size));
    if (!ipc_send_soon(domains->dns, DNS_ASK_MX, &question, sizeof question))
        return false;
    domain->ticket = question.ticket;
    domain->missing = MISSING_MX;
    if (domain->name[0] != '[' && conf_goes_by_sts(queue_conf(queue), route_of(queue, domain))) {
        domain->missing |= MISSING_POLICY;
        ask_policy(domains, domain);
    }
    waitlist_asked(domains->waits, &domain->wait);
    return true;
}

/* Asks for those in line, as far as may be. */
static void ask(struct queue *queue)
{
    struct domains *domains = queue->domains;
    struct waiter *waiter;
    while (domains->dns && (waiter = waitlist_next(domains->waits)))
        if (!ask_for(queue, of_waiter(waiter)))
            return;
}

static void ask_on_behalf(struct queue *queue, struct domain *domain, uint32_t sender, bool few)
{
    struct domains *domains = queue->domains;
    if (domain->wait.asked || (domain->wait.line && !waitlist_is_sooner(domains->waits, &domain->wait, sender, few)))
        return;
    if (domain->wait.line)
        leave_line(domains, domain);
    waitlist_enter(domains->waits, &domain->wait, sender, few, false);
    ask(queue);
}

void domain_ask(struct queue *queue, struct domain *domain)
{
    ask_on_behalf(queue, domain, 0, true);
}

bool domain_wait(struct queue *queue, struct domain *domain, struct unit *unit)
{
    const struct entry *entry = unit->entry;
    if (!domain->wait.line && waitlist_count(queue->domains->waits, entry->sender) >= DOMAIN_LINE_MAX)
        return false;
    unit_resolve(queue, unit, domain, &domain->waiting);
    ask_on_behalf(queue, domain, entry->sender, entry->live <= DOMAIN_FEW);
    return true;
}

/* A domain that is new to its message cannot be found now. */
static void defer(struct queue *queue, struct unit *unit, struct cause *cause)
{
    if (!unit->attempts)
        stall_failed(queue, cause);
    settle_defer(queue, unit, cause);
}

/* Each waiting unit gets what there is: a deferral, or a bounce, for what SAID tells. */
static void refuse(struct queue *queue, struct domain *domain, const struct cause *said, bool temporary)
{
    struct cause *cause = cause_keep(said);
    while (!list_empty(&domain->waiting)) {
        struct unit *unit = unit_of_place(domain->waiting.next);
        if (temporary)
            defer(queue, unit, cause);
        else
            settle_bounce(queue, unit, cause);
    }
    cause_drop(&cause);
}

/* The same, or the site where STATUS is DNS_OK. */
static void serve(struct queue *queue, struct domain *domain, enum dns_status status)
{
    struct cause said = cause_make(span_of(dns_status_enhanced(status)), span_of(dns_status_text(status)));
    if (status != DNS_OK)
        refuse(queue, domain, &said, dns_is_temporary(status));
    while (!list_empty(&domain->waiting))
        place_resolved(queue, unit_of_place(domain->waiting.next), domain->site);
}

/* No host of DOMAIN is one that its policy allows: somebody gives false MX records, or the domain has changed its hosts and not its policy. */
static void serve_forbidden(struct queue *queue, struct domain *domain)
{
    struct cause said = cause_make(SPAN("4.7.5"), SPAN("none of the domain's MX hosts is allowed by its MTA-STS policy"));
    refuse(queue, domain, &said, true);
}

static struct domain *asked_as(const struct domains *domains, uint64_t ticket)
{
    LIST_EACH(node, waitlist_open(domains->waits)) {
        if (of_open(node)->ticket == ticket)
            return of_open(node);
    }
    return NULL;
}

static int64_t seconds_for(const struct domain *domain)
{
    int64_t ttl_s = domain->mx->ttl_s;
    if (domain->policy && domain->policy->ttl_s < ttl_s)
        ttl_s = domain->policy->ttl_s;
    return ttl_s < TTL_MIN_S ? TTL_MIN_S : ttl_s > TTL_MAX_S ? TTL_MAX_S : ttl_s;
}

/* All that was asked for DOMAIN is there, and is good. */
static void conclude(struct queue *queue, struct domain *domain)
{
    const struct conf_route *route = route_of(queue, domain);
    struct plan plan;
    enum plan_result result = PLAN_MADE;
    if (!know_by_route(queue, domain)) { /* else a route came while the question was open */
        result = plan_by_mx(queue_conf(queue), route, pool_of(domain, route), domain->mx, domain->policy, &plan);
        domain->secure = domain->mx->secure;
        if (domain->policy)
            domain->enforced = domain->policy->mode == STS_ENFORCE;
        if (domain->alone && domain->secure) {
            plan.site.domain = domain->name;
            plan.site.alias_of = domain->mx->alias_of;
        }
        if (result == PLAN_MADE)
            know(queue, domain, &plan.site, clock_monotonic_ms() + seconds_for(domain) * 1000);
    }
    leave_line(queue->domains, domain);
    if (result == PLAN_FORBIDDEN)
        serve_forbidden(queue, domain);
    else
        serve(queue, domain, result == PLAN_MADE ? DNS_OK : DNS_MALFORMED);
    ask(queue);
}

/* The BODY of a message of SIZE bytes, of which the first USED count, on the heap. */
static void *keep(const void *body, size_t size, size_t used)
{
    void *kept = text_zalloc(size);
    memcpy(kept, body, used < size ? used : size);
    return kept;
}

void domains_answer(struct queue *queue, const struct dns_mx *answer)
{
    struct domain *domain = asked_as(queue->domains, answer->ticket);
    enum dns_status status = answer->status < DNS_STATUSES ? (enum dns_status)answer->status : DNS_MALFORMED;
    if (!domain || !(domain->missing & MISSING_MX))
        return;
    domain->missing &= ~(unsigned)MISSING_MX;
    if (status == DNS_OK) {
        domain->mx = keep(answer, sizeof *answer, offsetof(struct dns_mx, hosts) + answer->count * sizeof *answer->hosts);
        domain->mx->alias_of[sizeof domain->mx->alias_of - 1] = '\0';
        if (!domain->missing)
            conclude(queue, domain);
        return;
    }
    leave_line(queue->domains, domain);
    serve(queue, domain, know_by_route(queue, domain) ? DNS_OK : status);
    ask(queue);
}

void domains_policy(struct queue *queue, const struct sts_policy *policy)
{
    struct domain *domain = asked_as(queue->domains, policy->ticket);
    if (!domain || !(domain->missing & MISSING_POLICY))
        return;
    domain->missing &= ~(unsigned)MISSING_POLICY;
    domain->policy = keep(policy, sizeof *policy, offsetof(struct sts_policy, hosts) + policy->size);
    if (!domain->missing)
        conclude(queue, domain);
}

/* The sts role does not answer for DOMAIN, whose MX hosts are known. What was demanded of them before still is; where that is not known any
 * more, since the settings have changed, mail waits. */
static void go_without_policy(struct queue *queue, struct domain *domain)
{
    struct sts_policy none = { .mode = STS_NONE, .ttl_s = WITHOUT_MS / 1000 };
    struct cause said = cause_make(SPAN("4.7.5"), SPAN("the domain's MTA-STS policy cannot be had at the moment"));
    bool holds = domain->site && domain->site->sts;
    if (!holds && !domain->enforced) {
        none.ticket = domain->ticket;
        domains_policy(queue, &none);
        return;
    }
    leave_line(queue->domains, domain);
    if (holds) {
        domain->until_ms = clock_monotonic_ms() + WITHOUT_MS;
        serve(queue, domain, DNS_OK);
    } else {
        refuse(queue, domain, &said, true);
    }
    ask(queue);
}

void domains_sts(struct queue *queue, struct ipc *sts)
{
    queue->domains->sts = sts;
    LIST_EACH(node, waitlist_open(queue->domains->waits)) {
        if (of_open(node)->missing & MISSING_POLICY)
            ask_policy(queue->domains, of_open(node));
    }
}

/* What was asked and is not answered is in line again, in front. */
static void ask_anew(struct queue *queue)
{
    struct domains *domains = queue->domains;
    struct list *open = waitlist_open(domains->waits);
    while (!list_empty(open)) {
        struct domain *domain = of_open(open->previous);
        drop_answers(domain);
        waitlist_return(domains->waits, &domain->wait);
    }
    ask(queue);
}

void domains_channel(struct queue *queue, struct ipc *dns)
{
    queue->domains->dns = dns;
    ask_anew(queue);
}

bool domains_separate(struct queue *queue, struct site *site)
{
    bool any = false;
    LIST_EACH(node, &queue->domains->all) {
        struct domain *domain = of_use(node);
        if (domain->site != site || !domain->secure || domain->alone)
            continue;
        domain->alone = any = true;
        domain->until_ms = 0;
    }
    if (any)
        site_unplace(queue, site);
    return any;
}

static void give_up(void *context, struct waiter *waiter)
{
    struct queue *queue = context;
    leave_line(queue->domains, of_waiter(waiter));
    serve(queue, of_waiter(waiter), DNS_TIMEOUT);
}

/* Looks at what was asked long ago. */
static void end_questions(struct queue *queue, int64_t now_ms)
{
    LIST_EACH(node, waitlist_open(queue->domains->waits)) {
        struct domain *domain = of_open(node);
        if (domain->wait.since_ms >= now_ms - POLICY_MS)
            return;
        if (domain->wait.since_ms < now_ms - ANSWER_MS)
            give_up(queue, &domain->wait);
        else if (domain->missing == MISSING_POLICY)
            go_without_policy(queue, domain);
    }
}

void domains_tick(struct queue *queue, int64_t now_ms)
{
    struct domains *domains = queue->domains;
    end_questions(queue, now_ms);
    waitlist_overdue(domains->waits, now_ms - PATIENCE_MS, give_up, queue);
    ask(queue);
    unsigned forgotten = 0;
    LIST_EACH(node, &domains->all) {
        struct domain *domain = of_use(node);
        if (domain->used_ms > now_ms - UNUSED_MS || ++forgotten > FORGET_MAX)
            return;
        if (is_idle(domain))
            forget(queue, domain);
    }
}

void domains_forget(struct queue *queue)
{
    LIST_EACH(node, &queue->domains->all) {
        struct domain *domain = of_use(node);
        site_release(queue, &domain->site);
        LIST_EACH(place, &domain->waiting) {
            place_later(queue, unit_of_place(place));
        }
    }
    ask_anew(queue); /* by the new settings it may be that a policy counts */
}
