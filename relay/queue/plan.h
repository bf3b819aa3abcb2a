/* From what is known of a domain to where its mail goes: by the hosts of its route, or by its MX answer and its MTA-STS policy. Asks
 * nobody. */
#ifndef POSTERN_QUEUE_PLAN_H
#define POSTERN_QUEUE_PLAN_H

#include "../channels/dns.h"
#include "../channels/sts.h"
#include "site.h"

/* A site's plan with room for the names in it. */
struct plan {
    struct site_plan site;
    char names[DNS_HOSTS_MAX][SMTP_DOMAIN_SIZE];
};

enum plan_result {
    PLAN_MADE,
    PLAN_MALFORMED, /* the MX answer makes no sense */
    PLAN_FORBIDDEN  /* the policy allows none of the MX hosts (RFC 8461 4.2) */
};

/* The hosts of ROUTE (or NULL), from the pool of sources SOURCE; names are the route's. False where mail goes by MX. */
bool plan_by_route(const struct conf_route *route, const char *source, struct plan *ret_plan);

/* The hosts of the MX answer ANSWER, which is DNS_OK, for mail by ROUTE (or NULL), from the pool of sources SOURCE. POLICY (or NULL: there is
 * none) leaves out hosts, and makes the plan one for verified TLS, where it says enforce. */
enum plan_result plan_by_mx(const struct conf *conf, const struct conf_route *route, const char *source,
                            const struct dns_mx *answer, const struct sts_policy *policy, struct plan *ret_plan);

#endif
