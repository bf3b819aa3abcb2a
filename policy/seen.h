/* Pairs that were seen: who wrote to whom, and when last. Compact (12 bytes a place, 19 to 48 a pair), bounded, and kept by whoever writes down the changes
 * (store_local.h).
 *
 * A pair is a keyed hash of 64 bits: nobody outside can make two pairs be one, and the file says nothing of who writes to whom. */
#ifndef POSTERN_POLICY_SEEN_H
#define POSTERN_POLICY_SEEN_H

#include "../relay/base/buffer.h"
#include "../relay/base/siphash.h"

#include <stdint.h>

#define SEEN_KEY_SIZE    SIPHASH_KEY_SIZE
#define SEEN_RECORD_SIZE 12                   /* a pair and a time, in the machine's byte order */
#define SEEN_MEMORY      ((size_t)96 << 20)   /* some five million pairs before any is forgotten */
#define SEEN_CHANGES_MAX ((size_t)4096 * 256) /* bytes of changes that wait to be written down; more are not kept */

struct seen;

/* Nobody was seen yet. MAX_BYTES of memory at most. Beyond, a new pair takes the place of the one seen longest ago of the sixteen whose
 * places it may have. */
struct seen *seen_new(size_t max_bytes);

/* Frees *SEEN and nulls it. NULL is fine. */
void seen_free(struct seen **seen);

/* Hashes with KEY from here on, as the file that is read has it; without this call with a random one. */
void seen_set_key(struct seen *seen, const unsigned char key[SEEN_KEY_SIZE]);

/* The key in use. */
const unsigned char *seen_key(const struct seen *seen);

/* The pair WHO and WHOM, apart from those that others count under another name WHAT. */
uint64_t seen_pair(const struct seen *seen, struct span what, struct span who, struct span whom);

/* The same in two steps, for who asks about many WHOM: *RET_BEGUN is what all of them have in common. */
void seen_pair_begin(const struct seen *seen, struct span what, struct span who, struct siphash *ret_begun);
uint64_t seen_pair_end(const struct siphash *begun, struct span whom);

/* When PAIR was seen last, in seconds of some clock; 0: never. */
uint32_t seen_last(const struct seen *seen, uint64_t pair);

/* PAIR is seen at NOW_S; a clock that stands at 0 counts as 1. */
void seen_note(struct seen *seen, uint64_t pair, uint32_t now_s);

/* Enters records as seen_changes and seen_walk give them. */
void seen_restore(struct seen *seen, struct span records);

/* How many pairs are known. */
size_t seen_count(const struct seen *seen);

/* Moves what was noted since the last call to the end of OUT, as records. */
void seen_changes(struct seen *seen, struct buffer *out);

/* Appends some records from *CURSOR (0 at first) on to OUT and moves it; true while there are more. A pair that is there from the first to
 * the last call is visited at least once, also where the table grows in between. */
bool seen_walk(const struct seen *seen, size_t *cursor, struct buffer *out);

#endif
