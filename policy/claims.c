#include "claims.h"

#include "../relay/base/text.h"

#include <stdlib.h>

void claims_clear(struct claims *claims)
{
    claims->count = claims->ntargets = 0;
    memset(claims->pair_bits, 0, sizeof claims->pair_bits);
    if (claims->nscopes)
        memset(claims->scopes, 0, claims->nscopes * sizeof *claims->scopes);
    buffer_clear(&claims->texts);
}

void claims_fini(struct claims *claims)
{
    free(claims->items);
    free(claims->targets);
    free(claims->scopes);
    buffer_fini(&claims->texts);
    *claims = (struct claims){ .count = 0 };
}

unsigned *claims_scope(struct claims *claims, size_t index, size_t limits)
{
    if (limits > claims->nscopes) {
        claims->scopes = text_realloc(claims->scopes, limits * sizeof *claims->scopes);
        memset(claims->scopes + claims->nscopes, 0, (limits - claims->nscopes) * sizeof *claims->scopes);
        claims->nscopes = limits;
    }
    return &claims->scopes[index];
}

unsigned claims_target(struct claims *claims, const struct limit *limit, const char *key, bool acts)
{
    for (size_t i = claims->ntargets; i-- > 0;)
        if (claims->targets[i].limit == limit && strcmp(claims->targets[i].key, key) == 0)
            return (unsigned)i;
    if (claims->ntargets == claims->target_room) {
        claims->target_room = 2 * claims->target_room + 8;
        claims->targets = text_realloc(claims->targets, claims->target_room * sizeof *claims->targets);
    }
    struct claim_target *target = &claims->targets[claims->ntargets];
    target->limit = limit;
    target->acts = acts;
    target->begun = false;
    text_copy(target->key, sizeof target->key, span_of(key));
    return (unsigned)claims->ntargets++;
}

unsigned claims_group(struct claims *claims, uint64_t pair)
{
    uint64_t *bits = &claims->pair_bits[pair >> 6 & 3], bit = (uint64_t)1 << (pair & 63);
    size_t first = *bits & bit ? 0 : claims->count;
    *bits |= bit;
    while (first < claims->count && claims->items[first].pair != pair)
        first++;
    return (unsigned)first + 1;
}

void claims_add(struct claims *claims, const struct claim *claim)
{
    if (claims->count == claims->room) {
        claims->room = claims->room ? 4 * claims->room : 16;
        claims->items = text_realloc(claims->items, claims->room * sizeof *claims->items);
    }
    claims->items[claims->count++] = *claim;
}

bool claims_keep(struct claims *claims, struct span text, size_t *ret_at)
{
    claims->texts.max = CLAIMS_TEXTS_MAX;
    *ret_at = buffer_size(&claims->texts);
    return buffer_add(&claims->texts, text);
}
