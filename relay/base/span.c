#include "span.h"

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + ('a' - 'A')) : byte;
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool span_equal(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool span_equal_nocase(struct span a, struct span b)
{
    return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool span_starts_nocase(struct span span, struct span prefix)
{
    return span.n >= prefix.n && same_nocase(span.p, prefix.p, prefix.n);
}

bool span_ends_nocase(struct span span, struct span suffix)
{
    return span.n >= suffix.n && same_nocase(span.p + (span.n - suffix.n), suffix.p, suffix.n);
}

bool span_is_ascii(struct span span)
{
    unsigned char bits = 0;
    for (size_t i = 0; i < span.n; i++)
        bits |= (unsigned char)span.p[i];
    return bits < 0x80;
}

struct span span_lower(struct span span, char *bytes)
{
    for (size_t i = 0; i < span.n; i++)
        bytes[i] = (char)lower(span.p[i]);
    return span_make(bytes, span.n);
}

struct span span_trim(struct span span)
{
    while (span.n && (span.p[0] == ' ' || span.p[0] == '\t'))
        span = span_skip(span, 1);
    while (span.n && (span.p[span.n - 1] == ' ' || span.p[span.n - 1] == '\t'))
        span.n--;
    return span;
}

size_t span_find(struct span span, char byte)
{
    const char *at = span.n ? memchr(span.p, byte, span.n) : NULL;
    return at ? (size_t)(at - span.p) : span.n;
}

struct span span_cut(struct span *span, char byte)
{
    size_t at = span_find(*span, byte);
    struct span part = span_head(*span, at);
    *span = span_skip(*span, at + 1);
    return part;
}
