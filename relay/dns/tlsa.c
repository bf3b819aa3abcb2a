#include "tlsa.h"

#include "../base/text.h"
#include "name.h"

void tlsa_add(struct tlsa_set *set, struct span data)
{
    if (data.n > UINT16_MAX || set->size + 2 + data.n > sizeof set->bytes)
        return;
    set->bytes[set->size++] = (char)(data.n >> 8);
    set->bytes[set->size++] = (char)(data.n & 0xff);
    memcpy(set->bytes + set->size, data.p, data.n);
    set->size += data.n;
}

bool tlsa_name(const char *question, const char *host, char name[SMTP_DOMAIN_SIZE])
{
    char text[SMTP_DOMAIN_SIZE];
    return text_format(text, sizeof text, "%.*s._tcp.%s", (int)strcspn(question, "."), question, host) &&
           name_normal(span_of(text), name);
}

void tlsa_pack(const struct tlsa_set *set, const char *base, struct buffer *out)
{
    struct span name = span_of(base);
    buffer_add_byte(out, (char)name.n);
    buffer_add(out, name);
    buffer_add(out, span_make(set->bytes, set->size));
}

size_t tlsa_unpack(const struct found *found, uint64_t ticket, struct dns_tlsa *ret_tlsa)
{
    struct span rest = found->body;
    memset(ret_tlsa, 0, offsetof(struct dns_tlsa, records));
    ret_tlsa->ticket = ticket;
    ret_tlsa->status = found->status;
    ret_tlsa->ttl_s = found->ttl_s;
    if (rest.n) {
        size_t n = (unsigned char)rest.p[0];
        rest = span_skip(rest, 1);
        text_copy(ret_tlsa->base, sizeof ret_tlsa->base, span_head(rest, n));
        rest = span_head(span_skip(rest, n), DNS_TLSA_BYTES);
    }
    ret_tlsa->size = (uint32_t)rest.n;
    if (rest.n)
        memcpy(ret_tlsa->records, rest.p, rest.n);
    return offsetof(struct dns_tlsa, records) + rest.n;
}
