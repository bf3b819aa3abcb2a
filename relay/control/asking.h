/* What was asked of queue and policy over the admin channel and is not answered yet. */
#ifndef POSTERN_CONTROL_ASKING_H
#define POSTERN_CONTROL_ASKING_H

#include "control.h"

struct asking;

/* Takes an answer as it comes. The CONTEXT is whoever asked. */
struct asking_events {
    /* A piece of a JSON value; the one that ENDS completes it. */
    void (*text)(void *context, struct span piece, bool ends);
    /* The answer is over; REASON is "" or a sentence, printable. Called exactly once, not from within asking_start. */
    void (*end)(void *context, enum admin_result result, const char *reason);
};

/* Nothing asked yet. */
struct asking *asking_new(struct control *control);

/* Forgets what was asked, without a word to those who asked; frees *ASKING and nulls it. */
void asking_free(struct asking **asking);

/* Asks PEER (CONTROL_QUEUE or CONTROL_POLICY); ASK's ticket is set here. EVENTS must stay valid. Where the peer is away, `end` comes
 * soon with ADMIN_REFUSED and a reason that says so. Returns the ticket. */
uint64_t asking_start(struct asking *asking, enum control_peer peer, struct admin_ask *ask, const struct asking_events *events,
                      void *context);

/* CONTEXT has more than it can take now, or can take more again: what it asked of the queue rests meanwhile. */
void asking_pace(struct asking *asking, const void *context, bool rest);

/* CONTEXT has gone: nothing that it asked is told any more. */
void asking_forget(struct asking *asking, const void *context);

/* The handler of the admin channels: a message of PEER came. One about a ticket that it was not asked is dropped. */
void asking_received(struct asking *asking, enum control_peer peer, unsigned type, const void *body, size_t size);

/* PEER has gone: what it was asked ends with ADMIN_REFUSED and a reason that says so. */
void asking_gone(struct asking *asking, enum control_peer peer);

#endif
