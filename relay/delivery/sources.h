/* Where connections come from: the pools of sources in the settings, and which of their addresses rest. */
#ifndef POSTERN_DELIVERY_SOURCES_H
#define POSTERN_DELIVERY_SOURCES_H

#include "../base/netaddr.h"
#include "../conf/conf.h"
#include "reach.h"

#define SOURCES_REST_MS (5 * 60 * 1000) /* an address that cannot be bound to, or is refused, is not used for so long */

/* An address of this machine. */
struct source {
    const char *pool; /* "": of delivery.source */
    const char *helo;
    struct netaddr address;
    uint64_t weight;
    int64_t rests_until_ms; /* monotonic */
};

struct sources {
    struct source *items;
    size_t count;
};

enum sources_choice {
    SOURCES_ANY, /* none is configured: the kernel chooses */
    SOURCES_ONE, /* *ret_source */
    SOURCES_NONE /* the pool has no address of that family */
};

/* Takes the sources of CONF, whose texts are borrowed. An address that is none is logged and left out. */
void sources_init(struct sources *sources, const struct conf *conf);

/* Frees what it holds. */
void sources_fini(struct sources *sources);

/* What a choice is for. */
struct sources_want {
    const char *pool;
    uint8_t family; /* 4 or 6 */
    const char *host;
    const struct reach *reach; /* knows which addresses the host refuses; NULL: none */
};

/* An address for WANT, by chance and weight among those that do not rest and are not refused; where there is none, among all. */
enum sources_choice sources_choose(const struct sources *sources, const struct sources_want *want, struct source **ret_source);

/* Is there one that does not rest and is not refused? */
bool sources_has(const struct sources *sources, const struct sources_want *want);

/* SOURCE rests from now on, because of WHY, which is logged. */
void sources_rest(struct source *source, const char *why);

#endif
