/* The log: one line an event, logfmt or JSON, on standard error, which is the journal.
 *
 *     struct log_entry entry;
 *     log_begin(&entry, LOG_INFO, "accepted");
 *     log_text(&entry, "id", id);
 *     log_number(&entry, "size", size);
 *     log_end(&entry);
 *
 * Every value is escaped and bounded, so that nobody outside can forge a line or a field. A line is at most LOG_LINE_MAX
 * bytes, and so reaches a pipe whole although all roles write to the same one. Where the reader of the log is slow the line
 * is dropped and counted, never waited for: the next line that goes through carries `dropped=N`.
 *
 * A process that says much gathers its lines (log_gather) and writes several at a time, at the latest before it waits again. A warning
 * or an error takes what was gathered along at once. Where a process falls without a word, what it
 * said in the last moment is lost. */
#ifndef POSTERN_BASE_LOG_H
#define POSTERN_BASE_LOG_H

#include "span.h"
#include "uid.h"

#include <stdint.h>

#define LOG_LINE_MAX 4000

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_entry {
    char line[LOG_LINE_MAX + 96];
    size_t size;
    bool wanted;
    bool urgent; /* it does not wait */
};

/* Sets what is logged from here on: lines below LEVEL are skipped. ROLE is put into each line (a static text). */
void log_setup(enum log_format format, enum log_level level, const char *role);

/* Begins a line for EVENT (one of the names in the manual). Costs nothing further where LEVEL is not wanted. */
void log_begin(struct log_entry *entry, enum log_level level, const char *event);

/* Adds NAME=VALUE; VALUE is escaped, and cut at 1,000 bytes. */
void log_text(struct log_entry *entry, const char *name, struct span value);

/* The same with a NUL-terminated VALUE. */
void log_string(struct log_entry *entry, const char *name, const char *value);

/* The same with a number; JSON has it without quotes. */
void log_number(struct log_entry *entry, const char *name, int64_t value);

/* The same with an ID in its printed form. */
void log_uid(struct log_entry *entry, const char *name, struct uid id);

/* Writes the line, or gathers it. */
void log_end(struct log_entry *entry);

/* From here on lines may wait for log_flush, which the caller calls before it rests; WANTED false writes what waits, and each line at
 * once again. */
void log_gather(bool wanted);

/* Writes the lines that wait. */
void log_flush(void);

/* A line with `text=…` in one call, for what is said to the administrator: event=error or event=notice and the like. The
 * text names the thing, the reason, and what happens next. */
void log_say(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
