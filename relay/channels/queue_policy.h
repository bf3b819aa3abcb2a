/* Queue tells policy what the world says about accounts' mail; policy tells queue whose mail it holds back, and what to write to whom.
 * FRONT is the queue.
 *
 * When the two meet, policy names every suspended account (ACCOUNT_HOLD) and ends the list with ACCOUNTS_TOLD: what the queue holds of
 * others because of a suspension is free then. If policy goes: the queue holds what it holds, and what it would have told is lost. If
 * queue goes: the next one gets the letters that it has not stored yet. Whichever goes, one may come twice: the next policy process writes
 * those again of which it is not known that they were stored. */
#ifndef POSTERN_CHANNELS_QUEUE_POLICY_H
#define POSTERN_CHANNELS_QUEUE_POLICY_H

#include "../base/ipc.h"
#include "../base/netaddr.h"
#include "../base/uid.h"
#include "../smtp/limits.h"

#define QUEUE_POLICY_ACCOUNT_SIZE 256
#define LETTER_SUBJECT_SIZE       200
#define LETTER_TEXT_MAX           16384

/* A recipient was refused for good, or put off with words that policy may want to hear. */
struct reply_bad {
    struct uid id;
    struct netaddr client;
    uint8_t permanent;
    char account[QUEUE_POLICY_ACCOUNT_SIZE]; /* "" where nobody logged in */
    char sender[SMTP_ADDRESS_SIZE];
    char recipient[SMTP_ADDRESS_SIZE];
    char enhanced[SMTP_ENHANCED_SIZE];
    char reply[SMTP_REPLY_TEXT_SIZE + 8]; /* as in delivery_outcome; sent in part */
};

/* So many recipients were delivered to since the last time. Told once a second. */
struct replies_good {
    struct netaddr client;
    char account[QUEUE_POLICY_ACCOUNT_SIZE];
    uint32_t count;
};

/* All mail of this account, what comes later too, is held (or no more held). In normal form. */
struct account_hold {
    char account[QUEUE_POLICY_ACCOUNT_SIZE];
};
struct account_free {
    char account[QUEUE_POLICY_ACCOUNT_SIZE];
};

/* No account but those that were told is held. */
struct accounts_told {
    uint8_t unused;
};

/* A message from the mail system itself. */
struct letter {
    uint64_t ticket; /* comes back in LETTER_STORED */
    char to[SMTP_ADDRESS_SIZE];
    char subject[LETTER_SUBJECT_SIZE]; /* printable ASCII */
    uint32_t size;
    char text[LETTER_TEXT_MAX]; /* UTF-8, lines that end in LF; sent in part */
};

/* That letter is durable. */
struct letter_stored {
    uint64_t ticket;
};

#define QUEUE_POLICY_MESSAGES(X)                                                                                                 \
    X(REPLY_BAD, IPC_FRONT, struct reply_bad, IPC_PART(struct reply_bad, reply), false)                                          \
    X(REPLIES_GOOD, IPC_FRONT, struct replies_good, IPC_WHOLE(struct replies_good), false)                                       \
    X(LETTER_STORED, IPC_FRONT, struct letter_stored, IPC_WHOLE(struct letter_stored), false)                                    \
    X(ACCOUNT_HOLD, IPC_BACK, struct account_hold, IPC_WHOLE(struct account_hold), false)                                        \
    X(ACCOUNT_FREE, IPC_BACK, struct account_free, IPC_WHOLE(struct account_free), false)                                        \
    X(ACCOUNTS_TOLD, IPC_BACK, struct accounts_told, IPC_WHOLE(struct accounts_told), false)                                     \
    X(LETTER, IPC_BACK, struct letter, IPC_PART(struct letter, text), false)

enum queue_policy_message { IPC_ENUM(QUEUE_POLICY_MESSAGES) QUEUE_POLICY_COUNT };
extern const struct ipc_channel queue_policy_channel;

#endif
