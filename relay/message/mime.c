/* Lines are gathered, and each is one of four things: the delimiter of a multipart that is open, a line of a header, a line of a body
 * that is wanted, or nothing of interest. Delimiters are looked for from the innermost multipart outwards, in headers as well, so that a
 * part which was cut off ends with the multipart around it. A part whose encoding is undone has lines of its own, gathered in the same
 * way from what is decoded. */
#include "mime.h"

#include "../base/text.h"
#include "header.h"

#include <ctype.h>
#include <stdlib.h>

#define BOUNDARY_MAX 70 /* RFC 2046 5.1.1 */

enum state {
    STATE_HEADER,
    STATE_WANTED, /* a body whose lines are given out */
    STATE_IGNORED /* a body that nobody wants; in front of the first part and behind the last */
};

enum encoding { ENCODING_NONE, ENCODING_QUOTED, ENCODING_BASE64 };

/* A line that is being gathered; what is beyond its size is left out. */
struct line {
    size_t n;
    char bytes[MIME_LINE_MAX];
};

struct boundary {
    size_t n;
    char text[BOUNDARY_MAX + 1];
};

struct mime {
    const struct mime_visitor *visitor;
    void *context;
    size_t taken; /* bytes of content */
    struct line line;
    enum state state;
    struct buffer header; /* of the part that begins */
    struct boundary boundaries[MIME_DEPTH_MAX];
    unsigned depth; /* multiparts that are open */
    enum encoding encoding;
    struct line decoded;
    uint32_t bits; /* of base64, and how many of them are not given out yet */
    unsigned nbits;
    bool padded; /* base64 has ended */
};

struct mime *mime_new(const struct mime_visitor *visitor, void *context)
{
    struct mime *mime = text_zalloc(sizeof *mime);
    mime->visitor = visitor;
    mime->context = context;
    buffer_init(&mime->header, MIME_HEADER_MAX);
    return mime;
}

void mime_free(struct mime **mime)
{
    if (!*mime)
        return;
    buffer_fini(&(*mime)->header);
    free(*mime);
    *mime = NULL;
}

static void gather(struct line *line, struct span bytes)
{
    bytes = span_head(bytes, sizeof line->bytes - line->n);
    if (bytes.n)
        memcpy(line->bytes + line->n, bytes.p, bytes.n);
    line->n += bytes.n;
}

/* The line without the CR of its end; it is empty for the next one then, but its bytes stay until that comes. */
static struct span take_line(struct line *line)
{
    struct span whole = span_make(line->bytes, line->n);
    line->n = 0;
    if (whole.n && whole.p[whole.n - 1] == '\r')
        whole.n--;
    return whole;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span text)
{
    while (text.n && is_space(text.p[0]))
        text = span_skip(text, 1);
    while (text.n && is_space(text.p[text.n - 1]))
        text.n--;
    return text;
}

/* Takes what stands before the next semicolon outside of quotes from the front of *REST. */
static struct span cut_parameter(struct span *rest)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < rest->n && (quoted || rest->p[n] != ';'); n++) {
        if (rest->p[n] == '"')
            quoted = !quoted;
        else if (quoted && rest->p[n] == '\\' && n + 1 < rest->n)
            n++;
    }
    struct span part = trim(span_head(*rest, n));
    *rest = span_skip(*rest, n + 1);
    return part;
}

/* Writes VALUE, a token or a quoted string, plainly. False, and "", where it does not fit. */
static bool unquote(struct span value, char *dest, size_t size)
{
    bool quoted = value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"';
    size_t n = 0;
    if (quoted)
        value = span_make(value.p + 1, value.n - 2);
    for (size_t i = 0; i < value.n; i++) {
        if (quoted && value.p[i] == '\\' && i + 1 < value.n)
            i++;
        if (n + 1 == size || !value.p[i]) {
            dest[0] = '\0';
            return false;
        }
        dest[n++] = value.p[i];
    }
    dest[n] = '\0';
    return true;
}

/* The parameter NAME of a Content-Type field's VALUE (RFC 2045 5.1), or "". */
static void find_parameter(struct span value, struct span name, char *dest, size_t size)
{
    dest[0] = '\0';
    cut_parameter(&value);
    while (value.n) {
        struct span parameter = cut_parameter(&value), key = trim(span_cut(&parameter, '='));
        if (!span_equal_nocase(key, name))
            continue;
        unquote(trim(parameter), dest, size);
        return;
    }
}

/* The value of the first field NAME of HEADER; empty where there is none. Lines that are no fields are stepped over. */
static struct span find_field(struct span header, struct span name)
{
    struct header_field field;
    while (header.n) {
        if (!header_next(&header, &field))
            span_cut(&header, '\n');
        else if (span_equal_nocase(field.name, name))
            return field.value;
    }
    return SPAN("");
}

static void open_multipart(struct mime *mime, struct span value)
{
    struct boundary *boundary = &mime->boundaries[mime->depth];
    find_parameter(value, SPAN("boundary"), boundary->text, sizeof boundary->text);
    boundary->n = strlen(boundary->text);
    if (boundary->n)
        mime->depth++;
}

static enum encoding find_encoding(struct span header)
{
    struct span value = trim(find_field(header, SPAN("Content-Transfer-Encoding")));
    if (span_equal_nocase(value, SPAN("base64")))
        return ENCODING_BASE64;
    return span_equal_nocase(value, SPAN("quoted-printable")) ? ENCODING_QUOTED : ENCODING_NONE;
}

/* The header of a part is complete. */
static void begin_body(struct mime *mime)
{
    struct span header = buffer_span(&mime->header), value = find_field(header, SPAN("Content-Type")), rest = value;
    struct mime_part part = { .depth = mime->depth };
    struct span type = cut_parameter(&rest);
    if (!type.n || !text_copy(part.type, sizeof part.type, type))
        text_copy(part.type, sizeof part.type, SPAN("text/plain"));
    text_lower(part.type);
    find_parameter(value, SPAN("report-type"), part.report_type, sizeof part.report_type);
    text_lower(part.report_type);
    bool wanted = mime->visitor->part(mime->context, &part);
    bool multipart = span_starts_nocase(span_of(part.type), SPAN("multipart/"));
    mime->state = wanted && !multipart ? STATE_WANTED : STATE_IGNORED;
    mime->encoding = find_encoding(header);
    mime->bits = mime->nbits = 0;
    mime->padded = false;
    mime->decoded.n = 0;
    if (multipart && mime->depth < MIME_DEPTH_MAX)
        open_multipart(mime, value);
    buffer_clear(&mime->header);
}

/* A byte of a decoded body. */
static void decode_byte(struct mime *mime, char byte)
{
    if (byte == '\n')
        mime->visitor->line(mime->context, take_line(&mime->decoded));
    else
        gather(&mime->decoded, span_make(&byte, 1));
}

static void decode_base64(struct mime *mime, struct span line)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < line.n && !mime->padded; i++) {
        const char *at = line.p[i] ? strchr(alphabet, line.p[i]) : NULL;
        mime->padded = line.p[i] == '=';
        if (!at)
            continue; /* RFC 2045 6.8: all other characters are ignored */
        mime->bits = mime->bits << 6 | (uint32_t)(at - alphabet);
        mime->nbits += 6;
        if (mime->nbits < 8)
            continue;
        mime->nbits -= 8;
        decode_byte(mime, (char)(mime->bits >> mime->nbits & 0xff));
    }
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "=XX" at the front of TEXT stands for, or -1. */
static int escaped_byte(struct span text)
{
    if (text.n < 3 || text.p[0] != '=' || hex_of(text.p[1]) < 0 || hex_of(text.p[2]) < 0)
        return -1;
    return hex_of(text.p[1]) * 16 + hex_of(text.p[2]);
}

/* A "=" at the end joins a line and the next one (RFC 2045 6.7); one that escapes nothing stands for itself. */
static void decode_quoted(struct mime *mime, struct span line)
{
    while (line.n && is_space(line.p[line.n - 1]))
        line.n--;
    bool joins = line.n && line.p[line.n - 1] == '=';
    line.n -= joins;
    while (line.n) {
        int byte = escaped_byte(line);
        decode_byte(mime, byte < 0 ? line.p[0] : (char)byte);
        line = span_skip(line, byte < 0 ? 1 : 3);
    }
    if (!joins)
        decode_byte(mime, '\n');
}

static void body_line(struct mime *mime, struct span line)
{
    if (mime->encoding == ENCODING_BASE64)
        decode_base64(mime, line);
    else if (mime->encoding == ENCODING_QUOTED)
        decode_quoted(mime, line);
    else
        mime->visitor->line(mime->context, line);
}

/* The part that is open ends: what is left of it is given out. */
static void end_part(struct mime *mime)
{
    if (mime->state == STATE_HEADER)
        begin_body(mime);
    if (mime->state == STATE_WANTED && mime->decoded.n)
        decode_byte(mime, '\n');
    mime->state = STATE_IGNORED;
}

/* Is LINE the delimiter of BOUNDARY? *ret_last: the one that closes it (RFC 2046 5.1.1: white space may follow). */
static bool is_delimiter(const struct boundary *boundary, struct span line, bool *ret_last)
{
    if (line.n < 2 + boundary->n || !span_equal(span_head(line, 2), SPAN("--")) ||
        !span_equal(span_head(span_skip(line, 2), boundary->n), span_make(boundary->text, boundary->n)))
        return false;
    struct span rest = trim(span_skip(line, 2 + boundary->n));
    *ret_last = span_equal(rest, SPAN("--"));
    return !rest.n || *ret_last;
}

/* Ends what LINE delimits, and begins the next part. False where it delimits nothing. */
static bool cross_boundary(struct mime *mime, struct span line)
{
    bool last;
    unsigned at = mime->depth;
    if (line.n < 3 || line.p[0] != '-')
        return false;
    while (at && !is_delimiter(&mime->boundaries[at - 1], line, &last))
        at--;
    if (!at)
        return false;
    end_part(mime);
    mime->depth = last ? at - 1 : at;
    mime->state = last ? STATE_IGNORED : STATE_HEADER;
    return true;
}

static void header_line(struct mime *mime, struct span line)
{
    if (!line.n)
        begin_body(mime);
    else if (!mime->header.overflow && buffer_add(&mime->header, line))
        buffer_add_text(&mime->header, "\r\n");
}

static void take(struct mime *mime)
{
    struct span line = take_line(&mime->line);
    if (line.n && line.p[0] == '.')
        line = span_skip(line, 1);
    if (cross_boundary(mime, line))
        return;
    if (mime->state == STATE_HEADER)
        header_line(mime, line);
    else if (mime->state == STATE_WANTED)
        body_line(mime, line);
}

void mime_add(struct mime *mime, struct span wire)
{
    wire = span_head(wire, MIME_BYTES_MAX - mime->taken);
    mime->taken += wire.n;
    while (wire.n) {
        bool ends = span_find(wire, '\n') < wire.n;
        gather(&mime->line, span_cut(&wire, '\n'));
        if (ends)
            take(mime);
    }
}

void mime_end(struct mime *mime)
{
    if (mime->line.n)
        take(mime);
    end_part(mime);
}
