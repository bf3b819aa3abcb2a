/* Answers to what an administrator asks about accounts, and what an administrator does about them. */
#ifndef POSTERN_POLICY_ADMIN_ACCOUNT_H
#define POSTERN_POLICY_ADMIN_ACCOUNT_H

#include "admin.h"
#include "judge.h"

/* ADMIN_ACCOUNT_LIST: one object for each account that is suspended or has something against it, the suspended ones first; with `account`
 * that one alone. At most ADMIN_ROWS_MAX. */
enum admin_result admin_account_list(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                     char ret_reason[400]);

/* ADMIN_ACCOUNT_SHOW: all that is known of one, whether something is or not. */
enum admin_result admin_account_show(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                     char ret_reason[400]);

/* ADMIN_ACCOUNT_SUSPEND, ADMIN_ACCOUNT_RESUME: {"account", "state", "changed"}. One that is so already is no mistake. */
enum admin_result admin_account_suspend(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                        char ret_reason[400]);
enum admin_result admin_account_resume(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                       char ret_reason[400]);

#endif
