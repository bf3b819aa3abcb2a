/* A domain is known, asked for, or in line to be asked. Only DOMAIN_QUESTIONS_MAX questions are open at a time. When the dns role goes,
 * what it was asked goes back in line and is asked again when it is back, which is within a second or two; what is in line for longer
 * than PATIENCE_MS is deferred with 4.4.3, and so is a question without an answer. Nothing ever bounces because the answer is missing.
 *
 * What an answer that is not DNS_OK says is not remembered: the dns role has a cache of its own. */
#include "domain.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../message/envelope.h"
#include "place.h"
#include "settle.h"
#include "site.h"
#include "stall.h"

#include <stdlib.h>

#define TTL_MIN_S   10
#define TTL_MAX_S   3600
#define UNUSED_MS   (60 * 60 * 1000) /* a domain that nobody used for so long is forgotten */
#define PATIENCE_MS 30000            /* in line */
#define ANSWER_MS   150000           /* asked; the dns role has its own, shorter timeouts */
#define FORGET_MAX  100              /* domains forgotten a second */
#define KEY_MAX     (3 * SMTP_DOMAIN_SIZE)

struct domain {
    struct list in_use;  /* all, the one used last at the end */
    struct list in_line; /* in line to be asked, or asked */
    struct list waiting; /* units */
    struct site *site;
    int64_t until_ms; /* the site is known until (monotonic) */
    int64_t since_ms; /* in line or asked since */
    int64_t used_ms;
    uint64_t ticket; /* 0: not asked */
    size_t name_size;
    size_t key_size;
    const char *route; /* of a special route; "": none */
    const char *pool;
    char name[]; /* the key: name, route and pool, each with its NUL */
};

struct domains {
    struct map *by_name;
    struct list all;
    struct list line;
    struct list asked;
    unsigned nasked;
    uint64_t last_ticket;
    struct ipc *dns; /* borrowed; NULL while it is away */
};

struct domains *domains_new(void)
{
    struct domains *domains = text_zalloc(sizeof *domains);
    domains->by_name = map_new(0);
    list_init(&domains->all);
    list_init(&domains->line);
    list_init(&domains->asked);
    return domains;
}

void domains_free(struct domains **domains)
{
    if (!*domains)
        return;
    map_free(&(*domains)->by_name, free);
    free(*domains);
    *domains = NULL;
}

static struct domain *of_use(struct list *node)
{
    return LIST_ENTRY(node, struct domain, in_use);
}

static struct domain *of_line(struct list *node)
{
    return LIST_ENTRY(node, struct domain, in_line);
}

static bool is_idle(const struct domain *domain)
{
    return list_empty(&domain->waiting) && list_empty(&domain->in_line);
}

static void forget(struct queue *queue, struct domain *domain)
{
    site_release(queue, &domain->site);
    list_remove(&domain->in_use);
    map_remove(queue->domains->by_name, span_make(domain->name, domain->key_size));
    free(domain);
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
    list_init(&domain->in_line);
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
    site_release(queue, &domain->site);
    domain->site = site;
    domain->until_ms = until_ms;
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
    struct site_plan plan = { .route = route, .source = pool_of(domain, route) };
    if (!plan.route || plan.route->via.mx || !plan.route->via.count)
        return false;
    for (; plan.nhosts < plan.route->via.count && plan.nhosts < DNS_HOSTS_MAX; plan.nhosts++) {
        const struct conf_host *host = &plan.route->via.items[plan.nhosts];
        plan.hosts[plan.nhosts] = (struct site_host){ host->name, (uint16_t)plan.nhosts, host->port };
    }
    know(queue, domain, &plan, INT64_MAX);
    return true;
}

struct site *domain_site(struct queue *queue, struct domain *domain)
{
    if (domain->site && domain->used_ms < domain->until_ms)
        return domain->site;
    return know_by_route(queue, domain) ? domain->site : NULL;
}

struct site *domain_known_site(const struct queue *queue, struct span name, struct domain_way way)
{
    struct buffer key;
    const struct domain *domain = write_key(&key, name, way) ? map_get(queue->domains->by_name, buffer_span(&key)) : NULL;
    buffer_fini(&key);
    return domain ? domain->site : NULL;
}

/* Asks for those in line, as far as may be. */
static void ask(struct domains *domains)
{
    while (domains->dns && domains->nasked < DOMAIN_QUESTIONS_MAX && !list_empty(&domains->line)) {
        struct domain *domain = of_line(domains->line.next);
        struct dns_ask_mx question = { .ticket = ++domains->last_ticket };
        text_copy(question.domain, sizeof question.domain, span_make(domain->name, domain->name_size));
        if (!ipc_send_soon(domains->dns, DNS_ASK_MX, &question, sizeof question))
            return;
        domain->ticket = question.ticket;
        domain->since_ms = clock_monotonic_ms();
        list_remove(&domain->in_line);
        list_append(&domains->asked, &domain->in_line);
        domains->nasked++;
    }
}

void domain_ask(struct queue *queue, struct domain *domain)
{
    if (!list_empty(&domain->in_line))
        return;
    domain->since_ms = clock_monotonic_ms();
    list_append(&queue->domains->line, &domain->in_line);
    ask(queue->domains);
}

void domain_wait(struct queue *queue, struct domain *domain, struct unit *unit)
{
    unit_resolve(queue, unit, domain, &domain->waiting);
    domain_ask(queue, domain);
}

/* DOMAIN's question is over. */
static void end_question(struct domains *domains, struct domain *domain)
{
    if (domain->ticket)
        domains->nasked--;
    domain->ticket = 0;
    list_remove(&domain->in_line);
}

/* A domain that is new to its message cannot be found now. */
static void defer(struct queue *queue, struct unit *unit, struct cause *cause)
{
    if (!unit->attempts)
        stall_failed(queue, cause);
    settle_defer(queue, unit, cause);
}

/* Each waiting unit gets what there is: the site, a deferral, or a bounce. */
static void serve(struct queue *queue, struct domain *domain, enum dns_status status)
{
    struct cause said = cause_make(span_of(dns_status_enhanced(status)), span_of(dns_status_text(status)));
    struct cause *cause = status == DNS_OK ? NULL : cause_keep(&said);
    while (!list_empty(&domain->waiting)) {
        struct unit *unit = unit_of_place(domain->waiting.next);
        if (status == DNS_OK)
            place_resolved(queue, unit, domain->site);
        else if (dns_is_temporary(status))
            defer(queue, unit, cause);
        else
            settle_bounce(queue, unit, cause);
    }
    cause_drop(&cause);
}

static bool plan_of(struct queue *queue, const struct domain *domain, const struct dns_mx *answer,
                    char names[DNS_HOSTS_MAX][SMTP_DOMAIN_SIZE], struct site_plan *plan)
{
    const struct conf_route *route = route_of(queue, domain);
    *plan = (struct site_plan){ .is_mx = true, .route = route, .source = pool_of(domain, route) };
    for (unsigned i = 0; i < answer->count && i < DNS_HOSTS_MAX; i++) {
        text_copy(names[i], SMTP_DOMAIN_SIZE, span_of_array(answer->hosts[i].name, sizeof answer->hosts[i].name));
        if (!names[i][0])
            return false;
        plan->hosts[plan->nhosts++] =
            (struct site_host){ names[i], answer->hosts[i].preference, queue_conf(queue)->delivery.port };
    }
    return plan->nhosts > 0;
}

static struct domain *asked_as(const struct domains *domains, uint64_t ticket)
{
    LIST_EACH(node, (struct list *)(uintptr_t)&domains->asked) {
        if (of_line(node)->ticket == ticket)
            return of_line(node);
    }
    return NULL;
}

void domains_answer(struct queue *queue, const struct dns_mx *answer)
{
    struct domain *domain = asked_as(queue->domains, answer->ticket);
    if (!domain)
        return;
    enum dns_status status = answer->status < DNS_STATUSES ? (enum dns_status)answer->status : DNS_MALFORMED;
    char names[DNS_HOSTS_MAX][SMTP_DOMAIN_SIZE];
    struct site_plan plan;
    end_question(queue->domains, domain);
    if (know_by_route(queue, domain)) /* a route came while the question was open */
        status = DNS_OK;
    else if (status == DNS_OK && !plan_of(queue, domain, answer, names, &plan))
        status = DNS_MALFORMED;
    else if (status == DNS_OK) {
        int64_t ttl_s = answer->ttl_s < TTL_MIN_S ? TTL_MIN_S : answer->ttl_s > TTL_MAX_S ? TTL_MAX_S : answer->ttl_s;
        know(queue, domain, &plan, clock_monotonic_ms() + ttl_s * 1000);
    }
    serve(queue, domain, status);
    ask(queue->domains);
}

void domains_channel(struct queue *queue, struct ipc *dns)
{
    struct domains *domains = queue->domains;
    domains->dns = dns;
    int64_t now_ms = clock_monotonic_ms();
    while (!list_empty(&domains->asked)) { /* unanswered: in line again, in front */
        struct domain *domain = of_line(domains->asked.previous);
        end_question(domains, domain);
        domain->since_ms = now_ms;
        list_prepend(&domains->line, &domain->in_line);
    }
    ask(domains);
}

static void give_up(struct queue *queue, struct list *questions, int64_t before_ms)
{
    while (!list_empty(questions) && of_line(questions->next)->since_ms < before_ms) {
        struct domain *domain = of_line(questions->next);
        end_question(queue->domains, domain);
        serve(queue, domain, DNS_TIMEOUT);
    }
}

void domains_tick(struct queue *queue)
{
    struct domains *domains = queue->domains;
    int64_t now_ms = clock_monotonic_ms();
    give_up(queue, &domains->asked, now_ms - ANSWER_MS);
    give_up(queue, &domains->line, now_ms - PATIENCE_MS);
    ask(domains);
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
}
