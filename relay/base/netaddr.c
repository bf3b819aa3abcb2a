/* One host, one form: an IPv4-mapped address (::ffff:127.0.0.1, RFC 4291 2.5.5.2) becomes IPv4 wherever it comes in, from text,
 * from a socket or from the DNS. Otherwise each rule about loopback, private networks, one client's connections or its failed
 * logins could be passed by writing the same address in another way. Unused bytes are zero, so that addresses can be compared
 * and hashed as bytes.
 *
 * Text is read by inet_pton, which takes four decimal numbers and nothing else: no octal, no hex, no 127.1, no zone
 * (fe80::1%eth0). Where the configuration wants a network, bits behind the mask are a mistake and not cut off: who writes
 * 10.1.2.3/8 meant another one.
 *
 * Addresses that carry an IPv4 address inside for a gateway (64:ff9b::/96, RFC 6052; 2002::/16, RFC 3056) are not looked into:
 * packets leave for that gateway, whose business it is where they may go. */
#include "netaddr.h"

#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Makes IPv4 of an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), so that each host has one form only. */
static void unmap(struct netaddr *address)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    if (address->family != 6 || memcmp(address->bytes, mapped, sizeof mapped) != 0)
        return;
    memmove(address->bytes, address->bytes + 12, 4);
    memset(address->bytes + 4, 0, 12);
    address->family = 4;
}

bool netaddr_parse(struct span text, struct netaddr *ret_address)
{
    char copy[NETADDR_TEXT_SIZE];
    struct netaddr address = { .family = 4 };
    if (!text_copy(copy, sizeof copy, text))
        return false;
    if (inet_pton(AF_INET, copy, address.bytes) != 1) {
        if (inet_pton(AF_INET6, copy, address.bytes) != 1)
            return false;
        address.family = 6;
        unmap(&address);
    }
    *ret_address = address;
    return true;
}

bool netaddr_parse_port(struct span text, struct netaddr *ret_address)
{
    struct span host, port;
    uint64_t number;
    if (text.n && text.p[0] == '[') {
        text = span_skip(text, 1);
        host = span_cut(&text, ']');
        if (!text.n || text.p[0] != ':' || span_find(host, ':') == host.n)
            return false;
        port = span_skip(text, 1);
    } else {
        host = span_cut(&text, ':');
        port = text;
    }
    if (!text_number(port, 0, 65535, &number) || !netaddr_parse(host, ret_address))
        return false;
    ret_address->port = (uint16_t)number;
    return true;
}

/* The mask's byte I for the first BITS bits. */
static uint8_t mask_byte(unsigned bits, unsigned i)
{
    if (bits >= (i + 1) * 8)
        return 0xff;
    if (bits <= i * 8)
        return 0;
    return (uint8_t)(0xff00u >> (bits - i * 8));
}

bool netaddr_parse_network(struct span text, struct netaddr_network *ret_network)
{
    bool slash = span_find(text, '/') < text.n;
    struct span host = span_cut(&text, '/');
    struct netaddr_network network;
    uint64_t bits;
    if (!netaddr_parse(host, &network.address))
        return false;
    unsigned width = network.address.family == 4 ? 32 : 128;
    if (!slash)
        bits = width;
    else if (!text_number(text, 0, width, &bits))
        return false;
    network.bits = (unsigned)bits;
    for (unsigned i = 0; i < width / 8; i++)
        if (network.address.bytes[i] & (uint8_t)~mask_byte(network.bits, i))
            return false;
    *ret_network = network;
    return true;
}

void netaddr_print(const struct netaddr *address, char text[NETADDR_TEXT_SIZE])
{
    if (address->family != 4 && address->family != 6)
        text_copy(text, NETADDR_TEXT_SIZE, SPAN("unknown"));
    else
        inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->bytes, text, NETADDR_TEXT_SIZE);
}

void netaddr_print_port(const struct netaddr *address, char text[NETADDR_PORT_TEXT_SIZE])
{
    char host[NETADDR_TEXT_SIZE];
    netaddr_print(address, host);
    text_format(text, NETADDR_PORT_TEXT_SIZE, address->family == 6 ? "[%s]:%u" : "%s:%u", host, address->port);
}

bool netaddr_same_host(const struct netaddr *a, const struct netaddr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool netaddr_in_network(const struct netaddr *address, const struct netaddr_network *network)
{
    if (address->family != network->address.family)
        return false;
    for (unsigned i = 0; i * 8 < network->bits && i < sizeof address->bytes; i++)
        if ((address->bytes[i] ^ network->address.bytes[i]) & mask_byte(network->bits, i))
            return false;
    return true;
}

/* IANA's special-purpose registries (RFC 6890): what no host of the world has. */
static const struct netaddr_network special[] = {
    { { { 0 }, 0, 4, 0 }, 8 },                                   /* this network */
    { { { 10 }, 0, 4, 0 }, 8 },                                  /* private */
    { { { 100, 64 }, 0, 4, 0 }, 10 },                            /* shared */
    { { { 127 }, 0, 4, 0 }, 8 },                                 /* loopback */
    { { { 169, 254 }, 0, 4, 0 }, 16 },                           /* link-local */
    { { { 172, 16 }, 0, 4, 0 }, 12 },                            /* private */
    { { { 192, 0, 0 }, 0, 4, 0 }, 24 },                          /* protocol assignments */
    { { { 192, 0, 2 }, 0, 4, 0 }, 24 },                          /* documentation */
    { { { 192, 168 }, 0, 4, 0 }, 16 },                           /* private */
    { { { 198, 18 }, 0, 4, 0 }, 15 },                            /* benchmarking */
    { { { 198, 51, 100 }, 0, 4, 0 }, 24 },                       /* documentation */
    { { { 203, 0, 113 }, 0, 4, 0 }, 24 },                        /* documentation */
    { { { 224 }, 0, 4, 0 }, 3 },                                 /* multicast, reserved, broadcast */
    { { { 0 }, 0, 6, 0 }, 96 },                                  /* ::, ::1, IPv4-compatible */
    { { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 0, 6, 0 }, 48 }, /* local NAT64 */
    { { { 0x01, 0x00 }, 0, 6, 0 }, 64 },                         /* discard */
    { { { 0x20, 0x01, 0x0d, 0xb8 }, 0, 6, 0 }, 32 },             /* documentation */
    { { { 0xfc }, 0, 6, 0 }, 7 },                                /* unique local */
    { { { 0xfe, 0x80 }, 0, 6, 0 }, 10 },                         /* link-local */
    { { { 0xff }, 0, 6, 0 }, 8 },                                /* multicast */
};

bool netaddr_is_private(const struct netaddr *address)
{
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (netaddr_in_network(address, &special[i]))
            return true;
    return false;
}

bool netaddr_is_self(const struct netaddr *address)
{
    static const uint8_t one[16] = { [15] = 1 }, zero[16] = { 0 };
    if (address->family == 4)
        return address->bytes[0] == 127 || address->bytes[0] == 0;
    return memcmp(address->bytes, zero, sizeof zero) == 0 || memcmp(address->bytes, one, sizeof one) == 0;
}

socklen_t netaddr_to_sockaddr(const struct netaddr *address, struct sockaddr_storage *ret_sockaddr)
{
    memset(ret_sockaddr, 0, sizeof *ret_sockaddr);
    if (address->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret_sockaddr;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->bytes, sizeof in->sin_addr);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sockaddr;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address->port);
    memcpy(&in6->sin6_addr, address->bytes, sizeof in6->sin6_addr);
    return sizeof *in6;
}

bool netaddr_from_sockaddr(const struct sockaddr *sockaddr, struct netaddr *ret_address)
{
    struct netaddr address = { .family = 0 };
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof in);
        memcpy(address.bytes, &in.sin_addr, sizeof in.sin_addr);
        address.port = ntohs(in.sin_port);
        address.family = 4;
    } else if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sockaddr, sizeof in6);
        memcpy(address.bytes, &in6.sin6_addr, sizeof in6.sin6_addr);
        address.port = ntohs(in6.sin6_port);
        address.family = 6;
        unmap(&address);
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}
