/* Screens are made for 80 columns, so that they fit a terminal, a mail and a printed page; what does not fit in its column gets
 * lines of its own instead of being cut, since the end of a reply is often what matters.
 *
 * Columns are counted as a terminal shows them: an address or a reply may hold any UTF-8 (RFC 6531, RFC 6532), whose characters
 * take none, one or two. The C.UTF-8 locale is asked for that, whatever the caller's own is. Bytes that could move the cursor
 * never come this far: the daemon escapes them (text_escape), and --json gives the same text.
 *
 * A field that is missing reads as "" or 0: a newer or older daemon's answer is shown as far as it goes, during an upgrade too.
 * Times come in UTC and are shown by this machine's clock, as journalctl shows its own. */
#include "screen.h"

#include "../base/text.h"

#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define WIDTH 80

/* The text at NAME, or "". */
const char *screen_text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int64_t screen_number_at(const json_t *object, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(object, name));
}

/* An RFC 3339 time in UTC to seconds since 1970; 0 where it is none. */
static time_t seconds_of(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

/* A time as the clock on the wall has it: "2026-11-24 22:15:03". */
const char *screen_local_time(const char *text, char shown[32])
{
    time_t seconds = seconds_of(text);
    struct tm tm;
    if (!seconds || !localtime_r(&seconds, &tm) || !strftime(shown, 32, "%Y-%m-%d %H:%M:%S", &tm))
        text_copy(shown, 32, SPAN("-"));
    return shown;
}

/* A span of time in its two largest units: "3m12s", "2d4h". */
const char *screen_duration(int64_t seconds, char shown[32])
{
    static const struct {
        int64_t size;
        char name;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;
    seconds = seconds < 0 ? 0 : seconds;
    while (i < 3 && seconds < units[i].size)
        i++;
    if (i == 3 || seconds % units[i].size < units[i + 1].size)
        text_format(shown, 32, "%" PRId64 "%c", seconds / units[i].size, units[i].name);
    else
        text_format(shown, 32, "%" PRId64 "%c%" PRId64 "%c", seconds / units[i].size, units[i].name,
                    seconds % units[i].size / units[i + 1].size, units[i + 1].name);
    return shown;
}

/* How long from now until (or since) TEXT. */
const char *screen_away(const char *text, char shown[32])
{
    int64_t seconds = (int64_t)difftime(seconds_of(text), time(NULL));
    return screen_duration(seconds < 0 ? -seconds : seconds, shown);
}

/* What makes a word for one of something a word for N. */
const char *screen_plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* How many columns of a terminal the character at the front of TEXT takes; *ret_n is how many bytes it has. */
static size_t character(struct span text, size_t *ret_n)
{
    static locale_t utf8;
    wchar_t wide;
    *ret_n = 1;
    if ((unsigned char)text.p[0] < 0x80)
        return 1;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return ((unsigned char)text.p[0] & 0xc0) != 0x80; /* a character's first byte stands for all of it */
    locale_t before = uselocale(utf8);
    size_t n = mbrtowc(&wide, text.p, text.n, &(mbstate_t){ 0 });
    int columns = n <= text.n ? wcwidth(wide) : 1;
    uselocale(before);
    *ret_n = n && n <= text.n ? n : 1;
    return columns < 0 ? 1 : (size_t)columns;
}

/* How many bytes of TEXT have room in COLUMNS columns; *ret_used is how many of these they take. */
static size_t fit(struct span text, size_t columns, size_t *ret_used)
{
    size_t at = 0, n;
    *ret_used = 0;
    while (at < text.n) {
        size_t wide = character(span_skip(text, at), &n);
        if (*ret_used + wide > columns)
            break;
        *ret_used += wide;
        at += n;
    }
    return at;
}

size_t screen_cut(const char *text, size_t columns)
{
    size_t used;
    return fit(span_of(text), columns, &used);
}

/* How many bytes of TEXT, N of which have room in a line, to put there: up to the last space in its second half where there is one. */
static size_t line_end(struct span text, size_t n)
{
    size_t end = n;
    while (n < text.n && end > n / 2 && text.p[end] != ' ')
        end--;
    return n < text.n && text.p[end] == ' ' && end > n / 2 ? end : n;
}

/* TEXT from column AT on, where the cursor stands, and on as many lines more as it needs, each behind INDENT spaces. */
void screen_flow(size_t at, size_t indent, const char *text)
{
    struct span rest = span_of(text);
    do {
        size_t used, n = line_end(rest, fit(rest, at < WIDTH ? WIDTH - at : 0, &used));
        if (rest.n && !n && at <= indent)
            character(rest, &n); /* no room at all: go on nevertheless */
        printf("%.*s\n", (int)n, rest.p);
        rest = span_trim(span_skip(rest, n));
        at = indent;
        if (rest.n)
            printf("%*s", (int)indent, "");
    } while (rest.n);
}

/* The same for a formatted text. */
__attribute__((format(printf, 3, 4))) void screen_flow_format(size_t at, size_t indent, const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    screen_flow(at, indent, text);
}

/* TEXT, where there is one, on lines of its own behind INDENT spaces. */
void screen_wrapped(size_t indent, const char *text)
{
    if (!*text)
        return;
    printf("%*s", (int)indent, "");
    screen_flow(indent, indent, text);
}

/* TEXT in a column of a table: from AT on and WIDE. One that is wider gets lines of its own, and the row goes on below. */
void screen_column(size_t at, size_t wide, const char *text)
{
    size_t used, n = fit(span_of(text), wide, &used);
    if (n == strlen(text)) {
        printf("%s%*s", text, (int)(wide - used), "");
    } else {
        screen_flow(at, at + 2, text);
        printf("%*s", (int)(at + wide), "");
    }
}
