#include "pairs.h"

#include <stdint.h>

#define PARTS 3

bool pairs_add(struct buffer *out, const struct pair_texts *pair)
{
    const struct span parts[PARTS] = { pair->what, pair->who, pair->whom };
    size_t before = buffer_size(out);
    bool fits = true;
    for (unsigned i = 0; i < PARTS && fits; i++)
        fits = parts[i].n <= UINT16_MAX && buffer_add_byte(out, (char)(parts[i].n >> 8)) &&
               buffer_add_byte(out, (char)(parts[i].n & 0xff)) && buffer_add(out, parts[i]);
    if (!fits)
        buffer_truncate(out, before);
    return fits;
}

bool pairs_next(struct span *bytes, struct pair_texts *ret_pair)
{
    struct span parts[PARTS], rest = *bytes;
    for (unsigned i = 0; i < PARTS; i++) {
        if (rest.n < 2)
            return false;
        size_t size = (size_t)((unsigned char)rest.p[0] << 8 | (unsigned char)rest.p[1]);
        rest = span_skip(rest, 2);
        if (rest.n < size)
            return false;
        parts[i] = span_head(rest, size);
        rest = span_skip(rest, size);
    }
    *ret_pair = (struct pair_texts){ parts[0], parts[1], parts[2] };
    *bytes = rest;
    return true;
}
