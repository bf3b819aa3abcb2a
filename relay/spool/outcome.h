/* The outcome log of a segment: what became of each recipient. Written by queue alone; read at start and by `postern message`. */
#ifndef POSTERN_SPOOL_OUTCOME_H
#define POSTERN_SPOOL_OUTCOME_H

#include "../base/buffer.h"
#include "../base/uid.h"

#include <stdint.h>

enum outcome_kind {
    OUTCOME_DELIVERED = 1, /* final */
    OUTCOME_BOUNCED,       /* final; its report (if any) is durable before this is written */
    OUTCOME_DEFERRED,
    OUTCOME_HELD,
    OUTCOME_RELEASED,
    OUTCOME_REMOVED, /* final */
    OUTCOME_DELAYED  /* a delay warning was sent */
};

#define OUTCOME_ALL_RECIPIENTS 0xffffffffu
#define OUTCOME_TEXT_MAX       1024

/* One event. Texts are borrowed. */
struct outcome {
    enum outcome_kind kind;
    uint64_t record_offset; /* where its record was then: a segment may be compacted */
    struct uid id;          /* which message of the segment */
    uint32_t recipient;     /* index in the envelope, or OUTCOME_ALL_RECIPIENTS */
    uint32_t attempt;
    int64_t time_ms;   /* wall clock */
    int64_t next_ms;   /* deferred: when it is due again */
    struct span mx;    /* host name and address, or the route */
    struct span tls;   /* protocol, or "" */
    struct span reply; /* "550 5.1.1 …", escaped */
    uint64_t position; /* where it stands in its log: set by outcome_walk, of no meaning to outcome_encode */
};

/* Is KIND the last word on a recipient? */
bool outcome_is_final(enum outcome_kind kind);

/* The kind's name as in the log ("delivered"). */
const char *outcome_name(enum outcome_kind kind);

/* Appends the disk form of OUTCOME (with CRC) to OUT. Texts beyond OUTCOME_TEXT_MAX are cut. False where OUT is full. */
bool outcome_encode(const struct outcome *outcome, struct buffer *out);

/* Reads an outcome from the front of BYTES. Its texts point into BYTES. *ret_size is what it takes up on disk, padding included.
 * False where no whole outcome begins there. */
bool outcome_decode(struct span bytes, struct outcome *ret_outcome, size_t *ret_size);

/* Opens (makes, where it is missing; the folder is synced then) the log of segment NUMBER for appending. -1 with errno;
 * EPROTONOSUPPORT where it is of a foreign version or another segment's. */
int outcome_open(int folder, uint64_t number);

/* Appends encoded outcomes to the log FD in one write. False with errno: what was written of it is cut off again. Not synced: see
 * outcome_sync. */
bool outcome_append(int fd, struct span encoded);

/* Makes what was appended durable. Returns false with errno; the caller then stops using this log (no append, no second sync on
 * the same file: the kernel may have dropped what could not be written). */
bool outcome_sync(int fd);

/* The same for the log of segment NUMBER, which nobody appends to meanwhile, by its name. One that is not there is fine. */
bool outcome_sync_log(int folder, uint64_t number);

/* What `damaged` of outcome_walk is told of an end that was not written: no damage, after a power cut. */
extern const char outcome_torn_end[];

/* Calls EACH with every whole outcome in the log of segment NUMBER, in order, until it returns false. What is damaged in between is
 * told to DAMAGED (may be NULL) and skipped. A torn or damaged end is told too, and cut off where CUT (the log is owned, and what
 * comes next would be appended behind it). False with errno where it cannot be read (EPROTONOSUPPORT: foreign version, another
 * segment's); a log that does not exist is an empty one. */
bool outcome_walk(int folder, uint64_t number, bool cut, bool (*each)(void *context, const struct outcome *outcome),
                  void (*damaged)(void *context, uint64_t offset, const char *what), void *context);

#endif
