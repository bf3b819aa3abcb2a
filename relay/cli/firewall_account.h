/* Whose machine is it? The account that logged in last from each address that tried to go around the relay. */
#ifndef POSTERN_CLI_FIREWALL_ACCOUNT_H
#define POSTERN_CLI_FIREWALL_ACCOUNT_H

#include <jansson.h>

/* Sets "account" and "login" (when that was, RFC 3339) in each object of the array ATTEMPTS, which has an "address", as far as the daemon at
 * the socket PATH knows them; null where it knows of nobody, or does not run. */
void firewall_account_add(json_t *attempts, const char *path);

#endif
