/* What is due when: nodes in a heap and one timer for the first of them. */
#ifndef POSTERN_QUEUE_SCHEDULE_H
#define POSTERN_QUEUE_SCHEDULE_H

#include "../base/heap.h"
#include "../base/loop.h"

/* At most this many fall due in one round of the loop; the others follow in the next. */
#define SCHEDULE_ROUND_MAX 200

struct schedule;

/* DUE is called for each node when its time has come; the node is out of the heap then. */
struct schedule *schedule_new(struct loop *loop, void (*due)(void *context, struct heap_node *node), void *context);

/* Frees *SCHEDULE, not the nodes, and nulls it. NULL is fine. */
void schedule_free(struct schedule **schedule);

/* NODE is due at DUE_MS on the monotonic clock; one that is in already is moved. */
void schedule_set(struct schedule *schedule, struct heap_node *node, int64_t due_ms);

/* Takes NODE out; nothing happens where it is not in. */
void schedule_remove(struct schedule *schedule, struct heap_node *node);

#endif
