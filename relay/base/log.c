/* A line is built in the caller's struct and written with one write(2): up to PIPE_BUF it reaches a pipe whole. Standard error is
 * made non-blocking by nobody: poll with no wait asks first whether it takes a line, so that a log reader that hangs cannot stop
 * the mail. */
#include "log.h"

#include "clock.h"
#include "text.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_VALUE_MAX 1000

static struct {
    enum log_format format;
    enum log_level level;
    const char *role;
    uint64_t dropped;
} setup = { .format = LOG_LOGFMT, .level = LOG_INFO, .role = "posternd" };

static const char *const level_names[] = { "debug", "info", "warning", "error" };

void log_setup(enum log_format format, enum log_level level, const char *role)
{
    setup.format = format;
    setup.level = level;
    setup.role = role;
}

static void put(struct log_entry *entry, const char *bytes, size_t n)
{
    if (entry->size + n <= LOG_LINE_MAX) {
        memcpy(entry->line + entry->size, bytes, n);
        entry->size += n;
    }
}

/* Does VALUE read as one word, so that logfmt needs no quotes? */
static bool is_word(struct span value)
{
    if (!value.n)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == ' ' || value.p[i] == '"' || value.p[i] == '=')
            return false;
    return true;
}

/* ESCAPED is printable already (text_escape); its backslashes and quotes are escaped once more for the quoted form. In JSON "\x"
 * is no escape, so every backslash is doubled; logfmt keeps text_escape's own, behind which two digits always follow. */
static void put_quoted(struct log_entry *entry, struct span escaped)
{
    put(entry, "\"", 1);
    for (size_t i = 0; i < escaped.n; i++) {
        if (escaped.p[i] == '"' || (escaped.p[i] == '\\' && setup.format == LOG_JSON))
            put(entry, "\\", 1);
        put(entry, escaped.p + i, 1);
    }
    put(entry, "\"", 1);
}

static void put_name(struct log_entry *entry, const char *name)
{
    if (setup.format == LOG_JSON) {
        put(entry, entry->size > 1 ? ",\"" : "\"", entry->size > 1 ? 2 : 1);
        put(entry, name, strlen(name));
        put(entry, "\":", 2);
    } else {
        if (entry->size)
            put(entry, " ", 1);
        put(entry, name, strlen(name));
        put(entry, "=", 1);
    }
}

void log_text(struct log_entry *entry, const char *name, struct span value)
{
    char escaped[LOG_VALUE_MAX + 1];
    if (!entry->wanted)
        return;
    text_escape(escaped, sizeof escaped, value);
    struct span shown = span_of(escaped);
    size_t worst = strlen(name) + 2 * shown.n + 8;
    if (entry->size + worst > LOG_LINE_MAX)
        return; /* a field is there whole or not at all */
    put_name(entry, name);
    if (setup.format == LOG_LOGFMT && is_word(shown))
        put(entry, shown.p, shown.n);
    else
        put_quoted(entry, shown);
}

void log_string(struct log_entry *entry, const char *name, const char *value)
{
    log_text(entry, name, span_of(value));
}

void log_number(struct log_entry *entry, const char *name, int64_t value)
{
    char digits[32];
    if (!entry->wanted)
        return;
    int n = snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_name(entry, name);
    put(entry, digits, (size_t)n);
}

void log_uid(struct log_entry *entry, const char *name, struct uid id)
{
    char text[UID_TEXT_SIZE];
    if (!entry->wanted)
        return;
    uid_print(id, text);
    log_string(entry, name, text);
}

void log_begin(struct log_entry *entry, enum log_level level, const char *event)
{
    char now[CLOCK_TEXT_SIZE];
    entry->size = 0;
    entry->wanted = level >= setup.level;
    if (!entry->wanted)
        return;
    if (setup.format == LOG_JSON)
        put(entry, "{", 1);
    clock_rfc3339(clock_wall_ms(), now);
    log_string(entry, "time", now);
    log_string(entry, "level", level_names[level]);
    log_string(entry, "role", setup.role);
    log_string(entry, "event", event);
}

void log_end(struct log_entry *entry)
{
    if (!entry->wanted)
        return;
    if (setup.dropped)
        log_number(entry, "dropped", (int64_t)setup.dropped);
    size_t n = entry->size;
    if (setup.format == LOG_JSON)
        entry->line[n++] = '}';
    entry->line[n++] = '\n';
    struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT && write(STDERR_FILENO, entry->line, n) == (ssize_t)n)
        setup.dropped = 0;
    else
        setup.dropped++;
}

void log_say(enum log_level level, const char *event, const char *format, ...)
{
    struct log_entry entry;
    char text[LOG_VALUE_MAX + 1];
    log_begin(&entry, level, event);
    if (!entry.wanted)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_string(&entry, "text", text);
    log_end(&entry);
}
