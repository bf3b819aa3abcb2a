/* The files with secrets: read by the parent, checked, handed to the one role that needs them. */
#ifndef POSTERN_PARENT_KEYS_H
#define POSTERN_PARENT_KEYS_H

#include "parent.h"

/* Reads what CONF names into a bundle for each role: "certificate:PATH", "key:PATH", "ticket-key" for submission, "password:PATH" for
 * delivery and policy. A file that cannot be read, or a key that does not fit its certificate, is told to COMPLAIN; then false, and SECRETS is
 * empty. */
bool keys_load(const struct conf *conf, struct span ticket_key, struct bundle *secrets[ROLE_KINDS], conf_complain complain,
               void *context);

/* Those for delivery alone, the caller's to free; NULL, told to COMPLAIN, where one cannot be read. */
struct bundle *keys_passwords(const struct conf *conf, conf_complain complain, void *context);

/* Wipes and frees all of them. */
void keys_free(struct bundle *secrets[ROLE_KINDS]);

#endif
