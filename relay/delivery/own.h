/* The relay's own addresses: where mail must never be sent, or it would come round again. */
#ifndef POSTERN_DELIVERY_OWN_H
#define POSTERN_DELIVERY_OWN_H

#include "../base/netaddr.h"
#include "../conf/conf.h"

#define OWN_ADDRESSES_MAX 1024 /* of interfaces; more are not looked at */

struct own {
    struct netaddr *addresses; /* of the machine's interfaces */
    size_t naddresses;
    const struct conf *conf; /* for the listeners */
};

/* Finds the interfaces' addresses: before the sandbox closes. CONF is borrowed. False with errno. */
bool own_init(struct own *own, const struct conf *conf);

/* Frees what own_init found. */
void own_fini(struct own *own);

/* Does ADDRESS (with its port) lead back to this relay? STRICT: every address of this machine does, whatever the port; else
 * only one where address and port are a listener's, so that a test or a filter beside the relay can be reached. */
bool own_leads_here(const struct own *own, const struct netaddr *address, bool strict);

#endif
