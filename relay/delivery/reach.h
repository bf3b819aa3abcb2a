/* What this process has learnt of the ways to hosts: addresses that do not answer rest, the longer the more often they failed, and of
 * a host with IPv6 and IPv4 the family that served last is known for a while. Forgotten with the process. NULL knows nothing. NOW_MS is
 * the monotonic clock. */
#ifndef POSTERN_DELIVERY_REACH_H
#define POSTERN_DELIVERY_REACH_H

#include "../base/netaddr.h"

#define REACH_ADDRESSES_MAX 4096        /* addresses that rest; beyond, all are forgotten and learnt anew */
#define REACH_HOSTS_MAX     4096        /* the same for hosts' families */
#define REACH_REST_FIRST_MS (15 * 1000) /* doubled with each failure behind it */
#define REACH_REST_MAX_MS   (15 * 60 * 1000)
#define REACH_FAMILY_MS     (10 * 60 * 1000) /* then the usual order is tried again */
#define REACH_REFUSED_MS    (60 * 60 * 1000) /* the same where a host refused the other family */
#define REACH_LISTED_MS     (15 * 60 * 1000) /* that a host refuses one of our addresses */

struct reach;

/* Nothing is known yet. */
struct reach *reach_new(void);

/* Frees *REACH and nulls it. NULL is fine. */
void reach_free(struct reach **reach);

/* ADDRESS (with its port) did not answer: connecting failed, or no greeting came. Many connections that fail together are one failure. */
void reach_failed(struct reach *reach, const struct netaddr *address, int64_t now_ms);

/* ADDRESS answered: it rests no longer. */
void reach_answered(struct reach *reach, const struct netaddr *address);

/* Does ADDRESS rest? */
bool reach_rests(const struct reach *reach, const struct netaddr *address, int64_t now_ms);

/* ADDRESS is about to be tried. If it failed before, it rests for the others meanwhile, so that one connection alone probes it. */
void reach_probe(struct reach *reach, const struct netaddr *address, int64_t now_ms);

/* HOST was reached by FAMILY (4 or 6), which goes first for FOR_MS from now. What was known already lasts no longer for that, so that the
 * usual order gets its turn again. */
void reach_prefer(struct reach *reach, const char *host, uint8_t family, int64_t for_ms);

/* HOST refused what came from our address SOURCE: from there it is not asked again for REACH_LISTED_MS. */
void reach_refuse(struct reach *reach, const char *host, const struct netaddr *source);

/* Did it? */
bool reach_refuses(const struct reach *reach, const char *host, const struct netaddr *source);

/* The family that goes first for HOST; 0: nothing is known. */
uint8_t reach_family(const struct reach *reach, const char *host);

#endif
