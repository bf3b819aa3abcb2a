/* The text of reports, by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../relay/base/text.h"
#include "../../../relay/queue/report.h"
#include "../../../relay/smtp/content.h"

#include <stdlib.h>

/* One report about one recipient. */
struct about {
    const char *address, *orcpt, *sender, *envid;
    const char *enhanced, *reply, *mx, *original;
    bool remote, delay, relayed, whole, expired;
};

static unsigned write_report(const struct about *about, struct buffer *out)
{
    struct envelope envelope;
    envelope_init(&envelope);
    envelope.arrived_ms = INT64_C(1795558503000);
    text_copy(envelope.sender, sizeof envelope.sender, span_of(about->sender ? about->sender : "alice@here.example"));
    text_copy(envelope.envid, sizeof envelope.envid, span_of(about->envid));
    envelope_add(&envelope, about->address, 0, about->orcpt);
    struct cause cause = cause_make(span_of(about->enhanced), span_of(about->reply));
    cause.remote = about->remote;
    cause.expired = about->expired;
    cause.mx = span_of(about->mx ? about->mx : "");
    cause.time_ms = envelope.arrived_ms + 60000;
    struct report_recipient recipient = { &envelope.recipients[0], &cause };
    struct report report = {
        .hostname = "relay.here.example",
        .postmaster = "postmaster@here.example",
        .id = uid_next(),
        .about = &envelope,
        .kind = about->delay     ? REPORT_DELAYED
                : about->relayed ? REPORT_RELAYED
                                 : REPORT_FAILED,
        .now_ms = cause.time_ms,
        .until_ms = cause.time_ms + 86400000,
        .original = span_of(about->original ? about->original : "Subject: hello\r\n"),
        .whole = about->whole,
        .recipients = &recipient,
        .nrecipients = 1,
    };
    buffer_init(out, REPORT_SIZE_MAX);
    unsigned flags = report_write(&report, out);
    envelope_fini(&envelope);
    return flags;
}

static const struct {
    const char *name;
    struct about about;
    const char *has[6];
    const char *lacks[3];
} cases[] = {
    { "a plain failure",
      { .address = "bob@there.example",
        .enhanced = "5.1.1",
        .reply = "550 5.1.1 no such user",
        .mx = "mx1.there.example[192.0.2.9]:25",
        .remote = true },
      { "From: Mail Delivery System <MAILER-DAEMON@relay.here.example>\r\nTo: <alice@here.example>\r\n",
        "Final-Recipient: rfc822; bob@there.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx1.there.example\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "Reporting-MTA: dns; relay.here.example\r\nArrival-Date: ", "Auto-Submitted: auto-replied\r\n", "text/rfc822-headers",
        "\r\n  bob@there.example\r\n" },
      { "Original-Recipient", "Original-Envelope-Id", "Will-Retry-Until" } },
    { "a delay",
      { .address = "bob@there.example", .enhanced = "4.2.0", .reply = "450 later", .remote = true, .delay = true },
      { "Subject: Your message is late\r\n", "Action: delayed\r\nStatus: 4.2.0\r\n", "Will-Retry-Until: " },
      { "What you can do", "Remote-MTA" } },
    { "handed on",
      { .address = "bob@there.example", .enhanced = "2.0.0", .reply = "250 kept", .remote = true, .relayed = true },
      { "Subject: Your message was handed on\r\n", "Action: relayed\r\nStatus: 2.0.0\r\n", "was handed on to the mail" },
      { "What you can do", "This means", "Will-Retry-Until" } },
    { "what the sender gave comes back",
      { .address = "bob@there.example",
        .orcpt = "rfc822;Bob+list@there.example",
        .envid = "ORDER 17+",
        .enhanced = "5.0.0",
        .reply = "550 no",
        .remote = true },
      { "Original-Recipient: rfc822;Bob+list@there.example\r\n", "Original-Envelope-Id: ORDER 17+\r\n" },
      { 0 } },
    { "our own words are not the remote's",
      { .address = "bob@there.example", .enhanced = "5.1.2", .reply = "the domain does not exist" },
      { "Diagnostic-Code: X-postern; the domain does not exist\r\n", "Check the part behind the @" },
      { "Remote-MTA", "said:" } },
    { "too old",
      { .address = "bob@there.example", .enhanced = "4.4.7", .reply = "connection refused", .expired = true },
      { "Status: 4.4.7\r\n", "it was given up" },
      { 0 } },
    { "an address that is not ASCII",
      { .address = "b\xc3\xb6"
                   "b@there.example",
        .enhanced = "5.1.1",
        .reply = "550 5.1.1 unbekannt: b\xc3\xb6"
                 "b",
        .remote = true },
      { "Final-Recipient: utf-8; b\\x{F6}b@there.example\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 unbekannt: b\\xc3\\xb6"
        "b\r\n",
        "\r\n  b\xc3\xb6"
        "b@there.example\r\n",
        "Content-Transfer-Encoding: 8bit" },
      { 0 } },
    { "the whole message",
      { .address = "bob@there.example",
        .enhanced = "5.0.0",
        .reply = "550 no",
        .original = "Subject: x\r\n\r\n.a dot\r\n",
        .whole = true },
      { "Content-Type: message/rfc822\r\n", "Subject: x\r\n\r\n.a dot\r\n" },
      { "text/rfc822-headers" } },
};

static void a_case_reads_as_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out;
        write_report(&cases[i].about, &out);
        const char *text = buffer_text(&out);
        for (size_t k = 0; k < 6 && cases[i].has[k]; k++)
            if (!strstr(text, cases[i].has[k]))
                fail_msg("%s: lacks '%s' in:\n%s", cases[i].name, cases[i].has[k], text);
        for (size_t k = 0; k < 3 && cases[i].lacks[k]; k++)
            if (strstr(text, cases[i].lacks[k]))
                fail_msg("%s: has '%s' in:\n%s", cases[i].name, cases[i].lacks[k], text);
        buffer_fini(&out);
    }
}

/* Nothing foreign can end a line of ours, begin a field, or be the boundary. */
static void nothing_foreign_breaks_out(void **state)
{
    static const char evil[] = "550 x\r\nBcc: all@evil.example\r\n\r\n.\r\n--=_\x1b[2J\x80\xff\"\\";
    (void)state;
    struct about about = { .address = "\"a\r\nX-Evil: 1\"@there.example",
                           .orcpt = "rfc822;\r\nX-Evil: 2",
                           .enhanced = "5.1.1",
                           .reply = evil,
                           .mx = evil,
                           .remote = true };
    struct buffer out, wire;
    write_report(&about, &out);
    struct span rest = buffer_span(&out);
    while (rest.n) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.n && line.p[line.n - 1] == '\r');
        assert_int_equal(span_find(span_head(line, line.n - 1), '\r'), line.n - 1);
        assert_false(span_starts_nocase(line, SPAN("Bcc:")));
        assert_false(span_starts_nocase(line, SPAN("X-Evil")));
        for (size_t i = 0; i + 1 < line.n; i++)
            assert_true((unsigned char)line.p[i] >= ' ' && (unsigned char)line.p[i] < 0x7f);
    }
    buffer_init(&wire, REPORT_SIZE_MAX);
    assert_true(content_stuff(buffer_span(&out), &wire));
    buffer_fini(&wire);
    buffer_fini(&out);
}

static void the_envelope_is_told_what_is_in_it(void **state)
{
    static const struct {
        struct about about;
        unsigned flags;
    } flagged[] = {
        { { .address = "a@b.example", .enhanced = "5.0.0", .reply = "no" }, 0 },
        { { .address = "a@b.example", .enhanced = "5.0.0", .reply = "no", .original = "Subject: \xc3\xb6\r\n" }, ENVELOPE_8BIT },
        { { .address = "a@b.example", .enhanced = "5.0.0", .reply = "no", .sender = "\xc3\xb6@here.example" },
          ENVELOPE_8BIT | ENVELOPE_SMTPUTF8 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof flagged / sizeof *flagged; i++) {
        struct buffer out;
        assert_int_equal(write_report(&flagged[i].about, &out), flagged[i].flags);
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_case_reads_as_it_should),
        cmocka_unit_test(nothing_foreign_breaks_out),
        cmocka_unit_test(the_envelope_is_told_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
