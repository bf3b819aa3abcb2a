/* For whom a limit counts: the text under which a question is counted, and which questions a limit is about at all. */
#ifndef POSTERN_POLICY_KEY_H
#define POSTERN_POLICY_KEY_H

#include "account.h"

#define KEY_SIZE 256 /* with its NUL */

/* Who asks, as far as limits look at it. All in normal form; "" where there is none. */
struct key_subject {
    struct netaddr client;
    struct span account;
    struct span class; /* of the account's entry */
    struct span sender_domain;
    struct span recipient_domain; /* at RCPT only */
};

/* Writes the text that KIND has for SUBJECT: the account; the client's address, of IPv6 its /64 ("2001:db8:1:2::/64", since a
 * subscriber has at least so much); the client's /24 or /48; a domain; "all" for global. False where the subject has none: the
 * limit is not about it. */
bool key_of(enum conf_limit_key kind, const struct key_subject *subject, char dest[KEY_SIZE]);

/* "account", "client" … as the configuration has it. */
const char *key_name(enum conf_limit_key kind);

/* Is SUBJECT among SELECTORS: account names, "class:NAME", networks or addresses? */
bool key_selected(const struct conf_strings *selectors, const struct key_subject *subject);

#endif
