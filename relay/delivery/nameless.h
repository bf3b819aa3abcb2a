/* Does a reply say that our address has no name in the DNS (no PTR record, or none that leads back)? Bytes only. */
#ifndef POSTERN_DELIVERY_NAMELESS_H
#define POSTERN_DELIVERY_NAMELESS_H

#include "../smtp/reply.h"

#include <stdbool.h>

/* Does the refusal REPLY (4xx or 5xx) complain of that? */
bool nameless_said(const struct reply *reply);

#endif
