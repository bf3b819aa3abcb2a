/* How accounts stand: strikes and their age, suspensions, what is kept over an end, and what a folder may look like. */
#include "../../../policy/standing.h"

#include "../../../policy/standing_file.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../folder.h"

#include <fcntl.h>

#define DAY ((int64_t)86400000)
#define NOW (20000 * DAY)

static struct standing *standing;

static int close_standing(void **state)
{
    char path[400];
    standing_free(&standing);
    snprintf(path, sizeof path, "%s/x", folder);
    rmdir(path);
    return folder_remove(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, close_standing)

static void open_standing(void)
{
    standing_free(&standing);
    standing = standing_new();
    standing_open(standing, folder);
}

static json_t *item(unsigned number)
{
    return json_pack("{s:i}", "number", (int)number);
}

static bool strike(const char *account, unsigned weight, int64_t now_ms)
{
    return standing_strike(standing, span_of(account), weight, item(weight), now_ms);
}

static bool suspend(const char *account)
{
    return standing_suspend(standing, span_of(account), "because", "limit bounces", NULL, NOW);
}

static bool is_suspended(const char *account)
{
    return standing_is_suspended(standing, span_of(account));
}

/* The member NAME of ACCOUNT's record as JSON text. */
static const char *member(const char *account, const char *name)
{
    static char text[4096];
    json_t *record = standing_show(standing, span_of(account), NOW);
    char *dumped = json_dumps(json_object_get(record, name), JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(text, sizeof text, "%s", dumped ? dumped : "");
    free(dumped);
    json_decref(record);
    return text;
}

static bool list_name(void *context, struct span account)
{
    char *text = context;
    size_t at = strlen(text);
    snprintf(text + at, 400 - at, "%.*s;", SPAN_ARGS(account));
    return true;
}

static const char *names(bool suspended)
{
    static char text[400];
    text[0] = '\0';
    standing_each(standing, suspended, list_name, text);
    return text;
}

static unsigned files(void)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += strncmp(entry->d_name, "account", 7) == 0;
    closedir(dir);
    return count;
}

/* A strike weighs whole for a day, then less, and nothing after a week. */
static void strikes_age(void **state)
{
    static const struct {
        int64_t age_ms;
        unsigned weight;
    } cases[] = { { -DAY, 60 }, { 0, 60 }, { DAY, 60 }, { 4 * DAY, 30 }, { 7 * DAY - 1, 0 }, { 7 * DAY, 0 }, { 400 * DAY, 0 } };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        standing = standing_new();
        assert_false(strike("alice", 60, NOW - cases[i].age_ms));
        assert_int_equal(standing_weight(standing, SPAN("alice"), NOW), cases[i].weight);
        assert_int_equal(strike("alice", 41, NOW), cases[i].weight + 41 >= STANDING_THRESHOLD);
        standing_free(&standing);
    }
    standing = standing_new();
    assert_int_equal(standing_weight(standing, SPAN("bob"), NOW), 0);
    for (unsigned i = 0; i < 3 * STANDING_STRIKES; i++)
        assert_false(strike("bob", 3, NOW));
    assert_true(strike("bob", 7, NOW));
    assert_true(strike("carol", 100, NOW));
    assert_true(strike("dave", 4000000000u, NOW));
    assert_int_equal(standing_weight(standing, SPAN("dave"), NOW), STANDING_THRESHOLD);
}

static void suspended_and_resumed(void **state)
{
    (void)state;
    open_standing();
    assert_false(is_suspended("alice"));
    assert_string_equal(standing_reason(standing, SPAN("alice")), "");
    assert_false(standing_resume(standing, SPAN("alice"), "administrator", NOW));
    assert_false(standing_is_watched(standing, SPAN("alice")));
    strike("alice", 100, NOW - 2000);
    assert_true(suspend("alice"));
    assert_false(suspend("alice"));
    assert_true(is_suspended("alice") && !is_suspended("bob"));
    assert_int_equal(standing_suspended(standing), 1);
    assert_string_equal(standing_reason(standing, SPAN("alice")), "because");
    assert_string_equal(member("alice", "by"), "\"limit bounces\"");
    assert_int_equal(standing_since(standing, SPAN("alice")), NOW);
    assert_true(standing_resume(standing, SPAN("alice"), "administrator", NOW - 1000));
    assert_int_equal(standing_since(standing, SPAN("alice")),
                     NOW + 1); /* a clock that went back makes it no older than what it ends */
    assert_false(standing_resume(standing, SPAN("alice"), "administrator", NOW));
    assert_int_equal(standing_suspended(standing), 0);
    assert_string_equal(member("alice", "state"), "\"active\"");
    assert_string_equal(standing_reason(standing, SPAN("alice")), "");
    assert_true(standing_suspend(standing, SPAN("bob"), "x", "y", NULL, NOW + 5000)); /* by a machine whose clock is ahead */
    assert_true(standing_resume(standing, SPAN("bob"), "administrator", NOW + 5000));
    assert_true(standing_suspend(standing, SPAN("bob"), "x", "y", NULL, NOW));
    assert_int_equal(standing_since(standing, SPAN("bob")), NOW + 5002); /* the newer word, for all machines */
    assert_true(standing_resume(standing, SPAN("bob"), "administrator", NOW));
    assert_int_equal(standing_weight(standing, SPAN("alice"), NOW), 0);
    assert_non_null(strstr(member("alice", "strikes"), "\"forgiven\":true"));
    assert_string_equal(member("nobody", "state"), "\"active\"");
    assert_string_equal(member("nobody", "signals"), "[]");
    assert_string_equal(member("nobody", "name"), "");
}

/* What has a strike, or is suspended, is there again after a kill; signals are once they are written down. */
static void kept(void **state)
{
    (void)state;
    open_standing();
    strike("struck", 40, NOW);
    standing_signal(standing, SPAN("signalled"), item(1), NOW);
    standing_signal(standing, SPAN("bad"), item(2), NOW);
    json_t *evidence = json_pack("{s:[s]}", "networks", "192.0.2.0/24");
    assert_true(standing_suspend(standing, SPAN("bad"), "because \"of\"\n\\ m\xc3\xbcller", "limit spam", evidence, NOW));
    suspend("good again");
    standing_resume(standing, SPAN("good again"), "administrator", NOW);
    open_standing();
    assert_true(is_suspended("bad") && !is_suspended("good again"));
    assert_int_equal(standing_suspended(standing), 1);
    assert_string_equal(names(true), "bad;");
    assert_int_equal(standing_weight(standing, SPAN("struck"), NOW), 40);
    assert_false(standing_is_watched(standing, SPAN("signalled")));
    assert_string_equal(standing_reason(standing, SPAN("bad")), "because \"of\"\\x0a\\x5c m\xc3\xbcller");
    assert_non_null(strstr(member("bad", "networks"), "192.0.2.0/24"));
    assert_non_null(strstr(member("bad", "signals"), "\"number\":2"));
    assert_int_equal(standing_since(standing, SPAN("bad")), NOW);
    assert_int_equal(files(), 3);
}

static size_t length(const char *account, const char *list)
{
    json_t *record = standing_show(standing, span_of(account), NOW);
    size_t size = json_array_size(json_object_get(record, list));
    json_decref(record);
    return size;
}

/* What came behind the last strike, of one who is suspended, and of one who never had a strike. */
static void evidence_is_kept(void **state)
{
    (void)state;
    open_standing();
    suspend("bad");
    for (unsigned i = 0; i < 6; i++)
        standing_signal(standing, SPAN("bad"), item(i), NOW);
    standing_sample(standing, SPAN("bad"), item(6), NOW);
    standing_signal(standing, SPAN("signalled"), item(7), NOW);
    standing_sample(standing, SPAN("signalled"), item(8), NOW);
    standing_signal(standing, SPAN("\xff"), item(9), NOW);
    standing_flush(standing, true);
    open_standing();
    assert_true(is_suspended("bad"));
    assert_int_equal(length("bad", "signals"), 6);
    assert_int_equal(length("bad", "samples"), 1);
    assert_string_equal(member("signalled", "state"), "\"active\"");
    assert_non_null(strstr(member("signalled", "signals"), "\"number\":7"));
    assert_int_equal(length("signalled", "samples"), 1);
    assert_int_equal(files(), 2);
}

static void remove_file(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

/* The file of the account "alice", by its SHA-256. */
#define ALICE "account-2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90.json"

/* However many signals: a record is written when a flush comes, once, and not again before something else happens. */
static void written_once_a_flush(void **state)
{
    (void)state;
    open_standing();
    for (unsigned i = 0; i < 100; i++)
        standing_signal(standing, SPAN("alice"), item(i), NOW);
    assert_int_equal(files(), 0);
    standing_flush(standing, false);
    assert_int_equal(files(), 1);
    remove_file(ALICE);
    standing_flush(standing, false);
    standing_flush(standing, true);
    assert_int_equal(files(), 0);
    standing_signal(standing, SPAN("alice"), item(0), NOW);
    strike("alice", 1, NOW); /* which writes the signal, too */
    remove_file(ALICE);
    standing_flush(standing, true);
    assert_int_equal(files(), 0);
    standing_sample(standing, SPAN("alice"), item(0), NOW);
    standing_flush(standing, false);
    assert_int_equal(files(), 1);
}

/* A flush takes its time and no more, but comes to an end; the last one writes all. */
static void a_flush_is_bounded(void **state)
{
    enum { ACCOUNTS = 1000 };
    char name[32];
    unsigned before = 0;
    (void)state;
    open_standing();
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        snprintf(name, sizeof name, "user%u", i);
        standing_signal(standing, span_of(name), item(i), NOW);
    }
    for (unsigned i = 0; i < 3; i++) {
        int64_t begun_ms = clock_monotonic_ms();
        standing_flush(standing, false);
        assert_true(clock_monotonic_ms() - begun_ms < 5000);
        assert_true(files() > before || files() == ACCOUNTS);
        before = files();
    }
    standing_flush(standing, true);
    assert_int_equal(files(), ACCOUNTS);
}

/* A record that cannot be written keeps no other from it, and is written when it can be, without anything new. */
static void a_flush_that_fails(void **state)
{
    char path[400];
    (void)state;
    open_standing();
    snprintf(path, sizeof path, "%s/%s", folder, ALICE);
    assert_int_equal(mkdir(path, 0700), 0);
    strike("alice", 10, NOW);
    standing_signal(standing, SPAN("bob"), item(1), NOW);
    for (unsigned i = 0; i < 10; i++)
        standing_flush(standing, false);
    assert_int_equal(files(), 2);
    assert_int_equal(rmdir(path), 0);
    standing_flush(standing, true);
    assert_int_equal(files(), 2);
    open_standing();
    assert_int_equal(standing_weight(standing, SPAN("alice"), NOW), 10);
    assert_int_equal(length("bob", "signals"), 1);
}

/* Who leaves is the same after a restart: whoever has no strike, and of those the one that was written longest ago; with the file. */
static void who_leaves_after_a_restart(void **state)
{
    static const char *const names_in_order[] = { "struck", "first", "second", "third" };
    char name[32];
    (void)state;
    open_standing();
    for (size_t i = 0; i < COUNT(names_in_order); i++) {
        if (i == 0)
            strike(names_in_order[i], 10, NOW);
        else
            standing_signal(standing, span_of(names_in_order[i]), item(1), NOW);
        standing_flush(standing, true);
        usleep(20000); /* the clock of a file system may be coarse */
    }
    open_standing();
    assert_string_equal(names(false), "third;second;first;struck;");
    for (unsigned i = 0; i < STANDING_MAX - 2; i++) {
        snprintf(name, sizeof name, "user%u", i);
        standing_signal(standing, span_of(name), item(i), NOW);
    }
    assert_true(standing_is_watched(standing, SPAN("struck")) && standing_is_watched(standing, SPAN("third")));
    assert_false(standing_is_watched(standing, SPAN("first")) || standing_is_watched(standing, SPAN("second")));
    assert_int_equal(files(), 2);
}

/* Names with backslashes, quotes, slashes, UTF-8, as long as can be. What is no UTF-8 is nobody's name, and is not kept. */
static void odd_names(void **state)
{
    static const char *const odd[] = { "corp\\alice",
                                       "\"q\"",
                                       "../../etc/passwd",
                                       "m\xc3\xbcller",
                                       "a b",
                                       "\xe2\x80\xae"
                                       "evil",
                                       NULL };
    char longest[ACCOUNT_NAME_SIZE];
    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    open_standing();
    for (size_t i = 0; i < COUNT(odd); i++)
        assert_true(suspend(odd[i] ? odd[i] : longest));
    assert_true(suspend("\xff\xfe"));
    assert_true(is_suspended("\xff\xfe"));
    assert_string_equal(member("\xff\xfe", "account"), "\"\\\\xff\\\\xfe\"");
    assert_int_equal(files(), COUNT(odd));
    open_standing();
    for (size_t i = 0; i < COUNT(odd); i++)
        assert_true(is_suspended(odd[i] ? odd[i] : longest));
    assert_int_equal(standing_suspended(standing), COUNT(odd));
    assert_false(is_suspended("corp\\x5calice"));
}

static void write_file(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

/* What does not belong there, is damaged, of another account, or would never end, harms nothing and stays. */
static void strange_files(void **state)
{
    char path[400], target[400], *large = test_malloc(STANDING_FILE_MAX + 2);
    (void)state;
    memset(large, ' ', STANDING_FILE_MAX + 1);
    large[STANDING_FILE_MAX + 1] = '\0';
    open_standing();
    suspend("alice");
    assert_int_equal(folder_size(ALICE) > 0, 1);
    suspend("bob");
    snprintf(path, sizeof path, "%s/%s", folder, ALICE);
    write_file("account-copy.json", "{\"name\": \"carol\", \"state\": \"suspended\"}");
    write_file("account-0.json", "{\"state\": \"suspended\"}");
    write_file("account-1.json", "{\"name\": \"\", \"state\": \"suspended\"}");
    write_file("account-2.json", "{\"name\": 7, \"state\": []}");
    write_file("account-3.json", "[]");
    write_file("account-4.json", "{\"name\": \"a\", \"name\": \"b\"}");
    write_file("account-5.json", "");
    write_file("account-6.json", large);
    write_file("account.new", "{\"name\": \"new\", \"state\": \"suspended\"}");
    test_free(large);
    snprintf(target, sizeof target, "%s/account-link.json", folder);
    assert_int_equal(symlink(path, target), 0);
    snprintf(target, sizeof target, "%s/account-fifo.json", folder);
    assert_int_equal(mkfifo(target, 0600), 0);
    snprintf(target, sizeof target, "%s/x", folder);
    assert_int_equal(mkdir(target, 0700), 0);
    unsigned before = files();
    open_standing();
    assert_int_equal(standing_suspended(standing), 2);
    assert_true(is_suspended("alice") && is_suspended("bob"));
    assert_int_equal(files(), before);
    write_file(ALICE, "{\"name\": \"alice\", \"state\": \"susp");
    open_standing();
    assert_int_equal(standing_suspended(standing), 1);
    strike("alice", 1, NOW);
    open_standing();
    assert_int_equal(standing_weight(standing, SPAN("alice"), NOW), 1);
}

/* Members of another kind than they should be, and numbers that nobody wrote. */
static void strange_members(void **state)
{
    static const char *const records[] = {
        "{\"name\": \"alice\"}",
        "{\"name\": \"alice\", \"state\": \"suspended\", \"reason\": 5, \"strikes\": {}, \"signals\": \"\", \"since_ms\": -9e18}",
        "{\"name\": \"alice\", \"state\": \"active\", \"strikes\": [7, null, {\"weight\": 9223372036854775807, \"time_ms\": "
        "-9223372036854775808}], \"samples\": {\"a\": 1}}",
        "{\"name\": \"alice\", \"state\": \"active\", \"strikes\": [{\"weight\": 9223372036854775807, \"time_ms\": "
        "9223372036854775807}, "
        "{\"weight\": -5, \"time_ms\": \"x\"}]}",
        "{\"name\": \"alice\", \"state\": \"suspended\", \"since_ms\": 9223372036854775807}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(records); i++) {
        write_file(ALICE, records[i]);
        open_standing();
        standing_weight(standing, SPAN("alice"), NOW);
        standing_signal(standing, SPAN("alice"), item(1), NOW);
        standing_sample(standing, SPAN("alice"), item(2), NOW);
        strike("alice", 1, NOW);
        suspend("alice");
        assert_true(is_suspended("alice"));
        member("alice", "strikes");
        assert_true(standing_resume(standing, SPAN("alice"), "administrator", NOW));
        assert_int_equal(standing_weight(standing, SPAN("alice"), NOW), 0);
        assert_int_equal(standing_suspended(standing), 0);
    }
}

/* No folder, one that is a file, one where nothing can be written: it holds until the end. */
static void without_a_folder(void **state)
{
    char path[400];
    (void)state;
    standing = standing_new();
    standing_open(standing, "/nowhere/at/all");
    assert_true(suspend("alice"));
    standing_free(&standing);
    standing = standing_new();
    snprintf(path, sizeof path, "%s/x", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    standing_open(standing, path);
    assert_int_equal(rmdir(path), 0); /* as root one may write into any folder that is there */
    assert_true(suspend("alice") && is_suspended("alice"));
    assert_true(standing_resume(standing, SPAN("alice"), "administrator", NOW));
}

/* So many signals of one, so many records of all; what has no strike leaves first, and what is suspended never. */
static void bounded(void **state)
{
    char name[32];
    (void)state;
    open_standing();
    for (unsigned i = 0; i < 3 * STANDING_SIGNALS; i++) {
        standing_signal(standing, SPAN("alice"), item(i), NOW);
        standing_sample(standing, SPAN("alice"), item(i), NOW);
        standing_sample(standing, SPAN("nobody"), item(i), NOW);
    }
    standing_signal(standing, SPAN(""), item(0), NOW);
    json_t *record = standing_show(standing, SPAN("alice"), NOW);
    assert_int_equal(json_array_size(json_object_get(record, "signals")), STANDING_SIGNALS);
    assert_int_equal(json_array_size(json_object_get(record, "samples")), STANDING_SAMPLES);
    json_decref(record);
    assert_non_null(strstr(member("alice", "signals"), "\"number\":95"));
    assert_null(strstr(member("alice", "signals"), "\"number\":63,"));
    assert_false(standing_is_watched(standing, SPAN("nobody")));
    suspend("bad");
    strike("struck", 10, NOW);
    for (unsigned i = 0; i < STANDING_MAX + 5; i++) {
        snprintf(name, sizeof name, "user%u", i);
        standing_signal(standing, span_of(name), item(i), NOW);
    }
    assert_true(is_suspended("bad") && standing_weight(standing, SPAN("struck"), NOW) == 10);
    assert_false(standing_is_watched(standing, SPAN("alice")) || standing_is_watched(standing, SPAN("user0")));
    assert_true(standing_is_watched(standing, SPAN("user9999")));
    assert_int_equal(files(), 2);
}

/* All signals together are bounded, too: records without a strike leave, and who has one keeps it. */
static void signals_are_bounded(void **state)
{
    enum { ACCOUNTS = STANDING_ITEMS / STANDING_SIGNALS + 10 };
    char name[32];
    (void)state;
    standing = standing_new();
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        snprintf(name, sizeof name, "user%u", i);
        if (i < 5)
            strike(name, 10, NOW);
        for (unsigned k = 0; k < STANDING_SIGNALS; k++)
            standing_signal(standing, span_of(name), item(k), NOW);
    }
    assert_int_equal(standing_weight(standing, SPAN("user4"), NOW), 10);
    assert_false(standing_is_watched(standing, SPAN("user5")));
    assert_true(standing_is_watched(standing, SPAN("user20")));
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        snprintf(name, sizeof name, "user%u", i);
        strike(name, 10, NOW);
        standing_signal(standing, span_of(name), item(0), NOW);
    }
    for (unsigned k = 0; k < STANDING_SIGNALS; k++)
        standing_signal(standing, SPAN("another"), item(k), NOW);
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        snprintf(name, sizeof name, "user%u", i);
        assert_true(standing_weight(standing, span_of(name), NOW) >= 10);
    }
    strike("another", 10, NOW);
    standing_signal(standing, SPAN("another"), item(0), NOW);
    assert_int_equal(standing_weight(standing, SPAN("another"), NOW), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strikes_age),
        TEST(suspended_and_resumed),
        TEST(kept),
        TEST(evidence_is_kept),
        TEST(written_once_a_flush),
        TEST(a_flush_is_bounded),
        TEST(a_flush_that_fails),
        TEST(who_leaves_after_a_restart),
        TEST(odd_names),
        TEST(strange_files),
        TEST(strange_members),
        TEST(without_a_folder),
        TEST(bounded),
        TEST(signals_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
