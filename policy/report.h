/* Reports of abuse: which account's message one speaks of, and whether it counts.
 *
 * Anybody can write a report. What makes one good is the mark of the message (relay/message/mark.h): only who got the message knows it.
 * So a report accuses an account of messages that it really sent, and of each of them once, whoever repeats it. */
#ifndef POSTERN_POLICY_REPORT_H
#define POSTERN_POLICY_REPORT_H

#include "../relay/channels/submission_policy.h"
#include "logins.h"
#include "seen.h"
#include "tag.h"

#define REPORT_SEARCHES_MAX 20 /* a second, over all accounts; further reports are logged and not looked at */

/* What is needed to judge them; all zero but for the key is its start. */
struct report_desk {
    struct tag_key key;
    int64_t second;
    unsigned searches; /* in it */
};

enum report_verdict {
    REPORT_COUNTS,   /* against the account */
    REPORT_AGAIN,    /* the message was reported before */
    REPORT_HARMLESS, /* not of abuse: "not-spam", "opt-out", "auth-failure" … */
    REPORT_NOBODY,   /* it has no mark, or one that fits no account that is known */
    REPORT_TOO_MANY
};

/* Judges REPORT, logs it, and writes whose message it speaks of to RET_ACCOUNT ("" with REPORT_NOBODY and REPORT_TOO_MANY). Accounts are
 * known by LOGINS, that is if they logged in during the last days. What was reported is noted in SEEN. */
enum report_verdict report_judge(struct report_desk *desk, const struct logins *logins, struct seen *seen,
                                 const struct policy_report *report, int64_t wall_ms, char ret_account[ACCOUNT_NAME_SIZE]);

#endif
