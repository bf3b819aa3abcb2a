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

#define TAG 0x1122334455667788u

/* A mark stands behind the id, fits its id and tag, and comes back however others fold the field. */
static void test_mark(void **state)
{
    struct received_facts facts = SECURE;
    static struct header_facts complete;
    struct envelope envelope;
    struct received_origin origin;
    struct buffer out;
    char text[1024];
    (void)state;
    complete.has_date = complete.has_message_id = true;
    buffer_init(&out, 4096);
    fill(&envelope, "by", "192.0.2.1", "alice", 0);
    assert_true(received_write(&envelope, &facts, &complete, &out));
    assert_null(strstr(buffer_text(&out), "mark"));
    assert_true(received_read(span_skip(buffer_span(&out), sizeof "Received:" - 1), "relay.example.net", &origin));
    assert_true(origin.mark == 0);
    buffer_clear(&out);
    facts.tag = TAG;
    assert_true(received_write(&envelope, &facts, &complete, &out));
    text_copy(text, sizeof text, buffer_span(&out));
    assert_non_null(strstr(text, ID "\r\n\t(mark "));
    for (unsigned form = 0; form < 3; form++) {
        origin = (struct received_origin){ .mark = 0 };
        assert_true(received_read(span_skip(span_of(text), sizeof "Received:" - 1), "Relay.Example.NET", &origin));
        assert_int_equal(uid_compare(origin.id, envelope.id), 0);
        assert_true(origin.mark == mark_of(TAG, envelope.id));
        for (char *at = text; *at; at++)
            *at = *at == '\r' || *at == '\n' || (form && *at == '\t') ? ' ' : *at;
    }
    assert_false(received_read(span_skip(span_of(text), sizeof "Received:" - 1), "relay.example.com", &origin));
    envelope_fini(&envelope);
    buffer_fini(&out);
}

static void test_marks_are_apart(void **state)
{
    struct uid one, other;
    uint64_t mark;
    char text[MARK_TEXT_SIZE];
    (void)state;
    assert_true(uid_parse(SPAN("00000000000000000000"), &one) && uid_parse(SPAN("00000000000000000010"), &other));
    assert_true(mark_of(TAG, one) != mark_of(TAG, other));
    assert_true(mark_of(TAG, one) != mark_of(TAG + 1, one));
    mark_print(0xfedcba9876543210u, text);
    assert_string_equal(text, "fedcba9876543210");
    assert_true(mark_parse(SPAN("FEDCBA9876543210"), &mark) && mark == 0xfedcba9876543210u);
    assert_false(mark_parse(SPAN("0000000000000000"), &mark));
    assert_false(mark_parse(SPAN("fedcba987654321"), &mark));
    assert_false(mark_parse(SPAN("fedcba98765432100"), &mark));
    assert_false(mark_parse(SPAN("fedcba987654321g"), &mark));
    assert_false(mark_parse(SPAN("fedcba987654321\0"), &mark));
}

/* Fields of others, cut ones, and ones that play with words and comments. */
static void test_read(void **state)
{
    static const struct {
        const char *value;
        bool ours;
        uint64_t mark;
    } fields[] = {
        { " by relay.example.net id 00000000000000000000", true, 0 },
        { "by relay.example.net id 00000000000000000000;x", true, 0 },
        { "by relay.example.net id 00000000000000000000(mark 00000000000000ff)", true, 0xff },
        { "by relay.example.net id 00000000000000000000 ( mark\r\n 00000000000000ff ) (x)", true, 0xff },
        { "by relay.example.net id 00000000000000000000 (x) (mark 00000000000000ff)", true, 0 },
        { "by relay.example.net id 00000000000000000000 (mark 00000000000000ff", true, 0 },
        { "by relay.example.net id 00000000000000000000 (mark 00000000000000ff x)", true, 0 },
        { "by relay.example.net id 00000000000000000000 (mark 00000000000000ffff)", true, 0 },
        { "from by by relay.example.net (x) with id id 00000000000000000000", false, 0 },
        { "from id by relay.example.net (x) with SMTP id 00000000000000000000", true, 0 },
        { "from (by relay.example.net id 00000000000000000000) by x id 00000000000000000000", false, 0 },
        { "by relay.example.net; id 00000000000000000000", false, 0 },
        { "by relay.example.net id", false, 0 },
        { "by relay.example.net id 0000", false, 0 },
        { "by relay.example.net.evil id 00000000000000000000", false, 0 },
        { "by (((((\\", false, 0 },
        { "by )", false, 0 },
        { "", false, 0 },
    };
    struct received_origin origin;
    (void)state;
    for (size_t i = 0; i < COUNT(fields); i++) {
        origin = (struct received_origin){ .mark = 0 };
        if (received_read(span_of(fields[i].value), "relay.example.net", &origin) != fields[i].ours ||
            origin.mark != fields[i].mark)
            fail_msg("%s", fields[i].value);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_received), cmocka_unit_test(test_hidden_client),
                                               cmocka_unit_test(test_for),      cmocka_unit_test(test_missing_fields),
                                               cmocka_unit_test(test_mark),     cmocka_unit_test(test_marks_are_apart),
                                               cmocka_unit_test(test_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
