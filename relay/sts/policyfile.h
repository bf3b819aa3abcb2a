/* The file that a domain serves over HTTPS: its policy (RFC 8461 3.2). Bytes only. */
#ifndef POSTERN_STS_POLICYFILE_H
#define POSTERN_STS_POLICYFILE_H

#include "../channels/sts.h"

#define POLICYFILE_SIZE_MAX  65536    /* of a file; larger ones are not read (RFC 8461 3.3) */
#define POLICYFILE_MAX_AGE_S 31557600 /* a year: what says more is taken for this (RFC 8461 3.2) */

struct policyfile {
    enum sts_mode mode;
    uint32_t max_age_s;
    uint32_t size;              /* of hosts */
    char hosts[STS_HOSTS_SIZE]; /* the mx patterns in lower case, a space between two */
};

/* Reads TEXT. NULL where it is a policy; otherwise what is wrong with it in a few words ("it has no mode"), static, and *ret_file is
 * untouched. Lines end with LF or CRLF, keys that are not known are ignored, and of a key that is there twice the first counts, except
 * mx. */
const char *policyfile_read(struct span text, struct policyfile *ret_file);

#endif
