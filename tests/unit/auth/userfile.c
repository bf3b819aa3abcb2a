#include "../../../relay/auth/userfile.h"
#include "../../../relay/base/buffer.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#include <sys/stat.h>
#include <unistd.h>

#define KEYS_A  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define KEYS_B  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="
#define SALT_16 "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SALT_8  "AAAAAAAAAAA="
#define PENCIL  "SCRAM-SHA-256$4096:" SALT_16 "$" KEYS_A
#define STRONG  "SCRAM-SHA-256$20000:" SALT_8 "$" KEYS_B

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    text_copy(folder, sizeof folder, SPAN("/tmp/postern-userfile-XXXXXX"));
    assert_non_null(mkdtemp(folder));
    text_format(path, sizeof path, "%s/users", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void takes_text(void **state)
{
    static const struct {
        const char *text;
        size_t accounts;
    } cases[] = {
        { "", 0 },
        { "\n\n# nobody\n", 0 },
        { "alice:" PENCIL, 1 },
        { "alice:" PENCIL "\r\nbob:" STRONG "\r\n", 2 },
        { "alice:" PENCIL "\nAlice:" STRONG "\n", 1 },
        { "alice " PENCIL "\nbob:x\n:\ncarol:" PENCIL "\n", 1 },
        { "alice:" PENCIL "\nbob:SCRAM-SHA-256$4096:" SALT_16, 1 },
    };
    struct userfile *file = userfile_new(NULL);
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(userfile_take(file, span_of(cases[i].text)), cases[i].accounts);
    userfile_free(&file);
    userfile_free(&file);
}

/* Of two lines with one name the first counts. */
static void first_line_counts(void **state)
{
    struct userfile *file = userfile_new(NULL);
    struct scram_verifier verifier;
    (void)state;
    userfile_take(file, SPAN("alice:" PENCIL "\nalice:" STRONG "\n"));
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_FOUND);
    assert_int_equal(verifier.iterations, 4096);
    assert_true(scram_check(&verifier, SPAN("pencil")));
    userfile_free(&file);
}

static void complains_within_bounds(void **state)
{
    struct userfile *file = userfile_new(NULL);
    struct buffer text;
    (void)state;
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buffer_add_text(&text, "nonsense\n");
    assert_int_equal(userfile_take(file, buffer_span(&text)), 0);
    buffer_fini(&text);
    userfile_free(&file);
}

static void follows_the_file(void **state)
{
    struct userfile *file = userfile_new(path);
    struct scram_verifier verifier;
    char other[128];
    (void)state;
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_UNREADABLE);
    write_file("alice:" PENCIL "\n");
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_FOUND);
    assert_int_equal(userfile_find(file, SPAN("bob"), &verifier), USERFILE_UNKNOWN);
    text_format(other, sizeof other, "%s.old", path);
    assert_int_equal(rename(path, other), 0);
    write_file("bobby:" PENCIL "\n"); /* same size, another inode */
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_UNKNOWN);
    assert_int_equal(userfile_find(file, SPAN("bobby"), &verifier), USERFILE_FOUND);
    assert_int_equal(rename(other, path), 0); /* the older one comes back */
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_FOUND);
    unlink(path);
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_UNREADABLE);
    userfile_free(&file);
}

/* A folder or a fifo in the file's place is no file, and holds nobody up. */
static void needs_a_regular_file(void **state)
{
    struct userfile *file = userfile_new(path);
    struct scram_verifier verifier;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_UNREADABLE);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(userfile_find(file, SPAN("alice"), &verifier), USERFILE_UNREADABLE);
    rmdir(path);
    userfile_free(&file);
}

static void decoys_look_like_accounts(void **state)
{
    static const char most[] = "a:" STRONG "\nb:" PENCIL "\nc:" STRONG "\n";
    struct userfile *file = userfile_new(path), *same = userfile_new(path);
    struct scram_verifier first, again, other;
    (void)state;
    userfile_take(file, SPAN(most));
    userfile_take(same, SPAN(most)); /* as in another auth process */
    userfile_decoy(file, SPAN("nobody"), &first);
    userfile_decoy(same, SPAN("nobody"), &again);
    userfile_decoy(file, SPAN("nobody2"), &other);
    assert_int_equal(first.iterations, 20000);
    assert_int_equal(first.salt_size, 8);
    assert_memory_equal(&first, &again, sizeof first);
    assert_memory_not_equal(first.salt, other.salt, 8);
    /* An account more, and one less, change nothing for the names that are unknown. */
    userfile_take(same, SPAN("a:" STRONG "\nb:" PENCIL "\nc:" STRONG "\nd:" STRONG "\n"));
    userfile_decoy(same, SPAN("nobody"), &again);
    assert_memory_equal(first.salt, again.salt, 8);
    userfile_take(same, SPAN(""));
    userfile_decoy(same, SPAN("nobody"), &again);
    assert_int_equal(again.iterations, SCRAM_ITERATIONS_DEFAULT);
    assert_int_equal(again.salt_size, SCRAM_SALT_DEFAULT);
    userfile_free(&file);
    userfile_free(&same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_text),
        cmocka_unit_test(first_line_counts),
        cmocka_unit_test(complains_within_bounds),
        cmocka_unit_test_setup_teardown(follows_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(needs_a_regular_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(decoys_look_like_accounts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
