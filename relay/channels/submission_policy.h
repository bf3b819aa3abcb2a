/* Submission asks before it says yes, policy answers: may this client come, this account log in, and send this? Counted when asked for.
 * What policy need not say yes to is only told. Policy in turn says when the sessions of an account are to end.
 *
 * If policy goes: submission answers what is in flight with 451 4.7.0 (a login with 454), and the next as if allowed only where no limit
 * and no sender rule is configured; else 451 until policy is back. What was told meanwhile is lost. */
#ifndef POSTERN_CHANNELS_SUBMISSION_POLICY_H
#define POSTERN_CHANNELS_SUBMISSION_POLICY_H

#include "../base/ipc.h"
#include "../base/netaddr.h"
#include "../base/uid.h"
#include "../smtp/limits.h"

#define POLICY_TEXT_SIZE    400
#define POLICY_FROM_MAX     32
#define POLICY_BATCH_MAX    100 /* recipients of one question */
#define POLICY_ACCOUNT_SIZE 256
#define POLICY_SUBJECT_SIZE 200
#define POLICY_TYPE_SIZE    32

/* Who asks: the same in each question. */
struct policy_subject {
    struct netaddr client;
    char account[POLICY_ACCOUNT_SIZE]; /* "" where nobody logged in */
    char sender[SMTP_ADDRESS_SIZE];    /* MAIL FROM; "" for the null sender */
};

/* At a connection's begin, before the greeting: may one more come from this client? Refused with 421. */
struct policy_connect {
    uint64_t ticket;
    struct netaddr client;
};

/* A password was judged. `accepted`: may the account log in? Else the failure counts, and the answer says how it is replied to: as any
 * wrong password (POLICY_ALLOW), or with what the right one would get as well, so that nobody learns which it was. */
struct policy_login {
    uint64_t ticket;
    struct netaddr client;
    char account[POLICY_ACCOUNT_SIZE]; /* the claimed one, where not accepted */
    uint8_t accepted;
};

/* Told: a recipient was refused because its domain does not exist or takes no mail. */
struct policy_refused {
    struct netaddr client;
    char account[POLICY_ACCOUNT_SIZE];
    char recipient[SMTP_ADDRESS_SIZE];
};

/* Told of an account that is `watched`: a message was accepted. */
struct policy_sample {
    struct uid id;
    struct netaddr client;
    uint32_t nrecipients;
    char account[POLICY_ACCOUNT_SIZE];
    char sender[SMTP_ADDRESS_SIZE];
    char recipient[SMTP_ADDRESS_SIZE]; /* the first */
    char subject[POLICY_SUBJECT_SIZE]; /* the first such field's value: unfolded, escaped, cut */
};

/* Told: a report of abuse came in, at a listener that takes no logins, and says this of a message of ours (message/feedback.h). Nothing
 * of it is to be believed unless the mark fits the id under an account's tag. */
struct policy_report {
    struct uid report; /* the message that is the report */
    struct uid id;     /* the message that it is about … */
    uint64_t mark;     /* … and its mark; 0: none */
    uint8_t accuses;   /* abuse, fraud or a virus; else of another type */
    uint8_t has_id;
    struct netaddr client; /* who handed the report in */
    struct netaddr source; /* from where the message came, as the report says; family 0: it does not */
    char type[POLICY_TYPE_SIZE];
    char sender[SMTP_ADDRESS_SIZE];    /* as the report says, or "" */
    char recipient[SMTP_ADDRESS_SIZE]; /* the same */
};

/* The sessions of this account end: it is suspended. */
struct policy_end {
    char account[POLICY_ACCOUNT_SIZE]; /* in normal form */
};

/* At MAIL: may this account use this sender, and send one more message? `size_bytes` is SIZE= or 0. */
struct policy_mail {
    uint64_t ticket;
    struct policy_subject subject;
    uint64_t size_bytes;
};

/* At RCPT: one more recipient, and those that the client named right behind it. */
struct policy_rcpt {
    uint64_t ticket;
    struct policy_subject subject;
    uint32_t count;                                        /* 1 to POLICY_BATCH_MAX */
    uint32_t size;                                         /* bytes used of … */
    char recipients[POLICY_BATCH_MAX * SMTP_ADDRESS_SIZE]; /* the addresses, each with its NUL; sent in part */
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

enum policy_verdict { POLICY_ALLOW = 0, POLICY_DEFER, POLICY_REJECT, POLICY_HOLD };

/* The answer. */
struct policy_answer {
    uint64_t ticket;
    uint32_t verdict;             /* enum policy_verdict */
    uint32_t delay_ms;            /* slow: send the reply so much later */
    uint8_t watched;              /* at MAIL: a policy_sample of the message is wanted */
    uint64_t tag;                 /* at a login that is allowed: stands for the account in the messages' trace; 0: none */
    char reply[POLICY_TEXT_SIZE]; /* not allowed: the whole reply line, "450 4.7.1 …", without CRLF, printable */
};

/* The answer to POLICY_RCPT: for each recipient what it would be alone, in the order of the question. There are fewer than were asked
 * about where the last has a delay: those behind it were not looked at, and are asked about when the delay is over. */
struct policy_rcpt_answer {
    uint64_t ticket;
    uint32_t count;
    uint32_t told;                               /* those behind so many are plain */
    uint8_t watched;                             /* a policy_sample of the message is wanted */
    struct policy_answer each[POLICY_BATCH_MAX]; /* sent in part: see policy_rcpt_answer_size; their tickets say nothing */
};

/* Is this all that there is to say: allowed, at once? */
static inline bool policy_is_plain(const struct policy_answer *answer)
{
    return answer->verdict == POLICY_ALLOW && !answer->delay_ms;
}

/* Names RECIPIENT in QUESTION, which must have fewer than POLICY_BATCH_MAX. Of a question to be sent, all but `recipients` must have been
 * set before. */
void policy_rcpt_add(struct policy_rcpt *question, const char *recipient);

/* The recipient at *AT (0: the first), which moves to the next one; "" where there is none. */
struct span policy_rcpt_next(const struct policy_rcpt *question, size_t *at);

/* How many bytes of QUESTION are to be sent. */
size_t policy_rcpt_size(const struct policy_rcpt *question);

/* How many bytes of ANSWER are to be sent: as far as `told` goes, since what is not sent reads as zeros, and so as plain. */
size_t policy_rcpt_answer_size(const struct policy_rcpt_answer *answer);

#define SUBMISSION_POLICY_MESSAGES(X)                                                                                            \
    X(POLICY_MAIL, IPC_FRONT, struct policy_mail, IPC_WHOLE(struct policy_mail), false)                                          \
    X(POLICY_RCPT, IPC_FRONT, struct policy_rcpt, IPC_PART(struct policy_rcpt, recipients), false)                               \
    X(POLICY_CONTENT, IPC_FRONT, struct policy_content, IPC_PART(struct policy_content, from), false)                            \
    X(POLICY_CONNECT, IPC_FRONT, struct policy_connect, IPC_WHOLE(struct policy_connect), false)                                 \
    X(POLICY_LOGIN, IPC_FRONT, struct policy_login, IPC_WHOLE(struct policy_login), false)                                       \
    X(POLICY_REFUSED, IPC_FRONT, struct policy_refused, IPC_WHOLE(struct policy_refused), false)                                 \
    X(POLICY_SAMPLE, IPC_FRONT, struct policy_sample, IPC_WHOLE(struct policy_sample), false)                                    \
    X(POLICY_REPORT, IPC_FRONT, struct policy_report, IPC_WHOLE(struct policy_report), false)                                    \
    X(POLICY_END, IPC_BACK, struct policy_end, IPC_WHOLE(struct policy_end), false)                                              \
    X(POLICY_ANSWER, IPC_BACK, struct policy_answer, IPC_PART(struct policy_answer, reply), false)                               \
    X(POLICY_RCPT_ANSWER, IPC_BACK, struct policy_rcpt_answer, IPC_PART(struct policy_rcpt_answer, each), false)

enum submission_policy_message { IPC_ENUM(SUBMISSION_POLICY_MESSAGES) SUBMISSION_POLICY_COUNT };
extern const struct ipc_channel submission_policy_channel;

#endif
