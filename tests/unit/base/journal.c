/* The file of records: read back, appended to, replaced when it has grown, cut and damaged, in a folder that cannot be used. */
#include "../../../relay/base/journal.h"

#include "../../../relay/base/text.h"
#include "../folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static char got[4096];
static unsigned records;

/* What was logged of TEXT, in what `begin_log` and `end_log` stand around. */
static int log_before;

static void begin_log(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/said", folder);
    log_before = dup(2);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, 2);
    close(fd);
}

static void end_log(void)
{
    dup2(log_before, 2);
    close(log_before);
}

static unsigned logged(const char *text)
{
    char path[400], line[1000];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/said", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

static void take(void *context, struct span record)
{
    (void)context;
    records++;
    if (record.n < 100 && strlen(got) + record.n < sizeof got - 1)
        strncat(got, record.p, record.n);
}

static struct journal *open_journal(void)
{
    got[0] = '\0';
    records = 0;
    return journal_new(folder, "test.log", "postern test 1", take, NULL);
}

/* Opens, writes TEXTS (of one byte each) in one go, closes. True where all was asked for. */
static bool write_all(const char *texts)
{
    struct journal *journal = open_journal();
    bool all = journal_begin(journal, false);
    for (; *texts; texts++)
        journal_add(journal, span_make(texts, 1));
    journal_end(journal, true);
    journal_free(&journal);
    journal_free(&journal);
    return all;
}

static void read_back(const char *expected)
{
    struct journal *journal = open_journal();
    assert_string_equal(got, expected);
    journal_free(&journal);
}

static void records_are_read_back(void **state)
{
    (void)state;
    assert_true(write_all("abc"));
    read_back("abc");
    assert_false(write_all("de"));
    read_back("abcde");
    assert_int_equal(folder_size("test.log.new"), -1);
}

/* What was whole in front of the damage is there, and the owner is asked for all of it. */
static void damage_costs_the_rest(void **state)
{
    (void)state;
    write_all("abc");
    folder_damage("test.log", 1 + 9);
    read_back("a");
    assert_true(write_all("xyz"));
    read_back("xyz");
    char path[400];
    snprintf(path, sizeof path, "%s/test.log", folder);
    for (long cut = folder_size("test.log") - 1; cut >= 0; cut--) {
        assert_int_equal(truncate(path, cut), 0);
        struct journal *journal = open_journal();
        assert_int_equal(records, cut < 16 ? 0 : (cut - 16) / 9);
        journal_free(&journal);
    }
}

static void another_kind_of_file_is_left_out(void **state)
{
    (void)state;
    write_all("abc");
    struct journal *journal = journal_new(folder, "test.log", "postern other 1", take, NULL);
    assert_true(journal_begin(journal, false));
    journal_end(journal, false);
    journal_free(&journal);
    read_back("");
}

static void a_file_that_has_grown_is_replaced(void **state)
{
    (void)state;
    static char large[2048];
    struct journal *journal = open_journal();
    unsigned replaced = 0;
    for (unsigned i = 0; i < 4000; i++) {
        replaced += journal_begin(journal, false);
        journal_add(journal, span_make(large, sizeof large));
        journal_end(journal, false);
        assert_in_range(folder_size("test.log"), 1, 1100000);
    }
    assert_in_range(replaced, 5, 10);
    journal_free(&journal);
    journal = open_journal();
    assert_in_range(records, 1, 600);
    journal_free(&journal);
}

/* Each process may stop before the file has grown to several times what it read: it does not grow from one to the next for that. */
static void a_file_does_not_grow_over_restarts(void **state)
{
    static char large[2048];
    (void)state;
    for (unsigned process = 0; process < 20; process++) {
        struct journal *journal = open_journal();
        for (unsigned i = 0; i < 400; i++) {
            journal_begin(journal, false);
            journal_add(journal, span_make(large, sizeof large));
            journal_end(journal, false);
        }
        journal_free(&journal);
        assert_in_range(folder_size("test.log"), 1, 2100000);
    }
}

/* A disk that is full gets back what the new file took of it, and the old one stays. */
static void a_full_disk(void **state)
{
    static char large[2048];
    struct rlimit limit, small;
    (void)state;
    write_all("abc");
    folder_damage("test.log", 1 + 9); /* so that a new one is wanted */
    struct journal *journal = open_journal();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){ 65536, limit.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(journal_begin(journal, false));
    for (unsigned i = 0; i < 400; i++)
        journal_add(journal, span_make(large, sizeof large));
    journal_end(journal, true);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(folder_size("test.log.new"), -1);
    read_back("a");
    assert_true(journal_begin(journal, false));
    journal_add(journal, SPAN("z"));
    journal_end(journal, true);
    journal_free(&journal);
    read_back("z");
}

/* Nothing is kept then, and nothing else happens. */
static void a_folder_that_is_not_there(void **state)
{
    (void)state;
    struct journal *journal = journal_new("/nonexistent/folder", "test.log", "postern test 1", take, NULL);
    assert_false(journal_begin(journal, false));
    journal_add(journal, SPAN("a"));
    journal_end(journal, true);
    journal_free(&journal);
}

/* A name that is taken by a folder cannot be replaced: it is tried again each time, and all is asked for. */
static void a_file_that_cannot_be_written(void **state)
{
    char path[400];
    (void)state;
    snprintf(path, sizeof path, "%s/test.log.new", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    struct journal *journal = open_journal();
    assert_false(journal_begin(journal, false));
    journal_add(journal, SPAN("a"));
    journal_end(journal, false);
    assert_int_equal(rmdir(path), 0);
    assert_true(journal_begin(journal, false));
    journal_add(journal, SPAN("a"));
    journal_end(journal, false);
    journal_free(&journal);
    read_back("a");
}

/* One round of what is done every few seconds. True where all was asked for. */
static bool round_of(struct journal *journal, bool sync)
{
    bool all = journal_begin(journal, sync);
    journal_add(journal, SPAN("a"));
    journal_end(journal, sync);
    return all;
}

/* Tried again ever more rarely, which is logged once, until it works, which is logged too. */
static void a_long_outage(void **state)
{
    char path[400];
    unsigned rounds = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/test.log.new", folder);
    for (unsigned outage = 1; outage <= 2; outage++) {
        begin_log();
        struct journal *journal = open_journal();
        assert_int_equal(mkdir(path, 0700), 0);
        for (unsigned i = 0; i < 300; i++)
            assert_false(round_of(journal, false));
        assert_int_equal(rmdir(path), 0);
        if (outage == 1) {
            for (rounds = 0; !round_of(journal, false); rounds++)
                assert_in_range(rounds, 0, JOURNAL_REST_MAX);
            assert_in_range(rounds, 10, JOURNAL_REST_MAX);
        } else {
            assert_true(round_of(journal, true)); /* the last time it is not waited for */
        }
        assert_false(round_of(journal, false));
        end_log();
        assert_int_equal(logged("event=error"), 1);
        assert_int_equal(logged("is written again"), 1);
        journal_free(&journal);
        snprintf(got, sizeof got, "%s/test.log", folder);
        assert_int_equal(unlink(got), 0);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_read_back),
        TEST(damage_costs_the_rest),
        TEST(another_kind_of_file_is_left_out),
        TEST(a_file_that_has_grown_is_replaced),
        TEST(a_file_does_not_grow_over_restarts),
        TEST(a_full_disk),
        TEST(a_folder_that_is_not_there),
        TEST(a_file_that_cannot_be_written),
        TEST(a_long_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
