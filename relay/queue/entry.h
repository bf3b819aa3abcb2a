/* A queued message in memory: what scheduling needs, and no text that the disk has.
 *
 * An entry lives from the moment its message is durable until its last recipient has a final outcome. With its one unit, its place in
 * the table and in the schedule, a message to one recipient takes less than 256 bytes (tests/unit/queue/flow.c counts). */
#ifndef POSTERN_QUEUE_ENTRY_H
#define POSTERN_QUEUE_ENTRY_H

#include "../base/uid.h"
#include "queue.h"

struct pair;
struct unit;

struct entry {
    struct uid id;
    uint32_t sender;      /* hash of the account, else of the client's address: who shares a site with whom */
    struct entry *chain;  /* in the table */
    struct pair *pair;    /* where it lies */
    uint64_t offset;      /* of its record */
    struct list in_pair;  /* in order of the offset */
    int64_t born_ms;      /* when it arrived, on the monotonic clock (may be negative): its age never jumps */
    int64_t over_ms;      /* recovered ones: when an attempt first failed beyond the lifetime; 0: not yet */
    struct unit *units;   /* its recipients without a final outcome, but for those whose bounce is being written */
    uint32_t live;        /* recipients without a final outcome */
    uint32_t freed_at;    /* how many suspensions there had been when a person released it (accounts_suspensions) */
    uint16_t notices;     /* reports about it that are to be written, or are being written */
    uint8_t gathering;    /* of these, those that wait for more to tell of */
    bool recovered : 1;   /* known from an earlier process: born_ms comes from the wall clock */
    bool held : 1;        /* a person or policy holds it: then born_ms is how old it was when that began */
    bool suspended : 1;   /* it is held because its account is suspended, and for nothing else */
    bool freed : 1;       /* a person released it: only a suspension that comes later holds it again */
    bool removing : 1;    /* removed by a person: what comes back from delivery is removed too */
    bool delayed : 1;     /* a delay warning was written, or is being written */
    bool null_sender : 1; /* nobody to report to */
    bool damaged : 1;     /* its envelope cannot be read: kept, never sent */
};

/* The table of all entries. */
struct entries *entries_new(void);

/* Frees the table and all entries with their units, whatever state they are in: the role ends. */
void entries_free(struct entries **entries);

/* How many there are. */
size_t entries_count(const struct queue *queue);

/* The entry of ID, or NULL. */
struct entry *entry_find(const struct queue *queue, struct uid id);

/* A new entry for the message at OFFSET of PAIR, with LIVE recipients to come as units. ID must not be known. */
struct entry *entry_new(struct queue *queue, struct uid id, struct pair *pair, uint64_t offset, uint32_t live);

/* N more recipients have a final outcome. With the last the entry is freed and its pair told; true then. */
bool entry_settle(struct queue *queue, struct entry *entry, uint32_t n);

#endif
