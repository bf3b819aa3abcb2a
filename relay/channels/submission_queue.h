/* Submission writes, queue owns: segments are asked for, given, given back; each durable message is told.
 *
 * STORED is sent after fdatasync, with the others of that moment. If queue goes: submission abandons its segments, tells the messages that
 * were durable but not yet told to the new queue process, which finds them in the segment too (an id that it knows already is
 * ignored); while there is no queue process, new messages get 451. If submission goes: queue walks its segments for what was
 * durable and never told, and seals them. */
#ifndef POSTERN_CHANNELS_SUBMISSION_QUEUE_H
#define POSTERN_CHANNELS_SUBMISSION_QUEUE_H

#include "../base/ipc.h"
#include "../base/uid.h"

/* A segment please. */
struct segment_ask {
    uint64_t ticket;
    uint8_t large; /* for one message beyond SEGMENT_LARGE_MESSAGE alone */
};

/* fd: the writer's descriptor. */
struct segment_give {
    uint64_t ticket;
    uint64_t number;
    uint8_t large;
};

/* None can be made now. */
struct segment_refuse {
    uint64_t ticket;
    uint8_t large;
    uint8_t full; /* no space (452), else the disk failed (451) */
};

/* No more will be written into it. */
struct segment_done {
    uint64_t number;
    uint8_t failed; /* a write or sync failed */
};

/* Messages are durable. Told before the SEGMENT_DONE of their segment. */
#define STORED_MESSAGES_MAX 100
struct message_stored {
    uint64_t segment;
    uint64_t offset; /* of its record */
    struct uid id;
};
struct messages_stored {
    uint32_t count;
    struct message_stored each[STORED_MESSAGES_MAX]; /* sent in part */
};

/* Queue → submission, whenever it changes and first of all: is there room (spool's minimum-free)? Where not: 452 4.3.1 at MAIL. */
struct spool_space {
    uint8_t enough;
};

#define SUBMISSION_QUEUE_MESSAGES(X)                                                                                             \
    X(SEGMENT_ASK, IPC_FRONT, struct segment_ask, IPC_WHOLE(struct segment_ask), false)                                          \
    X(SEGMENT_DONE, IPC_FRONT, struct segment_done, IPC_WHOLE(struct segment_done), false)                                       \
    X(MESSAGES_STORED, IPC_FRONT, struct messages_stored, IPC_PART(struct messages_stored, each), false)                         \
    X(SEGMENT_GIVE, IPC_BACK, struct segment_give, IPC_WHOLE(struct segment_give), true)                                         \
    X(SEGMENT_REFUSE, IPC_BACK, struct segment_refuse, IPC_WHOLE(struct segment_refuse), false)                                  \
    X(SPOOL_SPACE, IPC_BACK, struct spool_space, IPC_WHOLE(struct spool_space), false)

enum submission_queue_message { IPC_ENUM(SUBMISSION_QUEUE_MESSAGES) SUBMISSION_QUEUE_COUNT };
extern const struct ipc_channel submission_queue_channel;

#endif
