/* Answers to what an administrator asks through control: `postern limits`, and which accounts are in trouble. */
#ifndef POSTERN_POLICY_ADMIN_H
#define POSTERN_POLICY_ADMIN_H

#include "../relay/channels/admin.h"
#include "judge.h"
#include "would.h"

#define ADMIN_ROWS_MAX    10000 /* of one answer; the reason says so where there are more */
#define ADMIN_TROUBLE_MAX 100   /* accounts in trouble that are told */
#define ADMIN_WOULD_MAX   1000  /* keys that limits did not let pass */

/* Sends each piece of an answer: JSON text, one value a call. False: nobody listens any more. */
typedef bool (*admin_send)(void *context, const char *json);

/* Sends JSON (given away) as one value. False: nobody listens any more. */
bool admin_send_json(json_t *json, admin_send send, void *context);

/* ADMIN_LIMITS: one object for each of JUDGE's limits and key, those used last first. With `account`, the limits that count for that
 * account, in some network at least, with `client` (an address) those for that client, with some account at least, whether something is
 * used or not; with neither, all keys that have used something. RET_REASON, of 400 bytes, says why where the result is not ADMIN_DONE. */
enum admin_result admin_limits(struct judge *judge, const struct admin_ask *ask, int64_t now_ms, admin_send send, void *context,
                               char ret_reason[400]);

/* Where limits are counted. */
struct admin_store {
    bool redis;       /* else on this machine alone */
    bool connected;   /* Redis is there … */
    int64_t since_ms; /* … or not, since (wall clock) */
};

/* ADMIN_STATUS: {"accounts": […], "store": {"kind": "local" or "redis", "state": "connected" or "away", "since"}}; the accounts are those
 * that are suspended, and those over a limit just now. */
enum admin_result admin_status(struct limit_set *limits, const struct standing *standing, const struct admin_store *store,
                               int64_t now_ms, admin_send send, void *context);

/* ADMIN_WOULD: one object for each limit and key of WOULD, with its days, those with most units first; then one for each limit over all
 * of its keys ("value" is null), with the number of keys that were affected a day. WALL_MS is now. ASK's filters and RET_REASON as
 * for admin_limits. */
enum admin_result admin_would(struct would *would, const struct admin_ask *ask, int64_t wall_ms, admin_send send, void *context,
                              char ret_reason[400]);

/* ADMIN_LOGIN_OF: {"client", "account", "when"}; ADMIN_NOT_FOUND where nobody logged in from ASK's client. RET_REASON as above. */
enum admin_result admin_login_of(const struct logins *logins, const struct admin_ask *ask, int64_t wall_ms, admin_send send,
                                 void *context, char ret_reason[400]);

#endif
