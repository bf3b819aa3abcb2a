/* The TXT record at _mta-sts.DOMAIN by which a domain says that it has a policy, and which one (RFC 8461 3.1). Bytes only. */
#ifndef POSTERN_STS_ANNOUNCEMENT_H
#define POSTERN_STS_ANNOUNCEMENT_H

#include "../base/span.h"

#define ANNOUNCEMENT_PREFIX  "_mta-sts." /* in front of the domain */
#define ANNOUNCEMENT_ID_SIZE 33          /* of a policy's id, with a NUL */

/* Reads RECORDS, as they come in struct dns_txt: two bytes of length, the most significant first, and a record, over and over. Records
 * that begin otherwise than with "v=STSv1" are for somebody else. True, and the id, where exactly one is left and is well-formed;
 * false means that the domain announces no policy. */
bool announcement_read(struct span records, char ret_id[ANNOUNCEMENT_ID_SIZE]);

#endif
