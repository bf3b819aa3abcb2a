/* A segment and its outcome log, as long as they exist: who writes, what is known of them, their descriptors. */
#ifndef POSTERN_QUEUE_PAIR_H
#define POSTERN_QUEUE_PAIR_H

#include "../base/buffer.h"
#include "../spool/outcome.h"
#include "queue.h"

struct entry;

/* Who writes into the segment, where it is not a submission process (its slot). */
enum { PAIR_NO_WRITER = -1, PAIR_OWN_WRITER = -2, PAIR_FOREIGN_WRITER = -3 };

struct pair {
    uint64_t number;
    struct list in_store;  /* in order of the number */
    struct list entries;   /* messages with recipients without a final outcome, in order of the offset */
    uint32_t live;         /* how many */
    uint32_t records;      /* messages in the segment, finished ones too */
    int64_t compact_ms;    /* monotonic: no compaction before */
    uint32_t small_enough; /* compaction is of no use before fewer than so many are left */
    uint64_t known_end;    /* behind the last record that is known */
    uint64_t settled_end;  /* a record before this was seen by recovery: if its id is unknown it is done */
    int64_t oldest_ms;     /* of the ids in it: finds the pair of a finished message */
    int64_t newest_ms;
    int writer; /* a slot, or PAIR_… */
    int segment_fd;
    int log_fd;
    uint64_t log_size;
    struct buffer pending; /* outcomes that are not in the log yet */
    struct list in_dirty;  /* those with pending outcomes */
    struct list in_open;   /* those with descriptors, the one used last at the end */
    bool recovered;
    bool damaged;     /* something in it is not as it was written: kept for a person */
    bool log_damaged; /* the same of its log: goes when all is done */
    bool unread;      /* recovery could not read it (no descriptor, the disk): it is read again at again_ms */
    bool unreadable;  /* pair_segment failed the last time */
    bool deferred;    /* its log says that somebody waits: without what follows it would tell of a lost segment */
    int64_t again_ms;
    bool unsynced; /* a final outcome was appended and not synced */
    bool syncing, sealing, removing;
    bool compacting; /* the name may be another file's already: segment_fd stays open, and entries have its offsets */
    bool failing;    /* its log cannot be written now: nothing of it is sent */
};

/* PAIR cannot be read: WHAT, because of errno. Said once; recover_pair reads it again after a while. */
void pair_unread(struct pair *pair, const char *what);

/* Is anything wrong with PAIR's files that a person should know? *RET_ENDING is the ending of the file's name (".seg", ".log"). */
bool pair_is_damaged(const struct store *store, const struct pair *pair, const char **ret_ending);

/* Descriptors of pairs that are kept open, at most; beyond, the one that was not used longest is closed. */
#define PAIR_OPEN_MAX 128

/* Bytes of one outcome on the disk, at most. */
#define OUTCOME_SIZE_MAX (4 * OUTCOME_TEXT_MAX)

/* Bytes of outcomes that wait for a log that cannot be written. */
#define PAIR_PENDING_MAX (4 * 1024 * 1024)

/* A new pair NUMBER in the store, where there is none of that number yet. */
struct pair *pair_new(struct store *store, uint64_t number);

/* Takes *PAIR out of the store, closes and frees it, and nulls the pointer. Its entries must have gone. */
void pair_free(struct store *store, struct pair **pair);

/* ENTRY has come to PAIR. */
void pair_enter(struct pair *pair, struct entry *entry);

/* One of PAIR's entries has gone. The last one to go from a segment without writer makes the pair's end: its files are removed. */
void pair_leave(struct queue *queue, struct pair *pair);

/* The segment's descriptor for reading, opened where it is not. The pair's own; -1 with errno, and a log line at the first time. */
int pair_segment(struct store *store, struct pair *pair);

/* Closes the segment's descriptor, here and in the delivery processes: who has one open has one of the same file. */
void pair_close_segment(struct store *store, struct pair *pair);

/* Can outcomes be written to PAIR's log? Nothing is sent that could not be remembered. */
bool pair_log_ready(struct store *store, struct pair *pair);

/* Notes OUTCOME for the log; it is appended when control returns to the loop. Returns where it will stand, and 1; 0 where it could not
 * be noted. A final one is synced within a second. */
uint32_t pair_record(struct queue *queue, struct pair *pair, const struct outcome *outcome);

/* Appends what is pending. False, with a log line at the first time, where it cannot be: it is tried again each second. */
bool pair_flush(struct store *store, struct pair *pair);

/* Closes what is open, where nothing is pending or being synced. */
void pair_close(struct store *store, struct pair *pair);

/* Reads the outcome that stands at POSITION (as pair_record gave it) into OUT, its texts into SCRATCH. */
bool pair_read(struct store *store, struct pair *pair, uint32_t position, struct buffer *scratch, struct outcome *ret_outcome);

#endif
