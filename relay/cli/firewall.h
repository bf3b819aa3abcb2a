/* `postern firewall print` and `postern firewall report`. Both say on standard error what went wrong and return the exit status: 0 done,
 * 1 refused, 2 usage. */
#ifndef POSTERN_CLI_FIREWALL_H
#define POSTERN_CLI_FIREWALL_H

#include "../conf/conf.h"

#include <jansson.h>

/* Prints the rules for CONF; with JSON as one object {"rules"}. REDIRECT is the port of a listener in digits, WORLD an interface; NULL where
 * they were not given. */
int firewall_print(const struct conf *conf, const char *redirect, const char *world, bool json);

/* Gives each one that the loaded rules remember to VALUE (borrowed; see firewall_report.h), with the account that logged in last from there as
 * the daemon at SOCKET has it (firewall_account.h). Needs root, and for all but the account no daemon. FILE is the configuration that the caller named, or
 * NULL. */
int firewall_report(const char *file, const char *socket, void (*value)(void *context, const json_t *value), void *context);

#endif
