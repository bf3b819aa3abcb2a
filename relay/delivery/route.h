/* What the configuration says about a connection: TLS, user and password. */
#ifndef POSTERN_DELIVERY_ROUTE_H
#define POSTERN_DELIVERY_ROUTE_H

#include "../base/bundle.h"
#include "../channels/queue_delivery.h"
#include "../conf/conf.h"
#include "reason.h"
#include "tls.h"

#define ROUTE_SMTPS_PORT 465 /* implicit TLS (RFC 8314 3.3) */

/* All but the password is borrowed from the settings, which a delivery process keeps for its whole life. */
struct route {
    bool mx;
    enum conf_delivery_tls tls;
    bool dane;                      /* hosts' TLSA records count */
    bool sts;                       /* the domain's MTA-STS policy demands verified TLS */
    const struct conf_route *named; /* NULL: none */
    const char *user;               /* "": no login */
    bool is_token;                  /* the password is an access token */
    struct span password;           /* without its line end; the route's own */
};

/* Fills *ret_route for what OPEN asks. A route with a user is always CONF_DELIVERY_VERIFY, whatever it says: a password goes to
 * nobody whose certificate did not verify. False with the reason where the route is not in the settings or its password is not
 * there: nothing may be connected to then. */
bool route_find(const struct conf *conf, const struct bundle *secrets, const struct delivery_open *open, struct route *ret_route,
                struct reason *ret_reason);

/* What is demanded of a host on ROUTE, which has TLSA records that count or not. */
enum tls_policy route_policy(const struct route *route, bool has_tlsa);

/* What is demanded of one that has such records, of which none can be used: what is without them, and TLS at least. */
enum tls_policy route_otherwise(const struct route *route);

/* Is TLS spoken from the first byte on with a server at PORT, so that it is for us to speak first? */
bool route_is_implicit(const struct route *route, uint16_t port);

/* Looks the password up anew, in SECRETS that came since. True where there is another one now. */
bool route_refresh(struct route *route, const struct bundle *secrets);

/* Wipes and frees the password. Fine on an all-zero one. */
void route_fini(struct route *route);

#endif
