/* Slots lie in one growing array; the free ones form a list through their indices. */
#include "tickets.h"

#include "../base/text.h"

#include <stdlib.h>

#define TICKETS_NONE  UINT32_MAX
#define TICKETS_FIRST 64u

struct slot {
    void *owner; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct tickets {
    struct slot *slots;
    uint32_t count;
    uint32_t first_free;
};

struct tickets *tickets_new(void)
{
    struct tickets *tickets = text_zalloc(sizeof *tickets);
    tickets->first_free = TICKETS_NONE;
    return tickets;
}

void tickets_free(struct tickets **tickets)
{
    if (!*tickets)
        return;
    free((*tickets)->slots);
    free(*tickets);
    *tickets = NULL;
}

static void grow(struct tickets *tickets)
{
    uint32_t count = tickets->count ? tickets->count * 2 : TICKETS_FIRST;
    tickets->slots = text_realloc(tickets->slots, count * sizeof *tickets->slots);
    for (uint32_t i = count; i-- > tickets->count;) {
        tickets->slots[i] = (struct slot){ .next_free = tickets->first_free };
        tickets->first_free = i;
    }
    tickets->count = count;
}

uint32_t tickets_enter(struct tickets *tickets, void *owner)
{
    if (tickets->first_free == TICKETS_NONE)
        grow(tickets);
    uint32_t slot = tickets->first_free;
    tickets->first_free = tickets->slots[slot].next_free;
    tickets->slots[slot].owner = owner;
    tickets->slots[slot].generation++;
    return slot;
}

void tickets_leave(struct tickets *tickets, uint32_t slot)
{
    tickets->slots[slot].owner = NULL;
    tickets->slots[slot].generation++;
    tickets->slots[slot].next_free = tickets->first_free;
    tickets->first_free = slot;
}

uint64_t tickets_renew(struct tickets *tickets, uint32_t slot)
{
    uint32_t generation = ++tickets->slots[slot].generation;
    if (!generation)
        generation = ++tickets->slots[slot].generation;
    return (uint64_t)generation << 32 | slot;
}

void *tickets_find(const struct tickets *tickets, uint64_t ticket)
{
    uint32_t slot = (uint32_t)ticket;
    if (slot >= tickets->count || tickets->slots[slot].generation != ticket >> 32)
        return NULL;
    return tickets->slots[slot].owner;
}
