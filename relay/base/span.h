/* Bytes somewhere, borrowed: the one way in which text and input travel between functions.
 *
 * A span owns nothing and ends with nothing: no NUL is promised. Whoever made it says how long it lives; a function that
 * takes a span may use it until it returns and no longer. */
#ifndef POSTERN_BASE_SPAN_H
#define POSTERN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

/* A span over a string literal, without its NUL. */
#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })

/* For printf's "%.*s"; only for bytes that are known to be harmless (see log.h for the others). */
#define SPAN_ARGS(span) (int)(span).n, (span).p

/* The span of N bytes at P. */
static inline struct span span_make(const char *p, size_t n)
{
    return (struct span){ p, n };
}

/* The span of a NUL-terminated string; NULL gives the empty span. */
static inline struct span span_of(const char *text)
{
    return (struct span){ text, text ? strlen(text) : 0 };
}

/* SPAN with its ASCII letters in lower case, in BYTES, which has room for as many as SPAN has. */
struct span span_lower(struct span span, char *bytes);

/* The text in a char array of SIZE bytes that may lack its NUL, as it comes from another process. */
static inline struct span span_of_array(const char *array, size_t size)
{
    return (struct span){ array, strnlen(array, size) };
}

/* What is left of SPAN after its first N bytes (all of them where N is larger). */
static inline struct span span_skip(struct span span, size_t n)
{
    n = n < span.n ? n : span.n;
    return (struct span){ span.p + n, span.n - n };
}

/* The first N bytes of SPAN (all of it where N is larger). */
static inline struct span span_head(struct span span, size_t n)
{
    return (struct span){ span.p, n < span.n ? n : span.n };
}

/* Same bytes? */
bool span_equal(struct span a, struct span b);

/* Same bytes but for the case of ASCII letters? */
bool span_equal_nocase(struct span a, struct span b);

/* Does SPAN begin with PREFIX, but for the case of ASCII letters? */
bool span_starts_nocase(struct span span, struct span prefix);

/* Does SPAN end with SUFFIX, but for the case of ASCII letters? */
bool span_ends_nocase(struct span span, struct span suffix);

/* Has SPAN no byte above 127? */
bool span_is_ascii(struct span span);

/* SPAN without the spaces and tabs at both ends. */
struct span span_trim(struct span span);

/* Index of the first BYTE in SPAN, or SPAN.n where there is none. */
size_t span_find(struct span span, char byte);

/* Cuts the part before the first BYTE off *SPAN and returns it; *SPAN goes on behind that byte. Without BYTE the whole
 * of *SPAN is returned and *SPAN becomes empty. */
struct span span_cut(struct span *span, char byte);

#endif
