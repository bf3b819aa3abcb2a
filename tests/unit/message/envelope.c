/* The envelope's stored form: there and back, and damaged in every way. */
#include "../../../relay/message/envelope.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static void fill(struct envelope *envelope)
{
    envelope_init(envelope);
    envelope->arrived_ms = 1790000000123;
    envelope->flags = ENVELOPE_8BIT | ENVELOPE_HELD;
    envelope->ret = COMMAND_RET_HEADERS;
    text_copy(envelope->account, sizeof envelope->account, SPAN("alice"));
    text_copy(envelope->client, sizeof envelope->client, SPAN("2001:db8::1"));
    text_copy(envelope->helo, sizeof envelope->helo, SPAN("laptop.example"));
    text_copy(envelope->sender, sizeof envelope->sender, SPAN("alice@example.net"));
    text_copy(envelope->envid, sizeof envelope->envid, SPAN("Q 1"));
    assert_true(envelope_add(envelope, "bob@example.com", COMMAND_NOTIFY_DELAY, "rfc822;b@x"));
    assert_true(envelope_add(envelope, "\"x y\"@example.org", 0, NULL));
    assert_true(envelope_add(envelope, "postmaster", COMMAND_NOTIFY_NEVER, ""));
}

static void assert_same(const struct envelope *a, const struct envelope *b)
{
    assert_true(a->arrived_ms == b->arrived_ms);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->ret, b->ret);
    assert_string_equal(a->account, b->account);
    assert_string_equal(a->client, b->client);
    assert_string_equal(a->helo, b->helo);
    assert_string_equal(a->sender, b->sender);
    assert_string_equal(a->envid, b->envid);
    assert_int_equal(a->nrecipients, b->nrecipients);
    for (size_t i = 0; i < a->nrecipients; i++) {
        assert_string_equal(a->recipients[i].address, b->recipients[i].address);
        assert_int_equal(a->recipients[i].notify, b->recipients[i].notify);
        assert_string_equal(a->recipients[i].orcpt ? a->recipients[i].orcpt : "",
                            b->recipients[i].orcpt ? b->recipients[i].orcpt : "");
    }
}

static void store(struct buffer *out)
{
    struct envelope envelope;
    fill(&envelope);
    buffer_init(out, ENVELOPE_STORED_MAX);
    assert_true(envelope_store(&envelope, out));
    envelope_fini(&envelope);
}

static void test_round_trip(void **state)
{
    struct envelope envelope, again;
    struct buffer out;
    (void)state;
    fill(&envelope);
    buffer_init(&out, ENVELOPE_STORED_MAX);
    assert_true(envelope_store(&envelope, &out));
    assert_true(envelope_load(buffer_span(&out), &again));
    assert_same(&envelope, &again);
    assert_null(again.recipients[1].orcpt);
    assert_null(again.recipients[2].orcpt);
    envelope_fini(&again);
    envelope_fini(&envelope);
    assert_int_equal(envelope.nrecipients, 0);
    buffer_fini(&out);
}

static void test_null_sender(void **state)
{
    struct envelope envelope, again;
    struct buffer out;
    (void)state;
    envelope_init(&envelope);
    envelope.arrived_ms = -1;
    assert_true(envelope_add(&envelope, "a@b", 0, NULL));
    buffer_init(&out, 1024);
    assert_true(envelope_store(&envelope, &out));
    assert_true(envelope_load(buffer_span(&out), &again));
    assert_same(&envelope, &again);
    envelope_fini(&again);
    envelope_fini(&envelope);
    buffer_fini(&out);
}

/* Cut at every byte: between two fields that is an envelope with less in it, which the record's CRC would tell; anywhere else
 * it is malformed. Nothing is read behind the end, nothing stays allocated. */
static void test_cut_at_every_byte(void **state)
{
    struct buffer out;
    unsigned whole = 0;
    (void)state;
    store(&out);
    for (size_t n = 0; n < buffer_size(&out); n++) {
        struct envelope envelope;
        char *copy = malloc(n + !n);
        memcpy(copy, buffer_span(&out).p, n);
        whole += envelope_load(span_make(copy, n), &envelope);
        envelope_fini(&envelope);
        free(copy);
    }
    assert_int_equal(whole, 9); /* behind arrived, flags, five texts, two of the three recipients */
    buffer_fini(&out);
}

/* Each byte changed to each other value: loads or not, without harm, and what loads can be stored again. */
static void test_every_byte_changed(void **state)
{
    struct buffer out, again;
    (void)state;
    store(&out);
    buffer_init(&again, ENVELOPE_STORED_MAX);
    for (size_t at = 0; at < buffer_size(&out); at++) {
        for (int change = 1; change < 256; change++) {
            struct envelope envelope;
            out.data[out.start + at] = (char)(out.data[out.start + at] ^ change);
            if (envelope_load(buffer_span(&out), &envelope))
                assert_true(envelope_store(&envelope, &again));
            out.data[out.start + at] = (char)(out.data[out.start + at] ^ change);
            envelope_fini(&envelope);
            buffer_clear(&again);
        }
    }
    buffer_fini(&out);
    buffer_fini(&again);
}

#define HEAD "\x01\x01\x08\x00\x01\x02\x03\x04\x05\x06\x07\x00"

static const struct {
    struct span stored;
    bool good;
} cases[] = {
    { SPAN(HEAD), true },
    { SPAN(HEAD "\x09\x04\x00"
                "a@b\0"),
      false }, /* recipient without notify */
    { SPAN(HEAD "\x09\x05\x00"
                "a@b\0\x01"),
      true },
    { SPAN(HEAD "\x09\x02\x00"
                "\0\x01"),
      false }, /* without address */
    { SPAN(HEAD "\x09\x03\x00"
                "a@b"),
      false },
    { SPAN(HEAD "\x09\x07\x00"
                "a@b\0\x01x\n"),
      false }, /* control byte in orcpt */
    { SPAN(HEAD "\x09\x06\x00"
                "a@b\n\0\x01"),
      false }, /* in address: would become a command */
    { SPAN(HEAD "\x06\x05\x00"
                "a@b\r\n"),
      false }, /* in sender */
    { SPAN(HEAD "\x02\x02\x00"
                "a\0"),
      false }, /* NUL in account */
    { SPAN(HEAD "\x06\x03\x00"
                "a@b"
                "\x06\x03\x00"
                "a@c"),
      false }, /* twice */
    { SPAN(HEAD "\xf0\x03\x00"
                "new"),
      true }, /* unknown: skipped */
    { SPAN(HEAD "\x05\x03\x00"
                "any"),
      true }, /* reserved: skipped */
    { SPAN(HEAD "\x00\x00\x00"), true },
    { SPAN(HEAD "\x06\xff\xff"
                "a"),
      false }, /* length beyond the end */
    { SPAN(HEAD "\x06\x03"), false },
    { SPAN(HEAD "\x07\x05\x00\x01\x00\x00\x00\x03"), false }, /* ret out of range */
    { SPAN(HEAD "\x07\x04\x00\x01\x00\x00\x00"), false },
    { SPAN("\x01"), false }, /* without arrived */
    { SPAN("\x02"
           "\x01\x08\x00\x01\x02\x03\x04\x05\x06\x07\x00"),
      false }, /* foreign version */
    { SPAN(""), false },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct envelope envelope;
        if (envelope_load(cases[i].stored, &envelope) != cases[i].good)
            fail_msg("case %zu", i);
        assert_true(cases[i].good || (!envelope.nrecipients && !envelope.recipients && !envelope.sender[0]));
        envelope_fini(&envelope);
    }
}

/* What could not be loaded is not stored. */
static void test_store_refuses(void **state)
{
    struct envelope envelope;
    struct buffer out;
    char huge[SMTP_ADDRESS_SIZE + 8];
    (void)state;
    buffer_init(&out, 1024);
    assert_true(buffer_add_text(&out, "kept"));
    fill(&envelope);
    text_copy(envelope.helo, sizeof envelope.helo, SPAN("a\nb"));
    assert_false(envelope_store(&envelope, &out));
    envelope_fini(&envelope);
    fill(&envelope);
    assert_true(envelope_add(&envelope, "a\r@b", 0, NULL));
    assert_false(envelope_store(&envelope, &out));
    envelope_fini(&envelope);
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    fill(&envelope);
    assert_true(envelope_add(&envelope, huge, 0, NULL));
    assert_false(envelope_store(&envelope, &out));
    envelope_fini(&envelope);
    assert_int_equal(buffer_size(&out), 4);
    buffer_fini(&out);
}

/* The largest envelope there is fits into ENVELOPE_STORED_MAX; one recipient more is refused. */
static void test_full(void **state)
{
    struct envelope envelope, again;
    struct buffer out;
    char address[SMTP_ADDRESS_MAX + 1] = { 0 }, orcpt[SMTP_ORCPT_MAX + 1] = { 0 };
    (void)state;
    memset(address, 'a', sizeof address - 1);
    memset(orcpt, 'o', sizeof orcpt - 1);
    envelope_init(&envelope);
    for (unsigned i = 0; i < ENVELOPE_RECIPIENTS_MAX; i++)
        assert_true(envelope_add(&envelope, address, 0, orcpt));
    assert_false(envelope_add(&envelope, "a@b", 0, NULL));
    buffer_init(&out, ENVELOPE_STORED_MAX);
    assert_true(envelope_store(&envelope, &out));
    assert_true(envelope_load(buffer_span(&out), &again));
    assert_int_equal(again.nrecipients, ENVELOPE_RECIPIENTS_MAX);
    envelope_fini(&again);
    envelope_fini(&envelope);
    buffer_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_null_sender),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_store_refuses),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
