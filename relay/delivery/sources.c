/* Addresses are few, so that each choice looks at all of them. A pool without an address of a family sends nothing over it: what is to
 * leave from certain addresses must not leave from another. Without any source the kernel chooses, as always; so it does for the family
 * that delivery.source has no address of. */
#include "sources.h"

#include "../base/clock.h"
#include "../base/random.h"
#include "../base/text.h"

#include <stdlib.h>
#include <string.h>

static void add(struct sources *sources, const struct conf_strings *addresses, struct source source)
{
    for (size_t i = 0; i < addresses->count; i++) {
        if (!netaddr_parse(span_of(addresses->items[i]), &source.address)) {
            log_say(LOG_ERROR, "error", "source \"%s\" is not an address; it is not used", addresses->items[i]);
            continue;
        }
        sources->items = text_realloc(sources->items, (sources->count + 1) * sizeof source);
        sources->items[sources->count++] = source;
    }
}

void sources_init(struct sources *sources, const struct conf *conf)
{
    *sources = (struct sources){ NULL, 0 };
    add(sources, &conf->delivery.source, (struct source){ .pool = "", .helo = conf->hostname, .weight = 1 });
    for (size_t i = 0; i < conf->nsources; i++) {
        const struct conf_source *it = &conf->sources[i];
        add(sources, &it->addresses,
            (struct source){ .pool = conf_source_pool(it), .helo = *it->helo ? it->helo : conf->hostname, .weight = it->weight });
    }
}

void sources_fini(struct sources *sources)
{
    free(sources->items);
    *sources = (struct sources){ NULL, 0 };
}

/* The weight of SOURCE in a choice for WANT; 0 where it cannot be chosen. */
static uint64_t weight_of(const struct source *source, const struct sources_want *want, bool good)
{
    if (source->address.family != want->family || strcmp(source->pool, want->pool) != 0)
        return 0;
    if (good && (clock_monotonic_ms() < source->rests_until_ms || reach_refuses(want->reach, want->host, &source->address)))
        return 0;
    return source->weight;
}

static struct source *draw(const struct sources *sources, const struct sources_want *want, bool good)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sources->count; i++)
        sum += weight_of(&sources->items[i], want, good);
    uint64_t left = sum ? random_below((uint32_t)sum) : 0;
    for (size_t i = 0; sum && i < sources->count; i++) {
        uint64_t weight = weight_of(&sources->items[i], want, good);
        if (left < weight)
            return &sources->items[i];
        left -= weight;
    }
    return NULL;
}

bool sources_has(const struct sources *sources, const struct sources_want *want)
{
    return draw(sources, want, true) != NULL;
}

enum sources_choice sources_choose(const struct sources *sources, const struct sources_want *want, struct source **ret_source)
{
    struct source *found = draw(sources, want, true);
    if (!found)
        found = draw(sources, want, false);
    if (!found)
        return *want->pool ? SOURCES_NONE : SOURCES_ANY;
    *ret_source = found;
    return SOURCES_ONE;
}

void sources_rest(struct source *source, const char *why)
{
    char text[NETADDR_TEXT_SIZE];
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < source->rests_until_ms)
        return; /* chosen all the same, as all rest: it is said once in the five minutes */
    netaddr_print(&source->address, text);
    source->rests_until_ms = now_ms + SOURCES_REST_MS;
    log_say(LOG_WARNING, "error", "the source address %s is not used for five minutes: %s", text, why);
}
