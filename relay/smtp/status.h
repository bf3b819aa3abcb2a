/* Enhanced status codes (RFC 3463, RFC 5248): check and words. */
#ifndef POSTERN_SMTP_STATUS_H
#define POSTERN_SMTP_STATUS_H

#include "../base/span.h"

/* The enhanced code at the front of TEXT ("5.1.1 no such user"): its span, or an empty one where there is none. Class 2, 4
 * or 5, subject and detail 0 to 999 without needless zeros. */
struct span status_find(struct span text);

/* A sentence for people about ENHANCED ("5.1.1": "the mailbox does not exist there"), for bounces; by a table, most
 * particular first, at last by class. Never NULL. */
const char *status_meaning(struct span enhanced);

#endif
