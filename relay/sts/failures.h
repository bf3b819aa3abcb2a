/* Domains whose policy could not be had a moment ago: not to be tried again for a while (RFC 8461 3.3). */
#ifndef POSTERN_STS_FAILURES_H
#define POSTERN_STS_FAILURES_H

#include "../base/span.h"

#include <stdint.h>

#define FAILURES_REST_MS 300000
#define FAILURES_MAX     20000 /* domains; beyond, the one that failed first is forgotten */

struct failures;

/* None. */
struct failures *failures_new(void);

/* Frees *FAILURES and nulls it. NULL is fine. */
void failures_free(struct failures **failures);

/* DOMAIN failed at NOW_MS (monotonic, never less than before). */
void failures_add(struct failures *failures, struct span domain, int64_t now_ms);

/* How many milliseconds DOMAIN is still to be left in peace; 0: not at all. */
int64_t failures_rest_ms(struct failures *failures, struct span domain, int64_t now_ms);

/* How many there are. */
size_t failures_count(const struct failures *failures);

#endif
