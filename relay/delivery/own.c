/* A domain whose MX points here (by a mistake, or because somebody wishes so) would send mail in a circle: each round adds a
 * Received line and a copy in the spool, until 100 of them end it (RFC 5321 6.3, submission/body.c). It is cheaper to look at
 * the address before connecting.
 *
 * For MX hosts every address of this machine is meant, whatever the port: nobody's MX is a filter of ours. (Not with
 * delivery.allow-private, which is for tests with everything on loopback.) A route's hosts are the administrator's own words, so
 * only a listener of the relay itself is refused, and a filter or another server on this machine can be reached.
 *
 * Limits: interfaces are read once, before the sandbox closes, so an address that is added later counts after the next reload.
 * An address that leads here by translation (NAT, a load balancer) is not seen; the Received lines stay for that. */
#include "own.h"

#include "../base/text.h"

#include <ifaddrs.h>
#include <stdlib.h>

bool own_init(struct own *own, const struct conf *conf)
{
    struct ifaddrs *interfaces;
    *own = (struct own){ .conf = conf };
    if (getifaddrs(&interfaces) != 0)
        return false;
    own->addresses = text_zalloc(OWN_ADDRESSES_MAX * sizeof *own->addresses);
    for (const struct ifaddrs *it = interfaces; it && own->naddresses < OWN_ADDRESSES_MAX; it = it->ifa_next)
        if (it->ifa_addr && netaddr_from_sockaddr(it->ifa_addr, &own->addresses[own->naddresses]))
            own->naddresses++;
    freeifaddrs(interfaces);
    return true;
}

void own_fini(struct own *own)
{
    free(own->addresses);
    *own = (struct own){ 0 };
}

static bool is_of_machine(const struct own *own, const struct netaddr *address)
{
    if (netaddr_is_self(address))
        return true;
    for (size_t i = 0; i < own->naddresses; i++)
        if (netaddr_same_host(address, &own->addresses[i]))
            return true;
    return false;
}

static bool is_unspecified(const struct netaddr *address)
{
    static const uint8_t zero[sizeof address->bytes];
    return memcmp(address->bytes, zero, sizeof zero) == 0;
}

/* A listener on 0.0.0.0 or :: hears every address of the machine (:: may hear IPv4 too). */
static bool is_listener(const struct own *own, const struct netaddr *address, bool any_port)
{
    for (size_t i = 0; i < own->conf->nlisteners; i++) {
        const struct conf_addresses *list = &own->conf->listeners[i].address;
        for (size_t k = 0; k < list->count; k++) {
            const struct netaddr *listens = &list->items[k];
            if (!any_port && listens->port != address->port)
                continue;
            if (netaddr_same_host(listens, address) || (is_unspecified(listens) && is_of_machine(own, address)))
                return true;
        }
    }
    return false;
}

bool own_leads_here(const struct own *own, const struct netaddr *address, bool strict)
{
    return (strict && is_of_machine(own, address)) || is_listener(own, address, strict);
}
