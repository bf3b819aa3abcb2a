/* A host's A and AAAA answers come one after the other in any order, and either may be trouble while the other is fine. Only
 * both together are an answer: a name server that does not know AAAA (some answer it with an error) must not make a host
 * unreachable that has an IPv4 address, and NXDOMAIN for one type is said of the name, hence of both (RFC 8020).
 *
 * A hostile zone can list as many addresses as a response holds: DNS_ADDRESSES_MAX of each family are looked at, and as many in
 * all are handed on, the families taking turns, so a thousand AAAA records cannot hide the A record. Private addresses are not
 * taken out here; who connects decides (delivery/connect.c), because it depends on the route. */
#include "addresses.h"

void addresses_add(struct addresses *addresses, const struct netaddr *address)
{
    struct netaddr *list = address->family == 4 ? addresses->v4 : addresses->v6;
    unsigned *count = address->family == 4 ? &addresses->count4 : &addresses->count6;
    for (unsigned i = 0; i < *count; i++)
        if (netaddr_same_host(&list[i], address))
            return;
    if (*count < DNS_ADDRESSES_MAX)
        list[(*count)++] = *address;
}

void addresses_pack(const struct addresses *addresses, struct buffer *out)
{
    unsigned packed = 0;
    struct span alias_of = span_of(addresses->alias_of);
    buffer_add_byte(out, (char)alias_of.n);
    buffer_add(out, alias_of);
    for (unsigned i = 0; i < DNS_ADDRESSES_MAX; i++) {
        if (i < addresses->count6 && packed++ < DNS_ADDRESSES_MAX)
            buffer_add(out, span_make((const char *)&addresses->v6[i], sizeof addresses->v6[i]));
        if (i < addresses->count4 && packed++ < DNS_ADDRESSES_MAX)
            buffer_add(out, span_make((const char *)&addresses->v4[i], sizeof addresses->v4[i]));
    }
}

enum dns_status addresses_status(const struct addresses *addresses, enum dns_status a, enum dns_status aaaa)
{
    if (addresses->count4 || addresses->count6)
        return DNS_OK;
    if (dns_is_temporary(a))
        return aaaa == DNS_NXDOMAIN ? aaaa : a;
    if (dns_is_temporary(aaaa))
        return a == DNS_NXDOMAIN ? a : aaaa;
    return a == DNS_NXDOMAIN && aaaa == DNS_NXDOMAIN ? DNS_NXDOMAIN : DNS_NO_MAIL;
}

struct span addresses_alias(const struct found *found)
{
    return found->body.n ? span_head(span_skip(found->body, 1), (unsigned char)*found->body.p) : SPAN("");
}

size_t addresses_unpack(const struct found *found, uint64_t ticket, struct dns_address *ret_address)
{
    struct span alias_of = addresses_alias(found), packed = span_skip(found->body, 1 + alias_of.n);
    size_t count = packed.n / sizeof *ret_address->addresses;
    memset(ret_address, 0, offsetof(struct dns_address, addresses));
    ret_address->ticket = ticket;
    ret_address->status = found->status;
    ret_address->ttl_s = found->ttl_s;
    ret_address->may_have_tlsa = found->status == DNS_OK && (found->secure || alias_of.n);
    ret_address->count = (uint16_t)(count < DNS_ADDRESSES_MAX ? count : DNS_ADDRESSES_MAX);
    if (ret_address->count)
        memcpy(ret_address->addresses, packed.p, ret_address->count * sizeof *ret_address->addresses);
    return offsetof(struct dns_address, addresses) + ret_address->count * sizeof *ret_address->addresses;
}
