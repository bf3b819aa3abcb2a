/* Tickets: what a question to another role carries, so that its answer finds the session again, or nobody.
 *
 * A ticket is a slot and a generation. The generation moves on with every question and when the slot is left, so that a late
 * answer (the session has gone, gave up, or asks something else by now) finds nothing. */
#ifndef POSTERN_SUBMISSION_TICKETS_H
#define POSTERN_SUBMISSION_TICKETS_H

#include <stdint.h>

struct tickets;

/* An empty table. */
struct tickets *tickets_new(void);

/* Frees *TICKETS and nulls it; not the owners. NULL is fine. */
void tickets_free(struct tickets **tickets);

/* A slot for OWNER (not NULL). It has no valid ticket yet. */
uint32_t tickets_enter(struct tickets *tickets, void *owner);

/* Gives SLOT back: its tickets are void from here on. */
void tickets_leave(struct tickets *tickets, uint32_t slot);

/* A new ticket for SLOT; the one before is void. Never 0. */
uint64_t tickets_renew(struct tickets *tickets, uint32_t slot);

/* The owner of TICKET, or NULL where it is void or was never given. */
void *tickets_find(const struct tickets *tickets, uint64_t ticket);

#endif
