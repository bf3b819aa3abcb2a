/* Going through all messages in many rounds of the loop, whatever comes and goes meanwhile: each that is there from the first to the last
 * round is visited once. */
#ifndef POSTERN_QUEUE_VISIT_H
#define POSTERN_QUEUE_VISIT_H

#include "entry.h"

/* Inside the caller's struct. The place is kept as segment and offset, which a compaction moves (visits_moved). */
struct visit {
    struct list node; /* in queue->visits */
    uint64_t segment;
    uint64_t offset; /* entries of `segment` before this are done */
};

/* Begins at the first message. */
void visit_begin(struct queue *queue, struct visit *visit);

/* Ends it; harmless for one that never began and is all zero. */
void visit_end(struct visit *visit);

/* Calls EACH with the next entries, which it may free, in their order, until it returns false: that one is visited again next time. True
 * once all were visited. */
bool visit_some(struct queue *queue, struct visit *visit, bool (*each)(void *context, struct entry *entry), void *context);

/* The messages of SEGMENT lie elsewhere in it now: MOVED gives the new place for an old one. */
void visits_moved(struct queue *queue, uint64_t segment, uint64_t (*moved)(void *context, uint64_t offset), void *context);

#endif
