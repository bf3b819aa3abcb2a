/* The set keeps the best DNS_HOSTS_MAX hosts while records come in any order, by insertion: a domain that publishes five hundred
 * costs no more memory than one with five. This relay's own name is not kept as a host but as a bound: mail must only ever move to
 * hosts that are preferred to the one it is at (RFC 5321 5.1), or it would come back.
 *
 * A name in an MX record that is no host name cannot have an address, so it is as if the record were not there, unless there is
 * nothing else: then somebody made a mistake that may be mended, and mail waits. */
#include "mx.h"

#include "../base/text.h"

void mx_init(struct mx_set *set, const char *own_name)
{
    *set = (struct mx_set){ .own_name = own_name };
}

static int compare(const struct dns_host *a, const struct dns_host *b)
{
    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void take_out(struct mx_set *set, unsigned at)
{
    set->count--;
    memmove(&set->hosts[at], &set->hosts[at + 1], (set->count - at) * sizeof *set->hosts);
}

/* Enters HOST in its place. */
static void insert(struct mx_set *set, const struct dns_host *host)
{
    unsigned at = 0;
    for (unsigned i = 0; i < set->count; i++) {
        if (strcmp(set->hosts[i].name, host->name) != 0)
            continue;
        if (set->hosts[i].preference <= host->preference)
            return;
        take_out(set, i);
        break;
    }
    while (at < set->count && compare(&set->hosts[at], host) < 0)
        at++;
    if (at == DNS_HOSTS_MAX)
        return;
    if (set->count == DNS_HOSTS_MAX)
        set->count--;
    memmove(&set->hosts[at + 1], &set->hosts[at], (set->count - at) * sizeof *set->hosts);
    set->hosts[at] = *host;
    set->count++;
}

void mx_add(struct mx_set *set, const struct answer_record *record)
{
    struct dns_host host = { .preference = record->preference };
    struct netaddr address;
    set->records++;
    if (!name_from_wire(&record->host, host.name))
        return;
    if (!host.name[0])
        set->null_records++;
    else if (strcmp(host.name, set->own_name) == 0) {
        if (!set->has_own || record->preference < set->own_preference)
            set->own_preference = record->preference;
        set->has_own = true;
    } else if (!netaddr_parse(span_of(host.name), &address))
        insert(set, &host);
}

enum dns_status mx_settle(struct mx_set *set)
{
    while (set->has_own && set->count && set->hosts[set->count - 1].preference >= set->own_preference)
        set->count--;
    if (set->count)
        return DNS_OK;
    if (set->has_own)
        return DNS_LOOP;
    return set->records == 1 && set->null_records == 1 ? DNS_NULL_MX : DNS_MALFORMED;
}

enum dns_status mx_implicit(struct mx_set *set, struct span name)
{
    if (span_equal(name, span_of(set->own_name)))
        return DNS_LOOP;
    text_copy(set->hosts[0].name, sizeof set->hosts[0].name, name);
    set->hosts[0].preference = 0;
    set->count = 1;
    return DNS_OK;
}

void mx_pack(const struct mx_set *set, struct buffer *out)
{
    struct span alias_of = span_of(set->alias_of);
    buffer_add_byte(out, (char)alias_of.n);
    buffer_add(out, alias_of);
    for (unsigned i = 0; i < set->count; i++) {
        const struct dns_host *host = &set->hosts[i];
        struct span name = span_of(host->name);
        char head[3] = { (char)(host->preference >> 8), (char)(host->preference & 0xff), (char)name.n };
        buffer_add(out, span_make(head, sizeof head));
        buffer_add(out, name);
    }
}

size_t mx_unpack(const struct found *found, uint64_t ticket, struct dns_mx *ret_mx)
{
    struct span rest = found->body;
    memset(ret_mx, 0, offsetof(struct dns_mx, hosts));
    ret_mx->ticket = ticket;
    ret_mx->status = found->status;
    ret_mx->ttl_s = found->ttl_s;
    ret_mx->implicit = found->implicit;
    ret_mx->secure = found->secure;
    if (rest.n) {
        size_t n = (unsigned char)rest.p[0];
        rest = span_skip(rest, 1);
        text_copy(ret_mx->alias_of, sizeof ret_mx->alias_of, span_head(rest, n));
        rest = span_skip(rest, n);
    }
    while (rest.n >= 3 && ret_mx->count < DNS_HOSTS_MAX) {
        struct dns_host *host = &ret_mx->hosts[ret_mx->count++];
        *host = (struct dns_host){ .preference = (uint16_t)((unsigned char)rest.p[0] << 8 | (unsigned char)rest.p[1]) };
        size_t n = (unsigned char)rest.p[2];
        rest = span_skip(rest, 3);
        text_copy(host->name, sizeof host->name, span_head(rest, n));
        rest = span_skip(rest, n);
    }
    return offsetof(struct dns_mx, hosts) + ret_mx->count * sizeof *ret_mx->hosts;
}
