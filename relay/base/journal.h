/* A file of small records in a role's folder, for what is known by key and where the last record of a key holds: what has changed is
 * appended, and when the file has grown to several times its need, a new one with everything takes its place.
 *
 * Each record has a checksum. What was torn or damaged costs the rest of the file, and a log line. A disk that fails costs nothing but
 * what happens next: the owner keeps all in memory, and is asked for all of it when it is tried again. */
#ifndef POSTERN_BASE_JOURNAL_H
#define POSTERN_BASE_JOURNAL_H

#include "span.h"

#define JOURNAL_RECORD_MAX 8192 /* bytes of a record */
#define JOURNAL_MAGIC_SIZE 16
#define JOURNAL_REST_MAX   63 /* times that journal_begin does nothing, between two attempts of a disk that fails */

struct journal;

/* Gets a record, borrowed for the call: bytes of this machine, but of any version. */
typedef void (*journal_take)(void *context, struct span record);

/* Opens the file NAME in FOLDER, which begins with the text MAGIC (NAME and MAGIC are static; at most JOURNAL_MAGIC_SIZE bytes of MAGIC
 * count), and hands each record that an earlier process wrote to TAKE, oldest first. Never NULL: where FOLDER cannot be used that is
 * logged, and nothing is written. */
struct journal *journal_new(const char *folder, const char *name, const char *magic, journal_take take, void *context);

/* Frees *JOURNAL and nulls it. NULL is fine. */
void journal_free(struct journal **journal);

/* Begins to write. True: everything is to be written now, since a new file was begun; false: what has changed. After a failure the next call
 * tries again, after more of them in a row every second, fourth … one; with SYNC each does. The first of such failures is logged, and that
 * it works again. */
bool journal_begin(struct journal *journal, bool sync);

/* Writes RECORD, at most JOURNAL_RECORD_MAX bytes. */
void journal_add(struct journal *journal, struct span record);

/* Ends what journal_begin began; a new file takes the old one's place. SYNC: wait until it is on the disk. Failures are logged. */
void journal_end(struct journal *journal, bool sync);

#endif
