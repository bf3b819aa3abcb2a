/* Small helpers for text in fixed arrays and numbers from outside. */
#ifndef POSTERN_BASE_TEXT_H
#define POSTERN_BASE_TEXT_H

#include "span.h"

#include <stdint.h>

/* Copies SPAN and a NUL into DEST of SIZE bytes; cuts what does not fit (at a UTF-8 character's border). True when all of
 * it fitted. A NUL inside SPAN ends the copy and returns false. */
bool text_copy(char *dest, size_t size, struct span span);

/* printf into DEST of SIZE bytes, always NUL-terminated; true when all of it fitted. */
bool text_format(char *dest, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A heap copy of SPAN with a NUL behind it; free() it. Never NULL: out of memory ends the process. */
char *text_dup(struct span span);

/* Reads SPAN, decimal digits only and all of it, into *ret_value when MIN <= value <= MAX; false otherwise. The one way in
 * which numbers come in from outside. */
bool text_number(struct span span, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Lower-cases ASCII letters of TEXT in place. */
void text_lower(char *text);

/* Copies SPAN into DEST of SIZE bytes as what is safe to show: control bytes, bytes that are not UTF-8, and backslash become \xNN.
 * Kept are UTF-8, but for the characters that hide what a line says (C1 controls, zero width, turns of direction), and escapes of
 * this very form. For what a person reads: replies, names, log values. True when all of it fitted. */
bool text_escape(char *dest, size_t size, struct span span);

/* Is SPAN well-formed UTF-8 (RFC 3629: shortest form, no surrogates)? */
bool text_is_utf8(struct span span);

#define TEXT_DISTANCE_MAX 32

/* How many letters must change to make B of A (Levenshtein); TEXT_DISTANCE_MAX where one is longer than that. */
unsigned text_distance(struct span a, struct span b);

/* calloc(1, SIZE) that ends the process when there is no memory: a role is started again by its parent. free() it. */
void *text_zalloc(size_t size);

/* realloc that ends the process in the same way. What is new is not zeroed; OLD may be NULL. */
void *text_realloc(void *old, size_t size);

#endif
