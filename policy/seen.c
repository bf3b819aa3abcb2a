/* A set-associative table with two choices: a pair belongs to the set that its low half names or to the one of its high half, and goes
 * where more of the eight places are free, which fills all sets evenly. Where both are full the table becomes twice as large; at the bound,
 * one of the sixteen moves to its other set where that has room, else the one that was seen longest ago goes. No chains, no tombstones, and
 * a walk that can rest: pairs move to sets behind theirs only. */
#include "seen.h"

#include "../relay/base/random.h"
#include "../relay/base/siphash.h"
#include "../relay/base/text.h"

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
    struct buffer changes;
};

struct seen *seen_new(size_t max_bytes)
{
    struct seen *seen = text_zalloc(sizeof *seen);
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

/* Each part behind its size: what is joined otherwise must not be hashed alike. */
static void add(struct siphash *hash, struct span part)
{
    const char size[2] = { (char)(part.n >> 8), (char)part.n };
    siphash_add(hash, span_make(size, sizeof size));
    siphash_add(hash, part);
}

void seen_pair_begin(const struct seen *seen, struct span what, struct span who, struct siphash *ret_begun)
{
    siphash_begin(ret_begun, seen->key);
    add(ret_begun, what);
    add(ret_begun, who);
}

uint64_t seen_pair_end(const struct siphash *begun, struct span whom)
{
    struct siphash hash = *begun;
    add(&hash, whom);
    uint64_t pair = siphash_end(&hash);
    return pair ? pair : 1;
}

uint64_t seen_pair(const struct seen *seen, struct span what, struct span who, struct span whom)
{
    struct siphash hash;
    seen_pair_begin(seen, what, who, &hash);
    return seen_pair_end(&hash, whom);
}

/* The set of PAIR's first or second CHOICE. */
static struct set *set_of(const struct seen *seen, uint64_t pair, unsigned choice)
{
    return &seen->sets[(choice ? pair >> 32 : pair) & (seen->nsets - 1)];
}

/* The place of PAIR in SET; WAYS where it has none. */
static unsigned place_of(const struct set *set, uint64_t pair)
{
    unsigned i = 0;
    while (i < WAYS && set->pair[i] != pair)
        i++;
    return i;
}

/* The set that has PAIR, and its place there; NULL where it is not known. */
static struct set *find(const struct seen *seen, uint64_t pair, unsigned *ret_at)
{
    for (unsigned choice = 0; choice < 2; choice++) {
        struct set *set = set_of(seen, pair, choice);
        *ret_at = place_of(set, pair);
        if (*ret_at < WAYS)
            return set;
    }
    return NULL;
}

uint32_t seen_last(const struct seen *seen, uint64_t pair)
{
    unsigned at;
    const struct set *set = find(seen, pair, &at);
    return set ? set->when[at] : 0;
}

/* Each set becomes two, told apart by one more bit of the half by which its pairs came there. */
static void grow(struct seen *seen)
{
    size_t half = seen->nsets;
    seen->sets = text_realloc(seen->sets, 2 * half * sizeof *seen->sets);
    memset(seen->sets + half, 0, half * sizeof *seen->sets);
    seen->nsets = 2 * half;
    for (size_t i = 0; i < half; i++)
        for (unsigned k = 0; k < WAYS; k++) {
            uint64_t pair = seen->sets[i].pair[k], bits = (pair & (half - 1)) == i ? pair : pair >> 32;
            if (!(bits & half))
                continue;
            seen->sets[i + half].pair[k] = pair;
            seen->sets[i + half].when[k] = seen->sets[i].when[k];
            seen->sets[i].pair[k] = 0;
        }
}

static unsigned used_of(const struct set *set)
{
    unsigned used = 0;
    for (unsigned i = 0; i < WAYS; i++)
        used += set->pair[i] != 0;
    return used;
}

static struct set *emptier(const struct seen *seen, uint64_t pair)
{
    struct set *first = set_of(seen, pair, 0), *second = set_of(seen, pair, 1);
    return used_of(first) <= used_of(second) ? first : second;
}

static unsigned oldest(const struct set *set)
{
    unsigned found = 0;
    for (unsigned i = 1; i < WAYS; i++)
        if (set->when[i] < set->when[found])
            found = i;
    return found;
}

/* Moves a pair of SET, which is full, to its other set, where that is behind it and has room. False where no pair can. */
static bool move_one(const struct seen *seen, struct set *set)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct set *first = set_of(seen, set->pair[i], 0), *other = first == set ? set_of(seen, set->pair[i], 1) : first;
        unsigned at = other > set ? place_of(other, 0) : WAYS;
        if (at == WAYS)
            continue;
        other->pair[at] = set->pair[i];
        other->when[at] = set->when[i];
        set->pair[i] = 0;
        return true;
    }
    return false;
}

/* A place for PAIR that is free, or is made free. */
static struct set *make_room(struct seen *seen, uint64_t pair, unsigned *ret_at)
{
    struct set *set = emptier(seen, pair);
    while (used_of(set) == WAYS && seen->nsets < seen->max_sets) {
        grow(seen);
        set = emptier(seen, pair);
    }
    struct set *first = set_of(seen, pair, 0), *second = set_of(seen, pair, 1);
    if (used_of(set) == WAYS)
        set = move_one(seen, first) ? first : move_one(seen, second) ? second : set;
    *ret_at = place_of(set, 0);
    if (*ret_at < WAYS) {
        seen->count++;
        return set;
    }
    set = first->when[oldest(first)] <= second->when[oldest(second)] ? first : second;
    *ret_at = oldest(set);
    return set;
}

static void put(struct seen *seen, uint64_t pair, uint32_t when_s)
{
    unsigned at;
    struct set *set = find(seen, pair, &at);
    if (!set)
        set = make_room(seen, pair, &at);
    set->pair[at] = pair;
    set->when[at] = when_s ? when_s : 1;
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
