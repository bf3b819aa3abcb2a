/* A set-associative table: a pair belongs to the set that its low bits name, and to any of the eight places there. A set that is full
 * makes the table twice as large; at the bound, the pair seen longest ago leaves its set. No chains, no tombstones, and a walk that
 * can rest. Eight places fill unevenly: at the bound some 80 % of all places are in use before one leaves that is not old. */
#include "seen.h"

#include "../relay/base/random.h"
#include "../relay/base/text.h"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#define WAYS       8
#define SETS_FIRST 64   /* a power of two */
#define WALK_SETS  1024 /* of one seen_walk */

struct set {
    uint64_t pair[WAYS]; /* 0: free */
    uint32_t when[WAYS];
};

struct seen {
    struct set *sets;
    size_t nsets, max_sets, count;
    unsigned char key[SEEN_KEY_SIZE];
    EVP_MAC_CTX *mac;
    struct buffer changes;
};

struct seen *seen_new(size_t max_bytes)
{
    struct seen *seen = text_zalloc(sizeof *seen);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    seen->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (!seen->mac)
        abort();
    seen->nsets = seen->max_sets = SETS_FIRST;
    while (2 * seen->max_sets * sizeof(struct set) <= max_bytes)
        seen->max_sets *= 2;
    seen->sets = text_zalloc(seen->nsets * sizeof *seen->sets);
    buffer_init(&seen->changes, SEEN_CHANGES_MAX);
    random_bytes(seen->key, sizeof seen->key);
    return seen;
}

void seen_free(struct seen **seen)
{
    if (!*seen)
        return;
    EVP_MAC_CTX_free((*seen)->mac);
    buffer_fini(&(*seen)->changes);
    free((*seen)->sets);
    free(*seen);
    *seen = NULL;
}

void seen_set_key(struct seen *seen, const unsigned char key[SEEN_KEY_SIZE])
{
    memcpy(seen->key, key, sizeof seen->key);
}

const unsigned char *seen_key(const struct seen *seen)
{
    return seen->key;
}

static bool add(EVP_MAC_CTX *mac, struct span part)
{
    unsigned char size[2] = { (unsigned char)(part.n >> 8), (unsigned char)part.n };
    return EVP_MAC_update(mac, size, sizeof size) && EVP_MAC_update(mac, (const unsigned char *)part.p, part.n);
}

uint64_t seen_pair(struct seen *seen, struct span what, struct span who, struct span whom)
{
    size_t size = sizeof(uint64_t), got;
    uint64_t pair = 0;
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_end() };
    if (!EVP_MAC_init(seen->mac, seen->key, sizeof seen->key, params) || !add(seen->mac, what) || !add(seen->mac, who) ||
        !add(seen->mac, whom) || !EVP_MAC_final(seen->mac, (unsigned char *)&pair, &got, sizeof pair))
        abort(); /* it needs no more than memory */
    return pair ? pair : 1;
}

static struct set *set_of(const struct seen *seen, uint64_t pair)
{
    return &seen->sets[pair & (seen->nsets - 1)];
}

/* The place of PAIR in SET; WAYS where it has none. */
static unsigned place_of(const struct set *set, uint64_t pair)
{
    unsigned i = 0;
    while (i < WAYS && set->pair[i] != pair)
        i++;
    return i;
}

bool seen_since(const struct seen *seen, uint64_t pair, uint32_t since_s)
{
    const struct set *set = set_of(seen, pair);
    unsigned at = place_of(set, pair);
    return at < WAYS && set->when[at] >= since_s;
}

/* Each set becomes two, told apart by one more bit of its pairs. */
static void grow(struct seen *seen)
{
    size_t half = seen->nsets;
    seen->sets = text_realloc(seen->sets, 2 * half * sizeof *seen->sets);
    memset(seen->sets + half, 0, half * sizeof *seen->sets);
    seen->nsets = 2 * half;
    for (size_t i = 0; i < half; i++)
        for (unsigned k = 0; k < WAYS; k++)
            if (seen->sets[i].pair[k] & half) {
                seen->sets[i + half].pair[k] = seen->sets[i].pair[k];
                seen->sets[i + half].when[k] = seen->sets[i].when[k];
                seen->sets[i].pair[k] = 0;
            }
}

static unsigned oldest(const struct set *set)
{
    unsigned found = 0;
    for (unsigned i = 1; i < WAYS; i++)
        if (set->when[i] < set->when[found])
            found = i;
    return found;
}

/* A place for PAIR, free or made free. */
static unsigned make_room(struct seen *seen, uint64_t pair)
{
    unsigned at = place_of(set_of(seen, pair), 0);
    while (at == WAYS && seen->nsets < seen->max_sets) {
        grow(seen);
        at = place_of(set_of(seen, pair), 0);
    }
    if (at == WAYS)
        return oldest(set_of(seen, pair));
    seen->count++;
    return at;
}

static void put(struct seen *seen, uint64_t pair, uint32_t when_s)
{
    unsigned at = place_of(set_of(seen, pair), pair);
    if (at == WAYS)
        at = make_room(seen, pair);
    struct set *set = set_of(seen, pair);
    set->pair[at] = pair;
    set->when[at] = when_s;
}

static void add_record(struct buffer *out, uint64_t pair, uint32_t when_s)
{
    char record[SEEN_RECORD_SIZE];
    memcpy(record, &pair, sizeof pair);
    memcpy(record + sizeof pair, &when_s, sizeof when_s);
    buffer_add(out, span_make(record, sizeof record));
}

void seen_note(struct seen *seen, uint64_t pair, uint32_t now_s)
{
    put(seen, pair, now_s);
    if (buffer_size(&seen->changes) + SEEN_RECORD_SIZE <= SEEN_CHANGES_MAX)
        add_record(&seen->changes, pair, now_s);
}

void seen_restore(struct seen *seen, struct span records)
{
    for (; records.n >= SEEN_RECORD_SIZE; records = span_skip(records, SEEN_RECORD_SIZE)) {
        uint64_t pair;
        uint32_t when_s;
        memcpy(&pair, records.p, sizeof pair);
        memcpy(&when_s, records.p + sizeof pair, sizeof when_s);
        if (pair)
            put(seen, pair, when_s);
    }
}

size_t seen_count(const struct seen *seen)
{
    return seen->count;
}

void seen_changes(struct seen *seen, struct buffer *out)
{
    buffer_add(out, buffer_span(&seen->changes));
    buffer_clear(&seen->changes);
}

bool seen_walk(const struct seen *seen, size_t *cursor, struct buffer *out)
{
    size_t until = *cursor + WALK_SETS < seen->nsets ? *cursor + WALK_SETS : seen->nsets;
    for (; *cursor < until; ++*cursor)
        for (unsigned k = 0; k < WAYS; k++)
            if (seen->sets[*cursor].pair[k])
                add_record(out, seen->sets[*cursor].pair[k], seen->sets[*cursor].when[k]);
    return *cursor < seen->nsets;
}
