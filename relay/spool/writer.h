/* The writer of a process: appends messages to segments and makes them durable, many at a time.
 *
 * One thread does all writing and syncing; the event loop only hands over and is called back. While one fdatasync runs, the
 * messages of all sessions gather; the next one covers them all (group commit). A message up to SEGMENT_LARGE_MESSAGE stays in
 * memory and goes into the current shared segment; beyond that it gets a segment of its own and is streamed as it arrives, its
 * record header written last. If a write or fdatasync fails, every message it covered is refused, the segment is abandoned
 * (never written or synced again), and the next one is used.
 *
 * If the process dies at any moment, a message whose `done` was called with WRITER_STORED is on the disk; another one is there
 * whole or cut off by recovery, and nobody was told 250. */
#ifndef POSTERN_SPOOL_WRITER_H
#define POSTERN_SPOOL_WRITER_H

#include "../base/loop.h"
#include "segment.h"

struct writer;
struct intake;

enum writer_verdict {
    WRITER_STORED, /* durable */
    WRITER_FULL,   /* no space: 452 4.3.1 */
    WRITER_FAILED  /* write or sync failed, or no segment could be had: 451 4.3.0 */
};

/* Where a message came to lie. */
struct writer_place {
    uint64_t segment;
    struct record record;
};

struct writer_events {
    /* A segment is needed (LARGE: for one message alone, TICKET tells which). Answer with writer_give or writer_refuse, now or
     * later. For shared segments it is asked ahead of need. */
    void (*need_segment)(void *context, bool large, uint64_t ticket);
    /* The writer is done with segment NUMBER (full, abandoned, or given up). Its descriptor is closed. */
    void (*done_segment)(void *context, uint64_t number, bool failed);
    /* Of all messages that ended together their owners have heard (intake_commit's DONE). May be NULL. */
    void (*told)(void *context);
};

/* A writer with its thread (started now: before seccomp closes). EVENTS come in the loop. */
struct writer *writer_new(struct loop *loop, const struct writer_events *events, void *context);

/* Ends the thread after what was committed is on the disk, closes the segments, frees. Intakes must be gone. */
void writer_free(struct writer **writer);

/* Hands over the descriptor FD (owned from here on) of the fresh segment NUMBER, as asked for by need_segment. */
void writer_give(struct writer *writer, uint64_t number, int fd, bool large, uint64_t ticket);

/* No segment can be had: messages that wait for one end with VERDICT. The writer asks again at the next message. */
void writer_refuse(struct writer *writer, enum writer_verdict verdict, bool large, uint64_t ticket);

/* How long messages have waited while none was finished, in milliseconds: 0 where none waits. A disk that does not answer. */
int64_t writer_stalled_ms(const struct writer *writer);

/* Gives up every segment without using it further (the queue that gave it has gone). Messages that are being written still
 * finish and are reported; large ones in progress end with WRITER_FAILED. */
void writer_abandon(struct writer *writer);

/* A message begins, in this process's writer. At most MAX_SIZE bytes of content. */
struct intake *intake_new(struct writer *writer, struct uid id, uint64_t max_size);

/* Adds content, in wire form. False once the maximum is passed or a large message's segment failed (intake_verdict tells): go
 * on draining, then refuse. */
bool intake_add(struct intake *intake, struct span content);

/* Should the caller stop reading for a while (more than 1 MiB of this message waits for its segment or the disk)? */
bool intake_is_full(const struct intake *intake);

/* DRAINED is called with CONTEXT, in the loop, when a caller that stopped may go on. */
void intake_on_drained(struct intake *intake, void (*drained)(void *context), void *context);

/* What went wrong so far; WRITER_STORED where nothing did. */
enum writer_verdict intake_verdict(const struct intake *intake);

/* Bytes of content so far. */
uint64_t intake_size(const struct intake *intake);

/* Ends the message: ENVELOPE in its stored form, PREFIX the header lines to send first. DONE is called once, in the loop, when it
 * is durable or refused; PLACE is NULL then unless stored. The intake belongs to the writer from here on: *INTAKE becomes NULL. */
void intake_commit(struct intake **intake, struct span envelope, struct span prefix,
                   void (*done)(void *context, enum writer_verdict verdict, const struct writer_place *place), void *context);

/* Forgets a message that was not committed; the space it used is freed. NULL is fine. */
void intake_free(struct intake **intake);

#endif
