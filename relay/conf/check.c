/* What one key cannot know: rules between keys. They run when all values are read and each is of its type, and all of them run,
 * so that a person sees every mistake of a file at once. Each complaint says what would be right, at the line that has to
 * change.
 *
 * Two of the rules are safety and not tidiness: a listener that needs no login must say for which networks (or it is an open
 * relay), and a password is neither taken from a client without TLS nor sent to a server whose certificate is not verified.
 * There is no key that loosens them.
 *
 * What keys.c knows and this version cannot do is refused by name, not ignored: a limit that does not limit, or a signature that is
 * not made, would be believed in.
 *
 * Names are brought to lower case here, and domains to their ASCII form, since everything behind compares bytes. */
#include "check.h"

#include "../base/text.h"
#include "../smtp/address.h"
#include "../smtp/idn.h"
#include "defaults.h"

#include <stdlib.h>
#include <string.h>

#define PHRASES_MAX 100 /* of spam-phrases, and of unknown-phrases */
#define PHRASE_MIN  5
#define PHRASE_MAX  200

static bool is_address(const char *text)
{
    char ascii[SMTP_DOMAIN_SIZE];
    struct address address;
    return address_parse(span_of(text), true, &address) == ADDRESS_OK && idn_ascii(address.domain, ascii).n > 0;
}

static bool is_domain(const char *text)
{
    char ascii[SMTP_DOMAIN_SIZE];
    return address_is_domain(idn_ascii(span_of(text), ascii), false);
}

/* Brings the domain that stands in *TEXT from FROM on into the form in which domains are compared. */
static void settle_domain(char **text, size_t from)
{
    char ascii[SMTP_DOMAIN_SIZE];
    text_lower(*text + from);
    struct span domain = span_of(*text + from), known = idn_ascii(domain, ascii);
    if (known.p == domain.p || !known.n)
        return;
    size_t size = from + known.n + 1;
    char *settled = text_zalloc(size);
    text_format(settled, size, "%.*s%s", (int)from, *text, ascii);
    free(*text);
    *text = settled;
}

static void check_names(struct conf *conf, struct scan *scan)
{
    if (*conf->hostname && !address_is_domain(span_of(conf->hostname), false))
        scan_complain_at(scan, "", "", "hostname", "hostname = %s is no host name; such as relay.example.net", conf->hostname);
    if (!*conf->postmaster) {
        size_t size = strlen(conf->hostname) + sizeof "postmaster@";
        free(conf->postmaster);
        conf->postmaster = text_zalloc(size);
        text_format(conf->postmaster, size, "postmaster@%s", conf->hostname);
    } else if (!is_address(conf->postmaster)) {
        scan_complain_at(scan, "", "", "postmaster", "postmaster = %s is no address; such as postmaster@example.net",
                         conf->postmaster);
    }
    for (size_t i = 0; i < conf->domains.count; i++) {
        if (!is_domain(conf->domains.items[i]))
            scan_complain_at(scan, "", "", "domains", "%s is no domain; such as example.net", conf->domains.items[i]);
        settle_domain(&conf->domains.items[i], 0);
    }
}

static void check_certificates(struct conf *conf, struct scan *scan)
{
    if (!*conf->tls_certificate != !*conf->tls_key)
        scan_complain_at(scan, "tls", "", NULL, "certificate and key belong together; give both");
    for (size_t i = 0; i < conf->ncertificates; i++)
        if (!address_is_domain(span_of(conf->certificates[i].name), false))
            scan_complain_at(scan, "certificate", conf->certificates[i].name, NULL,
                             "%s is no host name; such as mail.example.net", conf->certificates[i].name);
}

static void check_listener(const struct conf *conf, const struct conf_listener *listener, struct scan *scan)
{
    const char *name = listener->name;
    if (!listener->address.count)
        scan_complain_at(scan, "listener", name, "address", "listener %s has no address; such as address = { \"0.0.0.0:587\" }",
                         name);
    if (listener->auth != CONF_AUTH_REQUIRED && !listener->networks.count)
        scan_complain_at(
            scan, "listener", name, "auth",
            "auth = %s without networks would be an open relay; add networks = { \"10.0.0.0/8\" } or auth = required",
            listener->auth == CONF_AUTH_NONE ? "none" : "optional");
    if (listener->tls != CONF_LISTENER_NONE && !*conf->tls_certificate)
        scan_complain_at(
            scan, "listener", name, "tls",
            "listener %s offers TLS but there is no certificate; add tls { certificate = \"…\" key = \"…\" }, or tls = none",
            name);
    if (listener->tls == CONF_LISTENER_NONE && listener->auth != CONF_AUTH_NONE)
        scan_complain_at(scan, "listener", name, "tls",
                         "passwords are taken only under TLS; use tls = starttls or implicit, or auth = none with networks");
    if (listener->proxy_protocol != (listener->proxies.count > 0))
        scan_complain_at(scan, "listener", name, "proxy-protocol",
                         "proxy-protocol and proxies belong together; give both or none");
}

static void check_listeners(struct conf *conf, struct scan *scan)
{
    if (!conf->nlisteners)
        scan_complain_at(
            scan, "", "", NULL,
            "there is no listener; add listener submission { address = { \"0.0.0.0:587\" } tls = starttls auth = required }");
    for (size_t i = 0; i < conf->nlisteners; i++)
        check_listener(conf, &conf->listeners[i], scan);
    for (size_t i = 0; i < conf->nlisteners; i++) {
        for (size_t j = 0; j < conf->listeners[i].address.count; j++) {
            const struct netaddr *address = &conf->listeners[i].address.items[j];
            char text[NETADDR_PORT_TEXT_SIZE];
            bool twice = false;
            for (size_t k = 0; k <= i && !twice; k++)
                for (size_t l = 0; l < (k == i ? j : conf->listeners[k].address.count) && !twice; l++)
                    twice = conf->listeners[k].address.items[l].port == address->port &&
                            netaddr_same_host(&conf->listeners[k].address.items[l], address);
            netaddr_print_port(address, text);
            if (twice)
                scan_complain_at(scan, "listener", conf->listeners[i].name, "address",
                                 "%s is listed twice; each address belongs to one listener", text);
        }
    }
}

/* The first of them take the password itself, and any backend can serve them; for the others it must know the password or its verifier. */
static const char *const mechanisms[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };
#define MECHANISMS       (sizeof mechanisms / sizeof *mechanisms)
#define MECHANISMS_PLAIN 2

/* How many of the mechanisms the backend can serve. */
static size_t served(const struct conf *conf)
{
    return conf->auth.backend == CONF_BACKEND_SASLAUTHD ? MECHANISMS_PLAIN : MECHANISMS;
}

static void check_mechanism(const struct conf *conf, struct scan *scan, char *mechanism)
{
    size_t i = 0;
    for (char *at = mechanism; *at; at++) /* a mechanism's name is in capitals (RFC 4422 3.1); who writes plain means PLAIN */
        *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
    while (i < MECHANISMS && strcmp(mechanism, mechanisms[i]) != 0)
        i++;
    if (i == MECHANISMS)
        scan_complain_at(scan, "auth", "", "mechanisms",
                         "%s is not offered; PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS are", mechanism);
    else if (i >= served(conf))
        scan_complain_at(scan, "auth", "", "mechanisms",
                         "saslauthd wants the password itself, which %s does not tell; write mechanisms = { \"PLAIN\", "
                         "\"LOGIN\" }, or nothing",
                         mechanism);
}

static void check_auth(struct conf *conf, struct scan *scan)
{
    struct conf_strings *list = &conf->auth.mechanisms;
    for (size_t i = 0; i < list->count; i++)
        check_mechanism(conf, scan, list->items[i]);
    if (list->count)
        return;
    list->items = text_realloc(list->items, MECHANISMS * sizeof *list->items);
    for (; list->count < served(conf); list->count++)
        list->items[list->count] = text_dup(span_of(mechanisms[list->count]));
}

static void check_sender(struct scan *scan, const char *section, const char *title, char **sender)
{
    if (strncmp(*sender, "*@", 2) == 0)
        scan_complain_at(scan, section, title, "senders", "%s is not how all addresses of a domain are written; write %s",
                         *sender, *sender + 1);
    else if (**sender == '@' ? is_domain(*sender + 1) : is_address(*sender))
        settle_domain(sender, (size_t)(strrchr(*sender, '@') - *sender) + 1);
    else
        scan_complain_at(scan, section, title, "senders",
                         "%s is neither an address nor @domain; such as alice@example.net or @example.net", *sender);
}

/* A name with a realm that is dropped from logins would be nobody's, and what is said of it would hold for nobody. */
static void check_realm(const struct conf *conf, struct scan *scan, const char *section, const char *title, const char *key,
                        const char *name)
{
    struct span known = conf_account_name(conf, span_of(name));
    if (known.n < strlen(name))
        scan_complain_at(scan, section, title, key, "%s logs in as %.*s with backend = %s; write %.*s%s", name, SPAN_ARGS(known),
                         conf->auth.backend == CONF_BACKEND_SASLDB ? "sasldb" : "saslauthd", SPAN_ARGS(known),
                         conf->auth.backend == CONF_BACKEND_SASLDB ? "" : ", or auth { realm = keep }");
}

static void check_realms(const struct conf *conf, struct scan *scan, const char *section, const char *title, const char *key,
                         const struct conf_strings *names)
{
    for (size_t i = 0; i < names->count; i++)
        check_realm(conf, scan, section, title, key, names->items[i]);
}

static void check_account_names(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->naccounts; i++)
        check_realm(conf, scan, "account", conf->accounts[i].name, NULL, conf->accounts[i].name);
    for (size_t i = 0; i < conf->nlimits; i++) {
        check_realms(conf, scan, "limit", conf->limits[i].name, "apply-to", &conf->limits[i].apply_to);
        check_realms(conf, scan, "limit", conf->limits[i].name, "except", &conf->limits[i].except);
    }
    for (size_t i = 0; i < conf->nroutes; i++)
        check_realms(conf, scan, "route", conf->routes[i].name, "accounts", &conf->routes[i].accounts);
    for (size_t i = 0; i < conf->nsources; i++)
        check_realms(conf, scan, "source", conf->sources[i].name, "accounts", &conf->sources[i].accounts);
}

static void check_accounts(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->naccounts; i++) {
        const struct conf_account *account = &conf->accounts[i];
        if (*account->contact && !is_address(account->contact))
            scan_complain_at(scan, "account", account->name, "contact", "%s is no address; such as alice@home.example",
                             account->contact);
        for (size_t j = 0; j < account->senders.count; j++)
            check_sender(scan, "account", account->name, &account->senders.items[j]);
    }
}

/* Do key, count and action of LIMIT go together? */
static void check_limit_kind(const struct conf_limit *limit, struct scan *scan)
{
    bool of_replies = limit->count == CONF_COUNT_HARD_BOUNCES || limit->count == CONF_COUNT_SPAM_REPLIES;
    bool of_messages = limit->count == CONF_COUNT_MESSAGES || limit->count == CONF_COUNT_BYTES;
    bool of_logins = limit->count == CONF_COUNT_AUTH_FAILURES || limit->count == CONF_COUNT_LOGIN_NETWORKS;
    bool of_domain = limit->key == CONF_KEY_RECIPIENT_DOMAIN || limit->key == CONF_KEY_SENDER_DOMAIN;
    if (limit->key == CONF_KEY_RECIPIENT_DOMAIN && of_messages)
        scan_complain_at(scan, "limit", limit->name, "key",
                         "a message may go to many domains; with key = recipient-domain, count recipients");
    if (limit->count == CONF_COUNT_CONNECTIONS && (limit->key == CONF_KEY_ACCOUNT || of_domain))
        scan_complain_at(scan, "limit", limit->name, "key",
                         "a connection has no login yet; with count = connections, use key = client, network or global");
    if (of_domain && (of_replies || of_logins || limit->count == CONF_COUNT_ABUSE_REPORTS))
        scan_complain_at(scan, "limit", limit->name, "key",
                         "this is not counted for domains; use key = account, client or network");
    if (limit->count == CONF_COUNT_ABUSE_REPORTS && (limit->key == CONF_KEY_CLIENT || limit->key == CONF_KEY_NETWORK))
        scan_complain_at(scan, "limit", limit->name, "key",
                         "a report leads to an account, not to its address; use key = account");
    if (limit->share && (!of_replies || limit->key != CONF_KEY_ACCOUNT))
        scan_complain_at(scan, "limit", limit->name, "share",
                         "share is for hard-bounces and spam-replies of accounts; take it out, or use key = account");
    if (limit->then == CONF_THEN_SUSPEND && limit->key != CONF_KEY_ACCOUNT)
        scan_complain_at(scan, "limit", limit->name, "then",
                         "only an account can be suspended; use key = account, or slow, defer, reject or hold");
    if (limit->count == CONF_COUNT_CONNECTIONS && limit->then == CONF_THEN_HOLD)
        scan_complain_at(scan, "limit", limit->name, "then", "a connection cannot be held; use slow, defer or reject");
    if (limit->count == CONF_COUNT_AUTH_FAILURES && limit->then == CONF_THEN_SUSPEND)
        scan_complain_at(scan, "limit", limit->name, "then",
                         "anybody could have an account suspended by guessing at it; use defer or reject");
    if (of_logins && limit->then == CONF_THEN_HOLD)
        scan_complain_at(scan, "limit", limit->name, "then", "a login cannot be held; use slow, defer, reject or suspend");
}

static void check_limits(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->nlimits; i++) {
        struct conf_limit *limit = &conf->limits[i];
        if (limit->mode == CONF_MODE_OFF)
            continue;
        if (!limit->rate.count)
            scan_complain_at(scan, "limit", limit->name, "rate", "rate is missing in section limit; such as rate = \"200/1h\"");
        if (!limit->burst)
            limit->burst = limit->rate.count; /* who gives only a rate may use it up at once, as by any clock's hour */
        check_limit_kind(limit, scan);
    }
}

static void check_queue(struct conf *conf, struct scan *scan)
{
    if (!conf->queue.retry.count)
        scan_complain_at(scan, "queue", "", "retry", "the retry schedule is empty; such as { 5min, 15min, 1h }");
    else if (conf->queue.retry.items[0] > conf->queue.lifetime_ms)
        scan_complain_at(scan, "queue", "", "lifetime",
                         "lifetime is shorter than the first step of retry, so nothing would be tried twice; make it longer");
}

static size_t below(const char *name)
{
    return strncmp(name, "*.", 2) == 0 ? 2 : 0;
}

/* Names that are no host: "*" and "*.domain" are allowed for routes. */
static bool is_route_name(const char *name)
{
    return strcmp(name, "*") == 0 || is_domain(name + below(name));
}

static void check_route(struct conf *conf, struct conf_route *route, struct scan *scan)
{
    text_lower(route->name);
    if (!route->tls_given)
        route->tls = conf->delivery.tls;
    conf->has_special_routes = conf->has_special_routes || route->senders.count || route->accounts.count;
    for (size_t i = 0; i < route->domains.count; i++) {
        text_lower(route->domains.items[i]);
        if (!is_route_name(route->domains.items[i]))
            scan_complain_at(scan, "route", route->name, "domains", "%s is no domain, \"*.domain\" or \"*\"",
                             route->domains.items[i]);
        settle_domain(&route->domains.items[i], below(route->domains.items[i]));
    }
    for (size_t i = 0; i < route->senders.count; i++)
        check_sender(scan, "route", route->name, &route->senders.items[i]);
    if (strlen(route->name) >= SMTP_DOMAIN_SIZE)
        scan_complain_at(scan, "route", route->name, NULL, "a route's name has at most %d characters", SMTP_DOMAIN_SIZE - 1);
    if (!route->domains.count && !is_route_name(route->name))
        scan_complain_at(scan, "route", route->name, NULL, "%s is no domain, \"*.domain\" or \"*\"", route->name);
    if (!route->via.mx && !route->via.count)
        scan_complain_at(scan, "route", route->name, "via", "via is empty; mx, or hosts such as \"smtp.example.net:587\"");
    if (!*route->user != !*route->password_file)
        scan_complain_at(scan, "route", route->name, *route->user ? "user" : "password-file",
                         "user and password-file belong together; give both or none");
    if (*route->user && (route->via.mx || route->tls != CONF_DELIVERY_VERIFY))
        scan_complain_at(scan, "route", route->name, "user",
                         "a password is sent only to a named host over verified TLS; add via = \"HOST:PORT\" and tls = verify");
}

static void check_routes(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        check_route(conf, &conf->routes[i], scan);
}

static void check_sources(struct conf *conf, struct scan *scan)
{
    struct netaddr address;
    for (size_t i = 0; i < conf->delivery.source.count; i++)
        if (!netaddr_parse(span_of(conf->delivery.source.items[i]), &address))
            scan_complain_at(scan, "delivery", "", "source", "%s is no address; such as 192.0.2.7",
                             conf->delivery.source.items[i]);
}

static void check_pool(const struct conf *conf, struct scan *scan, const char *section, const char *title, const char *key,
                       const char *pool)
{
    if (*pool && !conf_has_pool(conf, pool))
        scan_complain_at(scan, section, title, key,
                         "there is no source or pool of sources %s; add source \"%s\" { addresses = { … } }", pool, pool);
}

static void check_source(const struct conf_source *source, struct scan *scan)
{
    struct netaddr address;
    if (!source->addresses.count)
        scan_complain_at(scan, "source", source->name, "addresses", "source %s has no addresses; such as { \"192.0.2.7\" }",
                         source->name);
    for (size_t j = 0; j < source->addresses.count; j++)
        if (!netaddr_parse(span_of(source->addresses.items[j]), &address))
            scan_complain_at(scan, "source", source->name, "addresses", "%s is no address; such as 192.0.2.7",
                             source->addresses.items[j]);
    if (*source->helo && !address_is_domain(span_of(source->helo), false))
        scan_complain_at(scan, "source", source->name, "helo", "%s is no host name; such as out1.example.net", source->helo);
    if (strlen(source->name) >= SMTP_DOMAIN_SIZE || strlen(source->pool) >= SMTP_DOMAIN_SIZE)
        scan_complain_at(scan, "source", source->name, NULL, "names of sources and pools have at most %d characters",
                         SMTP_DOMAIN_SIZE - 1);
}

static void check_pools(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->nsources; i++)
        check_source(&conf->sources[i], scan);
    check_pool(conf, scan, "delivery", "", "bounce-source", conf->delivery.bounce_source);
    for (size_t i = 0; i < conf->nroutes; i++)
        check_pool(conf, scan, "route", conf->routes[i].name, "source", conf->routes[i].source);
}

/* Who logged in could accuse a colleague: reports are taken where nobody does. */
static void check_reports(struct conf *conf, struct scan *scan)
{
    struct address address;
    char normal[SMTP_ADDRESS_SIZE];
    bool taken = false;
    if (!*conf->policy.report_address)
        return;
    if (address_parse(span_of(conf->policy.report_address), true, &address) != ADDRESS_OK || !address.domain.n ||
        !address_normal(&address, normal, sizeof normal)) {
        scan_complain_at(scan, "policy", "", "report-address",
                         "report-address = %s is no address; such as abuse-reports@example.net", conf->policy.report_address);
        return;
    }
    for (size_t i = 0; i < conf->nlisteners; i++)
        taken = taken || conf->listeners[i].auth == CONF_AUTH_NONE;
    if (!taken)
        scan_complain_at(
            scan, "policy", "", "report-address",
            "reports are only taken at a listener with auth = none, and there is none; add one for the server that gets them");
    free(conf->policy.report_address);
    conf->policy.report_address = text_dup(span_of(normal));
}

/* A phrase that is too short would be found in nearly every reply. */
static void check_phrases(struct conf_strings *phrases, const char *section, const char *key, struct scan *scan)
{
    if (phrases->count > PHRASES_MAX)
        scan_complain_at(scan, section, "", key, "%s are at most %d phrases", key, PHRASES_MAX);
    for (size_t i = 0; i < phrases->count; i++) {
        size_t n = strlen(phrases->items[i]);
        text_lower(phrases->items[i]);
        if (n < PHRASE_MIN || n > PHRASE_MAX)
            scan_complain_at(scan, section, "", key,
                             "a phrase has %d to %d letters: some words that a server says, such as \"%s\"", PHRASE_MIN,
                             PHRASE_MAX, "refused by our filter");
    }
}

static void check_all_phrases(struct conf *conf, struct scan *scan)
{
    check_phrases(&conf->policy.spam_phrases, "policy", "spam-phrases", scan);
    check_phrases(&conf->policy.unknown_phrases, "policy", "unknown-phrases", scan);
    check_phrases(&conf->delivery.slow_phrases, "delivery", "slow-phrases", scan);
    check_phrases(&conf->delivery.rest_phrases, "delivery", "rest-phrases", scan);
    check_phrases(&conf->delivery.ignore_phrases, "delivery", "ignore-phrases", scan);
}

static void check_sites(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->nsites; i++) {
        text_lower(conf->sites[i].name);
        if (!is_domain(conf->sites[i].name))
            scan_complain_at(scan, "site", conf->sites[i].name, NULL, "%s is no host or domain; such as mx.example.net",
                             conf->sites[i].name);
    }
}

/* What processes open that are started elsewhere than whoever checks the file: systemd starts in the folder /. */
static void check_paths(struct conf *conf, struct scan *scan)
{
    const struct {
        const char *section, *key, *path;
    } paths[] = {
        { "auth", "file", conf->auth.file },
        { "spool", "directory", conf->spool.directory },
        { "policy", "directory", conf->policy.directory },
        { "mta-sts", "directory", conf->mta_sts.directory },
        { "delivery", "ca-file", conf->delivery.ca_file },
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct key *key = keys_find(keys_section(span_of(paths[i].section)), span_of(paths[i].key));
        if (*paths[i].path != '/' && (*paths[i].path || *key->fallback))
            scan_complain_at(scan, paths[i].section, "", key->name, "%s = %s is no absolute path; such as %s", key->name,
                             paths[i].path, key->example);
    }
}

static void check_rest(struct conf *conf, struct scan *scan)
{
    struct netaddr address;
    const char *redis = conf->policy.redis;
    if (*redis == '/' ? strlen(redis) > 100 : !netaddr_parse_port(span_of(redis), &address) || !address.port)
        scan_complain_at(scan, "policy", "", "redis",
                         "%s is neither an address with port nor a path of at most 100 characters; such as 127.0.0.1:6379",
                         redis);
    if (conf->ndkims)
        scan_complain_at(scan, "dkim", conf->dkims[0].domain, NULL,
                         "dkim is not available in this version; take the section out");
    if (*conf->control.http && !netaddr_parse_port(span_of(conf->control.http), &address))
        scan_complain_at(scan, "control", "", "http", "%s is no address with port; such as 127.0.0.1:8587", conf->control.http);
    if (*conf->control.socket != '/' || strlen(conf->control.socket) > 100)
        scan_complain_at(scan, "control", "", "socket", "socket must be an absolute path of at most 100 characters");
    check_reports(conf, scan);
}

static void settle_route(struct conf *conf, struct conf_route *route, struct scan *scan)
{
    char *name = text_dup(span_of(route->name));
    settle_domain(&name, below(name));
    const struct conf_route *other = strcmp(name, route->name) != 0 ? conf_route_named(conf, span_of(name)) : NULL;
    if (other)
        scan_complain_at(scan, "route", route->name, NULL, "route %s is there twice, also as %s; put everything into one",
                         route->name, name);
    free(route->name);
    route->name = name;
}

/* Last, since complaints find a section by what the file calls it. */
static void settle_titles(struct conf *conf, struct scan *scan)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        if (!conf->routes[i].domains.count)
            settle_route(conf, &conf->routes[i], scan);
    for (size_t i = 0; i < conf->nsites; i++)
        settle_domain(&conf->sites[i].name, 0);
}

void check_all(struct conf *conf, struct scan *scan)
{
    defaults_add(conf);
    static void (*const rules[])(struct conf * conf, struct scan * scan) = {
        check_names,       check_certificates, check_listeners, check_auth,    check_accounts, check_account_names,
        check_limits,      check_queue,        check_routes,    check_sources, check_pools,    check_sites,
        check_all_phrases, check_paths,        check_rest,      settle_titles,
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rules[i](conf, scan);
}
