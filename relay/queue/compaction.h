/* Old segments of which little is still needed are made small, one at a time, while the queue works. */
#ifndef POSTERN_QUEUE_COMPACTION_H
#define POSTERN_QUEUE_COMPACTION_H

#include "queue.h"

/* Which: nobody writes to it, its last message came so long ago, so large, and at most one of so many messages is not finished. */
#define COMPACTION_AGE_MS   3600000
#define COMPACTION_SIZE_MIN (1024u * 1024)
#define COMPACTION_SHARE    4

/* Once a second: begins with a pair that is worth it, where none is at work. */
void compaction_tick(struct queue *queue);

#endif
