/* What answers for people are printed with: members of an object, times, and text in 80 columns. */
#ifndef POSTERN_CLI_SCREEN_H
#define POSTERN_CLI_SCREEN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The text at NAME of OBJECT, or "". Borrowed. */
const char *screen_text_at(const json_t *object, const char *name);

/* The number there, or 0. */
int64_t screen_number_at(const json_t *object, const char *name);

/* An RFC 3339 time as the clock on the wall has it: "2026-11-24 22:15:03"; "-" where it is none. */
const char *screen_local_time(const char *text, char shown[32]);

/* Seconds in their two largest units: "3m12s", "2d4h". */
const char *screen_duration(int64_t seconds, char shown[32]);

/* How long from now until (or since) the time TEXT. */
const char *screen_away(const char *text, char shown[32]);

/* What makes a word for one of something a word for N. */
const char *screen_plural(int64_t n);

/* TEXT from column AT on, where the cursor stands, and on as many lines more as it needs, each behind INDENT spaces. */
void screen_flow(size_t at, size_t indent, const char *text);

/* The same for a formatted text. */
void screen_flow_format(size_t at, size_t indent, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* TEXT, where there is one, on lines of its own behind INDENT spaces. */
void screen_wrapped(size_t indent, const char *text);

/* How many bytes of TEXT have room in COLUMNS columns. */
size_t screen_cut(const char *text, size_t columns);

/* TEXT in a column of a table: from AT on and WIDE. One that is wider gets lines of its own, and the row goes on below. */
void screen_column(size_t at, size_t wide, const char *text);

#endif
