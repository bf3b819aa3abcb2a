/* Makes a segment small of which little is still needed: a new file with its live records and a table takes its place by one rename.
 *
 * The number stays, and with it the outcome log, which tells messages apart by their ids. So whichever of the two files is found after
 * a power cut, old or new, together with the log it says the same, but for what was finished: that must be durable in the log before
 * this begins, since its records go. */
#ifndef POSTERN_SPOOL_COMPACT_H
#define POSTERN_SPOOL_COMPACT_H

#include "segment.h"

struct compact;

/* A record to keep. */
struct compact_item {
    struct uid id;
    uint64_t offset;
    uint64_t new_offset; /* with COMPACT_DONE */
};

enum compact_verdict {
    COMPACT_MORE,    /* call compact_step again */
    COMPACT_DONE,    /* the new file has the name */
    COMPACT_NOTHING, /* not worth it: more than half of the bytes are needed */
    COMPACT_DAMAGED, /* the segment or a record that is needed is not as it was written: all stays as it is */
    COMPACT_FAILED   /* the disk said no (errno): all stays as it is */
};

/* Begins to compact segment NUMBER of FOLDER, which nobody writes to. ITEMS, COUNT of them in ascending order of their offsets, stay the
 * caller's. Touches no file yet. */
struct compact *compact_new(int folder, uint64_t number, struct compact_item *items, size_t count);

/* Goes on for some megabytes at most. After anything but COMPACT_MORE only compact_free may follow. Where the rename went through and
 * the sync of the folder did not, that is COMPACT_DONE: both files are right. */
enum compact_verdict compact_step(struct compact *compact);

/* The offset behind the last record that was copied. */
uint64_t compact_end(const struct compact *compact);

/* Frees *COMPACT, closes the old file, removes what it left unfinished, and nulls it. Waits for the disk, as compact_step does. */
void compact_free(struct compact **compact);

/* Is NAME that of a file which a process left unfinished when it died? */
bool compact_is_rest(const char *name);

#endif
