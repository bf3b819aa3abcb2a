/* Plain appends, since this runs once a message: no format strings. Every foreign text in it (the client's HELO name, the
 * recipient) is reduced to bytes that mean nothing to a header's grammar, so that nobody writes a line or closes a comment of
 * ours. Lines are folded at fixed places; only a very long name or recipient makes one longer than 78 columns. */
#include "received.h"

#include "../base/clock.h"

#define FOLD      "\r\n\t"
#define MARK_WORD "mark"

/* Appends a name of the client's: letters, digits and ".-_:[]" as they are, anything else as "?". */
static bool add_name(struct buffer *out, struct span name)
{
    bool fits = name.n > 0 || buffer_add_text(out, "unknown");
    for (size_t i = 0; i < name.n && fits; i++) {
        char c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(".-_:[]", c));
        fits = buffer_add_byte(out, plain ? c : '?');
    }
    return fits;
}

/* from HELO ([address]) */
static bool add_from(struct buffer *out, const struct envelope *envelope)
{
    struct span client = span_of(envelope->client);
    bool six = span_find(client, ':') < client.n;
    return buffer_add_text(out, "from ") && add_name(out, span_of(envelope->helo)) &&
           buffer_add_text(out, six ? " ([IPv6:" : " ([") && add_name(out, client) && buffer_add_text(out, "])" FOLD);
}

/* with ESMTPSA (RFC 3848); with UTF8SMTPSA (RFC 6531 4.3) */
static bool add_protocol(struct buffer *out, const struct envelope *envelope, const struct received_facts *facts)
{
    const char *smtp = facts->esmtp ? "ESMTP" : "SMTP";
    return buffer_add_text(out, " with ") && buffer_add_text(out, envelope->flags & ENVELOPE_SMTPUTF8 ? "UTF8SMTP" : smtp) &&
           buffer_add_text(out, facts->tls_version ? "S" : "") && buffer_add_text(out, envelope->account[0] ? "A" : "");
}

/* (TLSv1.3 TLS_AES_256_GCM_SHA384) */
static bool add_tls(struct buffer *out, const struct received_facts *facts)
{
    if (!facts->tls_version)
        return true;
    return buffer_add_text(out, FOLD "(") && add_name(out, span_of(facts->tls_version)) &&
           (!facts->tls_cipher || (buffer_add_text(out, " ") && add_name(out, span_of(facts->tls_cipher)))) &&
           buffer_add_text(out, ")");
}

/* (mark 0123456789abcdef) */
static bool add_mark(struct buffer *out, const struct envelope *envelope, const struct received_facts *facts)
{
    char text[MARK_TEXT_SIZE];
    if (!facts->tag)
        return true;
    mark_print(mark_of(facts->tag, envelope->id), text);
    return buffer_add_text(out, FOLD "(" MARK_WORD " ") && buffer_add_text(out, text) && buffer_add_text(out, ")");
}

/* for <address>: none where there are several recipients, since they may not know of each other. An address in normal form
 * has no control bytes; were there any, it would be left out. */
static bool add_for(struct buffer *out, const struct envelope *envelope)
{
    if (envelope->nrecipients != 1)
        return true;
    struct span address = span_of(envelope->recipients[0].address);
    for (size_t i = 0; i < address.n; i++)
        if ((unsigned char)address.p[i] < ' ' || address.p[i] == 0x7f)
            return true;
    return buffer_add_text(out, FOLD "for <") && buffer_add(out, address) && buffer_add_text(out, ">");
}

static bool add_received(struct buffer *out, const struct envelope *envelope, const struct received_facts *facts, const char *id,
                         const char *date)
{
    return buffer_add_text(out, "Received: ") && (facts->hide_client || add_from(out, envelope)) && buffer_add_text(out, "by ") &&
           buffer_add_text(out, facts->hostname) && add_protocol(out, envelope, facts) && buffer_add_text(out, " id ") &&
           buffer_add_text(out, id) && add_mark(out, envelope, facts) && add_tls(out, facts) && add_for(out, envelope) &&
           buffer_add_text(out, ";" FOLD) && buffer_add_text(out, date) && buffer_add_text(out, "\r\n");
}

/* Our id is unique over all machines and restarts, so it is the left side too: what the log says leads to the message. */
static bool add_message_id(struct buffer *out, const struct received_facts *facts, const char *id)
{
    return buffer_add_text(out, "Message-ID: <") && buffer_add_text(out, id) && buffer_add_text(out, "@") &&
           buffer_add_text(out, facts->hostname) && buffer_add_text(out, ">\r\n");
}

static bool add_date(struct buffer *out, const char *date)
{
    return buffer_add_text(out, "Date: ") && buffer_add_text(out, date) && buffer_add_text(out, "\r\n");
}

bool received_write(const struct envelope *envelope, const struct received_facts *facts, const struct header_facts *header,
                    struct buffer *out)
{
    size_t size = buffer_size(out);
    char id[UID_TEXT_SIZE], date[CLOCK_TEXT_SIZE];
    uid_print(envelope->id, id);
    clock_rfc5322(envelope->arrived_ms, date);
    bool fits = add_received(out, envelope, facts, id, date) && (header->has_message_id || add_message_id(out, facts, id)) &&
                (header->has_date || add_date(out, date));
    if (!fits)
        buffer_truncate(out, size);
    return fits;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of the comment at the front of TEXT, with its parentheses; all of TEXT where it never ends (RFC 5322 3.2.2). */
static size_t comment_length(struct span text)
{
    size_t depth = 0, n = 0;
    do {
        depth += text.p[n] == '(';
        depth -= text.p[n] == ')';
        n += text.p[n] == '\\' && n + 1 < text.n ? 2 : 1;
    } while (n < text.n && depth);
    return n;
}

/* Takes the next word or comment from the front of *REST; empty at the end, which is the date's semicolon. */
static struct span next_token(struct span *rest)
{
    while (rest->n && is_space(rest->p[0]))
        *rest = span_skip(*rest, 1);
    size_t n = rest->n && rest->p[0] == '(' ? comment_length(*rest) : 0;
    if (!n)
        while (n < rest->n && !is_space(rest->p[n]) && rest->p[n] != '(' && rest->p[n] != ';')
            n++;
    struct span token = span_head(*rest, n);
    *rest = span_skip(*rest, n);
    return token;
}

/* The mark that COMMENT tells, or 0. */
static uint64_t mark_in(struct span comment)
{
    uint64_t mark;
    if (comment.n < 2 || comment.p[0] != '(' || comment.p[comment.n - 1] != ')')
        return 0;
    struct span inside = span_make(comment.p + 1, comment.n - 2);
    if (!span_equal_nocase(next_token(&inside), SPAN(MARK_WORD)) || !mark_parse(next_token(&inside), &mark) ||
        next_token(&inside).n || inside.n)
        return 0;
    return mark;
}

/* The words stand in the order in which they are written; a client can be called "by" or "id", but has one word. */
bool received_read(struct span value, const char *hostname, struct received_origin *ret_origin)
{
    struct span token = next_token(&value), before = SPAN("");
    struct received_origin origin = { .mark = 0 };
    while (token.n && !(span_equal_nocase(before, SPAN("by")) && span_equal_nocase(token, span_of(hostname)))) {
        before = token;
        token = next_token(&value);
    }
    while (token.n && !span_equal_nocase(token, SPAN("id")))
        token = next_token(&value);
    if (!token.n || !uid_parse(next_token(&value), &origin.id))
        return false;
    origin.mark = mark_in(next_token(&value));
    *ret_origin = origin;
    return true;
}
