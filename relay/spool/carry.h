/* A pair carried from the spool of a dead machine into a living one's, under a number of its own.
 *
 * Four steps, each synced before the next, so that whatever dies at whatever moment, the pair is in exactly one spool that would send
 * it, and doing it all again ends well:
 *
 *   copied   NEW.seg.adopt and NEW.log.adopt are whole in the new spool; no queue looks at such names
 *   taken    NUMBER.seg is renamed to NUMBER.seg.adopted-NEW-TAG in the old spool: from here on its owner does not send it
 *   shown    the copies get their names in the new spool, the log first: from here on its queue sends it
 *   dropped  what is left in the old spool is removed
 *
 * TAG says who took it (carry_tag), so that a third machine leaves alone what a second one has begun. */
#ifndef POSTERN_SPOOL_CARRY_H
#define POSTERN_SPOOL_CARRY_H

#include "../base/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whoever adopts, by its host name. */
uint32_t carry_tag(struct span hostname);

/* Is NAME, in the old spool, that of a segment that was taken? */
bool carry_parse(const char *name, uint64_t *ret_number, uint64_t *ret_new_number, uint32_t *ret_tag);

/* A number from SEGMENT_CARRIED on under which the segment NUMBER of FROM can be copied to TO: nothing is there, or what is left of a
 * copy of this segment that did not get so far that it was taken. */
uint64_t carry_free_number(int from, uint64_t number, int to);

/* Copies pair NUMBER of the folder FROM to TO as NEW_NUMBER, for OWNER and GROUP, synced. A copy that was begun before is made anew. A pair
 * without a log is fine. False with errno; what was copied of it is removed. */
bool carry_copy(int from, uint64_t number, int to, uint64_t new_number, uid_t owner, gid_t group);

/* Takes it from its owner. False with errno. */
bool carry_take(int from, uint64_t number, uint64_t new_number, uint32_t tag);

/* Gives the copy its name. True also where there is no copy any more: it was shown before. False with errno. */
bool carry_show(int to, uint64_t new_number);

/* Removes the rest of a taken pair. False with errno. */
bool carry_drop(int from, uint64_t number, uint64_t new_number, uint32_t tag);

#endif
