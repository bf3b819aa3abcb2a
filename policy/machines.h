/* What machines that share a Redis tell each other about accounts: who is suspended, and who is so no more. The newer word holds, by the time
 * that is told with it, so that a machine that was cut off brings back neither a thief nor a suspension that is over; and a Redis that has
 * lost everything learns it again from those that know. */
#ifndef POSTERN_POLICY_MACHINES_H
#define POSTERN_POLICY_MACHINES_H

#include "judge.h"
#include "sharing.h"

struct machines {
    struct judge *judge;
    struct sharing *sharing; /* or NULL: there is one machine */
    struct map *untold;      /* suspended here and not told since the list began; NULL: no list is being told */
    bool hearing;            /* what is done now was told by another machine */
};

/* Alone so far. JUDGE is borrowed. */
void machines_init(struct machines *machines, struct judge *judge);

/* Frees what MACHINES holds. */
void machines_fini(struct machines *machines);

/* Tells through SHARING (borrowed; NULL: to nobody) from here on. */
void machines_set_sharing(struct machines *machines, struct sharing *sharing);

/* How ACCOUNT stands has changed: tells the others, unless it was they who told. */
void machines_tell(struct machines *machines, struct span account);

/* For sharing_new, with a struct machines as context. */
extern const struct redis_shared_events machines_events;

#endif
