/* An array of pointers, each node knowing its place in it: so a node can be moved or taken out without a search, which a
 * schedule does for every message that is delivered before its time (a person's retry) and every connection that gets another
 * deadline. A child is at twice its parent's position, which works because positions count from 1.
 *
 * Equal keys come in no particular order. The array never shrinks: a queue that once held a million messages keeps 8 MB of
 * pointers. */
#include "heap.h"

#include "text.h"

#include <stdlib.h>

/* Positions count from 1, so that 0 can mean "in no heap". nodes[position - 1] is the node. */
static void place(struct heap *heap, struct heap_node *node, uint32_t position)
{
    heap->nodes[position - 1] = node;
    node->position = position;
}

static void sift_up(struct heap *heap, struct heap_node *node, uint32_t position)
{
    while (position > 1 && heap->nodes[position / 2 - 1]->key > node->key) {
        place(heap, heap->nodes[position / 2 - 1], position);
        position /= 2;
    }
    place(heap, node, position);
}

static void sift_down(struct heap *heap, struct heap_node *node, uint32_t position)
{
    for (;;) {
        uint32_t child = position * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key)
            child++;
        if (heap->nodes[child - 1]->key >= node->key)
            break;
        place(heap, heap->nodes[child - 1], position);
        position = child;
    }
    place(heap, node, position);
}

void heap_init(struct heap *heap)
{
    *heap = (struct heap){ 0 };
}

void heap_fini(struct heap *heap)
{
    free(heap->nodes);
    heap_init(heap);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    int64_t before = node->key;
    node->key = key;
    if (node->position && key > before) {
        sift_down(heap, node, node->position);
        return;
    }
    if (!node->position) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
            heap->nodes = text_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
        }
        node->position = ++heap->count;
    }
    sift_up(heap, node, node->position);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    uint32_t position = node->position;
    if (!position)
        return;
    struct heap_node *last = heap->nodes[--heap->count];
    node->position = 0;
    if (last == node)
        return;
    if (position > 1 && heap->nodes[position / 2 - 1]->key > last->key)
        sift_up(heap, last, position);
    else
        sift_down(heap, last, position);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
