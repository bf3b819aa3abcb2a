/* Letters about a suspended account: what is to be done is always in them, and nothing of it is a stranger's. */
#include "../../../policy/letter.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static struct buffer text;

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&text);
    return 0;
}

#define TEST(test) cmocka_unit_test_teardown(test, tear_down)

/* A record whose lists have COUNT items each, and TEXT wherever one stands. */
static json_t *record_of(const char *account, const char *said, unsigned count)
{
    json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:[], s:[], s:[], s:[]}", "account", account, "state", "suspended", "since",
                               "2026-11-24T22:15:03.000Z", "reason", said, "strikes", "signals", "networks", "samples");
    for (unsigned i = 0; i < count; i++) {
        json_array_append_new(json_object_get(record, "strikes"), json_pack("{s:s, s:s}", "time", "T", "text", said));
        json_array_append_new(json_object_get(record, "signals"),
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "time", "T", "kind", "spam-replies", "client", "192.0.2.1",
                                        "to", said, "text", said));
        json_array_append_new(json_object_get(record, "networks"),
                              json_pack("{s:s, s:s, s:i}", "network", "192.0.2.0/24", "last", "T", "count", 7));
        json_array_append_new(json_object_get(record, "samples"),
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "time", "T", "from", said, "client", "192.0.2.1", "to", said,
                                        "subject", said));
    }
    return record;
}

static const char *to_postmaster(const char *account, const char *said, unsigned count)
{
    json_t *record = record_of(account, said, count);
    buffer_fini(&text);
    buffer_init(&text, LETTER_BUFFER_MAX);
    letter_to_postmaster(record, "relay.example.net", &text);
    json_decref(record);
    return buffer_text(&text);
}

static void to_the_postmaster(void **state)
{
    (void)state;
    assert_string_equal(
        to_postmaster("alice", "x", 0),
        "relay.example.net has suspended the account alice at 2026-11-24T22:15:03.000Z.\n\nThe reason:\n    x\n\n"
        "Its logins and messages are refused, and what it has queued is held; nothing is lost.\n\n"
        "To see all of it:\n    postern account show alice\n    postern queue list --account alice\n\n"
        "If its password was stolen: give it another one, throw its mail away, and let it send again:\n"
        "    postern user passwd alice\n    postern queue remove --account alice\n"
        "    postern account resume alice\n\n"
        "If this is a false alarm, one command lets the account and its mail go:\n    postern account resume alice\n");
    const char *letter = to_postmaster("alice", "y", 1);
    assert_non_null(strstr(letter, "\nStrikes:\n    T y\n"));
    assert_non_null(strstr(letter, "\nWhat came back last:\n    T spam-replies 192.0.2.1 y y\n"));
    assert_non_null(strstr(letter, "\nWhere it logged in from:\n    192.0.2.0/24 7 login(s), the last at T\n"));
    assert_non_null(strstr(letter, "\nWhat it sent last:\n    T from <y> at 192.0.2.1 to <y>: y\n"));
}

/* Ten of each list, however long each item is; and what to do is there, however long they are. */
static void much_evidence(void **state)
{
    char said[1200], account[1021];
    unsigned rows = 0;
    (void)state;
    memset(said, 's', sizeof said - 1);
    said[sizeof said - 1] = '\0';
    const char *letter = to_postmaster("alice", "short", 32);
    for (const char *at = letter; (at = strstr(at, "    T ")); at++)
        rows++;
    assert_int_equal(rows, 30);
    memset(account, '\\', sizeof account - 1);
    for (unsigned i = 0; i < 255; i++)
        memcpy(account + 4 * i, "\\xff", 4);
    account[1020] = '\0';
    letter = to_postmaster(account, said, 32);
    assert_true(strlen(letter) <= LETTER_BUFFER_MAX);
    assert_non_null(strstr(letter, "If this is a false alarm"));
    for (const char *line = letter; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(strcspn(line, "\n") < 1200);
}

/* What a stranger wrote is one line, without bytes that do something in a terminal. */
static void strange_texts(void **state)
{
    (void)state;
    const char *letter =
        to_postmaster("alice", "a\n\nIf this is a false alarm\x1b[2J\r\x7f \xe2\x80\xae m\xc3\xbcller \\ \\x0a", 3);
    assert_null(strstr(letter, "\nIf this is a false alarm\x1b"));
    for (const char *at = letter; *at; at++)
        assert_true(*at == '\n' || (unsigned char)*at >= ' ');
    assert_non_null(
        strstr(letter, "a\\x0a\\x0aIf this is a false alarm\\x1b[2J\\x0d\\x7f \\xe2\\x80\\xae m\xc3\xbcller \\x5c \\x0a"));
    assert_true(text_is_utf8(span_of(letter)));
}

/* Cut within a character or not: it is UTF-8 all the same. */
static void cut_texts(void **state)
{
    char said[1000];
    (void)state;
    for (unsigned start = 0; start < 2; start++) {
        memset(said, 'x', start);
        for (size_t i = start; i + 2 < sizeof said; i += 2)
            memcpy(said + i, "\xc3\xbc", 3);
        const char *letter = to_postmaster("alice", said, 1);
        assert_true(text_is_utf8(span_of(letter)));
    }
}

/* Members that are missing or of another kind. */
static void strange_records(void **state)
{
    static const char *const records[] = { "{}", "[]",
                                           "{\"account\": 7, \"reason\": [], \"strikes\": {}, \"signals\": [7, null, []]}" };
    (void)state;
    for (size_t i = 0; i < COUNT(records); i++) {
        json_t *record = json_loads(records[i], 0, NULL);
        buffer_fini(&text);
        buffer_init(&text, LETTER_BUFFER_MAX);
        letter_to_postmaster(record, "h", &text);
        letter_to_user(record, "h", "p", &text);
        assert_true(buffer_size(&text) > 500);
        json_decref(record);
    }
}

static void to_the_user(void **state)
{
    (void)state;
    json_t *record = record_of("alice", "more than 25 hard-bounces in 1d (limit bounces)", 3);
    buffer_init(&text, LETTER_BUFFER_MAX);
    letter_to_user(record, "relay.example.net", "postmaster@example.net", &text);
    assert_non_null(strstr(buffer_text(&text), "The mail account alice can send nothing at the moment: relay.example.net has"));
    assert_non_null(strstr(buffer_text(&text), "\n    more than 25 hard-bounces in 1d (limit bounces)\n"));
    assert_non_null(strstr(buffer_text(&text), "postmaster@example.net"));
    assert_null(strstr(buffer_text(&text), "192.0.2"));
    json_decref(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(to_the_postmaster), TEST(much_evidence),   TEST(strange_texts),
                                        TEST(cut_texts),         TEST(strange_records), TEST(to_the_user) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
