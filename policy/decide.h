/* Answers to submission's questions: may this account, from this client, send this? Knows the settings and the limits, no channel.
 *
 * Senders (see sender.h): who may not use a MAIL FROM gets 553 5.7.1; the null sender may be used by everybody who may submit at
 * all, since notifications of mail programs (MDN, RFC 8098) have it. Behind the header, unless from-header = ignore: several From
 * fields, several addresses in From without a Sender, more of them than are looked at, an address in From that the account may not
 * use, or such a Sender: 550 5.7.1; a From that cannot be read the same way by everybody: 554 5.6.0. A message without From is
 * let through: it claims to be from nobody.
 *
 * Limits (see limit.h): messages count at MAIL, recipients at RCPT, bytes behind the header, where the real size is known; a SIZE
 * that would not fit is refused at MAIL already, without being counted. Refused is 450 4.7.1 with the time from when on it would be
 * allowed (then = defer), or 550 5.7.1 (then = reject, and what is larger than the limit ever allows). then = slow lets the answer wait until
 * it would be allowed; then = hold takes the message and says why it is held; then = suspend gives a strike (see judge.h). A suspended
 * account gets 550 5.7.1 with the reason to whatever it asks. */
#ifndef POSTERN_POLICY_DECIDE_H
#define POSTERN_POLICY_DECIDE_H

#include "../relay/channels/submission_policy.h"
#include "../relay/conf/conf.h"

struct decide;
struct judge;
struct claims;
struct limit_set;
struct seen;
struct would;

/* Decides by CONF, which must outlive it or be replaced by decide_settings. Nothing is counted yet. */
struct decide *decide_new(const struct conf *conf);

/* Frees *DECIDE and nulls it. NULL is fine. */
void decide_free(struct decide **decide);

/* Other settings; what limits that stay have counted is kept. Call before the old settings are freed. */
void decide_settings(struct decide *decide, const struct conf *conf);

/* JUDGE (borrowed; NULL: none) is asked who is suspended, and gets the settings and limits, now and at each decide_settings. */
void decide_set_judge(struct decide *decide, struct judge *judge);

/* The limits, borrowed until decide_settings. */
struct limit_set *decide_limits(struct decide *decide);

/* Whom accounts have written to; borrowed, lives as long as DECIDE. */
struct seen *decide_seen(struct decide *decide);

/* What limits did not let pass, or would not have; borrowed, lives as long as DECIDE. */
struct would *decide_would(struct decide *decide);

/* A question that is being decided, in two halves: between them others may be asked what of its claims fits. */
struct decision;

/* The first half of decide_mail, decide_rcpt or decide_content: all that limits have no say in. decide_drop it. */
struct decision *decide_begin_mail(struct decide *decide, const struct policy_mail *mail, int64_t now_ms);
struct decision *decide_begin_rcpt(struct decide *decide, const struct policy_rcpt *rcpt, int64_t now_ms);
struct decision *decide_begin_content(struct decide *decide, const struct policy_content *content, int64_t now_ms);

/* What limits are to say of it; none where it is decided already. Borrowed; valid as long as the limits are those of decide_begin. */
struct claims *decide_claims(struct decision *decision);

/* The second half: the answers. WAITS_MS and UNSHARED as in limit.h (struct limit_settling); a wait below 0: it was not looked at, and is
 * not answered, nor are those behind it. */
void decide_end(struct decide *decide, struct decision *decision, const int64_t *waits_ms, bool unshared, int64_t now_ms);

/* After decide_end: the answer to MAIL or to content; borrowed. NULL where RCPT was asked: then it is in *RET_BATCH, as far as `count`
 * goes; it must be all zero before, or as an earlier call has left it. */
const struct policy_answer *decide_answer(const struct decision *decision, struct policy_rcpt_answer *ret_batch);

/* DECISION, which DECIDE has begun, is done with; *DECISION becomes NULL. NULL is fine. */
void decide_drop(struct decide *decide, struct decision **decision);

/* May MAIL begin a transaction, at NOW_MS (monotonic)? One message is counted where it may. All fields of *RET_ANSWER are set. */
void decide_mail(struct decide *decide, const struct policy_mail *mail, int64_t now_ms, struct policy_answer *ret_answer);

/* May it have these recipients more? Each is decided as if it were asked about alone, behind the ones before it, and is counted
 * where it may. The first that is to be answered later is the last one that is looked at: what a bucket can owe is bounded, and a
 * client that names many at once would wait too short. Of *RET_ANSWER all that `count` speaks of is set. */
void decide_rcpt(struct decide *decide, const struct policy_rcpt *rcpt, int64_t now_ms, struct policy_rcpt_answer *ret_answer);

/* May a message with these addresses in its header and this size be sent? Its bytes are counted then. Else as decide_mail. */
void decide_content(struct decide *decide, const struct policy_content *content, int64_t now_ms,
                    struct policy_answer *ret_answer);

#endif
