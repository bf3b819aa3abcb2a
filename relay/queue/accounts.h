/* What the queue has to do with accounts: it holds back the mail of those that policy has suspended, and tells policy what the world says
 * about their mail. */
#ifndef POSTERN_QUEUE_ACCOUNTS_H
#define POSTERN_QUEUE_ACCOUNTS_H

#include "../channels/queue_policy.h"
#include "../message/envelope.h"
#include "cause.h"
#include "entry.h"

#define ACCOUNTS_WHY                                                                                                             \
    "the account is suspended" /* stands in the log as the reason of a hold, and is known by it after a restart */
#define ACCOUNTS_WHY_NOT                                                                                                         \
    "the account is no more suspended" /* the reason of a release; one for another is a person's, and stays until a later suspension */
#define ACCOUNTS_GOOD 4096             /* accounts and clients whose deliveries are summed up at a time */

struct accounts;

/* Policy has told nothing yet. */
struct accounts *accounts_new(struct queue *queue);

/* Frees *ACCOUNTS and nulls it. NULL is fine. */
void accounts_free(struct accounts **accounts);

/* Policy is there, at IPC (borrowed), or has gone (NULL): then what was held stays held. */
void accounts_channel(struct queue *queue, struct ipc *ipc);

/* Policy's messages. Messages that wait are held, or freed, in the next rounds of the loop; only such are freed as a suspension holds, not
 * those that a person or a limit does. */
void accounts_hold(struct queue *queue, const struct account_hold *hold);
void accounts_let_go(struct queue *queue, const struct account_free *free);
void accounts_told(struct queue *queue);

/* How many accounts policy has suspended since the process began: what is released now is held again by later ones only. */
uint32_t accounts_suspensions(const struct queue *queue);

/* ENTRY, with ENVELOPE, has come, or is known again after a restart: is it held because of its account, or no more? Its units must be
 * there. */
void accounts_consider(struct queue *queue, struct entry *entry, const struct envelope *envelope);

/* ENVELOPE's account in normal form, or its client: by whose hash entries know their sender. */
uint32_t accounts_hash(const struct envelope *envelope);

/* The same for an account by its NAME, in any case of letters. */
uint32_t accounts_name_hash(struct span name);

/* N recipients of ENTRY were delivered to. */
void accounts_good(struct queue *queue, const struct entry *entry, uint32_t n);

/* RECIPIENT of ENTRY was refused because of CAUSE, for good (PERMANENT) or for now. */
void accounts_bad(struct queue *queue, const struct entry *entry, uint32_t recipient, const struct cause *cause, bool permanent);

/* The letter of that TICKET is durable: policy is told. */
void accounts_letter_stored(struct queue *queue, uint64_t ticket);

/* Once a second: tells the sums. */
void accounts_tick(struct queue *queue);

#endif
