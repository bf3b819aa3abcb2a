/* Every byte of every message passes through content_scan, so it works in lines, not bytes: memchr finds the next LF, and the
 * byte in front of it tells whether that was a line's end. Single bytes are looked at only where a line begins with a dot:
 *
 *     LINE_START --"."--> DOT --CR--> DOT_CR --LF--> END
 *
 * A byte that does not go on along this row makes what was held back ordinary text. A bare LF leads to TEXT, never to
 * LINE_START: what follows it is no line, so a dot there ends nothing. After a CR of unknown meaning (the input may end there)
 * the state is CR; the next byte decides.
 *
 * All of it is linear: a byte is searched for LF once, for CR once (and no more once a bare CR was seen), for NUL once and for
 * 8-bit once, each in bulk. */
#include "content.h"

enum state { LINE_START, TEXT, CR, DOT, DOT_CR, END };

/* How many bytes that may yet be the end stand behind the last one given out. */
static size_t pending(unsigned state)
{
    return state < DOT ? 0 : state - DOT + 1;
}

/* Goes on along the row with BYTE; false where BYTE leaves it and has to be read as text. */
static bool take_dot(struct content *content, char byte)
{
    static const char expected[] = { [LINE_START] = '.', [DOT] = '\r', [DOT_CR] = '\n' };
    static const unsigned following[] = { [LINE_START] = DOT, [DOT] = DOT_CR, [DOT_CR] = END };
    if (byte == expected[content->state]) {
        content->state = following[content->state];
        return true;
    }
    content->line_size += pending(content->state);
    content->bare_cr |= content->state == DOT_CR;
    content->state = TEXT;
    return false;
}

/* A line's end was seen: LINE_SIZE counts its CRLF still. A line of a message that is refused anyway, for a bare LF in it, may
 * be counted longer than it is. */
static void end_line(struct content *content)
{
    uint64_t size = content->line_size - 2;
    if (size > content->longest_line)
        content->longest_line = size;
    content->line_size = 0;
    content->state = LINE_START;
}

/* Takes text up to and including the next LF, or all of INPUT (not empty) where there is none. Returns how much it took. */
static size_t take_text(struct content *content, struct span input)
{
    size_t before = span_find(input, '\n');
    bool carried = content->state == CR;
    bool cr_last = before ? input.p[before - 1] == '\r' : carried;
    if (!content->bare_cr && before)
        content->bare_cr = carried || span_find(span_head(input, before - 1), '\r') < before - 1;
    if (before == input.n) {
        content->line_size += before;
        content->state = cr_last ? CR : TEXT;
        return before;
    }
    content->line_size += before + 1;
    if (cr_last) {
        end_line(content);
    } else {
        content->bare_lf = true;
        content->state = TEXT;
    }
    return before + 1;
}

/* Is there a byte above 127 in SPAN? Four words at a time, since most messages have none and are searched to their end. */
static bool has_eight_bit(struct span span)
{
    uint64_t seen = 0, words[4];
    while (span.n >= sizeof words) {
        memcpy(words, span.p, sizeof words);
        seen |= words[0] | words[1] | words[2] | words[3];
        span = span_skip(span, sizeof words);
    }
    memset(words, 0, sizeof words);
    if (span.n)
        memcpy(words, span.p, span.n);
    seen |= words[0] | words[1] | words[2] | words[3];
    return (seen & UINT64_C(0x8080808080808080)) != 0;
}

enum content_progress content_scan(struct content *content, struct span input, struct span *ret_held, struct span *ret_body,
                                   size_t *ret_used)
{
    size_t used = 0, carried = pending(content->state);
    struct span held = SPAN("");
    while (used < input.n && content->state != END) {
        if (content->state == TEXT || content->state == CR) {
            used += take_text(content, span_skip(input, used));
        } else if (take_dot(content, input.p[used])) {
            used++;
        } else if (carried) {
            held = span_head(SPAN(".\r"), carried);
            carried = 0;
        }
    }
    struct span body = span_head(input, used - (pending(content->state) - carried));
    content->size += held.n + body.n;
    content->nul = content->nul || span_find(body, '\0') < body.n;
    content->eight_bit = content->eight_bit || has_eight_bit(body);
    *ret_held = held;
    *ret_body = body;
    *ret_used = used;
    return content->state == END ? CONTENT_END : CONTENT_MORE;
}

/* Appends one line, LINE without its CRLF, in wire form. What postern writes itself has to keep the rule, too: smuggling came back
 * elsewhere by a server's own reports. */
static bool stuff_line(struct span line, struct buffer *out)
{
    return span_find(line, '\r') == line.n && (!line.n || line.p[0] != '.' || buffer_add_byte(out, '.')) &&
           buffer_add(out, line) && buffer_add(out, SPAN("\r\n"));
}

bool content_stuff(struct span plain, struct buffer *out)
{
    size_t size = buffer_size(out);
    bool good = true;
    while (good && plain.n) {
        size_t end = span_find(plain, '\n');
        struct span line = span_head(plain, end);
        if (end < plain.n) {
            good = line.n && line.p[line.n - 1] == '\r';
            line.n -= good;
        }
        good = good && stuff_line(line, out);
        plain = span_skip(plain, end + 1);
    }
    if (!good)
        buffer_truncate(out, size);
    return good;
}

bool content_unstuff(struct span wire, struct buffer *out)
{
    size_t size = buffer_size(out);
    bool good = true;
    if (wire.n && wire.p[0] == '.')
        wire = span_skip(wire, 1);
    while (good && wire.n) {
        const char *dot = memmem(wire.p, wire.n, "\r\n.", 3);
        size_t run = dot ? (size_t)(dot - wire.p) + 2 : wire.n;
        good = buffer_add(out, span_head(wire, run));
        wire = span_skip(wire, run + 1);
    }
    if (!good)
        buffer_truncate(out, size);
    return good;
}
