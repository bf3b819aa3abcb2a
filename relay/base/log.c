/* A line is built in the caller's struct, and gathered lines are written with one write(2): up to PIPE_BUF they reach a pipe whole.
 * Standard error is made non-blocking by nobody: poll with no wait asks first whether it takes them, so that a log reader that hangs
 * cannot stop the mail. */
#include "log.h"

#include "clock.h"
#include "text.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_VALUE_MAX 1000

static struct {
    enum log_format format;
    enum log_level level;
    const char *role;
    bool gathers;
    uint64_t dropped; /* lines that no line has told of yet */
} setup = { .format = LOG_LOGFMT, .level = LOG_INFO, .role = "posternd" };

_Static_assert(sizeof(((struct log_entry *)NULL)->line) <= PIPE_BUF, "a line must fit into what is gathered");

/* Lines that wait to be written. */
static struct {
    char bytes[PIPE_BUF];
    size_t size;
    uint64_t lines;
    uint64_t told; /* dropped ones that they tell of */
} gathered;

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
    entry->urgent = level >= LOG_WARNING;
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

void log_flush(void)
{
    struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (!gathered.size)
        return;
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT) ||
        write(STDERR_FILENO, gathered.bytes, gathered.size) != (ssize_t)gathered.size)
        setup.dropped += gathered.lines + gathered.told;
    gathered.size = 0;
    gathered.lines = gathered.told = 0;
}

void log_gather(bool wanted)
{
    setup.gathers = wanted;
    if (!wanted)
        log_flush();
}

/* Adds LINE, which tells of TOLD dropped ones. */
static void gather(struct span line, uint64_t told)
{
    if (gathered.size + line.n > sizeof gathered.bytes)
        log_flush();
    memcpy(gathered.bytes + gathered.size, line.p, line.n);
    gathered.size += line.n;
    gathered.lines++;
    gathered.told += told;
    setup.dropped -= told;
}

void log_end(struct log_entry *entry)
{
    uint64_t told = setup.dropped;
    if (!entry->wanted)
        return;
    if (told)
        log_number(entry, "dropped", (int64_t)told);
    size_t n = entry->size;
    if (setup.format == LOG_JSON)
        entry->line[n++] = '}';
    entry->line[n++] = '\n';
    gather(span_make(entry->line, n), told);
    if (!setup.gathers || entry->urgent)
        log_flush();
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
