/* Carriers: connections to a site that a delivery process holds, and what they carry. */
#ifndef POSTERN_QUEUE_CARRIER_H
#define POSTERN_QUEUE_CARRIER_H

#include "../channels/queue_delivery.h"
#include "cause.h"
#include "queue.h"

struct deliverer;
struct site;
struct unit;
struct verdict;

enum phase {
    OPENING, /* no NEXT yet */
    WAITING, /* for work */
    SENDING, /* in a transaction */
    BETWEEN, /* a transaction is over, what comes next follows at once */
    CLOSING, /* no use any more; its CLOSED, or the end of its process, is awaited */
    PHASES
};

struct carrier {
    uint64_t number; /* the connection's, on the channel */
    enum phase phase;
    struct site *site;
    struct deliverer *deliverer;
    struct list in_deliverer;
    struct list in_idle;      /* of its site */
    struct list in_waiting;   /* of all sites */
    struct unit *unit;        /* SENDING */
    struct verdict *verdicts; /* SENDING: one a recipient of the unit */
    int64_t begun_ms;         /* when the connection was asked for, then when its last transaction began (monotonic) */
    uint64_t messages;        /* transactions begun */
};

/* No connection yet. */
struct carriers *carriers_new(void);

/* Frees all of them, and nulls *CARRIERS (NULL is fine). The units they carry must still be there. */
void carriers_free(struct carriers **carriers);

/* Asks a delivery process for one more connection to SITE. False where none can be asked. */
bool carrier_open(struct queue *queue, struct site *site);

/* The connection NUMBER, or NULL. */
struct carrier *carrier_find(const struct queue *queue, uint64_t number);

/* CARRIER is ready: it gets the unit whose turn it is, or waits for one; where the role drains it is closed. */
void carrier_feed(struct queue *queue, struct carrier *carrier);

/* Carriers of SITE that wait get to work, as far as there is any, and further ones are opened as wanted. */
void carrier_wake(struct queue *queue, struct site *site);

/* What a transaction that is over has told its site already. */
enum carrier_end {
    CARRIER_TOLD_NOTHING, /* it is for the caller to say what follows */
    CARRIER_TOOK,         /* it took the message, for somebody at least */
    CARRIER_REFUSED       /* a reply meant that it is to get less, or to rest */
};

/* The transaction of CARRIER is over; recipients without an outcome are put off because of CAUSE. */
enum carrier_end carrier_finish(struct queue *queue, struct carrier *carrier, const struct cause *cause);

/* Was nothing said yet of any recipient of the transaction? */
bool carrier_is_untouched(const struct carrier *carrier);

/* The connection ended in good order before it saw its assignment: the unit waits again, but where a person holds or has removed its
 * message, and no attempt is counted. */
void carrier_give_back(struct queue *queue, struct carrier *carrier);

/* Takes CARRIER, which has no transaction any more, out and frees it. */
void carrier_end(struct queue *queue, struct carrier *carrier);

/* Closes those that wait: the settings have changed, or the role drains. */
void carriers_close_idle(struct queue *queue);

/* Closes so many of those that wait, whatever their site, for others to take their places; of these, those that are being closed already
 * are left out, and those that wait longest go first. */
void carriers_make_room(struct queue *queue, unsigned places);

/* How many there are, to all sites together. */
size_t carriers_count(const struct queue *queue);

/* How many of them wait for work. */
unsigned carriers_waiting(const struct queue *queue);

/* How many are in a transaction. */
unsigned carriers_busy(const struct queue *queue);

/* Are so many being begun, hundreds a second, that they wait for this machine rather than for those whom they go to? */
bool carriers_crowd(const struct queue *queue);

#endif
