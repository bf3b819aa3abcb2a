/* A field is a line that does not begin with white space and the lines behind it that do. Lines are found by memchr, each once;
 * the name is what stands before the first colon of the whole field, so that a name folded before its colon is seen as some
 * receivers see it. Only CRLF ends a line: a content with a bare LF is refused as a whole elsewhere.
 *
 * header_examine is one pass. What it looks for is a table: a field's name and what to do with its value. Names are told apart by
 * the table's few rows, whatever the number of fields. */
#include "header.h"

#include "../base/text.h"

/* Length of the first line of TEXT with its CRLF; all of TEXT where there is none. A LF without CR is a byte like any other. */
static size_t line_length(struct span text)
{
    size_t at = 0;
    while (at < text.n) {
        at += span_find(span_skip(text, at), '\n');
        if (at < text.n && at && text.p[at - 1] == '\r')
            return at + 1;
        at += at < text.n;
    }
    return text.n;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_empty_line(struct span text)
{
    return text.n >= 2 && text.p[0] == '\r' && text.p[1] == '\n';
}

/* The end may lie across the border of two calls: three of its four bytes may be in front of FROM. */
size_t header_end(struct span content, size_t from)
{
    size_t start = from > 3 ? from - 3 : 0;
    if (is_empty_line(content))
        return 2;
    struct span rest = span_skip(content, start);
    const char *end = rest.n ? memmem(rest.p, rest.n, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - content.p) + 4 : 0;
}

/* Length of a line and the lines that continue it. */
static size_t folded_length(struct span text)
{
    size_t n = line_length(text);
    while (n < text.n && is_space(text.p[n]))
        n += line_length(span_skip(text, n));
    return n;
}

/* The name in front of the colon, without white space behind it; empty where that is no field name (RFC 5322 2.2). */
static struct span field_name(struct span text)
{
    while (text.n && (is_space(text.p[text.n - 1]) || text.p[text.n - 1] == '\r' || text.p[text.n - 1] == '\n'))
        text.n--;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return SPAN("");
    return text.n && text.p[0] != '.' ? text : SPAN("");
}

bool header_next(struct span *rest, struct header_field *ret_field)
{
    if (!rest->n || is_empty_line(*rest) || is_space(rest->p[0]))
        return false;
    struct span whole = span_head(*rest, folded_length(*rest));
    size_t colon = span_find(whole, ':');
    struct span name = field_name(span_head(whole, colon));
    if (colon == whole.n || !name.n)
        return false;
    *ret_field = (struct header_field){ .name = name, .value = span_skip(whole, colon + 1), .whole = whole };
    if (span_ends_nocase(ret_field->value, SPAN("\r\n")))
        ret_field->value.n -= 2;
    *rest = span_skip(*rest, whole.n);
    return true;
}

/* Keeps one more address of From, or counts it as too many. */
static bool note_from(void *context, const char *address)
{
    struct header_facts *facts = context;
    if (facts->from_addresses < HEADER_FROM_MAX)
        text_copy(facts->from[facts->from_addresses], SMTP_ADDRESS_SIZE, span_of(address));
    return ++facts->from_addresses <= HEADER_FROM_MAX;
}

/* Each From field counts, whether or not there may be two: receivers differ in which one they show. */
static void examine_from(struct header_facts *facts, struct span value)
{
    facts->from_fields++;
    if (facts->from_addresses <= HEADER_FROM_MAX && !header_addresses(value, note_from, facts))
        facts->from_malformed = true;
}

/* Keeps the first address of Sender; a second one makes it unreadable. */
static bool note_sender(void *context, const char *address)
{
    struct header_facts *facts = context;
    bool first = !facts->sender[0];
    text_copy(facts->sender, sizeof facts->sender, span_of(first ? address : ""));
    return first;
}

static void examine_sender(struct header_facts *facts, struct span value)
{
    bool again = facts->has_sender;
    facts->has_sender = true;
    if (again || !header_addresses(value, note_sender, facts))
        facts->sender[0] = '\0';
}

static void examine_date(struct header_facts *facts, struct span value)
{
    (void)value;
    facts->has_date = true;
}

/* Of fields that may come once only the first one is kept: it is for people and lists, nothing is decided by it. */
static void examine_message_id(struct header_facts *facts, struct span value)
{
    if (!facts->has_message_id)
        header_unfold(value, facts->message_id, sizeof facts->message_id);
    facts->has_message_id = true;
}

static void examine_received(struct header_facts *facts, struct span value)
{
    (void)value;
    facts->received++;
}

static void examine_subject(struct header_facts *facts, struct span value)
{
    if (!facts->subject[0])
        header_unfold(value, facts->subject, sizeof facts->subject);
}

static void examine_stripped(struct header_facts *facts, struct span value)
{
    (void)value;
    facts->has_stripped = true;
}

/* The fields that matter here. A field that is stripped is one that has examine_stripped. */
static const struct {
    const char *name;
    void (*examine)(struct header_facts *facts, struct span value);
} fields[] = {
    { "From", examine_from },
    { "Sender", examine_sender },
    { "Date", examine_date },
    { "Message-ID", examine_message_id },
    { "Received", examine_received },
    { "Subject", examine_subject },
    { "Return-Path", examine_stripped },
    { "Bcc", examine_stripped },
    { "Resent-Bcc", examine_stripped },
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* What is to be done with a field of NAME, or NULL. */
static void (*find_examine(struct span name))(struct header_facts *, struct span)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (span_equal_nocase(name, span_of(fields[i].name)))
            return fields[i].examine;
    return NULL;
}

/* NAME is followed by the colon itself unless white space stands between: which is allowed in old messages only (RFC 5322 4.5),
 * and read as another field, or as none, by some. */
static void examine_field(struct header_facts *facts, const struct header_field *field)
{
    void (*examine)(struct header_facts *, struct span) = find_examine(field->name);
    if (field->name.p[field->name.n] != ':' && (examine == examine_from || examine == examine_sender))
        facts->space_before_colon = true;
    if (examine)
        examine(facts, field->value);
}

/* A line that is no field. As first line of all it may be " From: …", which some receivers read as a field. */
static void examine_junk(struct header_facts *facts, struct span *rest, bool first)
{
    if (first && is_space(rest->p[0]))
        facts->space_before_colon = true;
    facts->malformed = true;
    *rest = span_skip(*rest, line_length(*rest));
}

void header_examine(struct span header, struct header_facts *ret_facts)
{
    struct span rest = header;
    struct header_field field;
    memset(ret_facts, 0, sizeof *ret_facts);
    while (rest.n && !is_empty_line(rest)) {
        if (header_next(&rest, &field))
            examine_field(ret_facts, &field);
        else
            examine_junk(ret_facts, &rest, rest.p == header.p);
    }
}

/* What is kept is copied in runs: from the end of one stripped field to the next. */
bool header_strip(struct span header, struct buffer *out)
{
    size_t size = buffer_size(out);
    struct span rest = header, kept = span_head(header, 0);
    struct header_field field;
    bool fits = true;
    while (rest.n && !is_empty_line(rest) && fits) {
        if (!header_next(&rest, &field)) {
            rest = span_skip(rest, line_length(rest));
        } else if (find_examine(field.name) == examine_stripped) {
            fits = buffer_add(out, kept);
            kept = span_head(rest, 0);
        }
        kept.n = (size_t)(rest.p - kept.p);
    }
    kept.n += rest.n;
    fits = fits && buffer_add(out, kept);
    if (!fits)
        buffer_truncate(out, size);
    return fits;
}

bool header_unfold(struct span value, char *dest, size_t size)
{
    size_t at = 0;
    bool fits = true;
    dest[0] = '\0';
    while (value.n && fits) {
        struct span line = span_head(value, line_length(value));
        value = span_skip(value, line.n);
        if (span_ends_nocase(line, SPAN("\r\n")))
            line.n -= 2;
        line = span_trim(line);
        if (line.n && at)
            fits = text_escape(dest + at, size - at, SPAN(" "));
        at += strlen(dest + at);
        if (line.n && fits)
            fits = text_escape(dest + at, size - at, line);
        at += strlen(dest + at);
    }
    return fits;
}
