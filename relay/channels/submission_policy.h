/* Submission asks before it says yes, policy answers: may this account, from this client, send this? Counted when asked for.
 *
 * If policy goes: submission answers what is in flight with 451 4.7.0, and the next as if allowed only where no limit and no
 * sender rule is configured; else 451 until policy is back. */
#ifndef POSTERN_CHANNELS_SUBMISSION_POLICY_H
#define POSTERN_CHANNELS_SUBMISSION_POLICY_H

#include "../base/ipc.h"
#include "../base/netaddr.h"
#include "../smtp/limits.h"

#define POLICY_TEXT_SIZE    400
#define POLICY_FROM_MAX     32
#define POLICY_ACCOUNT_SIZE 256

/* Who asks: the same in each question. */
struct policy_subject {
    struct netaddr client;
    char account[POLICY_ACCOUNT_SIZE]; /* "" where nobody logged in */
    char sender[SMTP_ADDRESS_SIZE];    /* MAIL FROM; "" for the null sender */
};

/* At MAIL: may this account use this sender, and send one more message? `size_bytes` is SIZE= or 0. */
struct policy_mail {
    uint64_t ticket;
    struct policy_subject subject;
    uint64_t size_bytes;
};

/* At RCPT: one more recipient. */
struct policy_rcpt {
    uint64_t ticket;
    struct policy_subject subject;
    char recipient[SMTP_ADDRESS_SIZE];
};

/* Behind the header: the From (and Sender) addresses, and the message's real size. */
struct policy_content {
    uint64_t ticket;
    struct policy_subject subject;
    uint64_t size_bytes;
    uint32_t from_fields;                          /* From fields in the header */
    uint32_t from_count;                           /* addresses in them; more than POLICY_FROM_MAX where there are more */
    uint8_t from_malformed;                        /* could not be read, or spelt so that readers differ ("From :") */
    char header_sender[SMTP_ADDRESS_SIZE];         /* the Sender field's address, or "" */
    char from[POLICY_FROM_MAX][SMTP_ADDRESS_SIZE]; /* sent in part */
};

enum policy_verdict { POLICY_ALLOW, POLICY_DEFER, POLICY_REJECT, POLICY_HOLD };

/* The answer. */
struct policy_answer {
    uint64_t ticket;
    uint32_t verdict;             /* enum policy_verdict */
    uint32_t delay_ms;            /* slow: send the reply so much later */
    char reply[POLICY_TEXT_SIZE]; /* not allowed: the whole reply line, "450 4.7.1 …", without CRLF, printable */
};

#define SUBMISSION_POLICY_MESSAGES(X)                                                                                            \
    X(POLICY_MAIL, IPC_FRONT, struct policy_mail, IPC_WHOLE(struct policy_mail), false)                                          \
    X(POLICY_RCPT, IPC_FRONT, struct policy_rcpt, IPC_WHOLE(struct policy_rcpt), false)                                          \
    X(POLICY_CONTENT, IPC_FRONT, struct policy_content, IPC_PART(struct policy_content, from), false)                            \
    X(POLICY_ANSWER, IPC_BACK, struct policy_answer, IPC_PART(struct policy_answer, reply), false)

enum submission_policy_message { IPC_ENUM(SUBMISSION_POLICY_MESSAGES) SUBMISSION_POLICY_COUNT };
extern const struct ipc_channel submission_policy_channel;

#endif
