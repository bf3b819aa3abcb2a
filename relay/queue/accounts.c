/* An entry knows the hash of its account, so that going through a million messages reads the envelopes of those alone that it may be
 * about. */
#include "accounts.h"

#include "../base/map.h"
#include "../base/text.h"
#include "envelopes.h"
#include "intervene.h"
#include "visit.h"

#include <stdlib.h>

#define ROUND_MAX    5000 /* entries looked at in a round */
#define ENVELOPE_MAX 200  /* of which envelopes are read */

struct accounts {
    struct queue *queue;
    struct ipc *policy; /* NULL: away */
    struct map *held;   /* struct held, by name */
    struct map *hashes; /* of their names, as entries have them */
    uint32_t suspensions;
    struct map *before; /* while policy tells anew: those that were held, and are not told yet; else NULL */
    struct map *good;   /* struct replies_good, by client and account */
    struct visit visit;
    struct timer pump;
    unsigned looked, read; /* in this round */
};

struct held {
    uint32_t number; /* of the suspension; 0: told when the two met, and it may be older than any release */
};

struct accounts *accounts_new(struct queue *queue)
{
    struct accounts *accounts = text_zalloc(sizeof *accounts);
    accounts->queue = queue;
    accounts->held = map_new(0);
    accounts->hashes = map_new(0);
    accounts->good = map_new(ACCOUNTS_GOOD);
    return accounts;
}

void accounts_free(struct accounts **accounts)
{
    if (!*accounts)
        return;
    visit_end(&(*accounts)->visit);
    timer_fini(&(*accounts)->pump);
    map_free(&(*accounts)->held, free);
    map_free(&(*accounts)->hashes, NULL);
    map_free(&(*accounts)->before, NULL);
    map_free(&(*accounts)->good, free);
    free(*accounts);
    *accounts = NULL;
}

static void normal(const char *account, size_t size, char dest[QUEUE_POLICY_ACCOUNT_SIZE])
{
    text_copy(dest, QUEUE_POLICY_ACCOUNT_SIZE, span_of_array(account, size));
    text_lower(dest);
}

uint32_t accounts_name_hash(struct span name)
{
    char lower[QUEUE_POLICY_ACCOUNT_SIZE];
    normal(name.p, name.n, lower);
    return (uint32_t)map_hash(span_of(lower));
}

uint32_t accounts_hash(const struct envelope *envelope)
{
    struct span name = span_of_array(envelope->account, sizeof envelope->account);
    return name.n ? accounts_name_hash(name) : (uint32_t)map_hash(span_of(envelope->client));
}

static struct span hash_key(const uint32_t *hash)
{
    return span_make((const char *)hash, sizeof *hash);
}

/* The suspension of the account of ENVELOPE, or NULL. */
static const struct held *held_of(const struct accounts *accounts, const struct envelope *envelope)
{
    char name[QUEUE_POLICY_ACCOUNT_SIZE];
    if (!envelope->account[0] || !map_count(accounts->held))
        return NULL;
    normal(envelope->account, sizeof envelope->account, name);
    return map_get(accounts->held, span_of(name));
}

uint32_t accounts_suspensions(const struct queue *queue)
{
    return queue->accounts->suspensions;
}

/* What a person released goes on in spite of the suspension of that time, not of one that came later. */
void accounts_consider(struct queue *queue, struct entry *entry, const struct envelope *envelope)
{
    const struct accounts *accounts = queue->accounts;
    const struct held *held = held_of(accounts, envelope);
    if (held && entry->freed && entry->freed_at < held->number)
        entry->freed = false;
    if (held && !entry->held && !entry->freed)
        intervene_suspend(queue, entry, ACCOUNTS_WHY);
    else if (!held && entry->suspended && accounts->policy && !accounts->before)
        intervene_unsuspend(queue, entry, ACCOUNTS_WHY_NOT);
}

static bool look(void *context, struct entry *entry)
{
    struct accounts *accounts = context;
    if (accounts->looked >= ROUND_MAX || accounts->read >= ENVELOPE_MAX)
        return false;
    accounts->looked++;
    bool freed = entry->freed && entry->freed_at == accounts->suspensions;
    bool of_others = entry->held || freed || !map_get(accounts->hashes, hash_key(&entry->sender));
    if (!entry->suspended && of_others)
        return true;
    accounts->read++;
    const struct envelope *envelope = envelopes_get(accounts->queue, entry, NULL);
    if (envelope)
        accounts_consider(accounts->queue, entry, envelope);
    return true;
}

static void go_on(void *context)
{
    struct accounts *accounts = context;
    accounts->looked = accounts->read = 0;
    if (!visit_some(accounts->queue, &accounts->visit, look, accounts)) {
        timer_set(&accounts->pump, accounts->queue->loop, 0, go_on, accounts);
        return;
    }
    visit_end(&accounts->visit);
}

/* All messages are gone through from the first on, in the next rounds. */
static void begin(struct accounts *accounts)
{
    visit_begin(accounts->queue, &accounts->visit);
    timer_set(&accounts->pump, accounts->queue->loop, 0, go_on, accounts);
}

static bool add_hash(void *context, struct span key, void *value)
{
    struct accounts *accounts = context;
    uint32_t hash = (uint32_t)map_hash(key);
    (void)value;
    map_put(accounts->hashes, hash_key(&hash), accounts, NULL);
    return true;
}

static void renew_hashes(struct accounts *accounts)
{
    map_free(&accounts->hashes, NULL);
    accounts->hashes = map_new(0);
    map_each(accounts->held, add_hash, accounts);
}

static bool note_before(void *context, struct span key, void *value)
{
    struct accounts *accounts = context;
    map_put(accounts->before, key, value, NULL);
    return true;
}

void accounts_channel(struct queue *queue, struct ipc *ipc)
{
    struct accounts *accounts = queue->accounts;
    accounts->policy = ipc;
    map_free(&accounts->before, NULL);
    if (!ipc)
        return;
    accounts->before = map_new(0);
    map_each(accounts->held, note_before, accounts);
}

void accounts_hold(struct queue *queue, const struct account_hold *hold)
{
    struct accounts *accounts = queue->accounts;
    char name[QUEUE_POLICY_ACCOUNT_SIZE];
    normal(hold->account, sizeof hold->account, name);
    if (accounts->before)
        map_remove(accounts->before, span_of(name));
    if (!*name || map_get(accounts->held, span_of(name)))
        return;
    struct held *held = text_zalloc(sizeof *held);
    held->number = accounts->before ? 0 : ++accounts->suspensions;
    map_put(accounts->held, span_of(name), held, NULL);
    add_hash(accounts, span_of(name), NULL);
    begin(accounts);
}

static void let_go(struct accounts *accounts, struct span name)
{
    free(map_remove(accounts->held, name));
    renew_hashes(accounts);
    begin(accounts);
}

void accounts_let_go(struct queue *queue, const struct account_free *free)
{
    char name[QUEUE_POLICY_ACCOUNT_SIZE];
    normal(free->account, sizeof free->account, name);
    if (map_get(queue->accounts->held, span_of(name)))
        let_go(queue->accounts, span_of(name));
}

static bool drop_untold(void *context, struct span key, void *value)
{
    struct accounts *accounts = context;
    (void)value;
    free(map_remove(accounts->held, key));
    return true;
}

/* What is not told is held no more; and what an earlier process held is looked at, too. */
void accounts_told(struct queue *queue)
{
    struct accounts *accounts = queue->accounts;
    struct map *untold = accounts->before;
    if (!untold)
        return;
    accounts->before = NULL;
    map_each(untold, drop_untold, accounts);
    map_free(&untold, NULL);
    renew_hashes(accounts);
    begin(accounts);
}

static bool send_sum(void *context, struct span key, void *value)
{
    struct accounts *accounts = context;
    (void)key;
    ipc_send(accounts->policy, REPLIES_GOOD, value, sizeof(struct replies_good), -1);
    return true;
}

void accounts_tick(struct queue *queue)
{
    struct accounts *accounts = queue->accounts;
    if (!map_count(accounts->good))
        return;
    if (accounts->policy)
        map_each(accounts->good, send_sum, accounts);
    map_free(&accounts->good, free);
    accounts->good = map_new(ACCOUNTS_GOOD);
}

/* Whom a signal is about; false where nobody: a report that the queue wrote itself. */
static bool find_subject(const struct envelope *envelope, struct netaddr *client, char account[QUEUE_POLICY_ACCOUNT_SIZE])
{
    *client = (struct netaddr){ .family = 0 };
    netaddr_parse(span_of(envelope->client), client);
    text_copy(account, QUEUE_POLICY_ACCOUNT_SIZE, span_of(envelope->account));
    return account[0] || client->family;
}

void accounts_good(struct queue *queue, const struct entry *entry, uint32_t n)
{
    struct accounts *accounts = queue->accounts;
    const struct envelope *envelope = accounts->policy ? envelopes_get(queue, entry, NULL) : NULL;
    if (!envelope || (!envelope->account[0] && !envelope->client[0]))
        return;
    char text[QUEUE_POLICY_ACCOUNT_SIZE + 64];
    text_format(text, sizeof text, "%s %s", envelope->client, envelope->account);
    struct replies_good *sum = map_get(accounts->good, span_of(text));
    if (!sum) {
        if (map_count(accounts->good) >= ACCOUNTS_GOOD)
            accounts_tick(queue);
        sum = text_zalloc(sizeof *sum);
        find_subject(envelope, &sum->client, sum->account);
        map_put(accounts->good, span_of(text), sum, NULL);
    }
    sum->count += n;
}

/* What is good of the same sender is told before what is bad, so that it is never judged by the bad alone. */
static void send_good(struct accounts *accounts, const struct envelope *envelope)
{
    char text[QUEUE_POLICY_ACCOUNT_SIZE + 64];
    text_format(text, sizeof text, "%s %s", envelope->client, envelope->account);
    struct replies_good *sum = map_remove(accounts->good, span_of(text));
    if (sum)
        ipc_send(accounts->policy, REPLIES_GOOD, sum, sizeof *sum, -1);
    free(sum);
}

void accounts_bad(struct queue *queue, const struct entry *entry, uint32_t recipient, const struct cause *cause, bool permanent)
{
    struct accounts *accounts = queue->accounts;
    const struct envelope *envelope = accounts->policy && !cause->expired ? envelopes_get(queue, entry, NULL) : NULL;
    struct reply_bad bad = { .id = entry->id, .permanent = permanent };
    if (!envelope || recipient >= envelope->nrecipients || !find_subject(envelope, &bad.client, bad.account))
        return;
    send_good(accounts, envelope);
    text_copy(bad.sender, sizeof bad.sender, span_of(envelope->sender));
    text_copy(bad.recipient, sizeof bad.recipient, span_of(envelope->recipients[recipient].address));
    text_copy(bad.enhanced, sizeof bad.enhanced, span_of(cause->enhanced));
    text_copy(bad.reply, sizeof bad.reply, cause->reply);
    ipc_send(accounts->policy, REPLY_BAD, &bad, offsetof(struct reply_bad, reply) + strlen(bad.reply), -1);
}

void accounts_letter_stored(struct queue *queue, uint64_t ticket)
{
    struct letter_stored message = { ticket };
    if (queue->accounts && queue->accounts->policy)
        ipc_send(queue->accounts->policy, LETTER_STORED, &message, sizeof message, -1);
}
