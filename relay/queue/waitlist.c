#include "waitlist.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

/* What one sender waits for. Exists while there is something. */
struct waitline {
    struct list in_turn; /* of those where something is in line */
    struct list few;     /* some mail to few recipients wants these */
    struct list many;    /* the others */
    unsigned nwaiting;   /* of both */
    unsigned nasked;     /* not answered yet */
    uint32_t sender;
};

struct waitlist {
    struct map *lines; /* by sender */
    struct list turns; /* lines, the one whose turn it is in front */
    struct list open;
    unsigned nasked;
};

struct waitlist *waitlist_new(void)
{
    struct waitlist *list = text_zalloc(sizeof *list);
    list->lines = map_new(0);
    list_init(&list->turns);
    list_init(&list->open);
    return list;
}

void waitlist_free(struct waitlist **list)
{
    if (!*list)
        return;
    map_free(&(*list)->lines, free);
    free(*list);
    *list = NULL;
}

static struct waiter *waiter_of(struct list *node)
{
    return LIST_ENTRY(node, struct waiter, node);
}

static struct waitline *of_turn(struct list *node)
{
    return LIST_ENTRY(node, struct waitline, in_turn);
}

static struct span key_of(const uint32_t *sender)
{
    return span_make((const char *)sender, sizeof *sender);
}

static struct waitline *line_of(struct waitlist *list, uint32_t sender)
{
    struct waitline *line = map_get(list->lines, key_of(&sender));
    if (line)
        return line;
    line = text_zalloc(sizeof *line);
    line->sender = sender;
    list_init(&line->in_turn);
    list_init(&line->few);
    list_init(&line->many);
    map_put(list->lines, key_of(&sender), line, NULL);
    return line;
}

void waitlist_enter(struct waitlist *list, struct waiter *waiter, uint32_t sender, bool few, bool front)
{
    struct waitline *line = line_of(list, sender);
    struct list *ordered = few ? &line->few : &line->many;
    waiter->line = line;
    waiter->few = few;
    waiter->since_ms = clock_monotonic_ms();
    if (front)
        list_prepend(ordered, &waiter->node);
    else
        list_append(ordered, &waiter->node);
    if (!line->nwaiting++)
        list_append(&list->turns, &line->in_turn);
}

/* The line goes with the last. */
void waitlist_leave(struct waitlist *list, struct waiter *waiter)
{
    struct waitline *line = waiter->line;
    list_remove(&waiter->node);
    waiter->line = NULL;
    if (waiter->asked) {
        waiter->asked = false;
        list->nasked--;
        line->nasked--;
    } else if (!--line->nwaiting) {
        list_remove(&line->in_turn);
    }
    if (line->nwaiting || line->nasked)
        return;
    map_remove(list->lines, key_of(&line->sender));
    free(line);
}

void waitlist_return(struct waitlist *list, struct waiter *waiter)
{
    uint32_t sender = waiter->line->sender;
    waitlist_leave(list, waiter);
    waitlist_enter(list, waiter, sender, waiter->few, true);
}

unsigned waitlist_count(const struct waitlist *list, uint32_t sender)
{
    const struct waitline *line = map_get(list->lines, key_of(&sender));
    return line ? line->nwaiting : 0;
}

bool waitlist_is_sooner(const struct waitlist *list, const struct waiter *waiter, uint32_t sender, bool few)
{
    if (few != waiter->few)
        return few;
    return sender != waiter->line->sender && waitlist_count(list, sender) < waiter->line->nwaiting;
}

static void to_the_end(struct waitlist *list, struct waitline *line)
{
    list_remove(&line->in_turn);
    list_append(&list->turns, &line->in_turn);
}

/* The one that LINE may ask for now, or NULL. */
static struct waiter *first_of(const struct waitlist *list, const struct waitline *line)
{
    unsigned left = WAITLIST_ASKED_MAX - list->nasked;
    if (!list_empty(&line->few))
        return line->nasked < left ? waiter_of(line->few.next) : NULL;
    return 2 * line->nasked < left ? waiter_of(line->many.next) : NULL;
}

struct waiter *waitlist_next(struct waitlist *list)
{
    if (list->nasked == WAITLIST_ASKED_MAX)
        return NULL;
    LIST_EACH(node, &list->turns) {
        struct waiter *waiter = first_of(list, of_turn(node));
        if (!waiter)
            continue;
        to_the_end(list, of_turn(node));
        return waiter;
    }
    return NULL;
}

void waitlist_asked(struct waitlist *list, struct waiter *waiter)
{
    struct waitline *line = waiter->line;
    waiter->asked = true;
    waiter->since_ms = clock_monotonic_ms();
    list_remove(&waiter->node);
    list_append(&list->open, &waiter->node);
    if (!--line->nwaiting)
        list_remove(&line->in_turn);
    line->nasked++;
    list->nasked++;
}

struct list *waitlist_open(struct waitlist *list)
{
    return &list->open;
}

/* The first of ORDERED, if it is there since before LIMIT_MS. */
static struct waiter *overdue(const struct list *ordered, int64_t limit_ms)
{
    return !list_empty(ordered) && waiter_of(ordered->next)->since_ms < limit_ms ? waiter_of(ordered->next) : NULL;
}

/* Looks at each line once. */
void waitlist_overdue(struct waitlist *list, int64_t limit_ms, void (*each)(void *context, struct waiter *waiter), void *context)
{
    size_t left = map_count(list->lines);
    while (left && !list_empty(&list->turns)) {
        struct waitline *line = of_turn(list->turns.next);
        struct waiter *waiter = overdue(&line->few, limit_ms);
        if (waiter || (waiter = overdue(&line->many, limit_ms))) {
            each(context, waiter);
            continue;
        }
        to_the_end(list, line);
        left--;
    }
}
