/* The books of a run of the spool: what was promised of each message and each recipient, and since when; and the comparison with what
 * a disk holds. Moments are counts of changes to the disk (memdisk_changes): what is promised since moment M must be found after every
 * cut that leaves M changes or more; what began with change M can be found only after such a cut. */
#ifndef POSTERN_TESTS_CRASH_BOOKS_H
#define POSTERN_TESTS_CRASH_BOOKS_H

#include "../../relay/base/buffer.h"
#include "../../relay/base/uid.h"
#include "../../relay/spool/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER          (SIZE_MAX - 1) /* no cut leaves so many changes */
#define RECIPIENTS_MAX 3
#define MESSAGES_MAX   96
#define SEGMENTS_MAX   32

struct promise {
    size_t begun; /* its bytes began to be written */
    size_t kept;  /* it was told as durable; NEVER: it was not */
};

/* Message NUMBER; its parts follow from the number. */
struct message {
    uint32_t number;
    uint64_t segment;
    uint64_t offset;
    size_t content_size;
    unsigned nrecipients;
    struct promise stored;
    struct promise finals[RECIPIENTS_MAX];
    bool sent[RECIPIENTS_MAX]; /* the program knows a final outcome */
    size_t dropped;            /* finished, and left out when its segment was compacted */
};

struct books {
    struct message messages[MESSAGES_MAX];
    size_t nmessages;
    struct {
        uint64_t number;
        size_t removed; /* its removal began */
    } segments[SEGMENTS_MAX];
    size_t nsegments;
    size_t compactions;
};

/* What is wrong with a disk, counted. */
struct verdict {
    size_t lost;        /* told as stored, and not found */
    size_t altered;     /* found, and not as it was stored */
    size_t strange;     /* found, and never stored; an outcome that was never recorded */
    size_t resurrected; /* a recipient whose final outcome was told as durable would be sent to again */
    size_t unreadable;  /* a segment or log cannot be read at all */
    size_t doubts;      /* damage that is told although none was promised anything: no fault, counted */
};

/* Bytes of the message's parts: envelope, content and prefix of message NUMBER. The caller frees. */
char *books_bytes(uint32_t number, unsigned part, size_t size);
size_t books_envelope_size(uint32_t number);
size_t books_prefix_size(uint32_t number);
struct uid books_id(uint32_t number);

/* The entry of segment NUMBER, made where it is missing. Returns its index. */
size_t books_segment(struct books *books, uint64_t number);

/* Looks at everything in the folder of the disk in use, as a start does, after a cut that left AFTER changes. With RET_FOUND (not NULL)
 * it becomes the books of what was found: all of it promised from the beginning where BOOKS promise it, else begun. */
struct verdict books_compare(const struct books *books, size_t after, struct books *ret_found);

/* Is anything of it wrong? */
bool verdict_is_bad(const struct verdict *verdict);

#endif
