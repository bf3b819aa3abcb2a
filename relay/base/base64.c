#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct span span, struct buffer *out)
{
    char *to = buffer_reserve(out, (span.n + 2) / 3 * 4);
    size_t size = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < span.n; i += 3) {
        const unsigned char *p = (const unsigned char *)span.p + i;
        size_t left = span.n - i;
        uint32_t bits = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0) | (left > 2 ? p[2] : 0);
        to[size++] = alphabet[bits >> 18];
        to[size++] = alphabet[bits >> 12 & 63];
        to[size++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        to[size++] = left > 2 ? alphabet[bits & 63] : '=';
    }
    buffer_commit(out, size);
    return true;
}

/* The six bits of C, or 64. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Decodes four characters to up to three bytes at TO; returns how many, or -1. */
static int decode_group(const char *four, bool last, char *to)
{
    uint32_t a = value_of(four[0]), b = value_of(four[1]), c = value_of(four[2]), d = value_of(four[3]);
    int n = 3;
    if (last && four[3] == '=') {
        n = four[2] == '=' ? 1 : 2;
        d = 0;
        c = n == 1 ? 0 : c;
    }
    if (a > 63 || b > 63 || c > 63 || d > 63)
        return -1;
    uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    if ((n == 1 && bits & 0xffff) || (n == 2 && bits & 0xff))
        return -1;
    to[0] = (char)(bits >> 16);
    if (n > 1)
        to[1] = (char)(bits >> 8);
    if (n > 2)
        to[2] = (char)bits;
    return n;
}

bool base64_decode(struct span span, struct buffer *out)
{
    size_t size = 0;
    if (span.n % 4)
        return false;
    char *to = buffer_reserve(out, span.n / 4 * 3);
    if (!to)
        return false;
    for (size_t i = 0; i < span.n; i += 4) {
        int n = decode_group(span.p + i, i + 4 == span.n, to + size);
        if (n < 0)
            return false;
        size += (size_t)n;
    }
    buffer_commit(out, size);
    return true;
}
