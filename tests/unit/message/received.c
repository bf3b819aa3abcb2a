/* The lines that postern puts in front, and that nobody else writes in them. */
#include "../../../relay/message/received.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static void fill(struct envelope *envelope, const char *helo, const char *client, const char *account, unsigned flags)
{
    envelope_init(envelope);
    assert_true(uid_parse(SPAN("00000000000000000000"), &envelope->id));
    envelope->arrived_ms = 1795558503000;
    envelope->flags = flags;
    text_copy(envelope->helo, sizeof envelope->helo, span_of(helo));
    text_copy(envelope->client, sizeof envelope->client, span_of(client));
    text_copy(envelope->account, sizeof envelope->account, span_of(account));
    assert_true(envelope_add(envelope, "bob@example.com", 0, NULL));
}

#define PLAIN                                                                                                                    \
    {                                                                                                                            \
        .hostname = "relay.example.net"                                                                                          \
    }
#define EXTENDED                                                                                                                 \
    {                                                                                                                            \
        .hostname = "relay.example.net", .esmtp = true                                                                           \
    }
#define SECURE                                                                                                                   \
    {                                                                                                                            \
        .hostname = "relay.example.net", .esmtp = true, .tls_version = "TLSv1.3", .tls_cipher = "TLS_AES_256_GCM_SHA384"         \
    }
#define BY   "by relay.example.net with "
#define ID   " id 00000000000000000000"
#define FOR  "\r\n\tfor <bob@example.com>"
#define WHEN ";\r\n\tTue, 24 Nov 2026 22:15:03 +0000\r\n"
#define TLS  "\r\n\t(TLSv1.3 TLS_AES_256_GCM_SHA384)"

static const struct {
    const char *helo, *client, *account;
    unsigned flags;
    struct received_facts facts;
    const char *text;
} cases[] = {
    { "pc.example", "192.0.2.1", "", 0, PLAIN, "Received: from pc.example ([192.0.2.1])\r\n\t" BY "SMTP" ID FOR WHEN },
    { "pc.example", "192.0.2.1", "", 0, EXTENDED, "Received: from pc.example ([192.0.2.1])\r\n\t" BY "ESMTP" ID FOR WHEN },
    { "pc", "192.0.2.1", "alice", 0, SECURE, "Received: from pc ([192.0.2.1])\r\n\t" BY "ESMTPSA" ID TLS FOR WHEN },
    { "pc", "192.0.2.1", "", ENVELOPE_SMTPUTF8, SECURE, "Received: from pc ([192.0.2.1])\r\n\t" BY "UTF8SMTPS" ID TLS FOR WHEN },
    { "[IPv6:2001:db8::1]", "2001:db8::1", "", 0, PLAIN,
      "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\t" BY "SMTP" ID FOR WHEN },
    { "", "192.0.2.1", "", 0, PLAIN, "Received: from unknown ([192.0.2.1])\r\n\t" BY "SMTP" ID FOR WHEN },
    { "a\r\nX: y", "192.0.2.1", "", 0, PLAIN, "Received: from a??X:?y ([192.0.2.1])\r\n\t" BY "SMTP" ID FOR WHEN },
    { "a (b) \\ \x1b[1m <c@d> \xc3\xbc", "192.0.2.1", "", 0, PLAIN,
      "Received: from a??b?????[1m??c?d???? ([192.0.2.1])\r\n\t" BY "SMTP" ID FOR WHEN },
};

static void test_received(void **state)
{
    static struct header_facts complete;
    (void)state;
    complete.has_date = complete.has_message_id = true;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct envelope envelope;
        struct buffer out;
        buffer_init(&out, 4096);
        fill(&envelope, cases[i].helo, cases[i].client, cases[i].account, cases[i].flags);
        assert_true(received_write(&envelope, &cases[i].facts, &complete, &out));
        assert_string_equal(buffer_text(&out), cases[i].text);
        envelope_fini(&envelope);
        buffer_fini(&out);
    }
}

static void test_hidden_client(void **state)
{
    struct received_facts facts = SECURE;
    static struct header_facts complete;
    struct envelope envelope;
    struct buffer out;
    (void)state;
    facts.hide_client = complete.has_date = complete.has_message_id = true;
    buffer_init(&out, 4096);
    fill(&envelope, "pc", "192.0.2.1", "alice", 0);
    assert_true(received_write(&envelope, &facts, &complete, &out));
    assert_string_equal(buffer_text(&out), "Received: " BY "ESMTPSA" ID TLS FOR WHEN);
    envelope_fini(&envelope);
    buffer_fini(&out);
}

/* Several recipients may not know of each other; a recipient that is no address is not written. */
static void test_for(void **state)
{
    static struct header_facts complete;
    struct received_facts facts = PLAIN;
    struct envelope envelope;
    struct buffer out;
    (void)state;
    complete.has_date = complete.has_message_id = true;
    buffer_init(&out, 4096);
    fill(&envelope, "pc", "192.0.2.1", "", 0);
    assert_true(envelope_add(&envelope, "carol@example.com", 0, NULL));
    assert_true(received_write(&envelope, &facts, &complete, &out));
    assert_null(strstr(buffer_text(&out), "for <"));
    buffer_clear(&out);
    envelope.nrecipients = 1;
    memcpy(envelope.recipients[0].address, "bob@e\r\nX: y", sizeof "bob@e\r\nX: y");
    assert_true(received_write(&envelope, &facts, &complete, &out));
    assert_null(strstr(buffer_text(&out), "X: y"));
    envelope.nrecipients = 2;
    envelope_fini(&envelope);
    buffer_fini(&out);
}

static void test_missing_fields(void **state)
{
    static struct header_facts bare;
    struct received_facts facts = PLAIN;
    struct envelope envelope;
    struct buffer out;
    (void)state;
    buffer_init(&out, 4096);
    fill(&envelope, "pc", "192.0.2.1", "", 0);
    assert_true(received_write(&envelope, &facts, &bare, &out));
    assert_true(span_ends_nocase(buffer_span(&out), SPAN("Message-ID: <00000000000000000000@relay.example.net>\r\n"
                                                         "Date: Tue, 24 Nov 2026 22:15:03 +0000\r\n")));
    /* what was written reads back as a header with all of it */
    static struct header_facts again;
    assert_true(buffer_add_text(&out, "\r\n"));
    assert_int_equal(header_end(buffer_span(&out), 0), buffer_size(&out));
    header_examine(buffer_span(&out), &again);
    assert_true(again.has_date && again.has_message_id && again.received == 1 && !again.malformed);
    /* and in a buffer that is too small, nothing is */
    size_t size = buffer_size(&out) - 2;
    for (size_t room = 0; room < size; room++) {
        struct buffer small;
        buffer_init(&small, room);
        assert_false(received_write(&envelope, &facts, &bare, &small));
        assert_int_equal(buffer_size(&small), 0);
        buffer_fini(&small);
    }
    envelope_fini(&envelope);
    buffer_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_received), cmocka_unit_test(test_hidden_client),
                                               cmocka_unit_test(test_for), cmocka_unit_test(test_missing_fields) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
