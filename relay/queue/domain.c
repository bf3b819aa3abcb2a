/* A domain is known, asked for, or in line to be asked. Only DOMAIN_QUESTIONS_MAX questions are open at a time. When the dns role goes,
 * what it was asked goes back in line and is asked again when it is back, which is within a second or two; what is in line for longer
 * than PATIENCE_MS is deferred with 4.4.3, and so is a question without an answer. Nothing ever bounces because the answer is missing.
 *
 * Each sender has a line of its own. The lines take turns, and a line has no more questions open than it leaves for the others: a name
 * whose servers are silent keeps its place for as long as the dns role tries, and a sender with thousands of those delays only itself. Mail
 * to many recipients has half as many at most, so that the sender's other mail (of an office, whose server is one sender) goes on too.
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

/* What one sender waits for. Exists while there is something. */
struct line {
    struct list in_turn; /* of those where something is in line */
    struct list few;     /* domains in line to be asked, some message to few recipients wants them */
    struct list many;    /* the others */
    unsigned nwaiting;   /* of both */
    unsigned nasked;     /* not answered yet */
    uint32_t sender;
};

/* What an asked domain waits for. */
enum { MISSING_MX = 1, MISSING_POLICY = 2 };

struct domain {
    struct list in_use;  /* all, the one used last at the end */
    struct list in_line; /* in line to be asked, or asked */
    struct line *line;   /* NULL: neither */
    bool few;            /* in this list of it */
    struct list waiting; /* units */
    struct site *site;
    int64_t until_ms; /* the site is known until (monotonic) */
    int64_t since_ms; /* in line or asked since */
    int64_t used_ms;
    uint64_t ticket; /* 0: not asked */
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
    struct map *lines; /* by sender */
    struct list turns; /* lines, the one whose turn it is in front */
    struct list asked;
    unsigned nasked;
    uint64_t last_ticket;
    struct ipc *dns; /* borrowed; NULL while it is away */
    struct ipc *sts; /* the same */
};

struct domains *domains_new(void)
{
    struct domains *domains = text_zalloc(sizeof *domains);
    domains->by_name = map_new(0);
    list_init(&domains->all);
    domains->lines = map_new(0);
    list_init(&domains->turns);
    list_init(&domains->asked);
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
    map_free(&(*domains)->lines, free);
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

static struct span key_of(const uint32_t *sender)
{
    return span_make((const char *)sender, sizeof *sender);
}

static struct line *line_of(struct domains *domains, uint32_t sender)
{
    struct line *line = map_get(domains->lines, key_of(&sender));
    if (line)
        return line;
    line = text_zalloc(sizeof *line);
    line->sender = sender;
    list_init(&line->in_turn);
    list_init(&line->few);
    list_init(&line->many);
    map_put(domains->lines, key_of(&sender), line, NULL);
    return line;
}

static struct line *of_turn(struct list *node)
{
    return LIST_ENTRY(node, struct line, in_turn);
}

/* DOMAIN is in LINE from now on, in FRONT or at the end. */
static void enter_line(struct domains *domains, struct line *line, struct domain *domain, bool front)
{
    domain->line = line;
    domain->since_ms = clock_monotonic_ms();
    struct list *list = domain->few ? &line->few : &line->many;
    if (front)
        list_prepend(list, &domain->in_line);
    else
        list_append(list, &domain->in_line);
    if (!line->nwaiting++)
        list_append(&domains->turns, &line->in_turn);
}

/* DOMAIN is neither in line nor asked any more; its line goes with the last. */
static void leave_line(struct domains *domains, struct domain *domain)
{
    struct line *line = domain->line;
    list_remove(&domain->in_line);
    domain->line = NULL;
    drop_answers(domain);
    if (domain->ticket) {
        domain->ticket = 0;
        domains->nasked--;
        line->nasked--;
    } else if (!--line->nwaiting) {
        list_remove(&line->in_turn);
    }
    if (line->nwaiting || line->nasked)
        return;
    map_remove(domains->lines, key_of(&line->sender));
    free(line);
}

static void to_the_end(struct domains *domains, struct line *line)
{
    list_remove(&line->in_turn);
    list_append(&domains->turns, &line->in_turn);
}

/* The domain that LINE may ask for now, or NULL. */
static struct domain *first_of(const struct domains *domains, const struct line *line)
{
    unsigned left = DOMAIN_QUESTIONS_MAX - domains->nasked;
    if (!list_empty(&line->few))
        return line->nasked < left ? of_line(line->few.next) : NULL;
    return 2 * line->nasked < left ? of_line(line->many.next) : NULL;
}

/* The domain of the line whose turn it is, of those that may ask for one more; NULL: none. The line goes to the end. */
static struct domain *next_in_turn(struct domains *domains)
{
    struct domain *domain = NULL;
    LIST_EACH(node, &domains->turns) {
        if ((domain = first_of(domains, of_turn(node)))) {
            to_the_end(domains, of_turn(node));
            break;
        }
    }
    return domain;
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
    struct line *line = domain->line;
    struct dns_ask_mx question = { .ticket = ++domains->last_ticket };
    text_copy(question.domain, sizeof question.domain, span_make(domain->name, domain->name_size));
    if (!ipc_send_soon(domains->dns, DNS_ASK_MX, &question, sizeof question))
        return false;
    domain->ticket = question.ticket;
    domain->since_ms = clock_monotonic_ms();
    domain->missing = MISSING_MX;
    if (domain->name[0] != '[' && plan_wants_policy(queue_conf(queue), route_of(queue, domain))) {
        domain->missing |= MISSING_POLICY;
        ask_policy(domains, domain);
    }
    list_remove(&domain->in_line);
    list_append(&domains->asked, &domain->in_line);
    if (!--line->nwaiting)
        list_remove(&line->in_turn);
    line->nasked++;
    domains->nasked++;
    return true;
}

/* Asks for those in line, as far as may be. */
static void ask(struct queue *queue)
{
    struct domains *domains = queue->domains;
    struct domain *domain;
    while (domains->dns && domains->nasked < DOMAIN_QUESTIONS_MAX && (domain = next_in_turn(domains)))
        if (!ask_for(queue, domain))
            return;
}

static unsigned waiting_of(const struct domains *domains, uint32_t sender)
{
    const struct line *line = map_get(domains->lines, key_of(&sender));
    return line ? line->nwaiting : 0;
}

/* Would DOMAIN, which is in line, have its turn sooner with SENDER? */
static bool is_sooner(const struct domains *domains, const struct domain *domain, uint32_t sender, bool few)
{
    if (few != domain->few)
        return few;
    return sender != domain->line->sender && waiting_of(domains, sender) < domain->line->nwaiting;
}

static void ask_on_behalf(struct queue *queue, struct domain *domain, uint32_t sender, bool few)
{
    struct domains *domains = queue->domains;
    if (domain->ticket || (domain->line && !is_sooner(domains, domain, sender, few)))
        return;
    if (domain->line)
        leave_line(domains, domain);
    domain->few = few;
    enter_line(domains, line_of(domains, sender), domain, false);
    ask(queue);
}

void domain_ask(struct queue *queue, struct domain *domain)
{
    ask_on_behalf(queue, domain, 0, true);
}

bool domain_wait(struct queue *queue, struct domain *domain, struct unit *unit)
{
    const struct entry *entry = unit->entry;
    if (!domain->line && waiting_of(queue->domains, entry->sender) >= DOMAIN_LINE_MAX)
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
    LIST_EACH(node, (struct list *)(uintptr_t)&domains->asked) {
        if (of_line(node)->ticket == ticket)
            return of_line(node);
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
    LIST_EACH(node, &queue->domains->asked) {
        if (of_line(node)->missing & MISSING_POLICY)
            ask_policy(queue->domains, of_line(node));
    }
}

/* What was asked and is not answered is in line again, in front. */
static void ask_anew(struct queue *queue)
{
    struct domains *domains = queue->domains;
    while (!list_empty(&domains->asked)) {
        struct domain *domain = of_line(domains->asked.previous);
        uint32_t sender = domain->line->sender;
        leave_line(domains, domain);
        enter_line(domains, line_of(domains, sender), domain, true);
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

/* The domain that is first in QUESTIONS, if it is there since before LIMIT_MS. */
static struct domain *overdue(const struct list *questions, int64_t limit_ms)
{
    return !list_empty(questions) && of_line(questions->next)->since_ms < limit_ms ? of_line(questions->next) : NULL;
}

static void give_up(struct queue *queue, struct domain *domain)
{
    leave_line(queue->domains, domain);
    serve(queue, domain, DNS_TIMEOUT);
}

/* Looks at each line once. */
static void give_up_lines(struct queue *queue, int64_t limit_ms)
{
    struct domains *domains = queue->domains;
    size_t left = map_count(domains->lines);
    while (left && !list_empty(&domains->turns)) {
        struct line *line = of_turn(domains->turns.next);
        struct domain *domain = overdue(&line->few, limit_ms);
        if (domain || (domain = overdue(&line->many, limit_ms))) {
            give_up(queue, domain);
            continue;
        }
        to_the_end(domains, line);
        left--;
    }
}

void domains_tick(struct queue *queue, int64_t now_ms)
{
    struct domains *domains = queue->domains;
    struct domain *unanswered;
    LIST_EACH(node, &domains->asked) {
        if (of_line(node)->since_ms >= now_ms - POLICY_MS)
            break;
        if (of_line(node)->missing == MISSING_POLICY)
            go_without_policy(queue, of_line(node));
    }
    while ((unanswered = overdue(&domains->asked, now_ms - ANSWER_MS)))
        give_up(queue, unanswered);
    give_up_lines(queue, now_ms - PATIENCE_MS);
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
