/* The body is written first, since the header must say whether any of it is 8-bit; then both go out. The boundary is random, so that
 * nothing in the original can be it. */
#include "report.h"

#include "../base/clock.h"
#include "../base/random.h"
#include "../base/text.h"
#include "../smtp/status.h"

#include <stdio.h>

#define WIDTH         76
#define BOUNDARY_SIZE 40

/* What a sender can do about it, by the front of the enhanced code; the first that fits. */
static const struct {
    const char *front;
    const char *advice;
} advices[] = {
    { "5.1.2", "Check the part behind the @ for a typing mistake, and send the message again." },
    { "5.1.10", "Write to the person at another address: this domain takes no mail at all." },
    { "5.1.", "Check the address for a typing mistake, or ask the person for their current one; then send it again." },
    { "5.2.2", "The person must make room first: reach them in another way, or try again in a few days." },
    { "5.2.3", "Send something smaller, such as a link instead of an attachment." },
    { "5.3.4", "Send something smaller, such as a link instead of an attachment." },
    { "5.4.6", "Tell your postmaster: mail for this address would run in a circle." },
    { "5.7.", "The other side refuses this message by its rules: ask your postmaster, and show them this report." },
    { "4.4.7", "Send it again later, or reach the person in another way. If it goes on, ask your postmaster." },
    { "", "If you do not know why, ask your postmaster, and show them this report." },
};

static const char *advice_for(const char *enhanced)
{
    size_t i = 0;
    while (strncmp(enhanced, advices[i].front, strlen(advices[i].front)) != 0)
        i++;
    return advices[i].advice;
}

/* Appends TEXT in lines of at most WIDTH columns where it has spaces, each behind INDENT. TEXT is printable. */
static void wrap(struct buffer *out, const char *indent, const char *text)
{
    struct span rest = span_trim(span_of(text));
    size_t width = WIDTH - strlen(indent);
    while (rest.n) {
        size_t n = rest.n;
        if (n > width) {
            for (n = width; n && rest.p[n] != ' ';)
                n--;
            n = n ? n : span_find(rest, ' ');
        }
        buffer_addf(out, "%s%.*s\r\n", indent, SPAN_ARGS(span_head(rest, n)));
        rest = span_trim(span_skip(rest, n));
    }
}

/* As wrap, of a sentence made of a format. */
__attribute__((format(printf, 3, 4))) static void say(struct buffer *out, const char *indent, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wrap(out, indent, text);
}

/* Makes *SPAN a harmless text in DEST. */
static const char *escaped(char *dest, size_t size, struct span span)
{
    text_escape(dest, size, span);
    return dest;
}

static void explain(const struct report *report, const struct report_recipient *one, struct buffer *out)
{
    char text[SMTP_REPLY_TEXT_SIZE * 2], host[SMTP_DOMAIN_SIZE * 2];
    const struct cause *cause = one->cause;
    buffer_addf(out, "  %s\r\n", escaped(text, sizeof text, span_of(one->recipient->address)));
    escaped(text, sizeof text, cause->reply);
    escaped(host, sizeof host, cause->mx);
    if (cause->expired)
        say(out, "    ", "It could not be delivered for so long that it was given up. The last time this is what happened:");
    if (cause->remote && host[0])
        say(out, "    ", "%s said: %s", host, text);
    else if (cause->remote)
        say(out, "    ", "The other side said: %s", text);
    else
        say(out, "    ", "What happened: %s%s%s%s", text, host[0] ? " (" : "", host, host[0] ? ")" : "");
    if (report->kind != REPORT_RELAYED)
        say(out, "    ", "This means: %s.", status_meaning(span_of(cause->enhanced)));
    if (report->kind == REPORT_FAILED)
        say(out, "    ", "What you can do: %s", advice_for(cause->enhanced));
    buffer_add_text(out, "\r\n");
}

/* What is said of each kind. */
static const struct {
    const char *subject, *action;
} kinds[] = {
    [REPORT_FAILED] = { "Your message could not be delivered", "failed" },
    [REPORT_DELAYED] = { "Your message is late", "delayed" },
    [REPORT_RELAYED] = { "Your message was handed on", "relayed" },
};

static void write_words(const struct report *report, struct buffer *out)
{
    char date[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
    clock_rfc5322(report->about->arrived_ms, date);
    clock_rfc5322(report->until_ms, until);
    say(out, "", "This is the mail system at %s.", report->hostname);
    buffer_add_text(out, "\r\n");
    if (report->kind == REPORT_DELAYED)
        say(out, "",
            "Your message of %s is late. You need not do anything: it is tried again until %s. If it cannot be delivered by "
            "then, you are told once more. It waits for:",
            date, until);
    else if (report->kind == REPORT_RELAYED)
        say(out, "",
            "Your message of %s was handed on to the mail system of the following %s, which took it and will not report any "
            "further:",
            date, report->nrecipients == 1 ? "recipient" : "recipients");
    else
        say(out, "", "Your message of %s could not be delivered to the following %s, and is not tried again:", date,
            report->nrecipients == 1 ? "recipient" : "recipients");
    buffer_add_text(out, "\r\n");
    for (size_t i = 0; i < report->nrecipients && i < REPORT_SPELLED_MAX; i++)
        explain(report, &report->recipients[i], out);
    if (report->nrecipients > REPORT_SPELLED_MAX)
        say(out, "", "and %zu more, which the next part lists.", report->nrecipients - REPORT_SPELLED_MAX);
    say(out, "", "Questions: %s", report->postmaster);
}

/* Appends SPAN with all but printable ASCII as \xNN. */
static void add_ascii(struct buffer *out, struct span span)
{
    for (size_t i = 0; i < span.n; i++) {
        unsigned char byte = (unsigned char)span.p[i];
        if (byte >= ' ' && byte < 0x7f)
            buffer_add_byte(out, (char)byte);
        else
            buffer_addf(out, "\\x%02x", byte);
    }
}

/* Bytes of the UTF-8 character that FIRST begins, and the bits of FIRST that count. */
static unsigned utf8_size(unsigned char first, unsigned *ret_bits)
{
    static const struct {
        unsigned char mask, lead, size;
    } forms[] = { { 0xe0, 0xc0, 2 }, { 0xf0, 0xe0, 3 }, { 0xf8, 0xf0, 4 } };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if ((first & forms[i].mask) == forms[i].lead) {
            *ret_bits = first & (unsigned char)~forms[i].mask;
            return forms[i].size;
        }
    *ret_bits = first;
    return 1;
}

/* utf-8-addr-xtext (RFC 6533 3): QCHAR, or \x{HEX} for what is not ASCII, and for backslash, plus and equals. */
static void add_utf8_address(struct buffer *out, struct span address)
{
    for (size_t i = 0; i < address.n;) {
        unsigned point, size = utf8_size((unsigned char)address.p[i], &point);
        for (unsigned k = 1; k < size && i + k < address.n; k++)
            point = point << 6 | ((unsigned char)address.p[i + k] & 0x3f);
        if (point > ' ' && point < 0x7f && !strchr("\\+=", (int)point))
            buffer_add_byte(out, (char)point);
        else
            buffer_addf(out, "\\x{%02X}", point);
        i += size;
    }
}

static void add_address_field(struct buffer *out, const char *name, struct span address)
{
    if (span_is_ascii(address)) {
        buffer_addf(out, "%s: rfc822; ", name);
        add_ascii(out, address);
    } else {
        buffer_addf(out, "%s: utf-8; ", name);
        add_utf8_address(out, address);
    }
    buffer_add_text(out, "\r\n");
}

/* "mx1.example.net[192.0.2.1]:25": the name alone. */
static struct span host_name(struct span mx)
{
    size_t bracket = span_find(mx, '[');
    return span_head(mx, bracket ? bracket : mx.n);
}

static void write_field(struct buffer *out, const char *name, struct span value)
{
    buffer_addf(out, "%s", name);
    add_ascii(out, value);
    buffer_add_text(out, "\r\n");
}

static void write_recipient(const struct report *report, const struct report_recipient *one, struct buffer *out)
{
    const struct cause *cause = one->cause;
    char date[CLOCK_TEXT_SIZE];
    buffer_add_text(out, "\r\n");
    if (one->recipient->orcpt && one->recipient->orcpt[0])
        write_field(out, "Original-Recipient: ", span_of(one->recipient->orcpt));
    add_address_field(out, "Final-Recipient", span_of(one->recipient->address));
    buffer_addf(out, "Action: %s\r\n", kinds[report->kind].action);
    write_field(out, "Status: ", span_of(cause->enhanced));
    if (cause->mx.n)
        write_field(out, "Remote-MTA: dns; ", host_name(cause->mx));
    if (cause->reply.n)
        write_field(out, cause->remote ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: X-postern; ", cause->reply);
    clock_rfc5322(cause->time_ms, date);
    buffer_addf(out, "Last-Attempt-Date: %s\r\n", date);
    if (report->kind == REPORT_DELAYED) {
        clock_rfc5322(report->until_ms, date);
        buffer_addf(out, "Will-Retry-Until: %s\r\n", date);
    }
}

static void write_status(const struct report *report, struct buffer *out)
{
    char date[CLOCK_TEXT_SIZE];
    if (report->about->envid[0])
        write_field(out, "Original-Envelope-Id: ", span_of(report->about->envid));
    buffer_addf(out, "Reporting-MTA: dns; %s\r\n", report->hostname);
    clock_rfc5322(report->about->arrived_ms, date);
    buffer_addf(out, "Arrival-Date: %s\r\n", date);
    for (size_t i = 0; i < report->nrecipients; i++)
        write_recipient(report, &report->recipients[i], out);
}

static const char *encoding(struct span body)
{
    return span_is_ascii(body) ? "7bit" : "8bit";
}

static void write_part(struct buffer *out, const char *boundary, const char *type, const char *description, struct span body)
{
    buffer_addf(out, "--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary,
                description, type, encoding(body));
    buffer_add(out, body);
    if (!body.n || body.p[body.n - 1] != '\n')
        buffer_add_text(out, "\r\n");
    buffer_add_text(out, "\r\n");
}

static void write_header(const struct report *report, const char *boundary, const char *body_encoding, struct buffer *out)
{
    char date[CLOCK_TEXT_SIZE], id[UID_TEXT_SIZE];
    clock_rfc5322(report->now_ms, date);
    uid_print(report->id, id);
    buffer_addf(out, "Date: %s\r\n", date);
    buffer_addf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", report->hostname);
    buffer_addf(out, "To: <%s>\r\n", report->about->sender);
    buffer_addf(out, "Subject: %s\r\n", kinds[report->kind].subject);
    buffer_addf(out, "Message-ID: <%s@%s>\r\n", id, report->hostname);
    buffer_add_text(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
    buffer_addf(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"\r\n", boundary);
    buffer_addf(out, "Content-Transfer-Encoding: %s\r\n\r\n", body_encoding);
    buffer_add_text(out, "This is a report in MIME format (RFC 3462).\r\n\r\n");
}

static void make_boundary(char boundary[BOUNDARY_SIZE])
{
    uint64_t random[2];
    random_bytes(random, sizeof random);
    text_format(boundary, BOUNDARY_SIZE, "=_%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
}

unsigned report_write(const struct report *report, struct buffer *out)
{
    struct buffer part, body;
    char boundary[BOUNDARY_SIZE];
    make_boundary(boundary);
    buffer_init(&part, REPORT_SIZE_MAX);
    buffer_init(&body, REPORT_SIZE_MAX);
    write_words(report, &part);
    write_part(&body, boundary, "text/plain; charset=utf-8", "What happened", buffer_span(&part));
    buffer_clear(&part);
    write_status(report, &part);
    write_part(&body, boundary, "message/delivery-status", "Delivery report", buffer_span(&part));
    write_part(&body, boundary, report->whole ? "message/rfc822" : "text/rfc822-headers",
               report->whole ? "Your message" : "The header of your message", report->original);
    buffer_addf(&body, "--%s--\r\n", boundary);
    write_header(report, boundary, encoding(buffer_span(&body)), out);
    buffer_add(out, buffer_span(&body));
    unsigned flags = span_is_ascii(buffer_span(out)) ? 0 : ENVELOPE_8BIT;
    flags |= span_is_ascii(span_of(report->about->sender)) ? 0 : ENVELOPE_SMTPUTF8;
    buffer_fini(&part);
    buffer_fini(&body);
    return flags;
}
