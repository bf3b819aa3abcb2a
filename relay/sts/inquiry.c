/* An inquiry goes through its phases in this order and ends after any of them: the TXT record (what is announced that is kept is the answer),
 * the addresses of the policy's host, its turn, the fetch. Whoever asks meanwhile is put on its list. They wait for STS_PATIENCE_MS together,
 * from the first on: then they are answered by what is kept, and whoever asks later at once, while the inquiry goes on (`late`). A refresh
 * is an inquiry that is late from its beginning.
 *
 * What is kept holds until it expires, whatever becomes of the record and the server (RFC 8461 5.1): an attacker who can hide them is whom
 * MTA-STS is there for. Trouble is never remembered as "there is no policy". */
#include "inquiry.h"

#include "../base/clock.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/map.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "failures.h"
#include "policyfile.h"
#include "turns.h"

#include <stdlib.h>

#define HOST_PREFIX "mta-sts."
#define PATH        ".well-known/mta-sts.txt"
#define NAME_LENGTH 253 /* of what can be asked for in the DNS, at most */

enum phase { PHASE_TXT, PHASE_ADDRESS, PHASE_TURN, PHASE_FETCH };

struct inquiries {
    struct loop *loop;
    struct kept *kept;
    struct fetch *fetch;
    struct failures *failures;
    struct turns *turns;
    struct ipc *dns; /* NULL: it is being started again */
    struct map *by_domain;
    struct map *by_ticket; /* the same, by what dns answers with */
    struct list young;     /* those that are not late, the oldest in front */
    struct timer patience; /* of the oldest */
    size_t naskers;
    uint64_t last_ticket;
    uint16_t port;
    bool allow_private;
};

struct asker {
    struct list node;
    inquiry_done done;
    void *context;
    uint64_t ticket;
};

struct inquiry {
    struct list node; /* in `young`, or in none */
    struct inquiries *all;
    struct list askers;
    struct turn turn;
    enum phase phase;
    bool asked; /* dns has the question */
    bool late;
    uint64_t ticket;
    int64_t begun_ms;
    uint32_t ttl_s; /* of the announcement */
    char id[ANNOUNCEMENT_ID_SIZE];
    unsigned naddresses;
    struct netaddr addresses[DNS_ADDRESSES_MAX];
    char domain[SMTP_DOMAIN_SIZE];
};

static uint32_t bound_ttl(int64_t ttl_s)
{
    return ttl_s < INQUIRY_TTL_MIN_S ? INQUIRY_TTL_MIN_S : ttl_s > INQUIRY_TTL_MAX_S ? INQUIRY_TTL_MAX_S : (uint32_t)ttl_s;
}

static struct span ticket_key(const uint64_t *ticket)
{
    return span_make((const char *)ticket, sizeof *ticket);
}

/* --- answers --- */

/* What is kept of DOMAIN, for TTL_S (to be bounded) or until it expires; else that there is none. */
static struct inquiry_answer known(struct inquiries *all, struct span domain, int64_t ttl_s)
{
    int64_t wall_ms = clock_wall_ms();
    struct kept_policy policy;
    if (!kept_get(all->kept, domain, wall_ms, &policy))
        return (struct inquiry_answer){ .mode = STS_NONE, .ttl_s = bound_ttl(ttl_s) };
    int64_t left_s = (policy.fetched_ms - wall_ms) / 1000 + policy.max_age_s;
    return (struct inquiry_answer){ policy.mode, bound_ttl(left_s < ttl_s ? left_s : ttl_s), policy.hosts };
}

/* Answers all who wait, with ANSWER. A callback may forget other askers, so the list is looked at anew each time. */
static void answer_with(struct inquiry *inquiry, const struct inquiry_answer *answer)
{
    while (!list_empty(&inquiry->askers)) {
        struct asker *asker = LIST_ENTRY(inquiry->askers.next, struct asker, node);
        list_remove(&asker->node);
        inquiry->all->naskers--;
        asker->done(asker->context, asker->ticket, answer);
        free(asker);
    }
}

/* The same by what is known. */
static void answer(struct inquiry *inquiry, int64_t ttl_s)
{
    struct inquiry_answer known_answer = known(inquiry->all, span_of(inquiry->domain), ttl_s);
    answer_with(inquiry, &known_answer);
}

static void free_inquiry(void *value)
{
    struct inquiry *inquiry = value;
    LIST_EACH(node, &inquiry->askers)
        free(LIST_ENTRY(node, struct asker, node));
    free(inquiry);
}

/* The inquiry is over: whoever waits is answered by what is known. */
static void finish(struct inquiry *inquiry, int64_t ttl_s)
{
    struct inquiries *all = inquiry->all;
    map_remove(all->by_domain, span_of(inquiry->domain));
    map_remove(all->by_ticket, ticket_key(&inquiry->ticket));
    list_remove(&inquiry->node);
    answer(inquiry, ttl_s);
    turns_leave(all->turns, &inquiry->turn); /* last, since the next one's turn may be over at once, too */
    free_inquiry(inquiry);
}

/* The policy that is announced cannot be had. */
static void fail(struct inquiry *inquiry, const char *what, const char *why)
{
    struct inquiries *all = inquiry->all;
    struct span domain = span_of(inquiry->domain);
    struct kept_policy policy;
    bool holds = kept_get(all->kept, domain, clock_wall_ms(), &policy);
    log_say(LOG_WARNING, "notice", "the MTA-STS policy of %s could not be had: %s%s; %s", inquiry->domain, what, why,
            holds ? "the one that is known holds meanwhile" : "its mail goes without, and it is tried again in five minutes");
    failures_add(all->failures, domain, clock_monotonic_ms());
    finish(inquiry, FAILURES_REST_MS / 1000);
}

/* --- patience --- */

static void be_late(struct inquiry *inquiry)
{
    inquiry->late = true;
    list_remove(&inquiry->node);
    if (!inquiry->asked && inquiry->phase <= PHASE_ADDRESS)
        finish(inquiry, 0); /* dns is away: nothing goes on */
    else
        answer(inquiry, 0);
}

static void patience_ends(void *context)
{
    struct inquiries *all = context;
    int64_t now_ms = clock_monotonic_ms();
    while (!list_empty(&all->young)) {
        struct inquiry *oldest = LIST_ENTRY(all->young.next, struct inquiry, node);
        int64_t left_ms = oldest->begun_ms + STS_PATIENCE_MS - now_ms;
        if (left_ms > 0) {
            timer_again(&all->patience, left_ms);
            return;
        }
        be_late(oldest);
    }
}

/* Whoever asks INQUIRY waits so long. */
static void be_patient(struct inquiry *inquiry)
{
    struct inquiries *all = inquiry->all;
    if (list_empty(&all->young))
        timer_set(&all->patience, all->loop, STS_PATIENCE_MS, patience_ends, all);
    list_append(&all->young, &inquiry->node);
}

/* --- what dns is asked --- */

static void ask_dns(struct inquiry *inquiry)
{
    struct ipc *dns = inquiry->all->dns;
    struct dns_ask_txt txt = { .ticket = inquiry->ticket };
    struct dns_ask_address address = { .ticket = inquiry->ticket };
    if (inquiry->phase == PHASE_TXT) {
        text_format(txt.name, sizeof txt.name, ANNOUNCEMENT_PREFIX "%s", inquiry->domain);
        inquiry->asked = ipc_send_soon(dns, DNS_ASK_TXT, &txt, sizeof txt);
    } else {
        text_format(address.host, sizeof address.host, HOST_PREFIX "%s", inquiry->domain);
        inquiry->asked = ipc_send_soon(dns, DNS_ASK_ADDRESS, &address, sizeof address);
    }
}

static bool ask_again(void *context, struct span key, void *value)
{
    struct inquiry *inquiry = value;
    const struct inquiries *all = context;
    (void)key;
    if (inquiry->phase > PHASE_ADDRESS)
        return true;
    inquiry->asked = false;
    if (all->dns)
        ask_dns(inquiry);
    return true;
}

void inquiry_dns(struct inquiries *inquiries, struct ipc *dns)
{
    inquiries->dns = dns;
    map_each(inquiries->by_domain, ask_again, inquiries);
}

/* The inquiry that TICKET is of, where it is in PHASE. */
static struct inquiry *find(const struct inquiries *all, uint64_t ticket, enum phase phase)
{
    struct inquiry *inquiry = map_get(all->by_ticket, ticket_key(&ticket));
    return inquiry && inquiry->phase == phase ? inquiry : NULL;
}

/* --- the fetch --- */

/* A policy that is older than a day, or half its time, may have been changed without another id in the DNS, and is to be there for
 * another max_age when its server goes away. */
static bool is_due(const struct kept_policy *policy)
{
    int64_t age_s = (clock_wall_ms() - policy->fetched_ms) / 1000;
    return age_s > INQUIRY_REFRESH_S || age_s > policy->max_age_s / 2;
}

static void fetched(void *context, const char *problem, struct span file)
{
    static struct policyfile policy; /* large, and gone when this returns */
    struct inquiry *inquiry = context;
    const char *wrong = problem ? NULL : policyfile_read(file, &policy);
    if (problem || wrong) {
        fail(inquiry, problem ? "" : "what its server has is no policy: ", problem ? problem : wrong);
        return;
    }
    struct kept_policy kept = { .mode = policy.mode,
                                .fetched_ms = clock_wall_ms(),
                                .max_age_s = policy.max_age_s,
                                .hosts = span_make(policy.hosts, policy.size) };
    struct inquiry_answer news = { policy.mode, bound_ttl(inquiry->ttl_s < policy.max_age_s ? inquiry->ttl_s : policy.max_age_s),
                                   kept.hosts };
    text_copy(kept.id, sizeof kept.id, span_of(inquiry->id));
    kept_put(inquiry->all->kept, span_of(inquiry->domain), kept.fetched_ms, &kept);
    answer_with(inquiry, &news); /* not by what is kept: there may have been no room, or a max_age of nothing */
    finish(inquiry, 0);
}

static void begin_fetch(void *context)
{
    struct inquiry *inquiry = context;
    const struct inquiries *all = inquiry->all;
    char host[SMTP_DOMAIN_SIZE];
    text_format(host, sizeof host, HOST_PREFIX "%s", inquiry->domain);
    inquiry->phase = PHASE_FETCH;
    fetch_start(all->fetch, host, all->port, PATH, inquiry->addresses, inquiry->naddresses, fetched, inquiry);
}

void inquiry_address(struct inquiries *inquiries, const struct dns_address *address)
{
    struct inquiry *inquiry = find(inquiries, address->ticket, PHASE_ADDRESS);
    if (!inquiry)
        return;
    if (address->status != DNS_OK) {
        fail(inquiry, "its server has no address: ", dns_status_text(address->status));
        return;
    }
    for (unsigned i = 0; i < address->count && i < DNS_ADDRESSES_MAX; i++)
        if (inquiries->allow_private || !netaddr_is_private(&address->addresses[i]))
            inquiry->addresses[inquiry->naddresses++] = address->addresses[i];
    if (!inquiry->naddresses) {
        fail(inquiry, "its server has only private addresses", "");
        return;
    }
    inquiry->phase = PHASE_TURN;
    turns_join(inquiries->turns, &inquiry->turn, &inquiry->addresses[0], begin_fetch, inquiry);
}

/* The domain announces a policy, for TTL_S. */
static void announced(struct inquiry *inquiry, uint32_t ttl_s)
{
    struct inquiries *all = inquiry->all;
    struct span domain = span_of(inquiry->domain);
    struct kept_policy policy;
    bool is_known = kept_get(all->kept, domain, clock_wall_ms(), &policy) && strcmp(policy.id, inquiry->id) == 0;
    int64_t rest_ms = failures_rest_ms(all->failures, domain, clock_monotonic_ms());
    if (is_known && (rest_ms || !is_due(&policy))) {
        finish(inquiry, ttl_s);
        return;
    }
    if (rest_ms) {
        finish(inquiry, rest_ms / 1000);
        return;
    }
    if (is_known) {
        inquiry->late = true;
        list_remove(&inquiry->node);
        answer(inquiry, ttl_s);
    }
    inquiry->ttl_s = ttl_s;
    inquiry->phase = PHASE_ADDRESS;
    ask_dns(inquiry);
}

void inquiry_txt(struct inquiries *inquiries, const struct dns_txt *txt)
{
    struct inquiry *inquiry = find(inquiries, txt->ticket, PHASE_TXT);
    if (!inquiry)
        return;
    size_t size = txt->size < sizeof txt->records ? txt->size : sizeof txt->records;
    if (dns_is_temporary(txt->status))
        finish(inquiry, 0);
    else if (txt->status == DNS_OK && announcement_read(span_make(txt->records, size), inquiry->id))
        announced(inquiry, txt->ttl_s);
    else
        finish(inquiry, txt->ttl_s);
}

/* --- questions --- */

/* Can DOMAIN, in lower case, have a policy? Not an address, and not a name that means something here only. */
static bool may_have_policy(struct span domain)
{
    size_t last = domain.n;
    if (!address_is_domain(domain, false) || domain.n + sizeof ANNOUNCEMENT_PREFIX - 1 > NAME_LENGTH)
        return false;
    while (last && domain.p[last - 1] != '.')
        last--;
    struct span top = span_skip(domain, last);
    for (size_t i = 0; i < top.n; i++)
        if (top.p[i] < '0' || top.p[i] > '9')
            return last > 0;
    return false;
}

static void add_asker(struct inquiry *inquiry, const struct asker *asker)
{
    struct asker *copy = text_zalloc(sizeof *copy);
    *copy = *asker;
    list_append(&inquiry->askers, &copy->node);
    inquiry->all->naskers++;
}

static void begin(struct inquiries *all, struct span domain, const struct asker *asker)
{
    struct inquiry *inquiry = text_zalloc(sizeof *inquiry);
    inquiry->all = all;
    inquiry->ticket = ++all->last_ticket;
    inquiry->begun_ms = clock_monotonic_ms();
    list_init(&inquiry->askers);
    text_copy(inquiry->domain, sizeof inquiry->domain, domain);
    map_put(all->by_domain, domain, inquiry, NULL);
    map_put(all->by_ticket, ticket_key(&inquiry->ticket), inquiry, NULL);
    be_patient(inquiry);
    add_asker(inquiry, asker);
    if (all->dns)
        ask_dns(inquiry);
}

/* Is DOMAIN, which INQUIRY (or NULL) is about, to be answered by what is known now? */
static bool is_settled(const struct inquiries *all, const struct inquiry *inquiry, struct span domain)
{
    struct kept_policy policy;
    if (inquiry && inquiry->late)
        return true;
    if (all->naskers >= INQUIRY_ASKERS_MAX || (!inquiry && map_count(all->by_domain) >= INQUIRY_MAX))
        return true;
    return !all->dns && kept_get(all->kept, domain, clock_wall_ms(), &policy);
}

void inquiry_ask(struct inquiries *inquiries, struct span domain, inquiry_done done, void *context, uint64_t ticket)
{
    static const struct inquiry_answer none = { .mode = STS_NONE, .ttl_s = INQUIRY_TTL_MAX_S };
    const struct asker asker = { .done = done, .context = context, .ticket = ticket };
    char lower[SMTP_DOMAIN_SIZE];
    if (domain.n >= sizeof lower || !may_have_policy(domain = span_lower(domain, lower))) {
        done(context, ticket, &none);
        return;
    }
    struct inquiry *inquiry = map_get(inquiries->by_domain, domain);
    if (is_settled(inquiries, inquiry, domain)) {
        struct inquiry_answer answer_now = known(inquiries, domain, 0);
        done(context, ticket, &answer_now);
        return;
    }
    if (inquiry)
        add_asker(inquiry, &asker);
    else
        begin(inquiries, domain, &asker);
}

struct forgotten {
    struct inquiries *all;
    const void *context;
};

static bool forget_in(void *context, struct span key, void *value)
{
    const struct forgotten *forgotten = context;
    struct inquiry *inquiry = value;
    (void)key;
    LIST_EACH(node, &inquiry->askers) {
        struct asker *asker = LIST_ENTRY(node, struct asker, node);
        if (asker->context != forgotten->context)
            continue;
        list_remove(node);
        forgotten->all->naskers--;
        free(asker);
    }
    return true;
}

void inquiry_forget(struct inquiries *inquiries, const void *context)
{
    struct forgotten forgotten = { inquiries, context };
    map_each(inquiries->by_domain, forget_in, &forgotten);
}

/* --- the whole --- */

void inquiry_settings(struct inquiries *inquiries, const struct conf *conf)
{
    inquiries->port = conf->mta_sts.port;
    inquiries->allow_private = conf->delivery.allow_private;
}

struct inquiries *inquiry_new(struct loop *loop, struct kept *kept, struct fetch *fetch, const struct conf *conf)
{
    struct inquiries *inquiries = text_zalloc(sizeof *inquiries);
    *inquiries = (struct inquiries){ .loop = loop, .kept = kept, .fetch = fetch };
    inquiries->failures = failures_new();
    inquiries->turns = turns_new();
    inquiries->by_domain = map_new(0);
    inquiries->by_ticket = map_new(0);
    list_init(&inquiries->young);
    inquiry_settings(inquiries, conf);
    return inquiries;
}

void inquiry_free(struct inquiries **inquiries)
{
    if (!*inquiries)
        return;
    timer_fini(&(*inquiries)->patience);
    map_free(&(*inquiries)->by_ticket, NULL);
    map_free(&(*inquiries)->by_domain, free_inquiry);
    turns_free(&(*inquiries)->turns);
    failures_free(&(*inquiries)->failures);
    free(*inquiries);
    *inquiries = NULL;
}

size_t inquiry_count(const struct inquiries *inquiries)
{
    return map_count(inquiries->by_domain);
}
