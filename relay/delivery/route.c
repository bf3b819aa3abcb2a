/* A login goes with verified TLS only: find_login sets CONF_DELIVERY_VERIFY whatever the settings say, though check.c refuses
 * other ones already. Two locks, since a password that was sent to the wrong host cannot be taken back. That is also why hosts
 * of MX answers get none: their names come from the DNS, which anybody on the way may have written.
 *
 * The queue names a route, and this process looks it up in its own settings. After a reload the two can differ for a moment: a
 * name that is not there defers the mail (4.3.5) instead of sending it by rules that nobody wrote. The same holds for a password
 * that is missing: the mail waits, it does not go without login. */
#include "route.h"

#include "../base/text.h"

#include <openssl/crypto.h>
#include <stdlib.h>

static void keep_password(struct route *route, struct span password)
{
    route_fini(route);
    if (password.n)
        route->password = span_make(text_dup(password), password.n);
}

void route_fini(struct route *route)
{
    char *password = (char *)(uintptr_t)route->password.p;
    if (password)
        OPENSSL_cleanse(password, route->password.n);
    free(password);
    route->password = span_make(NULL, 0);
}

/* The password of the file PATH as the parent read it, up to its first line end. */
static struct span find_password(const struct bundle *secrets, const char *path)
{
    char name[BUNDLE_NAME_MAX];
    if (!secrets || !text_format(name, sizeof name, "password:%s", path))
        return span_make(NULL, 0);
    return bundle_line(secrets, name);
}

/* Are the hosts of OPEN all the route's own? While a reload is under way the queue may have newer ones than this process knows: they get no
 * password that was meant for others. */
static bool has_hosts(const struct conf_route *named, const struct delivery_open *open)
{
    for (unsigned i = 0; i < open->count && i < DNS_HOSTS_MAX; i++) {
        bool found = false;
        for (size_t j = 0; j < named->via.count && !found; j++)
            found = named->via.items[j].port == open->hosts[i].port &&
                    span_equal_nocase(span_of(named->via.items[j].name),
                                      span_of_array(open->hosts[i].name, sizeof open->hosts[i].name));
        if (!found)
            return false;
    }
    return true;
}

static bool find_login(const struct conf_route *named, const struct bundle *secrets, struct route *route,
                       struct reason *ret_reason)
{
    route->user = named->user;
    route->tls = CONF_DELIVERY_VERIFY;
    route->is_token = named->token;
    keep_password(route, find_password(secrets, named->password_file));
    if (route->password.n)
        return true;
    log_say(LOG_ERROR, "error", "route \"%s\": the password of user %s could not be had from %s; its mail waits", named->name,
            named->user, named->password_file);
    reason_local(ret_reason, "4.7.0", "the password for this route is missing on the relay");
    return false;
}

bool route_find(const struct conf *conf, const struct bundle *secrets, const struct delivery_open *open, struct route *ret_route,
                struct reason *ret_reason)
{
    struct span name = span_of_array(open->route, sizeof open->route);
    struct route route = { .mx = open->is_mx != 0, .tls = conf->delivery.tls, .sts = open->sts != 0, .user = "" };
    if (name.n) {
        const struct conf_route *named = conf_route_named(conf, name);
        if (!named) {
            reason_local(ret_reason, "4.3.5", "the route \"%.*s\" is not in the relay's settings (any more)", SPAN_ARGS(name));
            return false;
        }
        route.named = named;
        if (named->tls_given)
            route.tls = named->tls;
        if (named->user[0] && !route.mx && !has_hosts(named, open)) {
            reason_local(ret_reason, "4.3.5", "the hosts of the route \"%.*s\" are not those in the relay's settings (any more)",
                         SPAN_ARGS(name));
            return false;
        }
        /* Hosts that came from MX answers are anybody's: they get no password. */
        if (named->user[0] && !route.mx && !find_login(named, secrets, &route, ret_reason))
            return false;
    }
    route.dane = conf_goes_by_dane(conf, route.named) && !route.user[0];
    *ret_route = route;
    return true;
}

enum tls_policy route_policy(const struct route *route, bool has_tlsa)
{
    /* What is signed comes before what a policy says (RFC 8461 2). */
    if (route->dane && has_tlsa)
        return TLS_DANE;
    return route->sts ? TLS_VERIFY : (enum tls_policy)route->tls;
}

enum tls_policy route_otherwise(const struct route *route)
{
    enum tls_policy policy = route_policy(route, false);
    return policy > TLS_ENCRYPT ? policy : TLS_ENCRYPT;
}

bool route_is_implicit(const struct route *route, uint16_t port)
{
    return port == ROUTE_SMTPS_PORT && route->tls != CONF_DELIVERY_NONE;
}

bool route_refresh(struct route *route, const struct bundle *secrets)
{
    struct span now = route->named ? find_password(secrets, route->named->password_file) : span_make(NULL, 0);
    if (!now.n || span_equal(now, route->password))
        return false;
    keep_password(route, now);
    return true;
}
