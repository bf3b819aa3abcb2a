#include "txt.h"

void txt_add(struct buffer *out, struct span data)
{
    size_t n = 0;
    for (struct span rest = data; rest.n; rest = span_skip(rest, 1u + (unsigned char)*rest.p))
        n += (unsigned char)*rest.p;
    if (n > UINT16_MAX || !buffer_reserve(out, 2 + n))
        return;
    buffer_add(out, span_make((const char[]){ (char)(n >> 8), (char)(n & 0xff) }, 2));
    for (struct span rest = data; rest.n; rest = span_skip(rest, 1u + (unsigned char)*rest.p))
        buffer_add(out, span_head(span_skip(rest, 1), (unsigned char)*rest.p));
}

size_t txt_unpack(const struct found *found, uint64_t ticket, struct dns_txt *ret_txt)
{
    struct span body = span_head(found->body, DNS_TXT_BYTES);
    memset(ret_txt, 0, offsetof(struct dns_txt, records));
    ret_txt->ticket = ticket;
    ret_txt->status = found->status;
    ret_txt->ttl_s = found->ttl_s;
    ret_txt->size = (uint32_t)body.n;
    if (body.n)
        memcpy(ret_txt->records, body.p, body.n);
    return offsetof(struct dns_txt, records) + body.n;
}
