/* The segments that a delivery process has been lent, each with its place there. */
#ifndef POSTERN_QUEUE_LENT_H
#define POSTERN_QUEUE_LENT_H

#include "../channels/queue_delivery.h"

/* All zero is a process that has none. */
struct lent {
    struct {
        uint64_t number; /* of the segment */
        uint64_t used;   /* when it was used last, counted in uses; 0: nothing is there */
    } places[DELIVERY_SEGMENTS];
    uint64_t uses;
};

/* The place where the process at the other end of IPC has the segment NUMBER, whose descriptor is FD (borrowed): it is lent to it where
 * it has not been, in place of the one that was not used longest. -1 where the process has gone. */
int lent_place(struct lent *lent, struct ipc *ipc, uint64_t number, int fd);

/* The segment NUMBER is closed, and may be another file from here on, or none: the process closes what it has of it. */
void lent_forget(struct lent *lent, struct ipc *ipc, uint64_t number);

/* The process says that it could not take what was lent at PLACE; what may be there since is taken back. */
void lent_lacks(struct lent *lent, struct ipc *ipc, uint32_t place);

#endif
