/* A binary heap of nodes that live inside the caller's structs: what comes next in time. All operations O(log n). */
#ifndef POSTERN_BASE_HEAP_H
#define POSTERN_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embed one in what is to be ordered. `position` is 0 while it is in no heap. */
struct heap_node {
    int64_t key;
    uint32_t position;
};

struct heap {
    struct heap_node **nodes;
    uint32_t count;
    uint32_t capacity;
};

/* An empty heap; all zero is one too. */
void heap_init(struct heap *heap);

/* Frees the heap's own memory, not the nodes. */
void heap_fini(struct heap *heap);

/* Puts NODE in with KEY, or moves it there when it is in already. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);

/* Takes NODE out; nothing happens where it is not in. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The node with the smallest key, or NULL. */
struct heap_node *heap_first(const struct heap *heap);

#endif
