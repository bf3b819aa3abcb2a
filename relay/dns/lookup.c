/* A question is what was asked and is not answered yet; all who ask the same meanwhile are put on its list. An MX question asks
 * the servers once; where the domain has no MX, it asks for the domain's addresses through lookup_ask like anybody else (and so
 * finds the cache, or joins who asks already). An address question asks for A and AAAA at once and is done when both came.
 *
 * How long an answer is kept: as long as it says, within LOOKUP_TTL_MIN_S and dns.cache-ttl-max; a "no" at most
 * dns.cache-negative; trouble a few seconds, just enough that a burst of recipients at a broken domain does not become a burst of
 * questions. Trouble is never remembered as a "no". */
#include "lookup.h"

#include "../base/clock.h"
#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"
#include "addresses.h"
#include "mx.h"

#include <stdlib.h>

struct lookup {
    struct resolve *resolve;
    struct cache *cache;
    struct map *questions; /* by kind and name */
    size_t naskers;
    char own_name[SMTP_DOMAIN_SIZE];
    uint32_t ttl_max_s, negative_max_s;
};

struct asker {
    struct list node;
    lookup_done done;
    void *context;
    uint64_t ticket;
};

struct question {
    struct lookup *lookup;
    struct list askers;
    char key[1 + SMTP_DOMAIN_SIZE]; /* the kind's letter and the name */
    unsigned line;                  /* of who asked first */
    unsigned pending;               /* answers that are still to come */
    struct answer a, aaaa, mx;
    struct addresses addresses;
};

static enum cache_kind kind_of(const struct question *question)
{
    return question->key[0] == CACHE_MX ? CACHE_MX : CACHE_ADDRESS;
}

static const char *name_of(const struct question *question)
{
    return question->key + 1;
}

static uint32_t seconds(int64_t ms)
{
    return ms <= 0 ? 0 : ms / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ms / 1000);
}

void lookup_settings(struct lookup *lookup, const struct conf *conf)
{
    char own_name[SMTP_DOMAIN_SIZE];
    if (!name_normal(span_of(conf->hostname), own_name))
        own_name[0] = '\0';
    if (strcmp(own_name, lookup->own_name) != 0)
        cache_drop(lookup->cache, CACHE_MX); /* what was left out for the old name's sake may be wrong now */
    text_copy(lookup->own_name, sizeof lookup->own_name, span_of(own_name));
    lookup->ttl_max_s = seconds(conf->dns.cache_ttl_max_ms);
    lookup->negative_max_s = seconds(conf->dns.cache_negative_ms);
    cache_resize(lookup->cache, (size_t)conf->dns.cache_entries);
}

struct lookup *lookup_new(struct resolve *resolve, const struct conf *conf)
{
    struct lookup *lookup = text_zalloc(sizeof *lookup);
    lookup->resolve = resolve;
    lookup->cache = cache_new((size_t)conf->dns.cache_entries);
    lookup->questions = map_new(LOOKUP_QUESTIONS_MAX);
    lookup_settings(lookup, conf);
    return lookup;
}

static void free_question(void *value)
{
    struct question *question = value;
    LIST_EACH(node, &question->askers)
        free(LIST_ENTRY(node, struct asker, node));
    free(question);
}

void lookup_free(struct lookup **lookup)
{
    if (!*lookup)
        return;
    map_free(&(*lookup)->questions, free_question);
    cache_free(&(*lookup)->cache);
    free(*lookup);
    *lookup = NULL;
}

/* How long to keep an answer of STATUS that says TTL_S (where HAS_TTL). */
static uint32_t lifetime(const struct lookup *lookup, enum dns_status status, bool has_ttl, uint32_t ttl_s)
{
    if (dns_is_temporary(status))
        return LOOKUP_TEMPORARY_S;
    bool negative = status == DNS_NXDOMAIN || status == DNS_NO_MAIL;
    uint32_t most = negative ? lookup->negative_max_s : lookup->ttl_max_s;
    uint32_t wanted = has_ttl ? ttl_s : LOOKUP_NEGATIVE_S;
    if (wanted < LOOKUP_TTL_MIN_S)
        wanted = LOOKUP_TTL_MIN_S;
    return wanted < most ? wanted : most;
}

/* QUESTION is answered: remembers it and tells all who asked. Frees it. */
static void finish(struct question *question, const struct found *found)
{
    struct lookup *lookup = question->lookup;
    cache_put(lookup->cache, kind_of(question), span_of(name_of(question)), clock_monotonic_ms(), found);
    map_remove(lookup->questions, span_of(question->key));
    LIST_EACH(node, &question->askers) {
        struct asker *asker = LIST_ENTRY(node, struct asker, node);
        list_remove(node);
        lookup->naskers--;
        asker->done(asker->context, asker->ticket, found);
        free(asker);
    }
    free(question);
}

static void finish_mx(struct question *question, const struct mx_set *set, enum dns_status status, bool implicit)
{
    struct buffer body;
    const struct answer *answer = &question->mx;
    buffer_init(&body, MX_PACKED_MAX);
    if (status == DNS_OK)
        mx_pack(set, &body);
    struct found found = { status, implicit, lifetime(question->lookup, status, answer->has_ttl, answer->ttl_s),
                           buffer_span(&body) };
    finish(question, &found);
    buffer_fini(&body);
}

/* The addresses of a domain without MX are known: they, or what is wrong with them, are the answer. What says that there are none
 * says it of the name, so a "no" of the address question stands for "no mail" too. That there is no MX is a "no" as well, and the answer
 * holds no longer than this one. */
static void implicit_answered(void *context, uint64_t ticket, const struct found *found)
{
    struct question *question = context;
    struct mx_set set;
    enum dns_status status = found->status;
    (void)ticket;
    mx_init(&set, question->lookup->own_name);
    if (status == DNS_OK)
        status = mx_implicit(&set, span_of(name_of(question)));
    question->mx.ttl_s = lifetime(question->lookup, DNS_NO_MAIL, question->mx.has_ttl, question->mx.ttl_s);
    if (found->ttl_s < question->mx.ttl_s)
        question->mx.ttl_s = found->ttl_s;
    question->mx.has_ttl = true;
    finish_mx(question, &set, status, true);
}

static void take_mx(void *context, const struct answer_record *record)
{
    mx_add(context, record);
}

static void mx_answered(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    struct name_wire name;
    struct mx_set set;
    mx_init(&set, question->lookup->own_name);
    question->mx = (struct answer){ .status = status };
    if (status == DNS_OK && name_to_wire(span_of(name_of(question)), &name))
        question->mx = answer_read(bytes, &name, ANSWER_MX, take_mx, &set);
    status = question->mx.status;
    if (status == DNS_NO_MAIL)
        lookup_ask(question->lookup, question->line, CACHE_ADDRESS, span_of(name_of(question)), implicit_answered, question, 0);
    else
        finish_mx(question, &set, status == DNS_OK ? mx_settle(&set) : status, false);
}

/* Both families are known. Where only one is for certain, the answer is kept no longer than trouble is. */
static void finish_addresses(struct question *question)
{
    const struct answer *a = &question->a, *aaaa = &question->aaaa;
    struct buffer body;
    enum dns_status status = addresses_status(&question->addresses, a->status, aaaa->status);
    uint32_t ttl_s = a->ttl_s;
    if (!a->has_ttl || (aaaa->has_ttl && aaaa->ttl_s < ttl_s))
        ttl_s = aaaa->ttl_s;
    uint32_t keep_s = lifetime(question->lookup, status, a->has_ttl || aaaa->has_ttl, ttl_s);
    if ((dns_is_temporary(a->status) || dns_is_temporary(aaaa->status)) && keep_s > LOOKUP_TEMPORARY_S)
        keep_s = LOOKUP_TEMPORARY_S;
    buffer_init(&body, ADDRESSES_PACKED_MAX);
    addresses_pack(&question->addresses, &body);
    struct found found = { status, false, keep_s, buffer_span(&body) };
    finish(question, &found);
    buffer_fini(&body);
}

static void take_address(void *context, const struct answer_record *record)
{
    addresses_add(context, &record->address);
}

/* Reads one family's answer into *RET_ANSWER. Addresses count only where the whole answer makes sense. */
static void read_family(struct question *question, enum answer_type type, enum dns_status status, struct span bytes,
                        struct answer *ret_answer)
{
    struct name_wire name;
    struct addresses before = question->addresses;
    *ret_answer = (struct answer){ .status = status };
    if (status == DNS_OK && name_to_wire(span_of(name_of(question)), &name))
        *ret_answer = answer_read(bytes, &name, type, take_address, &question->addresses);
    if (ret_answer->status != DNS_OK)
        question->addresses = before;
    if (--question->pending == 0)
        finish_addresses(question);
}

static void a_answered(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    read_family(question, ANSWER_A, status, bytes, &question->a);
}

static void aaaa_answered(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    read_family(question, ANSWER_AAAA, status, bytes, &question->aaaa);
}

/* Begins to ask. The question may be done and gone when this returns. */
static void begin(struct question *question)
{
    struct resolve *resolve = question->lookup->resolve;
    if (kind_of(question) == CACHE_MX) {
        resolve_query(resolve, question->line, name_of(question), ANSWER_MX, mx_answered, question);
        return;
    }
    question->pending = 2;
    resolve_query(resolve, question->line, name_of(question), ANSWER_A, a_answered, question);
    resolve_query(resolve, question->line, name_of(question), ANSWER_AAAA, aaaa_answered, question);
}

/* Puts an asker on the list of the question for NAME (in normal form), which is made and begun where nobody asks it yet. False
 * where there are too many. */
static bool join(struct lookup *lookup, unsigned line, enum cache_kind kind, struct span name, const struct asker *asker)
{
    char key[1 + SMTP_DOMAIN_SIZE] = { (char)kind };
    text_copy(key + 1, sizeof key - 1, name);
    struct question *question = map_get(lookup->questions, span_of(key));
    bool is_new = !question, full = false;
    if (lookup->naskers >= LOOKUP_ASKERS_MAX)
        return false;
    if (is_new) {
        question = text_zalloc(sizeof *question);
        question->lookup = lookup;
        question->line = line;
        list_init(&question->askers);
        memcpy(question->key, key, sizeof key);
        map_put(lookup->questions, span_of(key), question, &full);
    }
    if (full) {
        free(question);
        return false;
    }
    struct asker *copy = text_zalloc(sizeof *copy);
    *copy = *asker;
    list_append(&question->askers, &copy->node);
    lookup->naskers++;
    if (is_new)
        begin(question);
    return true;
}

/* NAME as an address: bare, or a literal as RFC 5321 4.1.3 has it. */
static bool read_literal(struct span name, struct netaddr *ret_address)
{
    bool bracketed = name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (bracketed)
        name = span_make(name.p + 1, name.n - 2);
    if (bracketed && span_starts_nocase(name, SPAN("IPv6:")))
        name = span_skip(name, 5);
    return netaddr_parse(name, ret_address);
}

/* An address needs no question: as mail host it is its own name, as written; as host it has itself. */
static void answer_literal(enum cache_kind kind, struct span name, const struct netaddr *address, const struct asker *asker)
{
    struct buffer body;
    struct mx_set set;
    struct addresses addresses = { .count4 = 0 };
    buffer_init(&body, kind == CACHE_MX ? (size_t)MX_PACKED_MAX : ADDRESSES_PACKED_MAX);
    if (kind == CACHE_MX) {
        mx_init(&set, "");
        mx_implicit(&set, name);
        mx_pack(&set, &body);
    } else {
        addresses_add(&addresses, address);
        addresses_pack(&addresses, &body);
    }
    struct found found = { DNS_OK, kind == CACHE_MX, UINT32_MAX, buffer_span(&body) };
    asker->done(asker->context, asker->ticket, &found);
    buffer_fini(&body);
}

void lookup_ask(struct lookup *lookup, unsigned line, enum cache_kind kind, struct span name, lookup_done done, void *context,
                uint64_t ticket)
{
    static const struct found no_name = { .status = DNS_NXDOMAIN, .ttl_s = LOOKUP_NEGATIVE_S };
    static const struct found too_many = { .status = DNS_TIMEOUT, .ttl_s = LOOKUP_TEMPORARY_S };
    char normal[SMTP_DOMAIN_SIZE];
    struct netaddr address;
    struct found found;
    struct asker asker = { .done = done, .context = context, .ticket = ticket };
    if (name.n < SMTP_DOMAIN_SIZE && read_literal(name, &address) && (kind == CACHE_ADDRESS || name.p[0] == '['))
        answer_literal(kind, name, &address, &asker);
    else if (!name_normal(name, normal))
        done(context, ticket, &no_name);
    else if (cache_get(lookup->cache, kind, span_of(normal), clock_monotonic_ms(), &found))
        done(context, ticket, &found);
    else if (!join(lookup, line, kind, span_of(normal), &asker))
        done(context, ticket, &too_many);
}

struct forgotten {
    struct lookup *lookup;
    const void *context;
};

static bool forget_in(void *context, struct span key, void *value)
{
    const struct forgotten *forgotten = context;
    struct question *question = value;
    (void)key;
    LIST_EACH(node, &question->askers) {
        struct asker *asker = LIST_ENTRY(node, struct asker, node);
        if (asker->context != forgotten->context)
            continue;
        list_remove(node);
        forgotten->lookup->naskers--;
        free(asker);
    }
    return true;
}

void lookup_forget(struct lookup *lookup, const void *context)
{
    struct forgotten forgotten = { lookup, context };
    map_each(lookup->questions, forget_in, &forgotten);
}
