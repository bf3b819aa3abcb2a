/* The growing end of a segment, as its writer holds it. All but tail_new and tail_free is for the appender's thread. */
#ifndef POSTERN_SPOOL_TAIL_H
#define POSTERN_SPOOL_TAIL_H

#include "disk.h"
#include "parcel.h"

struct tail {
    struct parcel parcel; /* carries it between loop and thread */
    uint64_t number;
    uint64_t tag;
    uint64_t end;                /* where the next record goes */
    uint64_t synced;             /* durable up to here */
    uint64_t streamed;           /* a large message's content so far */
    enum writer_verdict verdict; /* WRITER_STORED while it may be used */
    int fd;
    bool ready;  /* the header was read */
    bool failed; /* a write or sync failed */
};

/* The tail of the fresh segment NUMBER, whose descriptor FD it owns. */
struct tail *tail_new(uint64_t number, int fd);

/* Frees *TAIL, closed or not, and nulls it. */
void tail_free(struct tail **tail);

/* May it be written to? Reads the segment's tag the first time. */
bool tail_is_usable(struct tail *tail);

/* Writes PARTS at OFFSET, at or behind the end, which stays where it is. Where that fails the file is cut back to the end:
 * WRITER_FULL, and the tail is as good as before; WRITER_FAILED, and it may not be used any more. */
enum writer_verdict tail_write(struct tail *tail, struct iovec *parts, size_t count, uint64_t offset);

/* Makes everything up to the end durable. Where that fails the tail is never used or synced again: the kernel may have dropped what
 * it could not write and would say yes the next time. */
enum writer_verdict tail_sync(struct tail *tail);

/* Closes the descriptor; what was not synced is cut off, so that recovery does not find what was refused. */
void tail_close(struct tail *tail);

#endif
