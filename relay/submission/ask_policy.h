/* The channel to the policy role: may this be sent? What is said is in channels/submission_policy.h. */
#ifndef POSTERN_SUBMISSION_ASK_POLICY_H
#define POSTERN_SUBMISSION_ASK_POLICY_H

#include "../channels/submission_policy.h"
#include "../message/feedback.h"
#include "../message/header.h"
#include "front.h"
#include "wait.h"

struct transaction;

/* No policy process yet; what has to be asked at all follows from the settings. */
struct ask_policy *ask_policy_new(struct front *front);

/* Closes the channel, frees *POLICY and nulls it. NULL is fine. Sessions must be gone. */
void ask_policy_free(struct ask_policy **policy);

/* The policy process is there, at FD (owned from here on). */
void ask_policy_peer(struct ask_policy *policy, unsigned slot, int fd);

/* What becomes of a question. */
enum ask_policy_result {
    ASK_POLICY_ASKED,  /* the answer goes to the continuation: a struct policy_answer, or NULL */
    ASK_POLICY_ALLOWED /* nothing is configured that could object: go on at once */
};

/* May one more connection from SESSION's client come? Else as ask_policy_mail. */
enum ask_policy_result ask_policy_connect(struct session *session, wait_then then);

/* SESSION's client has shown the right password of ACCOUNT (ACCEPTED), or a wrong one: the answer goes to THEN, always. */
void ask_policy_login(struct session *session, const char *account, bool accepted, wait_then then);

/* Tells policy that RECIPIENT was refused, because mail for its domain goes nowhere. */
void ask_policy_tell_refused(const struct session *session, const char *recipient);

/* Tells policy of a message that it wants to know of: TRANSACTION, which is durable. */
void ask_policy_tell_sample(const struct transaction *transaction);

/* May SESSION's transaction begin? SIZE_BYTES is what SIZE= said (RFC 1870), or 0. Where policy is away though it would have to be
 * asked, the continuation is called from the loop with NULL. */
enum ask_policy_result ask_policy_mail(struct session *session, uint64_t size_bytes, wait_then then);

/* Would policy be asked about SESSION's recipients at all? */
bool ask_policy_counts_recipients(const struct session *session);

/* May it have the recipients of QUESTION, whose subject is filled in here, too? The answer is a struct
 * policy_rcpt_answer, for one recipient at least, or NULL. Else as ask_policy_mail. To be asked only where recipients count. */
void ask_policy_rcpt(struct session *session, struct policy_rcpt *question, wait_then then);

/* Would policy want to see a message with these FACTS in its header? Where it would, the question for ask_policy_content
 * (free() it); else NULL. */
struct policy_content *ask_policy_content_new(const struct session *session, const struct header_facts *facts);

/* May the message, SIZE_BYTES large, be sent? QUESTION (freed here) may be NULL: then it is allowed. */
enum ask_policy_result ask_policy_content(struct session *session, struct policy_content *question, uint64_t size_bytes,
                                          wait_then then);

/* Tells policy what RESULT, read from the message ID of SESSION, says. Lost where policy is away. */
void ask_policy_tell_report(struct session *session, struct uid id, const struct feedback_result *result);

/* The reply line of ANSWER, which does not allow; one of our own where there is no answer, or it is no reply line. */
const char *ask_policy_reply(const struct policy_answer *answer, char reply[POLICY_TEXT_SIZE]);

#endif
