/* A question is what was asked and is not answered yet; all who ask the same meanwhile are put on its list. What the servers are asked
 * for it is its kind's to know (question.h).
 *
 * How long an answer is kept: as long as it says, within LOOKUP_TTL_MIN_S and dns.cache-ttl-max; a "no" at most
 * dns.cache-negative; trouble a few seconds, just enough that a burst of recipients at a broken domain does not become a burst of
 * questions. Trouble is never remembered as a "no". */
#include "lookup.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"
#include "addresses.h"
#include "mx.h"
#include "question.h"

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

static const struct question_kind *const kinds[] = { &question_mx, &question_addresses, &question_tlsa, &question_txt };

static const struct question_kind *kind_of(enum cache_kind kind)
{
    size_t i = 0;
    while (kinds[i]->kind != kind)
        i++;
    return kinds[i];
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

void lookup_forget_answers(struct lookup *lookup)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        cache_drop(lookup->cache, kinds[i]->kind);
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

const char *question_name(const struct question *question)
{
    return question->key + 1;
}

const char *question_own_name(const struct question *question)
{
    return question->lookup->own_name;
}

void question_query(struct question *question, const char *name, enum answer_type type, resolve_done done)
{
    resolve_query(question->lookup->resolve, question->line, name, type, done, question);
}

void question_ask(struct question *question, enum cache_kind kind, const char *name, lookup_done done)
{
    lookup_ask(question->lookup, question->line, kind, span_of(name), done, question, 0);
}

struct answer question_read(enum dns_status status, struct span bytes, const char *name, enum answer_type type,
                            void (*each)(void *context, const struct answer_record *record), void *context)
{
    struct name_wire wire;
    if (status == DNS_OK && name_to_wire(span_of(name), &wire))
        return answer_read(bytes, &wire, type, each, context);
    return (struct answer){ .status = status };
}

uint32_t question_lifetime(const struct question *question, enum dns_status status, bool has_ttl, uint32_t ttl_s)
{
    const struct lookup *lookup = question->lookup;
    if (dns_is_temporary(status))
        return LOOKUP_TEMPORARY_S;
    bool negative = status == DNS_NXDOMAIN || status == DNS_NO_MAIL;
    uint32_t most = negative ? lookup->negative_max_s : lookup->ttl_max_s;
    uint32_t wanted = has_ttl ? ttl_s : LOOKUP_NEGATIVE_S;
    if (wanted < LOOKUP_TTL_MIN_S)
        wanted = LOOKUP_TTL_MIN_S;
    return wanted < most ? wanted : most;
}

void question_finish(struct question *question, const struct found *found)
{
    struct lookup *lookup = question->lookup;
    cache_put(lookup->cache, question->kind->kind, span_of(question_name(question)), clock_monotonic_ms(), found);
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
        const struct question_kind *made = kind_of(kind);
        question = text_zalloc(sizeof *question + made->work_size);
        question->kind = made;
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
        question->kind->begin(question);
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

static bool has_literals(enum cache_kind kind)
{
    return kind == CACHE_MX || kind == CACHE_ADDRESS;
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
    struct found found = { .status = DNS_OK, .implicit = kind == CACHE_MX, .ttl_s = UINT32_MAX, .body = buffer_span(&body) };
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
    if (name.n < SMTP_DOMAIN_SIZE && has_literals(kind) && read_literal(name, &address) &&
        (kind == CACHE_ADDRESS || name.p[0] == '['))
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
