/* Ids that sort by time and are unique across processes, restarts and machines.
 *
 * 12 bytes: 6 of milliseconds since 1970 (big-endian, never going back within a process), 4 drawn at random when the
 * process starts, 2 that count within a millisecond. As text 20 characters of a lower-case base32 alphabet whose order is
 * that of the bytes. A clock that jumps back cannot make an id twice: the process keeps the highest time it used, and
 * another process has other random bytes. */
#ifndef POSTERN_BASE_UID_H
#define POSTERN_BASE_UID_H

#include "span.h"

#include <stdint.h>

#define UID_BYTES     12
#define UID_TEXT      20
#define UID_TEXT_SIZE (UID_TEXT + 1)

struct uid {
    unsigned char bytes[UID_BYTES];
};

/* A fresh id. Not thread-safe: one thread of a process makes ids. */
struct uid uid_next(void);

/* Writes ID as 20 characters and a NUL. */
void uid_print(struct uid id, char text[UID_TEXT_SIZE]);

/* Reads an id as uid_print writes it; false on anything else. */
bool uid_parse(struct span text, struct uid *ret_id);

/* Order by time: < 0, 0, > 0. */
int uid_compare(struct uid a, struct uid b);

/* Milliseconds since 1970 at which ID was made. */
int64_t uid_time_ms(struct uid id);

#endif
