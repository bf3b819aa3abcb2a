/* A question is a job. Those about one thing are answered in one step; those about many go through all entries, some in a round of the
 * loop, and rest while control does not read (ipc_backlog) or says that the administrator does not (admin_want), so that a list of any length takes bounded memory and stops no mail. The
 * place is kept by visit.h. */
#include "admin.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "accounts.h"
#include "describe.h"
#include "domain.h"
#include "envelopes.h"
#include "intervene.h"
#include "life.h"
#include "recover.h"
#include "site.h"
#include "unit.h"
#include "visit.h"

#include <stdlib.h>

#define ROUND_MAX   200  /* entries looked at in a round, all jobs together */
#define BACKLOG_MAX 64   /* pieces that control has not read: a job rests from there on */
#define PACE_MS     20   /* how long it rests */
#define RESOLVE_MS  5000 /* how long ADMIN_SITE waits for an answer */

enum step { STEP_REST, STEP_DONE };

struct job_of_admin {
    struct list node;
    struct ipc *control; /* borrowed */
    const struct verb *verb;
    struct admin_ask ask;
    struct queue *queue;
    struct visit visit;
    unsigned *budget; /* of the round */
    uint32_t sender;  /* what entries of the account that is asked for have as such */
    uint64_t count;   /* changed, listed or counted */
    uint64_t held;    /* of these */
    int64_t since_ms;
    uint64_t rests_begun; /* before it was asked */
    bool rests;           /* until control wants more */
};

/* MANY: `each` sees every entry that fits the filters. Otherwise `one` is called until it says STEP_DONE. */
struct verb {
    bool many;
    bool changes; /* without any filter it is refused, unless `all` */
    bool counts;  /* the answer is how many there are */
    bool (*each)(struct queue *queue, struct job_of_admin *job, struct entry *entry);
    enum step (*one)(struct queue *queue, struct job_of_admin *job);
};

struct admin {
    struct list jobs;
    unsigned njobs;
    struct timer pump;
};

struct admin *admin_new(void)
{
    struct admin *admin = text_zalloc(sizeof *admin);
    list_init(&admin->jobs);
    return admin;
}

static void pump(void *context);

static void drop(struct admin *admin, struct job_of_admin *job)
{
    list_remove(&job->node);
    visit_end(&job->visit);
    admin->njobs--;
    free(job);
}

void admin_free(struct admin **admin)
{
    if (!*admin)
        return;
    LIST_EACH(node, &(*admin)->jobs) {
        drop(*admin, LIST_ENTRY(node, struct job_of_admin, node));
    }
    timer_fini(&(*admin)->pump);
    free(*admin);
    *admin = NULL;
}

void admin_gone(struct queue *queue, struct ipc *control)
{
    LIST_EACH(node, &queue->admin->jobs) {
        struct job_of_admin *job = LIST_ENTRY(node, struct job_of_admin, node);
        if (job->control == control)
            drop(queue->admin, job);
    }
}

void admin_want(struct queue *queue, struct ipc *control, const struct admin_want *want)
{
    struct admin *admin = queue->admin;
    LIST_EACH(node, &admin->jobs) {
        struct job_of_admin *job = LIST_ENTRY(node, struct job_of_admin, node);
        if (job->control != control || job->ask.ticket != want->ticket)
            continue;
        job->rests = want->pace == ADMIN_REST;
        if (want->pace == ADMIN_FORGET && !job->verb->changes)
            drop(admin, job);
        else
            timer_set(&admin->pump, queue->loop, 0, pump, queue);
    }
}

/* Sends VALUE, which is given away, in as many pieces as it takes. */
static void send_json(struct job_of_admin *job, json_t *value)
{
    struct admin_text piece = { .ticket = job->ask.ticket };
    char *text = json_dumps(value, JSON_COMPACT);
    struct span rest = span_of(text);
    json_decref(value);
    do {
        struct span part = span_head(rest, ADMIN_TEXT_MAX);
        rest = span_skip(rest, part.n);
        piece.ends = !rest.n;
        piece.size = (uint32_t)part.n;
        if (part.n)
            memcpy(piece.text, part.p, part.n);
        ipc_send(job->control, ADMIN_TEXT, &piece, offsetof(struct admin_text, text) + part.n, -1);
    } while (rest.n);
    free(text);
}

static void send_end(struct ipc *control, uint64_t ticket, enum admin_result result, const char *reason)
{
    struct admin_end end = { .ticket = ticket, .result = result };
    text_copy(end.reason, sizeof end.reason, span_of(reason));
    log_flush(); /* what was done stands in the log when somebody hears of it */
    ipc_send(control, ADMIN_END, &end, offsetof(struct admin_end, reason) + strlen(end.reason), -1);
}

static enum step finish(struct job_of_admin *job, enum admin_result result, const char *reason)
{
    send_end(job->control, job->ask.ticket, result, reason);
    return STEP_DONE;
}

/* Does FILTER, one of the ask's texts, let VALUE through? */
static bool lets(const char *filter, struct span value)
{
    return !filter[0] || span_equal_nocase(span_of(filter), value);
}

/* The same for addresses, whose domains may be written in two ways. */
static bool lets_address(const char *filter, struct span address)
{
    char wanted[ADDRESS_KEY_SIZE], found[ADDRESS_KEY_SIZE];
    return !filter[0] || span_equal_nocase(address_key(span_of(filter), wanted), address_key(address, found));
}

/* Is one of the recipients that ENTRY still has what the filters want? */
static bool fits_recipient(struct queue *queue, const struct admin_ask *ask, const struct entry *entry,
                           const struct envelope *envelope)
{
    if (!ask->recipient[0] && !ask->site[0])
        return true;
    for (const struct unit *unit = entry->units; unit; unit = unit->next)
        for (uint32_t i = 0; i < unit->count; i++) {
            uint32_t recipient = unit->parts[i].recipient;
            if (recipient >= envelope->nrecipients)
                continue;
            struct span address = span_of(envelope->recipients[recipient].address);
            if (lets_address(ask->recipient, address) &&
                (!ask->site[0] || lets(ask->site, span_of(describe_site_name(queue, envelope, address)))))
                return true;
        }
    return false;
}

/* An entry knows the hash of its account: the envelopes of all others need not be read. */
static bool fits(struct queue *queue, const struct job_of_admin *job, const struct entry *entry)
{
    const struct admin_ask *ask = &job->ask;
    char id[UID_TEXT_SIZE];
    if (ask->account[0] && entry->sender != job->sender)
        return false;
    uid_print(entry->id, id);
    if (!lets(ask->id, span_of(id)))
        return false;
    if (!ask->account[0] && !ask->client[0] && !ask->sender[0] && !ask->recipient[0] && !ask->site[0])
        return true;
    const struct envelope *envelope = envelopes_get(queue, entry, NULL);
    return envelope && lets(ask->account, span_of(envelope->account)) && lets(ask->client, span_of(envelope->client)) &&
           lets_address(ask->sender, span_of(envelope->sender)) && fits_recipient(queue, ask, entry, envelope);
}

static bool has_filter(const struct admin_ask *ask)
{
    return ask->id[0] || ask->account[0] || ask->client[0] || ask->sender[0] || ask->recipient[0] || ask->site[0];
}

static enum step end_many(struct job_of_admin *job)
{
    if (job->ask.id[0] && !job->count)
        return finish(job, ADMIN_NOT_FOUND,
                      job->verb->changes ? "no message of this id is queued, or it is in that state already"
                                         : "no message of this id is queued; it may be delivered: see postern message");
    if (job->verb->changes)
        send_json(job, json_pack("{s:I}", "changed", (json_int_t)job->count));
    if (job->verb->counts)
        send_json(job, json_pack("{s:I, s:I}", "queued", (json_int_t)job->count, "held", (json_int_t)job->held));
    return finish(job, ADMIN_DONE, "");
}

/* The message that the id names. */
static enum step step_only(struct queue *queue, struct job_of_admin *job)
{
    struct uid id;
    struct entry *entry = uid_parse(span_of(job->ask.id), &id) ? entry_find(queue, id) : NULL;
    if (entry && fits(queue, job, entry))
        job->count += job->verb->each(queue, job, entry);
    return end_many(job);
}

/* False where it has to rest first. */
static bool visit_one(void *context, struct entry *entry)
{
    struct job_of_admin *job = context;
    if (!*job->budget || ipc_backlog(job->control) > BACKLOG_MAX)
        return false;
    --*job->budget;
    if (fits(job->queue, job, entry))
        job->count += job->verb->each(job->queue, job, entry);
    return true;
}

/* Goes through some of the entries. */
static enum step step_many(struct queue *queue, struct job_of_admin *job, unsigned *budget)
{
    if (job->ask.id[0])
        return step_only(queue, job);
    job->budget = budget;
    return visit_some(queue, &job->visit, visit_one, job) ? end_many(job) : STEP_REST;
}

static bool list_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    json_t *object = describe_entry(queue, entry);
    if (object)
        send_json(job, object);
    return object != NULL;
}

static bool show_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    json_t *object = describe_entry(queue, entry);
    if (!object)
        return false;
    json_object_set_new(object, "headers", describe_headers(queue, entry));
    send_json(job, object);
    return true;
}

static bool count_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    (void)queue;
    job->held += entry->held;
    return true;
}

static const char by_admin[] = "administrator";

static bool hold_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    (void)job;
    return intervene_hold(queue, entry, by_admin);
}

static bool release_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    (void)job;
    return intervene_release(queue, entry, by_admin);
}

static bool remove_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    (void)job;
    return intervene_remove(queue, entry, by_admin);
}

static bool retry_one(struct queue *queue, struct job_of_admin *job, struct entry *entry)
{
    return intervene_retry(queue, entry, job->rests_begun);
}

static enum step tell_status(struct queue *queue, struct job_of_admin *job)
{
    send_json(job, describe_status(queue));
    return finish(job, ADMIN_DONE, "");
}

static enum step tell_message(struct queue *queue, struct job_of_admin *job)
{
    struct uid id;
    json_t *life = uid_parse(span_of(job->ask.id), &id) ? life_of(queue, id) : NULL;
    if (!life)
        return finish(job, ADMIN_NOT_FOUND,
                      "no message of this id is in the spool; when it is done it leaves the spool: see the log");
    send_json(job, life);
    return finish(job, ADMIN_DONE, "");
}

/* What decides for mail to the domain NAME that is as JOB's question says. Whoever sends, where no sender is said, is nobody that a route
 * is for, but not without a name as reports are. */
static struct domain_way way_of(const struct queue *queue, const struct job_of_admin *job, struct span name)
{
    const struct conf *conf = queue_conf(queue);
    struct span sender = span_of(job->ask.sender), account = span_of(job->ask.account);
    if (!sender.n)
        sender = SPAN("@");
    else if (span_equal(sender, SPAN(ADMIN_NO_SENDER)))
        sender = span_make("", 0);
    return (struct domain_way){ conf_route_special(conf, name, sender, account), conf_pool_for(conf, sender, account) };
}

/* The site of a domain; where it is not known it is asked for, and the job waits a while for the answer. */
static enum step tell_site(struct queue *queue, struct job_of_admin *job)
{
    char room[ADDRESS_KEY_SIZE];
    struct span name = address_domain(address_key(span_of(job->ask.recipient), room));
    if (!name.n)
        name = span_of(job->ask.recipient);
    struct domain_way way = way_of(queue, job, name);
    struct domain *domain = name.n ? domain_get(queue, name, way) : NULL;
    const struct site *site = domain ? domain_site(queue, domain) : NULL;
    if (domain && !site && clock_monotonic_ms() - job->since_ms < RESOLVE_MS) {
        domain_ask(queue, domain);
        return STEP_REST;
    }
    const struct conf_route *route = way.special ? way.special : conf_route_for(queue_conf(queue), name);
    json_t *answer = site ? describe_site(queue, site) : json_pack("{s:s, s:s}", "site", "", "state", "unknown");
    json_object_set_new(answer, "route", route ? describe_text(span_of(route->name)) : json_string(""));
    json_object_set_new(answer, "source", describe_text(span_of(route && *route->source ? route->source : way.pool)));
    send_json(job, answer);
    return finish(job, ADMIN_DONE, "");
}

static enum step look_again(struct queue *queue, struct job_of_admin *job)
{
    unsigned found;
    if (!recover_new(queue, &found))
        return finish(job, ADMIN_REFUSED, "the spool folder cannot be read now; the log says why");
    send_json(job, json_pack("{s:i}", "segments", (int)found));
    return finish(job, ADMIN_DONE, "");
}

static const struct verb verbs[ADMIN_VERBS] = {
    [ADMIN_STATUS] = { .one = tell_status },
    [ADMIN_QUEUE_LIST] = { .many = true, .each = list_one },
    [ADMIN_QUEUE_SHOW] = { .many = true, .each = show_one },
    [ADMIN_QUEUE_HOLD] = { .many = true, .changes = true, .each = hold_one },
    [ADMIN_QUEUE_RELEASE] = { .many = true, .changes = true, .each = release_one },
    [ADMIN_QUEUE_REMOVE] = { .many = true, .changes = true, .each = remove_one },
    [ADMIN_QUEUE_RETRY] = { .many = true, .changes = true, .each = retry_one },
    [ADMIN_ACCOUNT_SHOW] = { .many = true, .counts = true, .each = count_one },
    [ADMIN_QUEUE_ADOPT] = { .one = look_again },
    [ADMIN_MESSAGE] = { .one = tell_message },
    [ADMIN_SITE] = { .one = tell_site },
};

static enum step step(struct queue *queue, struct job_of_admin *job, unsigned *budget)
{
    return job->verb->many ? step_many(queue, job, budget) : job->verb->one(queue, job);
}

static void pump(void *context)
{
    struct queue *queue = context;
    struct admin *admin = queue->admin;
    unsigned budget = ROUND_MAX;
    bool slow = true, works = false;
    LIST_EACH(node, &admin->jobs) {
        struct job_of_admin *job = LIST_ENTRY(node, struct job_of_admin, node);
        if (job->rests)
            continue;
        works = true;
        if (step(queue, job, &budget) == STEP_DONE)
            drop(admin, job);
        else if (job->verb->many && ipc_backlog(job->control) <= BACKLOG_MAX)
            slow = false;
    }
    if (works)
        timer_set(&admin->pump, queue->loop, slow ? PACE_MS : 0, pump, queue);
}

/* ASK with a NUL at the end of each text, and what is compared in lower case. */
static void take_texts(struct admin_ask *dest, const struct admin_ask *ask)
{
    *dest = *ask;
    struct {
        char *text;
        size_t size;
    } const texts[] = {
        { dest->id, sizeof dest->id },         { dest->account, sizeof dest->account },     { dest->client, sizeof dest->client },
        { dest->sender, sizeof dest->sender }, { dest->recipient, sizeof dest->recipient }, { dest->site, sizeof dest->site }
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        texts[i].text[texts[i].size - 1] = '\0';
    text_lower(dest->recipient);
    text_lower(dest->site);
}

void admin_ask(struct queue *queue, struct ipc *control, const struct admin_ask *ask)
{
    struct admin *admin = queue->admin;
    const struct verb *verb = ask->verb < ADMIN_VERBS ? &verbs[ask->verb] : NULL;
    if (!verb || (!verb->each && !verb->one)) {
        send_end(control, ask->ticket, ADMIN_REFUSED, "the queue does not know this question");
        return;
    }
    if (admin->njobs >= ADMIN_OPEN_MAX) {
        send_end(control, ask->ticket, ADMIN_REFUSED, "too many questions are open; try again in a moment");
        return;
    }
    if (verb->changes && !ask->all && !has_filter(ask)) {
        send_end(control, ask->ticket, ADMIN_REFUSED, "nothing says which messages; name an id or a filter, or say --all");
        return;
    }
    struct job_of_admin *job = text_zalloc(sizeof *job);
    job->queue = queue;
    job->control = control;
    job->verb = verb;
    visit_begin(queue, &job->visit);
    job->since_ms = clock_monotonic_ms();
    job->rests_begun = sites_rests_begun(queue);
    take_texts(&job->ask, ask);
    job->sender = accounts_name_hash(span_of(job->ask.account));
    list_append(&admin->jobs, &job->node);
    admin->njobs++;
    timer_set(&admin->pump, queue->loop, 0, pump, queue);
}
