/* What the event loop and the appender's thread hand each other. A parcel, with all that hangs on it, belongs to one side at a time:
 * whoever took it from the other's list. So nothing else is shared, and nothing else is locked. */
#ifndef POSTERN_SPOOL_PARCEL_H
#define POSTERN_SPOOL_PARCEL_H

#include "../base/list.h"
#include "writer.h"

enum parcel_kind {
    /* To the thread; each comes back when it is dealt with. */
    PARCEL_PREPARE, /* a message begins: is there a segment for it? */
    PARCEL_GIVE,    /* (in a tail) a fresh segment for all */
    PARCEL_REFUSE,  /* none can be had: messages that wait end with `verdict` */
    PARCEL_ABANDON, /* finish what came before, then give up the segments */
    PARCEL_MESSAGE, /* (in an intake) to be written and synced; `verdict` and the record's place come back */
    PARCEL_CHUNK,   /* (in a chunk) content of a large message, for `tail` */
    PARCEL_FINISH,  /* (in an intake) the large message is complete: envelope, prefix, header, sync */
    PARCEL_RETIRE,  /* (in a tail) no more of this segment */
    PARCEL_STOP,    /* finish what came before, give up the segments, end */

    /* From the thread. */
    PARCEL_NEED,   /* a segment for all is needed */
    PARCEL_CLOSED, /* (in a tail) the segment is closed */
    PARCEL_KINDS
};

struct tail;
struct intake;

struct parcel {
    struct list node;
    enum parcel_kind kind;
    enum writer_verdict verdict;
    struct intake *intake; /* MESSAGE, CHUNK, FINISH */
    struct tail *tail;     /* GIVE, CHUNK, FINISH, RETIRE, CLOSED */
};

/* Content in memory. */
struct chunk {
    struct parcel parcel;
    size_t size;
    size_t capacity;
    char bytes[];
};

/* The struct in which PARCEL stands. */
#define PARCEL_OF(list) LIST_ENTRY(list, struct parcel, node)
#define CHUNK_OF(p)     LIST_ENTRY(p, struct chunk, parcel)

/* Moves all of FROM to the end of TO. */
static inline void parcel_move_all(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#endif
