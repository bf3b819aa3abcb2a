/* From what happened to what follows: signals are counted by limits, a limit that suspends gives a strike, strikes come to a suspension,
 * and whoever has to act on that is told. Also what an administrator decides. */
#ifndef POSTERN_POLICY_JUDGE_H
#define POSTERN_POLICY_JUDGE_H

#include "../relay/channels/queue_policy.h"
#include "../relay/channels/submission_policy.h"
#include "curve.h"
#include "limit.h"
#include "logins.h"
#include "standing.h"

struct judge;

#define JUDGE_LETTERS 2 /* about one suspension: to the postmaster, and to the account's contact */

struct judge_letter {
    const char *to, *text;
};

/* What the rest of policy does about it. ACCOUNT is in normal form. The letters about it, COUNT of them, come together. */
struct judge_events {
    void (*suspended)(void *context, struct span account);
    void (*resumed)(void *context, struct span account);
    void (*letters)(void *context, struct span account, const char *subject, const struct judge_letter *letters, size_t count);
};

/* Knows nobody; judge_settings comes next. EVENTS must stay valid. */
struct judge *judge_new(const struct judge_events *events, void *context);

/* Frees *JUDGE and nulls it; writes nothing. NULL is fine. */
void judge_free(struct judge **judge);

/* The settings, the accounts in them and the limits: all borrowed until the next call. */
void judge_settings(struct judge *judge, const struct conf *conf, const struct account_table *accounts, struct limit_set *limits);

/* Reads what earlier processes left in FOLDER and keeps everything there. */
void judge_open(struct judge *judge, const char *folder);

/* Writes down what is due; SYNC: everything, and waits for the disk. */
void judge_flush(struct judge *judge, bool sync);

/* What is behind it, for those who show it. Borrowed. */
struct standing *judge_standing(struct judge *judge);
struct logins *judge_logins(struct judge *judge);
struct curve *judge_curve(struct judge *judge);

/* The limits and the postmaster's address, as judge_settings gave them. */
struct limit_set *judge_limits(struct judge *judge);
const char *judge_postmaster(const struct judge *judge);

/* Writes the letters about ACCOUNT, which is suspended: to the postmaster, and to its contact. Once more where it is not known whether they
 * left. */
void judge_write(struct judge *judge, struct span account);

/* Who ACCOUNT (in normal form; must outlive *RET_SUBJECT) at CLIENT is to limits. */
void judge_subject(const struct judge *judge, struct span account, const struct netaddr *client, struct key_subject *ret_subject);

/* The world refused a recipient, or has delivered to some. */
void judge_reply(struct judge *judge, const struct reply_bad *reply, int64_t now_ms);
void judge_good(struct judge *judge, const struct replies_good *good, int64_t now_ms);

/* Submission refused a recipient whose domain does not exist. */
void judge_refused(struct judge *judge, const struct policy_refused *refused, int64_t now_ms);

/* A report of abuse is about ACCOUNT, and counts (report.h). */
void judge_report(struct judge *judge, struct span account, const struct policy_report *report, int64_t now_ms);

/* A watched account sent something. */
void judge_sample(struct judge *judge, const struct policy_sample *sample);

/* One of COUNT, about WHOM where that matters, has happened to SUBJECT; no evidence is kept of it. */
void judge_count(struct judge *judge, const struct key_subject *subject, enum conf_limit_count count, struct span whom,
                 int64_t now_ms);

/* REFUSAL, of a limit that suspends, is reached by ACCOUNT. Returns whether it is suspended now. */
bool judge_strike(struct judge *judge, struct span account, const struct limit_refusal *refusal, int64_t now_ms);

/* The networks that ACCOUNT logged in from: [{"network", "first", "last", "count"}], the caller's. */
json_t *judge_networks(const struct judge *judge, struct span account);

/* What is decided about an account, and by whom. */
struct judge_order {
    const char *reason; /* of a suspension */
    const char *by;     /* "administrator", "limit bounces", "another machine" */
    int64_t since_ms;   /* of the wall clock; 0: now */
    bool elsewhere;     /* another machine decided it, and writes the letters */
};

/* Carries ORDER out. False where it is so already. */
bool judge_suspend(struct judge *judge, struct span account, const struct judge_order *order);
bool judge_resume(struct judge *judge, struct span account, const struct judge_order *order);

#endif
