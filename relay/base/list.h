/* A doubly linked list of nodes that live inside the caller's structs: `struct list` is a node and a head alike. */
#ifndef POSTERN_BASE_LIST_H
#define POSTERN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

/* The struct of TYPE whose MEMBER is at NODE. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Goes through a list; the current node may be removed inside the loop. */
#define LIST_EACH(node, head)                                                                                                    \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                                            \
         node = node##_next, node##_next = node->next)

/* Makes NODE a list of its own: an empty head, or a node in no list. */
static inline void list_init(struct list *node)
{
    node->next = node->previous = node;
}

/* Is HEAD without nodes (or NODE in no list)? */
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Puts NODE at the end of HEAD's list; it must be in none. */
static inline void list_append(struct list *head, struct list *node)
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* Puts NODE at the front of HEAD's list; it must be in none. */
static inline void list_prepend(struct list *head, struct list *node)
{
    list_append(head->next, node);
}

/* Takes NODE out of its list; harmless where it is in none. */
static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

#endif
