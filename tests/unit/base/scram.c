#include "../../../relay/base/scram.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

/* The example of RFC 7677 3: user "user", password "pencil"; keys as the RFC's proof and signature demand them. */
#define SALT       "W22ZaJ0SNY7soEsUEjb6gQ=="
#define STORED_KEY "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define SERVER_KEY "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define VERIFIER   "SCRAM-SHA-256$4096:" SALT "$" STORED_KEY ":" SERVER_KEY

static void agrees_with_the_rfc(void **state)
{
    struct scram_verifier verifier;
    char text[SCRAM_TEXT_SIZE];
    (void)state;
    assert_true(scram_parse(SPAN(VERIFIER), &verifier));
    assert_int_equal(verifier.iterations, 4096);
    assert_int_equal(verifier.salt_size, 16);
    assert_true(scram_check(&verifier, SPAN("pencil")));
    assert_false(scram_check(&verifier, SPAN("Pencil")));
    assert_false(scram_check(&verifier, SPAN("pencil ")));
    assert_false(scram_check(&verifier, SPAN("")));
    scram_print(&verifier, text);
    assert_string_equal(text, VERIFIER);
}

static void makes_what_it_checks(void **state)
{
    struct scram_verifier first, second, read;
    char text[SCRAM_TEXT_SIZE];
    (void)state;
    assert_true(scram_make(SPAN("b\xc3\xbc"
                                "cher"),
                           SCRAM_ITERATIONS_DEFAULT, &first));
    assert_true(scram_make(SPAN("b\xc3\xbc"
                                "cher"),
                           SCRAM_ITERATIONS_DEFAULT, &second));
    assert_memory_not_equal(first.salt, second.salt, SCRAM_SALT_DEFAULT);
    assert_memory_not_equal(first.stored_key, second.stored_key, SCRAM_KEY_SIZE);
    assert_true(scram_check(&first, SPAN("b\xc3\xbc"
                                         "cher")));
    scram_print(&first, text);
    assert_true(scram_parse(span_of(text), &read));
    assert_memory_equal(&read, &first, sizeof read);
}

static void parses(void **state)
{
#define KEYS STORED_KEY ":" SERVER_KEY
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { VERIFIER, true },
        { "SCRAM-SHA-256$1000000:" SALT "$" KEYS, true },
        { "SCRAM-SHA-256$1000001:" SALT "$" KEYS, false },
        { "SCRAM-SHA-256$4095:" SALT "$" KEYS, false },
        { "SCRAM-SHA-256$-4096:" SALT "$" KEYS, false },
        { "SCRAM-SHA-256$99999999999999999999:" SALT "$" KEYS, false },
        { "SCRAM-SHA-256$:" SALT "$" KEYS, false },
        { "SCRAM-SHA-1$4096:" SALT "$" KEYS, false },
        { "scram-sha-256$4096:" SALT "$" KEYS, false },
        { " " VERIFIER, false },
        { VERIFIER " ", false },
        { VERIFIER ":", false },
        { VERIFIER "\r", false },
        { "SCRAM-SHA-256$4096:$" KEYS, false },
        { "SCRAM-SHA-256$4096:AAAA$" KEYS, false },        /* 3 bytes of salt */
        { "SCRAM-SHA-256$4096:AAAAAAAAAAA=$" KEYS, true }, /* 8 */
        { "SCRAM-SHA-256$4096:" SALT "$" STORED_KEY, false },
        { "SCRAM-SHA-256$4096:" SALT "$" STORED_KEY ":", false },
        { "SCRAM-SHA-256$4096:" SALT "$" SALT ":" SERVER_KEY, false },
        { "SCRAM-SHA-256$4096:" SALT, false },
        { "SCRAM-SHA-256$", false },
        { "", false },
        { "pencil", false },
        { "$6$salt$hash", false },
    };
    struct scram_verifier verifier;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(scram_parse(span_of(cases[i].text), &verifier), cases[i].good);
}

/* The largest salt fits into a printed verifier; one byte more is refused. */
static void bounds_the_salt(void **state)
{
    struct scram_verifier verifier = { .iterations = SCRAM_ITERATIONS_MAX, .salt_size = SCRAM_SALT_MAX }, read;
    char text[SCRAM_TEXT_SIZE], longer[2 * SCRAM_TEXT_SIZE];
    (void)state;
    scram_print(&verifier, text);
    assert_true(scram_parse(span_of(text), &read));
    assert_int_equal(read.salt_size, SCRAM_SALT_MAX);
    struct span rest = span_of(text);
    struct span head = span_cut(&rest, ':');
    text_format(longer, sizeof longer, "%.*s:AAAA%.*s", SPAN_ARGS(head), SPAN_ARGS(rest));
    assert_false(scram_parse(span_of(longer), &read));
}

static void reads_lines(void **state)
{
    static const struct {
        const char *line;
        enum scram_line kind;
        const char *name;
    } cases[] = {
        { "", SCRAM_LINE_NOTHING, "" },
        { " \t", SCRAM_LINE_NOTHING, "" },
        { "# alice:" VERIFIER, SCRAM_LINE_NOTHING, "" },
        { "alice:" VERIFIER, SCRAM_LINE_ACCOUNT, "alice" },
        { "Alice@Example.NET:" VERIFIER, SCRAM_LINE_ACCOUNT, "alice@example.net" },
        { "al ice:" VERIFIER, SCRAM_LINE_BAD_NAME, "" },
        { ":" VERIFIER, SCRAM_LINE_BAD_NAME, "" },
        { "*:" VERIFIER, SCRAM_LINE_BAD_NAME, "" },
        { "alice", SCRAM_LINE_BAD_VERIFIER, "" },
        { "alice:", SCRAM_LINE_BAD_VERIFIER, "" },
        { "alice: " VERIFIER, SCRAM_LINE_BAD_VERIFIER, "" },
        { VERIFIER, SCRAM_LINE_BAD_VERIFIER, "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scram_verifier verifier;
        char name[SCRAM_NAME_SIZE] = "";
        assert_int_equal(scram_line(span_of(cases[i].line), name, &verifier), cases[i].kind);
        assert_string_equal(name, cases[i].name);
    }
}

static void normalises_names(void **state)
{
    static const struct {
        const char *name;
        const char *normal; /* NULL: refused */
    } cases[] = {
        { "a", "a" },
        { "ALICE", "alice" },
        { "b\xc3\x9c"
          "cher",
          "b\xc3\x9c"
          "cher" }, /* only ASCII is folded */
        { "#a", NULL },
        { "a#", "a#" },
        { "*", NULL },
        { "**", "**" },
        { "a b", NULL },
        { "a\t", NULL },
        { "a\x7f", NULL },
        { "a\xc2\x85", NULL }, /* a C1 control */
        { "a\xc2\xa0", NULL }, /* a no-break space */
        { "a\xc2\xa1", "a\xc2\xa1" },
        { "a\xff", NULL },
        { "a\xc2", NULL },
        { "a:b", NULL },
        { "", NULL },
    };
    char normal[SCRAM_NAME_SIZE], longest[SCRAM_NAME_SIZE + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(scram_name(span_of(cases[i].name), normal), cases[i].normal != NULL);
        if (cases[i].normal)
            assert_string_equal(normal, cases[i].normal);
    }
    assert_false(scram_name(span_make("a\0b", 3), normal));
    memset(longest, 'a', sizeof longest);
    assert_true(scram_name(span_make(longest, SCRAM_NAME_SIZE - 1), normal));
    assert_false(scram_name(span_make(longest, SCRAM_NAME_SIZE), normal));
}

static void refuses_passwords(void **state)
{
    static char longest[SCRAM_PASSWORD_MAX + 1];
    (void)state;
    memset(longest, 'p', sizeof longest);
    assert_true(scram_password(SPAN("p")));
    assert_true(scram_password(SPAN(" with spaces: and colons ")));
    assert_true(scram_password(span_make(longest, SCRAM_PASSWORD_MAX)));
    assert_false(scram_password(span_make(longest, SCRAM_PASSWORD_MAX + 1)));
    assert_false(scram_password(SPAN("")));
    assert_false(scram_password(SPAN("a\tb")));
    assert_false(scram_password(SPAN("a\0b")));
    assert_false(scram_password(SPAN("a\x7f")));
    assert_false(scram_password(SPAN("b\xfc"
                                     "cher")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_rfc), cmocka_unit_test(makes_what_it_checks), cmocka_unit_test(parses),
        cmocka_unit_test(bounds_the_salt),     cmocka_unit_test(reads_lines),          cmocka_unit_test(normalises_names),
        cmocka_unit_test(refuses_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
