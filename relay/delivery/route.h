/* What the configuration says about a connection: TLS, user and password. */
#ifndef POSTERN_DELIVERY_ROUTE_H
#define POSTERN_DELIVERY_ROUTE_H

#include "../base/bundle.h"
#include "../channels/queue_delivery.h"
#include "../conf/conf.h"
#include "reason.h"

#define ROUTE_SMTPS_PORT 465 /* implicit TLS (RFC 8314 3.3) */

/* Borrowed from the settings and secrets, which a delivery process keeps for its whole life. */
struct route {
    bool mx;
    enum conf_delivery_tls tls;
    const char *user;     /* "": no login */
    struct span password; /* without its line end */
};

/* Fills *ret_route for what OPEN asks. A route with a user is always CONF_DELIVERY_VERIFY, whatever it says: a password goes to
 * nobody whose certificate did not verify. False with the reason where the route is not in the settings or its password is not
 * there: nothing may be connected to then. */
bool route_find(const struct conf *conf, const struct bundle *secrets, const struct delivery_open *open, struct route *ret_route,
                struct reason *ret_reason);

#endif
