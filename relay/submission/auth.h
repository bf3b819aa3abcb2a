/* AUTH: the SASL exchange between the client and the auth role (RFC 4954). */
#ifndef POSTERN_SUBMISSION_AUTH_H
#define POSTERN_SUBMISSION_AUTH_H

#include "../base/span.h"
#include <stdbool.h>

struct session;

/* Is MECHANISM (in capitals) configured and fit for SESSION as it stands? */
bool auth_offers(const struct session *session, struct span mechanism);

/* Takes the client's next response off the input. False where it is not complete. */
bool auth_step(struct session *session);

/* Ends an exchange that is in progress: the auth role is told, its late answer finds nobody. Fine where there is none. */
void auth_cancel(struct session *session);

/* Who has logged in, or will have with the client's next response: nothing more is asked about that. NULL: nobody. Borrowed. */
const char *auth_account(const struct session *session);

/* SESSION ends: what policy is asked about its login is forgotten. */
void auth_forget(struct session *session);

#endif
