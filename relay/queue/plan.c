#include "plan.h"

#include "../base/text.h"
#include "../conf/conf.h"

bool plan_by_route(const struct conf_route *route, const char *source, struct plan *ret_plan)
{
    struct site_plan *site = &ret_plan->site;
    if (!route || route->via.mx || !route->via.count)
        return false;
    *site = (struct site_plan){ .route = route, .source = source, .domain = "", .alias_of = "" };
    for (; site->nhosts < route->via.count && site->nhosts < DNS_HOSTS_MAX; site->nhosts++) {
        const struct conf_host *host = &route->via.items[site->nhosts];
        site->hosts[site->nhosts] = (struct site_host){ host->name, (uint16_t)site->nhosts, host->port };
    }
    return true;
}

static bool allows(const struct sts_policy *policy, const char *host)
{
    return sts_allows(span_head(span_make(policy->hosts, policy->size), sizeof policy->hosts), span_of(host));
}

enum plan_result plan_by_mx(const struct conf *conf, const struct conf_route *route, const char *source,
                            const struct dns_mx *answer, const struct sts_policy *policy, struct plan *ret_plan)
{
    struct site_plan *site = &ret_plan->site;
    bool enforce = policy && policy->mode == STS_ENFORCE;
    *site = (struct site_plan){ .is_mx = true, .sts = enforce, .domain = "", .alias_of = "", .route = route, .source = source };
    for (unsigned i = 0; i < answer->count && i < DNS_HOSTS_MAX; i++) {
        char *name = ret_plan->names[i];
        text_copy(name, SMTP_DOMAIN_SIZE, span_of_array(answer->hosts[i].name, sizeof answer->hosts[i].name));
        if (!*name)
            return PLAN_MALFORMED;
        if (!enforce || allows(policy, name))
            site->hosts[site->nhosts++] = (struct site_host){ name, answer->hosts[i].preference, conf->delivery.port };
    }
    if (site->nhosts)
        return PLAN_MADE;
    return answer->count ? PLAN_FORBIDDEN : PLAN_MALFORMED;
}
