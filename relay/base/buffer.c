#include "buffer.h"

#include "text.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_KEEP  4096 /* an emptied buffer larger than this gives its memory back */
#define BUFFER_FIRST 256  /* first allocation */

void buffer_init(struct buffer *buffer, size_t max)
{
    *buffer = (struct buffer){ .max = max };
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->max);
}

void buffer_wipe(struct buffer *buffer)
{
    if (buffer->data)
        OPENSSL_cleanse(buffer->data, buffer->capacity);
    buffer_fini(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = buffer->end = 0;
    buffer->overflow = false;
}

void buffer_consume(struct buffer *buffer, size_t n)
{
    size_t size = buffer_size(buffer);
    buffer->start += n < size ? n : size;
    if (buffer->start < buffer->end)
        return;
    buffer->start = buffer->end = 0;
    if (buffer->capacity > BUFFER_KEEP) {
        free(buffer->data);
        buffer->data = NULL;
        buffer->capacity = 0;
    }
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
    if (size < buffer_size(buffer))
        buffer->end = buffer->start + size;
}

/* Makes room behind `end` for N bytes and one more, for buffer_text's NUL. */
static void make_room(struct buffer *buffer, size_t n)
{
    size_t size = buffer_size(buffer);
    if (buffer->capacity - buffer->end > n && buffer->data)
        return;
    if (buffer->start > size && buffer->capacity - size > n && buffer->data) {
        memmove(buffer->data, buffer->data + buffer->start, size);
    } else {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST;
        while (capacity - size <= n)
            capacity *= 2;
        char *data = text_realloc(NULL, capacity);
        if (size)
            memcpy(data, buffer->data + buffer->start, size);
        free(buffer->data);
        buffer->data = data;
        buffer->capacity = capacity;
    }
    buffer->start = 0;
    buffer->end = size;
}

char *buffer_reserve(struct buffer *buffer, size_t n)
{
    if (n > buffer->max || buffer_size(buffer) > buffer->max - n) {
        buffer->overflow = true;
        return NULL;
    }
    make_room(buffer, n);
    return buffer->data + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t n)
{
    buffer->end += n;
}

bool buffer_add(struct buffer *buffer, struct span span)
{
    char *to = buffer_reserve(buffer, span.n);
    if (!to)
        return false;
    if (span.n)
        memcpy(to, span.p, span.n);
    buffer->end += span.n;
    return true;
}

bool buffer_add_text(struct buffer *buffer, const char *text)
{
    return buffer_add(buffer, span_of(text));
}

bool buffer_add_byte(struct buffer *buffer, char byte)
{
    return buffer_add(buffer, span_make(&byte, 1));
}

bool buffer_addf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *to = n < 0 ? NULL : buffer_reserve(buffer, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        buffer->end += (size_t)n;
    }
    va_end(again);
    return to != NULL;
}

const char *buffer_text(struct buffer *buffer)
{
    make_room(buffer, 1);
    buffer->data[buffer->end] = '\0';
    return buffer->data + buffer->start;
}
