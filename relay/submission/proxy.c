/* Version 1 is a line of text, version 2 a binary block; the first byte tells which. Both are bounded, so that a balancer's
 * mistake, or somebody who reached its port, cannot make the front end gather bytes without end. */
#include "proxy.h"

#include "../base/text.h"

#define V1_MIN          15  /* "PROXY UNKNOWN" and CRLF */
#define V1_MAX          107 /* with CRLF, as the specification says */
#define V2_FIXED        16  /* signature, version and command, family, length */
#define V2_TCP4         0x11
#define V2_TCP6         0x21
#define V2_TCP4_ADDRESS 12
#define V2_TCP6_ADDRESS 36

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool parse_port(struct span text, uint16_t *ret_port)
{
    uint64_t port;
    if (!text_number(text, 0, UINT16_MAX, &port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 587" behind "PROXY ". */
static enum proxy_progress parse_v1_line(struct span line, struct netaddr *client)
{
    struct span family = span_cut(&line, ' ');
    if (span_equal(family, SPAN("UNKNOWN"))) {
        *client = (struct netaddr){ 0 };
        return PROXY_DONE;
    }
    bool is_4 = span_equal(family, SPAN("TCP4"));
    if (!is_4 && !span_equal(family, SPAN("TCP6")))
        return PROXY_BAD;
    struct netaddr source, destination;
    uint16_t source_port, destination_port;
    if (!netaddr_parse(span_cut(&line, ' '), &source) || !netaddr_parse(span_cut(&line, ' '), &destination) ||
        !parse_port(span_cut(&line, ' '), &source_port) || !parse_port(line, &destination_port))
        return PROXY_BAD;
    if (is_4 && source.family != 4)
        return PROXY_BAD;
    source.port = source_port;
    *client = source;
    return PROXY_DONE;
}

static enum proxy_progress parse_v1(struct span input, struct netaddr *ret_client, size_t *ret_used)
{
    static const char prefix[6] = "PROXY ";
    struct span head = span_head(input, V1_MAX);
    if (memcmp(head.p, prefix, head.n < sizeof prefix ? head.n : sizeof prefix) != 0)
        return PROXY_BAD;
    size_t end = span_find(head, '\n');
    if (end == head.n)
        return head.n == V1_MAX ? PROXY_BAD : PROXY_MORE;
    if (end < sizeof prefix + 1 || head.p[end - 1] != '\r')
        return PROXY_BAD;
    struct span line = span_skip(span_head(head, end - 1), sizeof prefix);
    enum proxy_progress progress = parse_v1_line(line, ret_client);
    if (progress == PROXY_DONE)
        *ret_used = end + 1;
    return progress;
}

/* The address block of a version 2 header: source, destination, ports; TLVs behind it do not matter here. */
static enum proxy_progress parse_v2_address(unsigned family, struct span block, struct netaddr *client)
{
    const unsigned char *bytes = (const unsigned char *)block.p;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr_in four = { .sin_family = AF_INET };
    if (family == V2_TCP4 && block.n >= V2_TCP4_ADDRESS) {
        memcpy(&four.sin_addr, bytes, 4);
        memcpy(&four.sin_port, bytes + 8, 2);
        return netaddr_from_sockaddr((const struct sockaddr *)&four, client) ? PROXY_DONE : PROXY_BAD;
    }
    if (family == V2_TCP6 && block.n >= V2_TCP6_ADDRESS) {
        memcpy(&six.sin6_addr, bytes, 16);
        memcpy(&six.sin6_port, bytes + 32, 2);
        return netaddr_from_sockaddr((const struct sockaddr *)&six, client) ? PROXY_DONE : PROXY_BAD;
    }
    if (family != 0)
        return PROXY_BAD;
    *client = (struct netaddr){ 0 };
    return PROXY_DONE;
}

static enum proxy_progress parse_v2(struct span input, struct netaddr *ret_client, size_t *ret_used)
{
    const unsigned char *bytes = (const unsigned char *)input.p;
    size_t known = input.n < sizeof v2_signature ? input.n : sizeof v2_signature;
    if (memcmp(input.p, v2_signature, known) != 0)
        return PROXY_BAD;
    if (input.n < V2_FIXED)
        return PROXY_MORE;
    unsigned command = bytes[12], family = bytes[13];
    size_t size = (size_t)(bytes[14] << 8 | bytes[15]);
    if (size > PROXY_HEADER_MAX - V2_FIXED || (command != 0x20 && command != 0x21))
        return PROXY_BAD;
    if (input.n < V2_FIXED + size)
        return PROXY_MORE;
    struct netaddr client = { 0 };
    struct span block = span_head(span_skip(input, V2_FIXED), size);
    if (command == 0x21 && parse_v2_address(family, block, &client) != PROXY_DONE)
        return PROXY_BAD;
    *ret_client = client;
    *ret_used = V2_FIXED + size;
    return PROXY_DONE;
}

enum proxy_progress proxy_parse(struct span input, struct netaddr *ret_client, size_t *ret_used)
{
    if (!input.n)
        return PROXY_MORE;
    return input.p[0] == v2_signature[0] ? parse_v2(input, ret_client, ret_used) : parse_v1(input, ret_client, ret_used);
}

size_t proxy_wants(struct span input)
{
    const unsigned char *bytes = (const unsigned char *)input.p;
    if (input.n < V1_MIN)
        return V1_MIN - input.n;
    if (input.p[0] != v2_signature[0])
        return 1;
    return input.n < V2_FIXED ? V2_FIXED - input.n : V2_FIXED + (size_t)(bytes[14] << 8 | bytes[15]) - input.n;
}
