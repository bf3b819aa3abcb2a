/* The key says what makes a connection there usable for another message: the hosts, and for a route its name where it brings its own
 * TLS level or login. Two domains with the same MX hosts in another order share a site; its order is that of the one seen first. */
#include "site.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "carrier.h"
#include "fair.h"
#include "place.h"
#include "retry.h"
#include "schedule.h"
#include "settle.h"
#include "stall.h"

#include <stdlib.h>

#define SITES_SWEPT_MAX 100 /* unneeded sites freed a second, beside those that are freed when their last connection ends */
#define SITES_FED_MAX   20  /* sites that are looked at when a connection ends */
#define KEY_MAX         (SMTP_DOMAIN_SIZE * (DNS_HOSTS_MAX + 4))

struct sites *sites_new(void)
{
    struct sites *sites = text_zalloc(sizeof *sites);
    sites->by_key = map_new(0);
    sites->flows = map_new(0);
    list_init(&sites->line);
    return sites;
}

static void site_free(void *value)
{
    struct site *site = value;
    for (unsigned i = 0; i < site->nhosts; i++)
        free((char *)(uintptr_t)site->hosts[i].name);
    free(site->hosts);
    free(site->domain);
    free(site->alias_of);
    cause_drop(&site->cause);
    cause_drop(&site->slowing);
    free(site->name);
    free(site->key);
    free(site);
}

void sites_free(struct sites **sites)
{
    if (!*sites)
        return;
    map_free(&(*sites)->by_key, site_free);
    map_free(&(*sites)->flows, free);
    free(*sites);
    *sites = NULL;
}

/* Does ROUTE say more than where to? */
static bool is_particular(const struct conf_route *route)
{
    return route && (route->tls_given || route->dane_given || route->user[0]);
}

static int compare_hosts(const void *a, const void *b)
{
    const struct site_host *x = a, *y = b;
    int order = (int)x->preference - (int)y->preference;
    order = order ? order : strcmp(x->name, y->name);
    return order ? order : (int)x->port - (int)y->port;
}

/* Domains share a site where they have the same hosts in the same order: nobody is to choose the order for somebody else. */
static void write_key(const struct site_plan *plan, struct buffer *key)
{
    struct site_host hosts[DNS_HOSTS_MAX];
    memcpy(hosts, plan->hosts, plan->nhosts * sizeof *hosts);
    if (plan->is_mx)
        qsort(hosts, plan->nhosts, sizeof *hosts, compare_hosts);
    buffer_addf(key, "%s:%s",
                !plan->is_mx ? "via"
                : plan->sts  ? "mx, verified"
                             : "mx",
                is_particular(plan->route) ? plan->route->name : "");
    if (*plan->source)
        buffer_addf(key, " from %s:", plan->source);
    if (*plan->domain)
        buffer_addf(key, " for %s=%s:", plan->domain, plan->alias_of);
    for (unsigned i = 0; i < plan->nhosts; i++)
        buffer_addf(key, "%s%s:%u", i && hosts[i].preference != hosts[i - 1].preference ? " then " : " ", hosts[i].name,
                    hosts[i].port);
}

/* What the settings of this moment allow SITE. */
static void bound(struct queue *queue, struct site *site)
{
    const struct conf_delivery *all = &queue_conf(queue)->delivery;
    const struct conf_site *own = conf_site_for(queue_conf(queue), span_of(site->name));
    const struct conf_rate *rate = own && own->rate.count ? &own->rate : &all->rate;
    site->bounds.connections = (unsigned)(own && own->connections ? own->connections : all->connections_per_site);
    site->bounds.rate = rate->count ? 1000.0 * (double)rate->count / (double)rate->per_ms : 0;
    site->messages = own && own->messages_per_connection ? own->messages_per_connection : all->messages_per_connection;
}

static struct site *make(struct queue *queue, const struct site_plan *plan, struct span key)
{
    struct site *site = text_zalloc(sizeof *site);
    list_init(&site->flows);
    list_init(&site->idle);
    list_init(&site->in_line);
    pace_init(&site->pace);
    site->known_ms = INT64_MAX;
    site->is_mx = plan->is_mx;
    site->sts = plan->sts;
    site->domain = text_dup(span_of(plan->domain));
    site->alias_of = text_dup(span_of(plan->alias_of));
    site->nhosts = plan->nhosts;
    site->hosts = text_zalloc(plan->nhosts * sizeof *site->hosts);
    for (unsigned i = 0; i < plan->nhosts; i++) {
        site->hosts[i] = plan->hosts[i];
        site->hosts[i].name = text_dup(span_of(plan->hosts[i].name));
    }
    site->name = text_dup(span_of(plan->hosts[0].name));
    site->key = text_dup(key);
    site->key_size = key.n;
    bound(queue, site);
    text_copy(site->source, sizeof site->source, span_of(plan->source));
    if (plan->route)
        text_copy(site->route, sizeof site->route, span_of(plan->route->name));
    map_put(queue->sites->by_key, key, site, NULL);
    return site;
}

struct site *site_get(struct queue *queue, const struct site_plan *plan)
{
    struct buffer key;
    buffer_init(&key, KEY_MAX);
    write_key(plan, &key);
    struct site *site = map_get(queue->sites->by_key, buffer_span(&key));
    if (!site)
        site = make(queue, plan, buffer_span(&key));
    buffer_fini(&key);
    return site;
}

struct site *site_share(struct site *site)
{
    site->refs++;
    return site;
}

static bool is_needed(const struct site *site)
{
    return site->refs || site->ready || site->connections || site->backoff.position ||
           pace_remembers(&site->pace, clock_monotonic_ms());
}

static void leave_line(struct queue *queue, struct site *site)
{
    queue->sites->in_line -= !list_empty(&site->in_line);
    list_remove(&site->in_line);
}

void site_consider(struct queue *queue, struct site *site)
{
    if (is_needed(site))
        return;
    schedule_remove(queue->turns, &site->turn);
    leave_line(queue, site);
    map_remove(queue->sites->by_key, span_make(site->key, site->key_size));
    site_free(site);
}

void site_release(struct queue *queue, struct site **site)
{
    if (*site) {
        (*site)->refs--;
        site_consider(queue, *site);
    }
    *site = NULL;
}

bool site_rests(const struct site *site)
{
    return site->next_ms && clock_monotonic_ms() < site->next_ms;
}

bool site_is_slowed(const struct site *site)
{
    return site->slowing && pace_is_slowed(&site->pace) && pace_remembers(&site->pace, clock_monotonic_ms());
}

static void stand_in_line(struct queue *queue, struct site *site)
{
    queue->sites->in_line += list_empty(&site->in_line);
    if (list_empty(&site->in_line))
        list_append(&queue->sites->line, &site->in_line);
}

static bool is_room(const struct queue *queue)
{
    return carriers_count(queue) < queue_conf(queue)->delivery.connections;
}

/* How many connections SITE may have beside the others': a part of those that are free or wait for work, so that slow sites, however many
 * they are, leave some for those that have none yet. */
static uint64_t share(const struct queue *queue, const struct site *site)
{
    uint64_t all = queue_conf(queue)->delivery.connections, used = carriers_count(queue) - carriers_waiting(queue);
    uint64_t part = used < all ? (all - used) / SITE_PART : 0;
    bool first = used < all && !site->open;
    return part || !first ? part : 1;
}

/* Every waiting unit has work for a connection, and so has every busy one; their sum is compared with what is open. A site
 * that failed is probed by one connection: 20 to a host that is down would be 20 timeouts that say the same. Where connections
 * wait for the turn of a message, more of them would only wait as well. */
static uint64_t aim(const struct queue *queue, const struct site *site)
{
    if (!site->ready || queue->role->draining || site_rests(site) || !list_empty(&site->idle))
        return 0;
    uint64_t limit = pace_wanted(&site->pace, &site->bounds, site->busy, clock_monotonic_ms());
    limit = site->failures && limit ? 1 : limit;
    uint64_t work = (uint64_t)site->ready + site->busy;
    return work < limit ? work : limit;
}

unsigned site_wanted(const struct queue *queue, const struct site *site)
{
    uint64_t wanted = aim(queue, site), part = share(queue, site);
    wanted = wanted < part ? wanted : part;
    return wanted > site->open ? (unsigned)(wanted - site->open) : 0;
}

bool site_may_send(struct queue *queue, struct site *site)
{
    int64_t now_ms = clock_monotonic_ms(), delay_ms = pace_delay(&site->pace, &site->bounds, now_ms);
    if (queue->role->draining || site_rests(site))
        return false;
    if (delay_ms && site->ready)
        schedule_set(queue->turns, &site->turn, now_ms + delay_ms);
    return !delay_ms;
}

void site_sent(struct site *site)
{
    site->sent_ms = clock_monotonic_ms();
    pace_sent(&site->pace, &site->bounds, site->sent_ms);
}

void site_turn(void *context, struct heap_node *node)
{
    carrier_wake(context, LIST_ENTRY(node, struct site, turn));
}

/* A connection costs both sides more than a message does. So while the first to SITE is being made, or while those that there are take one
 * message after the other and few wait, no more are made for a moment. Where this machine is what they wait for, more would make it worse. */
static bool is_patient(struct queue *queue, struct site *site)
{
    bool serves = site->open > site->opening;
    bool is_enough = serves ? site->ready <= SITE_FEW * site->open : site->open;
    int64_t patience_ms = carriers_crowd(queue) ? SITE_CROWD_MS : SITE_PATIENCE_MS;
    int64_t until_ms = (serves ? site->sent_ms : site->opening_ms) + patience_ms;
    if (!is_enough || clock_monotonic_ms() >= until_ms)
        return false;
    schedule_set(queue->turns, &site->turn, until_ms);
    return true;
}

void site_fill(struct queue *queue, struct site *site)
{
    if (site->ready && list_empty(&site->idle))
        site_may_send(queue, site); /* comes again when it is the next message's turn */
    while (site_wanted(queue, site)) {
        if (is_patient(queue, site))
            return;
        if (!is_room(queue))
            break;
        if (!carrier_open(queue, site))
            return;
    }
    if (aim(queue, site) > site->open)
        stand_in_line(queue, site);
    if (site_wanted(queue, site))
        carriers_make_room(queue, queue->sites->in_line);
}

void sites_feed(struct queue *queue)
{
    struct list *line = &queue->sites->line;
    for (unsigned n = 0; n < SITES_FED_MAX && !list_empty(line); n++) {
        struct site *site = LIST_ENTRY(line->next, struct site, in_line);
        leave_line(queue, site);
        site_fill(queue, site); /* to the end, where it wants more */
    }
}

static bool fill(void *context, struct span key, void *value)
{
    (void)key;
    site_fill(context, value);
    return true;
}

void sites_fill(struct queue *queue)
{
    map_each(queue->sites->by_key, fill, queue);
}

static bool add_resting(void *context, struct span key, void *value)
{
    const struct site *site = value;
    uint64_t *resting = context;
    (void)key;
    *resting += site_rests(site) ? site->recipients : 0;
    return true;
}

uint64_t sites_rests_begun(const struct queue *queue)
{
    return queue->sites->rests;
}

uint64_t sites_resting(const struct queue *queue)
{
    uint64_t resting = 0;
    map_each(queue->sites->by_key, add_resting, &resting);
    return resting;
}

struct unneeded {
    struct site *sites[SITES_SWEPT_MAX];
    unsigned count;
};

static bool find_unneeded(void *context, struct span key, void *value)
{
    struct unneeded *unneeded = context;
    struct site *site = value;
    (void)key;
    if (!is_needed(site))
        unneeded->sites[unneeded->count++] = site;
    return unneeded->count < SITES_SWEPT_MAX;
}

void sites_tick(struct queue *queue)
{
    struct unneeded unneeded = { .count = 0 };
    map_each(queue->sites->by_key, find_unneeded, &unneeded);
    for (unsigned i = 0; i < unneeded.count; i++)
        site_consider(queue, unneeded.sites[i]);
    sites_fill(queue);
}

void site_add(struct queue *queue, struct site *site, struct unit *unit)
{
    fair_add(queue, site, unit);
    if (!list_empty(&site->idle))
        carrier_wake(queue, site);
    else
        site_fill(queue, site);
}

/* The site is there: nothing rests any more. */
static void recover(struct queue *queue, struct site *site)
{
    if (site->failures) {
        struct log_entry entry;
        log_begin(&entry, LOG_INFO, "site-recovered");
        log_string(&entry, "site", site->name);
        log_number(&entry, "failures", site->failures);
        log_number(&entry, "waiting", site->ready);
        log_end(&entry);
    }
    site->failures = site->probes = site->lost = 0;
    site->next_ms = 0;
    schedule_remove(queue->backoff, &site->backoff);
    cause_drop(&site->cause);
}

/* Did the site itself ask for the rest that it has, after a transaction of BEGUN_MS began? What that one came to does not end it. */
static bool is_asked_for(const struct queue *queue, const struct site *site, int64_t begun_ms)
{
    return site_rests(site) && begun_ms <= site->since_ms && site->cause &&
           meaning_of(queue_conf(queue), site->cause).act == MEANING_REST;
}

void site_succeeded(struct queue *queue, struct site *site, int64_t begun_ms)
{
    if ((site->failures || site->cause) && !is_asked_for(queue, site, begun_ms))
        recover(queue, site);
    site->lost = 0;
    pace_taken(&site->pace, &site->bounds, site->open, clock_monotonic_ms());
}

void site_answered(struct queue *queue, struct site *site, int64_t begun_ms)
{
    if (site->failures && !is_asked_for(queue, site, begun_ms))
        recover(queue, site);
    site->lost = 0;
    pace_answered(&site->pace, clock_monotonic_ms());
}

struct waiting {
    struct cause *cause;
    int64_t due_ms;
    unsigned told;
};

static void tell_waiting(struct queue *queue, struct unit *unit, void *context)
{
    struct waiting *waiting = context;
    settle_waiting(queue, unit, waiting->cause, waiting->due_ms, waiting->told < SITE_TOLD_MAX);
    waiting->told++;
}

/* Which row of the table of replies CAUSE falls under. */
static void log_row(struct log_entry *entry, const struct queue *queue, const struct cause *cause)
{
    struct meaning meaning = meaning_of(queue_conf(queue), cause);
    if (meaning.row[0]) {
        log_string(entry, "row", meaning.row);
        log_string(entry, "about", meaning_about_name(meaning.about));
    }
}

bool site_alarms(const struct site *site)
{
    return !site->is_mx && site->failures;
}

/* Told once for each time that the smart host fails. */
static void log_alarm(const struct site *site, const struct cause *cause)
{
    if (site_alarms(site) && site->failures == 1)
        log_say(LOG_ERROR, "error", "the smart host %s cannot be used: %.*s; its mail waits", site->name,
                SPAN_ARGS(cause->reply));
}

static void log_backoff(const struct queue *queue, const struct site *site, const struct cause *cause)
{
    struct log_entry entry;
    char next[CLOCK_TEXT_SIZE];
    clock_rfc3339(retry_wall(site->next_ms), next);
    log_begin(&entry, LOG_WARNING, "site-backoff");
    log_string(&entry, "site", site->name);
    log_text(&entry, "mx", cause->mx);
    log_number(&entry, "failures", site->failures);
    log_number(&entry, "waiting", site->ready);
    log_string(&entry, "next", next);
    log_row(&entry, queue, cause);
    log_text(&entry, "reply", cause->reply);
    log_end(&entry);
}

/* Why a site rests: it asked for that, connections broke in use, or none could be made. */
enum why { ASKED_FOR, LOST, UNREACHABLE };

/* Is the service not there, or does it say that it is about to go? Anything else that was said is an answer: a login that was refused must
 * not be tried so soon, it could lock the account; nor whoever is told to go away for what was done (X.7.X). */
static bool is_away(const struct cause *cause)
{
    bool goes = span_equal(span_head(cause->reply, 3), SPAN("421")) && strncmp(cause->enhanced, "4.7.", 4) != 0;
    return !cause->remote || goes;
}

/* SITE rests for a step of the schedule. But all mail waits for a smart host, which mostly is away for no longer than it takes to start again:
 * until it is clear that it takes longer it is probed, and that is no step. */
static void set_rest(const struct queue *queue, struct site *site, const struct cause *cause, enum why why)
{
    int64_t rest_ms = retry_delay(queue_conf(queue), site->failures - site->probes);
    int64_t probe_ms = (int64_t)SITE_PROBE_MS << site->probes; /* no more of them than make it SITE_REST_MAX_MS */
    rest_ms = rest_ms < SITE_REST_MAX_MS ? rest_ms : SITE_REST_MAX_MS;
    if (!site->is_mx && why != ASKED_FOR && is_away(cause) && probe_ms < rest_ms) {
        rest_ms = probe_ms;
        site->probes++;
    }
    site->since_ms = clock_monotonic_ms();
    site->next_ms = site->since_ms + rest_ms;
}

/* The site rests and its units wait. Where it could not be reached no unit was tried, so the one whose turn it was pays with an attempt,
 * unless it is a smart host's fault, to which there is no other way. If all did, an hour's outage would use up the schedule of a thousand
 * messages. */
static void rest(struct queue *queue, struct site *site, const struct cause *cause, enum why why)
{
    site->failures++;
    if (site->failures == 1 || !site->is_mx)
        stall_failed(queue, cause);
    pace_rest(&site->pace);
    site->rest = ++queue->sites->rests;
    set_rest(queue, site, cause, why);
    schedule_set(queue->backoff, &site->backoff, site->next_ms);
    cause_drop(&site->cause);
    site->cause = cause_keep(cause);
    struct unit *head = why == UNREACHABLE && site->is_mx ? fair_next(site) : NULL;
    if (head)
        settle_defer(queue, head, site->cause);
    log_alarm(site, cause);
    log_backoff(queue, site, cause);
    struct waiting waiting = { site->cause, site->next_ms, 0 };
    fair_each(queue, site, tell_waiting, &waiting);
}

static void log_slowed(const struct site *site, const struct cause *cause, struct meaning meaning)
{
    struct log_entry entry;
    char rate[32] = "any";
    double kept = pace_rate(&site->pace, &site->bounds);
    if (kept > 0)
        text_format(rate, sizeof rate, "%.2f/s", kept);
    log_begin(&entry, LOG_WARNING, "site-slowed");
    log_string(&entry, "site", site->name);
    log_text(&entry, "mx", cause->mx);
    log_string(&entry, "rate", rate);
    log_number(&entry, "connections", pace_connections(&site->pace, &site->bounds));
    log_number(&entry, "waiting", site->ready);
    log_string(&entry, "row", meaning.row);
    log_string(&entry, "about", meaning_about_name(meaning.about));
    log_text(&entry, "reply", cause->reply);
    log_end(&entry);
}

/* Fewer connections; where this is the only one, it comes later. */
static bool have_fewer(struct site *site, int64_t begun_ms, int64_t now_ms)
{
    if (site->open <= 1)
        return pace_not_now(&site->pace, begun_ms, now_ms);
    pace_too_many(&site->pace, site->open, now_ms);
    return true;
}

bool site_refused(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms)
{
    struct meaning meaning = meaning_of(queue_conf(queue), cause);
    int64_t now_ms = clock_monotonic_ms();
    bool news = false;
    if (meaning.act == MEANING_NOTHING)
        return false;
    if (meaning.act == MEANING_SLOW)
        news = pace_too_fast(&site->pace, &site->bounds, begun_ms, now_ms);
    else if (meaning.act == MEANING_FEWER)
        news = have_fewer(site, begun_ms, now_ms);
    if (news) {
        cause_drop(&site->slowing);
        site->slowing = cause_keep(cause);
        log_slowed(site, cause, meaning);
    }
    if ((meaning.act == MEANING_REST || pace_is_hopeless(&site->pace)) && !site_rests(site))
        rest(queue, site, cause, ASKED_FOR);
    return true;
}

void site_unreachable(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms)
{
    if (site_refused(queue, site, cause, begun_ms))
        return;
    if (site->open > site->opening) /* it takes no more at once than it has */
        pace_too_many(&site->pace, site->open, clock_monotonic_ms());
    else if (!site_rests(site))
        rest(queue, site, cause, UNREACHABLE);
}

void site_lost(struct queue *queue, struct site *site, const struct cause *cause, int64_t begun_ms)
{
    if (site_refused(queue, site, cause, begun_ms))
        return;
    if (meaning_is_particular(meaning_of(queue_conf(queue), cause))) {
        site_answered(queue, site, begun_ms);
        return;
    }
    pace_broken(&site->pace);
    site->lost++;
    if (site->lost >= SITE_LOST_MAX && !site_rests(site))
        rest(queue, site, cause, LOST);
}

static void bounce(struct queue *queue, struct unit *unit, void *context)
{
    settle_bounce(queue, unit, context);
}

void site_impossible(struct queue *queue, struct site *site, const struct cause *cause)
{
    struct cause *kept = cause_keep(cause);
    fair_each(queue, site, bounce, kept);
    cause_drop(&kept);
}

static void unplace(struct queue *queue, struct unit *unit, void *context)
{
    (void)context;
    place_later(queue, unit);
}

void site_unplace(struct queue *queue, struct site *site)
{
    site->known_ms = INT64_MAX;
    fair_each(queue, site, unplace, NULL);
}

void site_is_known(struct site *site, int64_t until_ms)
{
    site->known_ms = until_ms < site->known_ms ? until_ms : site->known_ms;
}

/* SITE rests no longer. What waited all the while is placed anew where what brought it here does not hold any more. */
static void go_on(struct queue *queue, struct site *site)
{
    if (clock_monotonic_ms() >= site->known_ms)
        site_unplace(queue, site);
    if (!list_empty(&site->idle) && site->ready)
        carrier_wake(queue, site);
    else
        site_fill(queue, site);
}

void site_due(void *context, struct heap_node *node)
{
    struct queue *queue = context;
    struct site *site = LIST_ENTRY(node, struct site, backoff);
    site->next_ms = 0;
    go_on(queue, site);
    site_consider(queue, site);
}

void site_retry(struct queue *queue, struct site *site, uint64_t rests)
{
    if (!site_rests(site) || site->rest > rests)
        return;
    schedule_remove(queue->backoff, &site->backoff);
    site->next_ms = 0;
    go_on(queue, site);
}

static bool unplace_all(void *context, struct span key, void *value)
{
    (void)key;
    bound(context, value);
    site_unplace(context, value);
    return true;
}

void sites_unplace(struct queue *queue)
{
    map_each(queue->sites->by_key, unplace_all, queue);
}
