#include "conf.h"

#include <sched.h>
#include <string.h>

/* How well NAME ("example.com", "*.example.com", "*") fits DOMAIN: its length, longer is better; 0 where it does not. */
static size_t fit(const char *name, struct span domain)
{
    struct span pattern = span_of(name);
    if (span_equal_nocase(pattern, domain))
        return pattern.n + 2;
    if (pattern.n > 2 && pattern.p[0] == '*' && pattern.p[1] == '.') {
        struct span below = span_skip(pattern, 1);
        return domain.n > below.n && span_ends_nocase(domain, below) ? pattern.n : 0;
    }
    return span_equal(pattern, SPAN("*")) ? 1 : 0;
}

const struct conf_route *conf_route_for(const struct conf *conf, struct span domain)
{
    const struct conf_route *best = NULL;
    size_t best_fit = 0;
    for (size_t i = 0; i < conf->nroutes; i++) {
        size_t fits = fit(conf->routes[i].name, domain);
        if (fits > best_fit) {
            best = &conf->routes[i];
            best_fit = fits;
        }
    }
    return best;
}

const struct conf_route *conf_route_named(const struct conf *conf, struct span name)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        if (span_equal(span_of(conf->routes[i].name), name))
            return &conf->routes[i];
    return NULL;
}

const struct conf_account *conf_account_for(const struct conf *conf, struct span account)
{
    const struct conf_account *every = NULL;
    for (size_t i = 0; i < conf->naccounts; i++) {
        if (span_equal_nocase(span_of(conf->accounts[i].name), account))
            return &conf->accounts[i];
        if (strcmp(conf->accounts[i].name, "*") == 0)
            every = &conf->accounts[i];
    }
    return every;
}

unsigned conf_processes(const struct conf *conf)
{
    cpu_set_t cores;
    if (conf->processes)
        return (unsigned)conf->processes;
    int n = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}
