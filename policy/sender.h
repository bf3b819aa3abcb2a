/* Which sender addresses an account may use.
 *
 * An account's entry lists them: "alice@example.net" is that address, "@sales.example.net" any address of that domain (not of those
 * below it). An account without entry, or whose entry lists none, may use the domains in the top-level `domains`; where that is
 * empty too, any address. Who has not logged in (a client from the networks of a listener with auth = none, or optional) is no
 * account: no entry holds for it, not that of "*" either; `domains` does.
 *
 * Case makes no difference, in local parts neither: nobody gives Alice and alice to two people, and a client that writes the name
 * with a capital should not be refused. */
#ifndef POSTERN_POLICY_SENDER_H
#define POSTERN_POLICY_SENDER_H

#include "account.h"

/* May who is described by ENTRY (NULL: no entry, or not logged in) use ADDRESS (in normal form, not "")? */
bool sender_allowed(const struct conf *conf, const struct conf_account *entry, struct span address);

/* Does any rule about senders exist in CONF, so that an answer could be no? */
bool sender_is_checked(const struct conf *conf);

#endif
