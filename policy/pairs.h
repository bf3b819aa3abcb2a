/* Pairs of seen.h as one machine tells them to others: each with its own keyed hash, so that it is the texts that go over the wire. Touches
 * bytes only. */
#ifndef POSTERN_POLICY_PAIRS_H
#define POSTERN_POLICY_PAIRS_H

#include "../relay/base/buffer.h"

/* What seen_pair is given. */
struct pair_texts {
    struct span what, who, whom;
};

/* Appends PAIR to OUT. False where one of its texts is longer than 65,535 bytes, or OUT is full; then OUT is as before. */
bool pairs_add(struct buffer *out, const struct pair_texts *pair);

/* Takes the first pair off *BYTES; its texts are parts of them. False where there is none that is whole. */
bool pairs_next(struct span *bytes, struct pair_texts *ret_pair);

#endif
