/* A descriptor costs a packet of its own and the kernel's work on both sides; messages of one segment follow each other, and so it is
 * passed once for all of them. As long as a process has it the segment's blocks are not freed: hence lent_forget, and few places. */
#include "lent.h"

int lent_place(struct lent *lent, struct ipc *ipc, uint64_t number, int fd)
{
    unsigned oldest = 0;
    lent->uses++;
    for (unsigned i = 0; i < DELIVERY_SEGMENTS; i++) {
        if (lent->places[i].used && lent->places[i].number == number) {
            lent->places[i].used = lent->uses;
            return (int)i;
        }
        if (lent->places[i].used < lent->places[oldest].used)
            oldest = i;
    }
    struct delivery_segment segment = { oldest };
    if (!ipc_send(ipc, DELIVERY_SEGMENT, &segment, sizeof segment, fd))
        return -1;
    lent->places[oldest].number = number;
    lent->places[oldest].used = lent->uses;
    return (int)oldest;
}

/* What is sent next is lent at this place. */
static void take_back(struct lent *lent, struct ipc *ipc, unsigned place)
{
    struct delivery_forget forget = { place };
    ipc_send_soon(ipc, DELIVERY_FORGET, &forget, sizeof forget);
    lent->places[place].used = 0;
}

void lent_forget(struct lent *lent, struct ipc *ipc, uint64_t number)
{
    for (unsigned i = 0; i < DELIVERY_SEGMENTS; i++)
        if (lent->places[i].used && lent->places[i].number == number)
            take_back(lent, ipc, i);
}

void lent_lacks(struct lent *lent, struct ipc *ipc, uint32_t place)
{
    if (place < DELIVERY_SEGMENTS)
        take_back(lent, ipc, place);
}
