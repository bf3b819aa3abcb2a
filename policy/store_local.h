/* What limits have counted, and whom accounts have written to, kept in a folder of this machine so that it outlives the process.
 *
 * Written down once a second what changed (write(2): it survives kill -9 with at most a second lost), and all of it, synced, when the
 * role ends in order. Losing the folder costs what was counted, nothing else; a disk that fails is logged, and counting goes on in
 * memory. */
#ifndef POSTERN_POLICY_STORE_LOCAL_H
#define POSTERN_POLICY_STORE_LOCAL_H

#include "../relay/base/loop.h"
#include "limit.h"
#include "seen.h"

struct store_local;

/* Makes FOLDER (mode 0700, for the user USER where the process is root) where it is missing. False, with a log line, where there is
 * none and none can be made. For the start, before the sandbox. */
bool store_local_prepare(const char *folder, const char *user);

/* Opens FOLDER, reads what earlier processes left about LIMITS, and from then on keeps it. NULL, with a log line, where FOLDER cannot
 * be used: then nothing outlives the process. LIMITS is borrowed until store_local_limits, SEEN until the end. */
struct store_local *store_local_new(struct loop *loop, const char *folder, struct limit_set *limits, struct seen *seen);

/* Enters what BYTES, the content of one file of the folder, say of LIMITS and SEEN. Returns how many records those were; what is damaged
 * ends it, with a log line. */
size_t store_local_read(struct limit_set *limits, struct seen *seen, struct span bytes);

/* Goes over to LIMITS, made from the ones before. */
void store_local_limits(struct store_local *store, struct limit_set *limits);

/* Writes down what changed, now. */
void store_local_flush(struct store_local *store);

/* Writes down what changed, syncs, frees *STORE and nulls it. NULL is fine. */
void store_local_free(struct store_local **store);

#endif
