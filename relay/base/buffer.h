/* A growing run of bytes with a limit: the only way in which postern builds output and gathers input.
 *
 * Every buffer has a maximum, given when it is made. What would pass it is not added, the buffer stays as it was, the call
 * returns false and the buffer remembers (`overflow`), so that a chain of adds can be checked once at its end. */
#ifndef POSTERN_BASE_BUFFER_H
#define POSTERN_BASE_BUFFER_H

#include "span.h"

#include <stdarg.h>
#include <stdint.h>

struct buffer {
    char *data;      /* allocated bytes, NULL while nothing was added */
    size_t start;    /* first byte that was not consumed */
    size_t end;      /* behind the last byte added */
    size_t capacity; /* bytes allocated */
    size_t max;      /* never more than this many unconsumed bytes */
    bool overflow;   /* something did not fit since buffer_init or buffer_clear */
};

/* Makes BUFFER empty, with room for at most MAX bytes. Allocates nothing yet. */
void buffer_init(struct buffer *buffer, size_t max);

/* Frees what BUFFER holds; it is empty and usable afterwards. */
void buffer_fini(struct buffer *buffer);

/* As buffer_fini, but wipes the bytes first: for secrets. */
void buffer_wipe(struct buffer *buffer);

/* Forgets the bytes but keeps the memory; clears `overflow`. */
void buffer_clear(struct buffer *buffer);

/* The unconsumed bytes; valid until the next add. */
static inline struct span buffer_span(const struct buffer *buffer)
{
    return span_make(buffer->data ? buffer->data + buffer->start : "", buffer->end - buffer->start);
}

/* How many unconsumed bytes there are. */
static inline size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Takes N bytes (at most all) from the front. Frees the memory when nothing is left and it is larger than 4 KiB. */
void buffer_consume(struct buffer *buffer, size_t n);

/* Cuts BUFFER down to its first SIZE unconsumed bytes. */
void buffer_truncate(struct buffer *buffer, size_t size);

/* Makes room for N more bytes and returns where to put them, or NULL where that would pass the maximum (and notes it).
 * buffer_commit says how many were put. */
char *buffer_reserve(struct buffer *buffer, size_t n);

/* Adds the N bytes that were written behind buffer_reserve's pointer. */
void buffer_commit(struct buffer *buffer, size_t n);

/* Appends SPAN. False, and nothing added, when it does not fit. */
bool buffer_add(struct buffer *buffer, struct span span);

/* Appends TEXT without its NUL; else as buffer_add. */
bool buffer_add_text(struct buffer *buffer, const char *text);

/* Appends one byte; else as buffer_add. */
bool buffer_add_byte(struct buffer *buffer, char byte);

/* Appends what printf would make of FORMAT; else as buffer_add. */
bool buffer_addf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bytes as a NUL-terminated string (a NUL is put behind the last byte without counting it); valid until the next call.
 * Never NULL. */
const char *buffer_text(struct buffer *buffer);

#endif
