#include "conf.h"

#include "../smtp/address.h"

#include <sched.h>
#include <string.h>

#define FIT_ALL 1 /* how well "*" fits */

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
    return span_equal(pattern, SPAN("*")) ? FIT_ALL : 0;
}

/* The same for the domains of ROUTE. */
static size_t fit_domain(const struct conf_route *route, struct span domain)
{
    size_t best = 0;
    if (!route->domains.count)
        return fit(route->name, domain);
    for (size_t i = 0; i < route->domains.count; i++) {
        size_t fits = fit(route->domains.items[i], domain);
        best = fits > best ? fits : best;
    }
    return best;
}

static bool is_special(const struct conf_route *route)
{
    return route->senders.count || route->accounts.count;
}

/* How well SENDER fits one of SENDERS: 2 as an address, 1 by its domain, 0 not at all. */
static unsigned fit_sender(const struct conf_strings *senders, struct span sender)
{
    unsigned best = 0;
    for (size_t i = 0; i < senders->count && sender.n; i++) {
        struct span pattern = span_of(senders->items[i]);
        if (span_equal_nocase(pattern, sender))
            return 2;
        if (pattern.p[0] == '@' && span_ends_nocase(sender, pattern))
            best = 1;
    }
    return best;
}

/* How well ACCOUNT fits one of ACCOUNTS: 2 by name, 1 by its class, 0 not at all. */
static unsigned fit_account(const struct conf *conf, const struct conf_strings *accounts, struct span account)
{
    unsigned best = 0;
    if (!account.n || !accounts->count)
        return 0;
    const struct conf_account *entry = conf_account_for(conf, account);
    for (size_t i = 0; i < accounts->count; i++) {
        struct span pattern = span_of(accounts->items[i]);
        if (span_equal_nocase(pattern, account))
            return 2;
        if (entry && *entry->class && span_starts_nocase(pattern, SPAN("class:")) &&
            span_equal_nocase(span_skip(pattern, 6), span_of(entry->class)))
            best = 1;
    }
    return best;
}

/* How well ROUTE, of which one is special, fits SENDER and ACCOUNT: 0 not at all, more the fewer it is for. */
static unsigned fit_origin(const struct conf *conf, const struct conf_route *route, struct span sender, struct span account)
{
    unsigned by_sender = fit_sender(&route->senders, sender), by_account = fit_account(conf, &route->accounts, account);
    if ((route->senders.count && !by_sender) || (route->accounts.count && !by_account))
        return 0;
    return 1 + by_sender + 3 * by_account;
}

const struct conf_route *conf_route_for(const struct conf *conf, struct span domain)
{
    const struct conf_route *best = NULL;
    size_t best_fit = 0;
    for (size_t i = 0; i < conf->nroutes; i++) {
        size_t fits = is_special(&conf->routes[i]) ? 0 : fit_domain(&conf->routes[i], domain);
        if (fits > best_fit) {
            best = &conf->routes[i];
            best_fit = fits;
        }
    }
    return best;
}

const struct conf_route *conf_route_special(const struct conf *conf, struct span domain, struct span sender, struct span account)
{
    const struct conf_route *best = NULL;
    size_t best_fit = 0;
    unsigned best_origin = 0;
    char room[ADDRESS_KEY_SIZE];
    if (conf->has_special_routes)
        sender = address_key(sender, room);
    for (size_t i = 0; i < conf->nroutes && conf->has_special_routes; i++) {
        const struct conf_route *route = &conf->routes[i];
        size_t fits = fit_domain(route, domain);
        unsigned origin = fits ? fit_origin(conf, route, sender, account) : 0;
        if (origin && (fits > best_fit || (fits == best_fit && origin > best_origin))) {
            best = route;
            best_fit = fits;
            best_origin = origin;
        }
    }
    return best && is_special(best) ? best : NULL;
}

const char *conf_source_pool(const struct conf_source *source)
{
    return *source->pool ? source->pool : source->name;
}

bool conf_has_pool(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->nsources; i++)
        if (strcmp(conf_source_pool(&conf->sources[i]), name) == 0)
            return true;
    return false;
}

const char *conf_pool_for(const struct conf *conf, struct span sender, struct span account)
{
    const char *best = "";
    unsigned best_fit = 0;
    if (!sender.n && *conf->delivery.bounce_source)
        return conf->delivery.bounce_source;
    for (size_t i = 0; i < conf->nsources; i++) {
        unsigned fits = fit_account(conf, &conf->sources[i].accounts, account);
        if (fits > best_fit) {
            best = conf_source_pool(&conf->sources[i]);
            best_fit = fits;
        }
    }
    return best;
}

bool conf_is_routed(const struct conf *conf, struct span domain)
{
    const struct conf_route *usual = conf_route_for(conf, domain);
    for (size_t i = 0; i < conf->nroutes; i++) {
        const struct conf_route *route = &conf->routes[i];
        if ((route == usual || is_special(route)) && !route->via.mx && fit_domain(route, domain) > FIT_ALL)
            return true;
    }
    return false;
}

const struct conf_route *conf_route_named(const struct conf *conf, struct span name)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        if (span_equal(span_of(conf->routes[i].name), name))
            return &conf->routes[i];
    return NULL;
}

/* Is HOST of that NAME, or below it? */
static bool is_within(struct span host, struct span name)
{
    if (name.n > host.n || !span_equal(span_skip(host, host.n - name.n), name))
        return false;
    return name.n == host.n || host.p[host.n - name.n - 1] == '.';
}

const struct conf_site *conf_site_for(const struct conf *conf, struct span host)
{
    const struct conf_site *best = NULL;
    for (size_t i = 0; i < conf->nsites; i++) {
        struct span name = span_of(conf->sites[i].name);
        if (is_within(host, name) && (!best || name.n > strlen(best->name)))
            best = &conf->sites[i];
    }
    return best;
}

struct span conf_account_name(const struct conf *conf, struct span name)
{
    struct span realm = name, user = span_cut(&realm, '@');
    bool dropped = false;
    if (conf->auth.backend == CONF_BACKEND_SASLDB)
        dropped = span_equal_nocase(realm, span_of(conf->hostname));
    else if (conf->auth.backend == CONF_BACKEND_SASLAUTHD)
        dropped = !conf->auth.keep_realm || !realm.n;
    return dropped && user.n < name.n ? user : name;
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

const char *conf_ca_file(const struct conf *conf)
{
    return *conf->delivery.ca_file ? conf->delivery.ca_file : "/etc/ssl/certs/ca-certificates.crt"; /* Debian's */
}

enum conf_delivery_tls conf_tls_of(const struct conf *conf, const struct conf_route *route)
{
    if (route && *route->user && !route->via.mx)
        return CONF_DELIVERY_VERIFY;
    return route && route->tls_given ? route->tls : conf->delivery.tls;
}

bool conf_goes_by_dane(const struct conf *conf, const struct conf_route *route)
{
    bool logs_in = route && *route->user && !route->via.mx;
    bool wanted = route && route->dane_given ? route->dane : conf->delivery.dane;
    return wanted && !logs_in && conf_tls_of(conf, route) != CONF_DELIVERY_NONE;
}

bool conf_goes_by_sts(const struct conf *conf, const struct conf_route *route)
{
    bool wanted = route && route->mta_sts_given ? route->mta_sts : conf->delivery.mta_sts;
    return wanted && conf_tls_of(conf, route) != CONF_DELIVERY_NONE;
}
