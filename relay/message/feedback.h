/* Reports of abuse in ARF (RFC 5965): somebody was sent a message of ours and says what it was. Read while the content comes; whoever
 * writes such a report can write anything, so nothing of it is believed but a mark that fits (see mark.h). */
#ifndef POSTERN_MESSAGE_FEEDBACK_H
#define POSTERN_MESSAGE_FEEDBACK_H

#include "../base/netaddr.h"
#include "../smtp/limits.h"
#include "received.h"

#define FEEDBACK_TYPE_SIZE    32          /* with its NUL */
#define FEEDBACK_REPORT_MAX   (16 * 1024) /* bytes of the report's fields that are looked at */
#define FEEDBACK_ORIGINAL_MAX (64 * 1024) /* and of the original message's header */

/* What a report says. All texts are printable ASCII or UTF-8; "" where there is none, or none that can be read. */
struct feedback_result {
    bool is_report;                /* else nothing of the rest */
    bool accuses;                  /* the message is called abuse, fraud or a virus; not so "not-spam", "auth-failure" … */
    char type[FEEDBACK_TYPE_SIZE]; /* Feedback-Type in lower case */
    struct netaddr source;         /* Source-IP: where the message came from; family 0 where there is none */
    char original_from[SMTP_ADDRESS_SIZE]; /* Original-Mail-From in normal form */
    char original_rcpt[SMTP_ADDRESS_SIZE]; /* the first Original-Rcpt-To */
    bool has_origin;                       /* the original has a Received field of ours */
    struct received_origin origin;         /* the first one's: what stands behind it may have been there before it came to us */
};

struct feedback;

/* Begins a message that may be a report, about mail of HOSTNAME (ours; borrowed until the end). */
struct feedback *feedback_new(const char *hostname);

/* Frees *FEEDBACK and nulls it. NULL is fine. */
void feedback_free(struct feedback **feedback);

/* More of the message in wire form (CRLF lines, dot-stuffed), cut anywhere. Bounded as mime.h says. */
void feedback_add(struct feedback *feedback, struct span wire);

/* The message has ended. FEEDBACK can only be freed then. */
void feedback_end(struct feedback *feedback, struct feedback_result *ret_result);

#endif
