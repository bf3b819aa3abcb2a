/* Two small maps. What rests is keyed by address and port, since one machine may have a dead port beside a living one; the family by
 * the host's name, since it is the path to that host which works or does not (RFC 8305 4 keeps the same). */
#include "reach.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"
#include "../smtp/limits.h"

#include <stdlib.h>
#include <string.h>

#define REFUSAL_KEY_SIZE (sizeof(struct netaddr) + SMTP_DOMAIN_SIZE)

struct rest {
    int64_t delay_ms;  /* of the last failure */
    int64_t failed_ms; /* when it began, monotonic */
    int64_t until_ms;  /* monotonic */
};

struct family {
    int64_t until_ms; /* monotonic */
    uint8_t family;
};

struct reach {
    struct map *refusals; /* our address and host → struct rest */
    struct map *rests;    /* address and port → struct rest */
    struct map *families; /* host → struct family */
};

struct reach *reach_new(void)
{
    struct reach *reach = text_zalloc(sizeof *reach);
    reach->refusals = map_new(REACH_HOSTS_MAX);
    reach->rests = map_new(REACH_ADDRESSES_MAX);
    reach->families = map_new(REACH_HOSTS_MAX);
    return reach;
}

void reach_free(struct reach **reach)
{
    if (!*reach)
        return;
    map_free(&(*reach)->refusals, free);
    map_free(&(*reach)->rests, free);
    map_free(&(*reach)->families, free);
    free(*reach);
    *reach = NULL;
}

static struct span key_of(const struct netaddr *address, struct netaddr *plain)
{
    *plain = *address;
    plain->unused = 0;
    return span_make((const char *)plain, sizeof *plain);
}

/* Puts VALUE at KEY, where something is free once the map of at most MAX is emptied at the latest. */
static void put(struct map **map, size_t max, struct span key, void *value)
{
    bool full = false;
    void *old = map_put(*map, key, value, &full);
    if (full) {
        map_free(map, free);
        *map = map_new(max);
        map_put(*map, key, value, NULL);
    }
    free(old);
}

static struct rest *find(const struct reach *reach, const struct netaddr *address)
{
    struct netaddr plain;
    return reach ? map_get(reach->rests, key_of(address, &plain)) : NULL;
}

void reach_failed(struct reach *reach, const struct netaddr *address, int64_t now_ms)
{
    struct netaddr plain;
    struct rest *rest = find(reach, address);
    if (!reach)
        return;
    if (!rest) {
        rest = text_zalloc(sizeof *rest);
        put(&reach->rests, REACH_ADDRESSES_MAX, key_of(address, &plain), rest);
    }
    if (rest->delay_ms && now_ms < rest->failed_ms + rest->delay_ms)
        return; /* the same outage, told by one more of the connections that were under way */
    rest->delay_ms = !rest->delay_ms ? REACH_REST_FIRST_MS : rest->delay_ms * 2;
    if (rest->delay_ms > REACH_REST_MAX_MS)
        rest->delay_ms = REACH_REST_MAX_MS;
    rest->failed_ms = now_ms;
    rest->until_ms = now_ms + rest->delay_ms;
}

void reach_answered(struct reach *reach, const struct netaddr *address)
{
    struct netaddr plain;
    if (reach)
        free(map_remove(reach->rests, key_of(address, &plain)));
}

bool reach_rests(const struct reach *reach, const struct netaddr *address, int64_t now_ms)
{
    const struct rest *rest = find(reach, address);
    return rest && now_ms < rest->until_ms;
}

void reach_probe(struct reach *reach, const struct netaddr *address, int64_t now_ms)
{
    struct rest *rest = find(reach, address);
    if (rest)
        rest->until_ms = now_ms + rest->delay_ms;
}

/* Writes the key of a refusal into BYTES. */
static struct span refusal_key(char bytes[REFUSAL_KEY_SIZE], const char *host, const struct netaddr *source)
{
    struct netaddr plain = *source;
    plain.port = 0;
    plain.unused = 0;
    memcpy(bytes, &plain, sizeof plain);
    text_copy(bytes + sizeof plain, REFUSAL_KEY_SIZE - sizeof plain, span_of(host));
    return span_make(bytes, sizeof plain + strlen(bytes + sizeof plain));
}

void reach_refuse(struct reach *reach, const char *host, const struct netaddr *source)
{
    char key[REFUSAL_KEY_SIZE];
    if (!reach)
        return;
    struct rest *rest = text_zalloc(sizeof *rest);
    rest->until_ms = clock_monotonic_ms() + REACH_LISTED_MS;
    put(&reach->refusals, REACH_HOSTS_MAX, refusal_key(key, host, source), rest);
}

bool reach_refuses(const struct reach *reach, const char *host, const struct netaddr *source)
{
    char key[REFUSAL_KEY_SIZE];
    const struct rest *rest = reach ? map_get(reach->refusals, refusal_key(key, host, source)) : NULL;
    return rest && clock_monotonic_ms() < rest->until_ms;
}

void reach_prefer(struct reach *reach, const char *host, uint8_t family, int64_t for_ms)
{
    if (!reach || reach_family(reach, host) == family)
        return;
    struct family *known = text_zalloc(sizeof *known);
    *known = (struct family){ clock_monotonic_ms() + for_ms, family };
    put(&reach->families, REACH_HOSTS_MAX, span_of(host), known);
}

uint8_t reach_family(const struct reach *reach, const char *host)
{
    const struct family *known = reach ? map_get(reach->families, span_of(host)) : NULL;
    return known && clock_monotonic_ms() < known->until_ms ? known->family : 0;
}
