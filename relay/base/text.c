/* Text from outside has no locale: what is a letter, a digit or a control byte is decided here, byte by byte, the same in every
 * process and whatever LANG says. UTF-8 is checked as RFC 3629 has it (shortest form, no surrogates, nothing above U+10FFFF),
 * because two readers that accept different forms of one character disagree about where a name ends.
 *
 * text_escape can be applied again and changes nothing: a reply is escaped by delivery, which talked to a stranger, and once
 * more by the queue and by control, of which each trusts nobody in front of it.
 *
 * Out of memory ends the process (abort): every size here is bounded by its caller, so it is a sign of a machine in trouble, and
 * a role that starts anew is in a known state, which one that half did something is not. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Length of the well-formed UTF-8 character at the front of SPAN (RFC 3629 4), or 0 where there is none. */
static size_t utf8_character(struct span span)
{
    const unsigned char *p = (const unsigned char *)span.p;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (span.n < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return n;
}

bool text_copy(char *dest, size_t size, struct span span)
{
    size_t n = span_find(span, '\0');
    bool whole = n == span.n && n < size;
    if (n >= size) {
        n = size - 1;
        while (n && ((unsigned char)span.p[n] & 0xc0) == 0x80)
            n--;
    }
    if (n)
        memcpy(dest, span.p, n);
    dest[n] = '\0';
    return whole;
}

bool text_format(char *dest, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(dest, size, format, arguments);
    va_end(arguments);
    return n >= 0 && (size_t)n < size;
}

char *text_dup(struct span span)
{
    char *copy = text_zalloc(span.n + 1);
    if (span.n)
        memcpy(copy, span.p, span.n);
    return copy;
}

bool text_number(struct span span, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!span.n)
        return false;
    for (size_t i = 0; i < span.n; i++) {
        if (span.p[i] < '0' || span.p[i] > '9')
            return false;
        unsigned digit = (unsigned)(span.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

void text_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

/* C1 controls and the marks that turn the direction of writing hide what a line says: they are escaped too. */
static bool is_hidden(const unsigned char *p, size_t n)
{
    return (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||
           (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && ((p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
           (n == 3 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf);
}

/* Is an escape that text_escape wrote at the front of SPAN? What was escaped once stays as it is, so that a text may pass several
 * hands on its way to a person. */
static bool is_escape(struct span span)
{
    static const char hex[] = "0123456789abcdef";
    return span.n >= 4 && span.p[0] == '\\' && span.p[1] == 'x' && memchr(hex, span.p[2], 16) && memchr(hex, span.p[3], 16);
}

bool text_escape(char *dest, size_t size, struct span span)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    while (span.n) {
        unsigned char byte = (unsigned char)span.p[0];
        size_t n = utf8_character(span);
        bool plain = n > 1 ? !is_hidden((const unsigned char *)span.p, n)
                           : byte >= 0x20 && byte < 0x7f && (byte != '\\' || is_escape(span));
        if (n == 0 || !plain)
            n = 1;
        if (at + (plain ? n : 4) >= size)
            break;
        if (plain) {
            memcpy(dest + at, span.p, n);
            at += n;
        } else {
            char escaped[4] = { '\\', 'x', hex[byte >> 4], hex[byte & 15] };
            memcpy(dest + at, escaped, sizeof escaped);
            at += sizeof escaped;
        }
        span = span_skip(span, n);
    }
    dest[at] = '\0';
    return span.n == 0;
}

bool text_is_utf8(struct span span)
{
    while (span.n) {
        size_t n = utf8_character(span);
        if (!n)
            return false;
        span = span_skip(span, n);
    }
    return true;
}

unsigned text_distance(struct span a, struct span b)
{
    unsigned row[TEXT_DISTANCE_MAX + 1];
    if (a.n > TEXT_DISTANCE_MAX || b.n > TEXT_DISTANCE_MAX)
        return TEXT_DISTANCE_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}

void *text_zalloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}

void *text_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}
