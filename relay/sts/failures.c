/* All rest equally long, so the list is in the order in which they end. */
#include "failures.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

struct failures {
    struct map *by_domain;
    struct list ends; /* the first to end in front */
};

struct failure {
    struct list node;
    int64_t end_ms;
    size_t size;
    char domain[];
};

struct failures *failures_new(void)
{
    struct failures *failures = text_zalloc(sizeof *failures);
    failures->by_domain = map_new(0);
    list_init(&failures->ends);
    return failures;
}

void failures_free(struct failures **failures)
{
    if (!*failures)
        return;
    map_free(&(*failures)->by_domain, free);
    free(*failures);
    *failures = NULL;
}

static void drop(struct failures *failures, struct span domain)
{
    struct failure *failure = map_remove(failures->by_domain, domain);
    if (!failure)
        return;
    list_remove(&failure->node);
    free(failure);
}

static void drop_first(struct failures *failures)
{
    const struct failure *first = LIST_ENTRY(failures->ends.next, struct failure, node);
    drop(failures, span_make(first->domain, first->size));
}

void failures_add(struct failures *failures, struct span domain, int64_t now_ms)
{
    drop(failures, domain);
    if (map_count(failures->by_domain) >= FAILURES_MAX)
        drop_first(failures);
    struct failure *failure = text_zalloc(sizeof *failure + domain.n);
    failure->end_ms = now_ms + FAILURES_REST_MS;
    failure->size = domain.n;
    memcpy(failure->domain, domain.p, domain.n);
    list_append(&failures->ends, &failure->node);
    map_put(failures->by_domain, domain, failure, NULL);
}

int64_t failures_rest_ms(struct failures *failures, struct span domain, int64_t now_ms)
{
    while (!list_empty(&failures->ends) && LIST_ENTRY(failures->ends.next, struct failure, node)->end_ms <= now_ms)
        drop_first(failures);
    const struct failure *failure = map_get(failures->by_domain, domain);
    return failure ? failure->end_ms - now_ms : 0;
}

size_t failures_count(const struct failures *failures)
{
    return map_count(failures->by_domain);
}
