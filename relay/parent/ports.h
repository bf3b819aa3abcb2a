/* The listening sockets. The parent, which alone may bind ports below 1024, keeps them open over role restarts and reloads, so
 * that no connection is refused meanwhile. */
#ifndef POSTERN_PARENT_PORTS_H
#define POSTERN_PARENT_PORTS_H

#include "../conf/conf.h"
#include "../conf/read.h"

struct port {
    struct netaddr address;
    int fd;
    bool wanted;
};

struct ports {
    struct port *items;
    size_t count;
};

/* Takes over the listening sockets that systemd hands over at a start: those of socket units, and those that the daemon before gave it to
 * keep. They count as open; ports_trim closes what the configuration does not name. */
void ports_take(struct ports *ports);

/* Gives systemd copies of all sockets to keep over a restart, so that connections wait in them and are not refused meanwhile. Does nothing
 * where no systemd is. */
void ports_store(const struct ports *ports);

/* Opens a socket for every address of CONF's listeners that has none yet. False where one cannot be bound: each is told to COMPLAIN,
 * and those that were opened now are closed again. */
bool ports_open(struct ports *ports, const struct conf *conf, conf_complain complain, void *context);

/* Closes the sockets that CONF does not name. */
void ports_trim(struct ports *ports, const struct conf *conf);

/* The socket for ADDRESS; -1 where there is none. Borrowed. */
int ports_find(const struct ports *ports, const struct netaddr *address);

/* Closes everything. */
void ports_close(struct ports *ports);

#endif
