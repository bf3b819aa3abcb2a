/* One socket an address, bound once for the life of the daemon: roles get duplicates. A role that dies, or a generation that
 * ends, closes its own and loses nothing, since connections wait in the backlog of a socket that the parent has still open.
 *
 * All processes of submission accept from the same socket (not SO_REUSEPORT, whose queues belong to one process each and are
 * lost with it); who is idle is the next to accept. IPv6 sockets are IPV6_V6ONLY, so that 0.0.0.0:587 and [::]:587 can both be
 * listed and a client of IPv4 never looks like ::ffff:192.0.2.1.
 *
 * A restart gives the sockets to systemd to keep (its file descriptor store) and has them back: connections that come meanwhile wait.
 *
 * A limit: an address that overlaps with one that is open (0.0.0.0:587 when 10.0.0.1:587 is to take its place) cannot be bound
 * by a reload, because the old socket is needed until the new one is there. It is refused as a whole; stop and start does it. */
#include "ports.h"

#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PORTS_BACKLOG 4096 /* connections that wait to be accepted; the kernel's somaxconn may allow less */

static struct port *find(const struct ports *ports, const struct netaddr *address)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->items[i].address.port == address->port && netaddr_same_host(&ports->items[i].address, address))
            return &ports->items[i];
    return NULL;
}

/* A listening socket for ADDRESS; -1 with errno. */
static int listen_on(const struct netaddr *address)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = netaddr_to_sockaddr(address, &sockaddr);
    int one = 1, fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->family == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sockaddr, size) == 0 && listen(fd, PORTS_BACKLOG) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

static void add(struct ports *ports, const struct netaddr *address, int fd)
{
    ports->items = text_realloc(ports->items, (ports->count + 1) * sizeof *ports->items);
    ports->items[ports->count++] = (struct port){ *address, fd, true };
}

void ports_take(struct ports *ports)
{
    int count = sd_listen_fds(1);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++) {
        struct sockaddr_storage sockaddr;
        struct netaddr address;
        socklen_t size = sizeof sockaddr;
        int flags = fcntl(fd, F_GETFL);
        if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, 1, 0) > 0 && flags >= 0 &&
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && getsockname(fd, (struct sockaddr *)&sockaddr, &size) == 0 &&
            netaddr_from_sockaddr((struct sockaddr *)&sockaddr, &address) && !find(ports, &address))
            add(ports, &address, fd);
        else
            close(fd);
    }
}

/* The name under which systemd keeps the socket of ADDRESS: no colon may be in it. */
static void store_name(const struct netaddr *address, char name[NETADDR_PORT_TEXT_SIZE])
{
    netaddr_print_port(address, name);
    for (char *at = name; *at; at++)
        if (*at == ':' || *at == '[' || *at == ']')
            *at = '-';
}

void ports_store(const struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        char name[NETADDR_PORT_TEXT_SIZE], state[NETADDR_PORT_TEXT_SIZE + 32];
        store_name(&ports->items[i].address, name);
        text_format(state, sizeof state, "FDSTORE=1\nFDNAME=%s", name);
        sd_pid_notify_with_fds(0, 0, state, &ports->items[i].fd, 1);
    }
}

/* Closes PORT, also where systemd keeps it. */
static void close_port(const struct port *port)
{
    char name[NETADDR_PORT_TEXT_SIZE];
    store_name(&port->address, name);
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    close(port->fd);
}

static const char *advice(int problem)
{
    if (problem == EADDRINUSE)
        return "another program listens there: stop it, or choose another address";
    if (problem == EACCES)
        return "ports below 1024 need root (or CAP_NET_BIND_SERVICE)";
    if (problem == EADDRNOTAVAIL)
        return "this machine has no such address";
    return strerror(problem);
}

/* Opens ADDRESS where it is not open yet. */
static bool open_one(struct ports *ports, const struct conf_listener *listener, const struct netaddr *address,
                     conf_complain complain, void *context)
{
    char text[NETADDR_PORT_TEXT_SIZE], line[512];
    if (find(ports, address))
        return true;
    int fd = listen_on(address);
    if (fd < 0) {
        netaddr_print_port(address, text);
        text_format(line, sizeof line, "listener %s: cannot listen on %s; %s", listener->name, text, advice(errno));
        complain(context, line);
        return false;
    }
    add(ports, address, fd);
    return true;
}

bool ports_open(struct ports *ports, const struct conf *conf, conf_complain complain, void *context)
{
    size_t before = ports->count;
    bool done = true;
    for (size_t i = 0; i < conf->nlisteners; i++)
        for (size_t j = 0; j < conf->listeners[i].address.count; j++)
            done = open_one(ports, &conf->listeners[i], &conf->listeners[i].address.items[j], complain, context) && done;
    while (!done && ports->count > before)
        close(ports->items[--ports->count].fd);
    return done;
}

void ports_trim(struct ports *ports, const struct conf *conf)
{
    size_t kept = 0;
    for (size_t i = 0; i < ports->count; i++)
        ports->items[i].wanted = false;
    for (size_t i = 0; i < conf->nlisteners; i++) {
        for (size_t j = 0; j < conf->listeners[i].address.count; j++) {
            struct port *port = find(ports, &conf->listeners[i].address.items[j]);
            if (port)
                port->wanted = true;
        }
    }
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->items[i].wanted)
            ports->items[kept++] = ports->items[i];
        else
            close_port(&ports->items[i]);
    }
    ports->count = kept;
}

int ports_find(const struct ports *ports, const struct netaddr *address)
{
    const struct port *port = find(ports, address);
    return port ? port->fd : -1;
}

void ports_close(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++)
        close(ports->items[i].fd);
    free(ports->items);
    *ports = (struct ports){ 0 };
}
