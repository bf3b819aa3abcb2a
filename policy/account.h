/* The accounts of the configuration, by name. An account has one name in all of policy: its normal form, lower case. */
#ifndef POSTERN_POLICY_ACCOUNT_H
#define POSTERN_POLICY_ACCOUNT_H

#include "../relay/conf/conf.h"

#define ACCOUNT_NAME_SIZE 256 /* with its NUL */

struct account_table;

/* The entries of CONF (borrowed; must outlive the table). */
struct account_table *account_new(const struct conf *conf);

/* Frees *TABLE and nulls it. NULL is fine. */
void account_free(struct account_table **table);

/* Writes NAME in normal form; what does not fit is cut. */
void account_normal(struct span name, char dest[ACCOUNT_NAME_SIZE]);

/* The entry for the account NAME (in normal form): its own, else that of "*", else NULL. NULL also for "": who has not logged in is
 * no account, not even one of "*". */
const struct conf_account *account_find(const struct account_table *table, struct span name);

#endif
