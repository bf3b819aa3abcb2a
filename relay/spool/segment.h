/* A segment file: fixed header, records, and a table once it is sealed. Made and owned by the queue; written by one writer. */
#ifndef POSTERN_SPOOL_SEGMENT_H
#define POSTERN_SPOOL_SEGMENT_H

#include "record.h"

#define SEGMENT_HEADER_SIZE   64
#define SEGMENT_SIZE_TARGET   (64u * 1024 * 1024) /* a shared segment is full from here on */
#define SEGMENT_LARGE_MESSAGE (1024u * 1024)      /* a message beyond this gets a segment of its own */
#define SEGMENT_NAME_SIZE     24                  /* "00000000000000a1.seg" and a NUL */

/* Numbers from here on are of pairs that were carried from another spool (carry.h): a queue makes none of them, so that it can look for
 * them while it makes others. */
#define SEGMENT_CARRIED (UINT64_C(1) << 63)

/* The file name of segment NUMBER. */
void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE]);

/* The file name of its outcome log. */
void segment_log_name(uint64_t number, char name[SEGMENT_NAME_SIZE]);

/* Reads a number out of a file name with that ending (".seg", ".log"); false where the name is not one of ours. */
bool segment_parse_name(const char *name, const char *ending, uint64_t *ret_number);

/* Makes segment NUMBER in the folder FOLDER (a descriptor): header written and synced, folder synced, opened for writing, locked
 * (flock; the lock belongs to the open file and lasts while any process keeps a copy of the descriptor: close yours once it is
 * handed on). -1 with errno (EEXIST: the number is taken); nothing is left behind then unless the disk refuses that too. */
int segment_create(int folder, uint64_t number);

/* Writes the fixed header of segment NUMBER, with a fresh random tag, at the front of FD. Not synced. False with errno. */
bool segment_write_header(int fd, uint64_t number, uint64_t *ret_tag);

/* Opens segment NUMBER for reading only. -1 with errno. */
int segment_open(int folder, uint64_t number);

/* Does a living process still hold the writer's descriptor of the segment (its flock)? True also where it cannot be told (no
 * descriptor left, no permission): such a segment is left alone. False for a segment that is not there. */
bool segment_has_writer(int folder, uint64_t number);

/* Checks the fixed header of FD. RECORD_OK, RECORD_DAMAGED (not a segment, foreign version, another number), RECORD_TORN (too
 * short: its making was cut off, nobody ever wrote into it), RECORD_IO. */
enum record_verdict segment_check(int fd, uint64_t number);

/* Does a whole header say that FD is another segment than NUMBER, *RET_NUMBER: a copy, or a file that was renamed? */
bool segment_is_other(int fd, uint64_t number, uint64_t *ret_number);

/* The random tag of the segment FD: from its header, or, where that is damaged, from its first record. RECORD_OK, else as
 * segment_check. *ret_damaged (may be NULL): the header is damaged. */
enum record_verdict segment_tag(int fd, uint64_t *ret_tag, bool *ret_damaged);

/* Calls EACH with every whole record from OFFSET on (SEGMENT_HEADER_SIZE for all), in order, until it returns false. Without a
 * table (not sealed) every part of every record is read and checked; with one only the headers are, and the parts when they are
 * read. A damaged record is told to DAMAGED (may be NULL) with its offset and what is wrong; where its length can be trusted the
 * walk goes on behind it, else it searches the next record by its magic. *ret_end is the offset behind the last whole record (or
 * behind a damaged one that the table names), *ret_torn whether bytes other than zero lie behind it: a record that was not
 * finished, which nobody was told about.
 *
 * A header of the segment that is damaged is told with offset 0, and the walk goes on where the first record gives the tag: call
 * this whatever segment_check said. RECORD_OK where the walk came to its end; RECORD_TORN, RECORD_DAMAGED (not a segment, foreign
 * version: nothing was called), RECORD_IO (errno; what came before was called). */
enum record_verdict segment_walk(int fd, uint64_t offset, bool (*each)(void *context, const struct record *record),
                                 void (*damaged)(void *context, uint64_t offset, const char *what), void *context,
                                 uint64_t *ret_end, bool *ret_torn);

/* Seals a segment that has no writer any more: cuts the torn tail at END, appends the table of its COUNT records' offsets
 * (ascending), syncs. False with errno; the segment stays readable as it was. */
bool segment_seal(int folder, uint64_t number, uint64_t end, const uint64_t *offsets, size_t count);

/* Removes segment and log; the folder is synced in between, so that a lone log is all that a crash can leave (a lone segment would be
 * delivered anew). What is gone already is fine. False with errno. */
bool segment_remove(int folder, uint64_t number);

#endif
