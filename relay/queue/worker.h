/* The thread that waits for the disk, so that the loop does not: syncs, new segments, seals, removals. One after the other. */
#ifndef POSTERN_QUEUE_WORKER_H
#define POSTERN_QUEUE_WORKER_H

#include "../base/list.h"
#include "../base/loop.h"

struct worker;

/* Embed one in what the work needs to know. WORK runs in the thread and touches nothing but its job; DONE comes in the loop
 * afterwards and frees the job. */
struct job {
    struct list node;
    void (*work)(struct job *job);
    void (*done)(void *context, struct job *job);
};

/* Starts the thread (before the sandbox closes). CONTEXT is for each job's `done`. NULL, with errno, where there is none. */
struct worker *worker_new(struct loop *loop, void *context);

/* Hands JOB over. */
void worker_submit(struct worker *worker, struct job *job);

/* How many jobs are not done yet. */
unsigned worker_load(const struct worker *worker);

/* Lets the thread finish all its jobs, calls their `done`, frees *WORKER and nulls it. NULL is fine. */
void worker_free(struct worker **worker);

#endif
