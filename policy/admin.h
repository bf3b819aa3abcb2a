/* Answers to what an administrator asks through control: `postern limits`, and which accounts are in trouble. */
#ifndef POSTERN_POLICY_ADMIN_H
#define POSTERN_POLICY_ADMIN_H

#include "../relay/channels/admin.h"
#include "decide.h"
#include "limit.h"

#define ADMIN_ROWS_MAX    10000 /* of one answer; the reason says so where there are more */
#define ADMIN_TROUBLE_MAX 100   /* accounts in trouble that are told */

/* Sends each piece of an answer: JSON text, one value a call. False: nobody listens any more. */
typedef bool (*admin_send)(void *context, const char *json);

/* ADMIN_LIMITS: one object for each limit and key, those used last first. With `account`, the limits that count for that account,
 * with `client` (an address) those for that client, whether something is used or not; with neither, all keys that have used
 * something. RET_REASON, of 400 bytes, says why where the result is not ADMIN_DONE. */
enum admin_result admin_limits(struct limit_set *limits, const struct admin_ask *ask, int64_t now_ms, admin_send send,
                               void *context, char ret_reason[400]);

/* ADMIN_STATUS: {"accounts": […]}, those over a limit just now. */
enum admin_result admin_status(struct limit_set *limits, int64_t now_ms, admin_send send, void *context);

#endif
