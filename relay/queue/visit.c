#include "visit.h"

#include "pair.h"
#include "store.h"

void visit_begin(struct queue *queue, struct visit *visit)
{
    visit_end(visit);
    list_append(&queue->visits, &visit->node);
    visit->segment = visit->offset = 0;
}

void visit_end(struct visit *visit)
{
    if (visit->node.next)
        list_remove(&visit->node);
}

/* Goes on through the entries of PAIR. */
static bool visit_pair(struct visit *visit, const struct pair *pair, bool (*each)(void *context, struct entry *entry),
                       void *context)
{
    if (pair->number != visit->segment)
        visit->offset = 0;
    visit->segment = pair->number;
    LIST_EACH(node, &pair->entries) {
        struct entry *entry = LIST_ENTRY(node, struct entry, in_pair);
        uint64_t offset = entry->offset;
        if (offset < visit->offset)
            continue;
        if (!each(context, entry))
            return false;
        visit->offset = offset + 1;
    }
    return true;
}

bool visit_some(struct queue *queue, struct visit *visit, bool (*each)(void *context, struct entry *entry), void *context)
{
    struct pair *pair = store_pair_from(queue->store, visit->segment);
    for (struct list *node = pair ? &pair->in_store : &queue->store->all, *next; node != &queue->store->all; node = next) {
        next = node->next;
        if (!visit_pair(visit, LIST_ENTRY(node, struct pair, in_store), each, context))
            return false;
    }
    return true;
}

void visits_moved(struct queue *queue, uint64_t segment, uint64_t (*moved)(void *context, uint64_t offset), void *context)
{
    LIST_EACH(node, &queue->visits) {
        struct visit *visit = LIST_ENTRY(node, struct visit, node);
        if (visit->segment == segment)
            visit->offset = moved(context, visit->offset);
    }
}
