/* What a reply says of the address that we came from: that it has no name in the DNS (no PTR record, or none that leads back), or that it
 * is on somebody's list. Bytes only. */
#ifndef POSTERN_DELIVERY_NAMELESS_H
#define POSTERN_DELIVERY_NAMELESS_H

#include "../smtp/reply.h"

#include <stdbool.h>

/* Does the refusal REPLY (4xx or 5xx) complain of that? */
bool nameless_said(const struct reply *reply);

/* Does TEXT, a refusal at the greeting, say that our address is listed or blocked? */
bool nameless_listed(const char *text);

#endif
