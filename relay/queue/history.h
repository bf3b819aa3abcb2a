/* What a pair's log says of each of its messages. */
#ifndef POSTERN_QUEUE_HISTORY_H
#define POSTERN_QUEUE_HISTORY_H

#include "../base/map.h"
#include "../spool/outcome.h"

/* What is known of one recipient: the last that was said. */
struct history_recipient {
    uint32_t recipient;
    uint32_t attempt;
    int64_t next_ms;
    uint32_t said; /* position in the log, and 1 */
    bool final;
};

/* One message. */
struct history {
    struct uid id;
    bool held, released, delayed, final;  /* of the message as a whole */
    bool suspended;                       /* it is held because of its account */
    bool freed;                           /* a person released it, and no suspension has held it since */
    int64_t held_ms;                      /* since when, of the wall clock; 0: it is not held */
    int64_t rested_ms;                    /* how long it was held before */
    struct history_recipient *recipients; /* ascending */
    size_t count;
    size_t capacity;
};

/* All messages of pair NUMBER's log in FOLDER (a descriptor), by their ids; NULL, with errno, where it cannot be read.
 * What is damaged in it is told to DAMAGED, and the rest is read on. */
struct map *history_read(int folder, uint64_t number, void (*damaged)(void *context, uint64_t offset, const char *what),
                         void *context);

/* Frees *ALL with every history in it, and nulls it. NULL is fine. */
void history_free(struct map **all);

/* The history of the message ID, or NULL. Borrowed. */
const struct history *history_of(const struct map *all, struct uid id);

/* Does HISTORY say that somebody waits for the message? False where nothing tells. */
bool history_waits(const struct history *history);

/* What is known of RECIPIENT (its index in the envelope), or NULL. HISTORY may be NULL. Borrowed. */
const struct history_recipient *history_recipient(const struct history *history, uint32_t recipient);

#endif
