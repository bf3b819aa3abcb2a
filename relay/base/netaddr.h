/* Addresses of the Internet: parse, print, compare, and which of them are nobody's business. */
#ifndef POSTERN_BASE_NETADDR_H
#define POSTERN_BASE_NETADDR_H

#include "span.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* Room for an address as text with its NUL: "255.255.255.255", "ffff:…:255.255.255.255". */
#define NETADDR_TEXT_SIZE 46
/* The same with brackets and a port. */
#define NETADDR_PORT_TEXT_SIZE (NETADDR_TEXT_SIZE + 8)

/* An IPv4 or IPv6 address and a port. An IPv4-mapped IPv6 address never occurs: it becomes IPv4. Fixed size, no pointers:
 * goes over channels as it is. family 0 is no address. */
struct netaddr {
    uint8_t bytes[16]; /* the first 4 for IPv4, the rest then 0 */
    uint16_t port;     /* host order */
    uint8_t family;    /* 4, 6 or 0 */
    uint8_t unused;
};

/* A network: the first `bits` bits of `address`. */
struct netaddr_network {
    struct netaddr address;
    unsigned bits;
};

/* Reads "192.0.2.1" or "2001:db8::1", no port. */
bool netaddr_parse(struct span text, struct netaddr *ret_address);

/* Reads "192.0.2.1:25", "[2001:db8::1]:25". Port 1 to 65535 (0 allowed too: any free port, for tests). */
bool netaddr_parse_port(struct span text, struct netaddr *ret_address);

/* Reads "10.0.0.0/8", "2001:db8::/32", or a lone address (all its bits). False also where bits behind the mask are set. */
bool netaddr_parse_network(struct span text, struct netaddr_network *ret_network);

/* The address without its port; "unknown" for family 0. */
void netaddr_print(const struct netaddr *address, char text[NETADDR_TEXT_SIZE]);

/* The address with its port: "192.0.2.1:25", "[2001:db8::1]:25". */
void netaddr_print_port(const struct netaddr *address, char text[NETADDR_PORT_TEXT_SIZE]);

/* Same address, whatever the port? */
bool netaddr_same_host(const struct netaddr *a, const struct netaddr *b);

/* Is ADDRESS inside NETWORK? */
bool netaddr_in_network(const struct netaddr *address, const struct netaddr_network *network);

/* An address that no MX of the world may point to: unspecified, loopback, private (RFC 1918, RFC 4193), link-local,
 * shared (RFC 6598), multicast, broadcast, documentation. */
bool netaddr_is_private(const struct netaddr *address);

/* Loopback or unspecified (0.0.0.0, ::): this machine. */
bool netaddr_is_self(const struct netaddr *address);

/* To the kernel's form; returns its length. ADDRESS must have a family. */
socklen_t netaddr_to_sockaddr(const struct netaddr *address, struct sockaddr_storage *ret_sockaddr);

/* From the kernel's form. False where it is neither IPv4 nor IPv6; *ret_address is untouched then. */
bool netaddr_from_sockaddr(const struct sockaddr *sockaddr, struct netaddr *ret_address);

#endif
