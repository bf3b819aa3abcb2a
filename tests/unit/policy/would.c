/* What limits did not let pass, or would not have: by key and day, bounded, kept, and told in order. */
#include "../../../policy/would.h"

#include "../../../relay/base/text.h"
#include "../folder.h"
#include "settings.h"

#define DAY ((int64_t)86400000)
#define NOW (20000 * DAY + 3600000)

static struct conf_limit hourly = { .key = CONF_KEY_ACCOUNT, .count = CONF_COUNT_RECIPIENTS, .then = CONF_THEN_DEFER };
static struct conf_limit addresses = { .key = CONF_KEY_CLIENT, .count = CONF_COUNT_MESSAGES, .then = CONF_THEN_SLOW };

static int set_up(void **state)
{
    hourly.name = settings_text("hourly");
    addresses.name = settings_text("addresses");
    return folder_make(state);
}

/* What was told, a line a row. */
static char told[8192];

static bool hear(void *context, const struct would_row *row)
{
    unsigned *most = context;
    size_t at = strlen(told);
    at += (size_t)snprintf(told + at, sizeof told - at, "%s %s %s %llu/%llu:", row->limit, row->value ? row->value : "*",
                           row->enforced ? "enforce" : "observe", (unsigned long long)row->questions,
                           (unsigned long long)row->units);
    for (size_t i = 0; i < row->ndays; i++)
        at += (size_t)snprintf(told + at, sizeof told - at, " %u=%llu/%llu/%u", row->days[i].day,
                               (unsigned long long)row->days[i].questions, (unsigned long long)row->days[i].units,
                               row->days[i].keys);
    snprintf(told + at, sizeof told - at, "\n");
    return !most || --*most > 0;
}

static const char *tell(struct would *would, int64_t wall_ms)
{
    told[0] = '\0';
    would_each(would, wall_ms, hear, NULL);
    return told;
}

static void rows_are_counted_by_key_and_day(void **state)
{
    (void)state;
    struct would *would = would_new();
    assert_string_equal(tell(would, NOW), "");
    would_note(would, &hourly, false, "alice", 3, NOW - DAY);
    would_note(would, &hourly, false, "alice", 1, NOW);
    would_note(would, &hourly, false, "alice", 1, NOW);
    would_note(would, &hourly, false, "bob", 10, NOW);
    would_note(would, &hourly, true, "bob", 7, NOW);
    would_note(would, &addresses, false, "192.0.2.1", 1, NOW);
    assert_string_equal(tell(would, NOW), "hourly bob observe 1/10: 20000=1/10/0\n"
                                          "hourly bob enforce 1/7: 20000=1/7/0\n"
                                          "hourly alice observe 3/5: 19999=1/3/0 20000=2/2/0\n"
                                          "addresses 192.0.2.1 observe 1/1: 20000=1/1/0\n"
                                          "hourly * observe 4/15: 19999=1/3/1 20000=3/12/2\n"
                                          "hourly * enforce 1/7: 20000=1/7/1\n"
                                          "addresses * observe 1/1: 20000=1/1/1\n");
    unsigned most = 2;
    told[0] = '\0';
    would_each(would, NOW, hear, &most);
    assert_string_equal(told, "hourly bob observe 1/10: 20000=1/10/0\nhourly bob enforce 1/7: 20000=1/7/0\n");
    would_free(&would);
    would_free(&would);
}

static void days_are_forgotten(void **state)
{
    (void)state;
    struct would *would = would_new();
    for (unsigned i = 0; i < 12; i++)
        would_note(would, &hourly, false, "alice", i + 1, NOW + i * DAY);
    const char *text = tell(would, NOW + 11 * DAY);
    assert_memory_equal(text, "hourly alice observe 8/68: 20004=1/5/0 ", 39);
    assert_non_null(strstr(text, " 20011=1/12/0\n"));
    assert_memory_equal(tell(would, NOW + 18 * DAY), "hourly alice observe 1/12: 20011=1/12/0\n", 40);
    assert_string_equal(tell(would, NOW + 19 * DAY), "");
    assert_string_equal(tell(would, NOW - 5 * DAY), "");
    assert_string_equal(tell(would, -5), "");
    would_free(&would);
}

static void sums_do_not_wrap(void **state)
{
    (void)state;
    struct would *would = would_new();
    would_note(would, &hourly, false, "alice", UINT64_MAX - 1, NOW);
    would_note(would, &hourly, false, "alice", 5, NOW);
    would_note(would, &hourly, false, "alice", 5, NOW - DAY);
    assert_memory_equal(tell(would, NOW), "hourly alice observe 3/18446744073709551615:", 44);
    would_free(&would);
}

static void pairs_are_bounded(void **state)
{
    char key[300];
    (void)state;
    struct would *would = would_new();
    for (unsigned i = 0; i < WOULD_PAIRS_MAX + 10; i++) {
        snprintf(key, sizeof key, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        would_note(would, &addresses, false, key, 1, NOW);
    }
    assert_int_equal(would_count(would), WOULD_PAIRS_MAX);
    for (unsigned i = 0; i < WOULD_LIMITS_MAX + 10; i++) {
        snprintf(key, sizeof key, "limit%u", i);
        struct conf_limit limit = { .name = key };
        would_note(would, &limit, true, "alice", 1, NOW);
    }
    memset(key, 'x', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    struct conf_limit limit = { .name = key };
    would_note(would, &limit, true, key, 1, NOW);
    assert_int_equal(would_count(would), WOULD_PAIRS_MAX);
    would_open(would, folder);
    would_flush(would, false);
    would_free(&would);
    would = would_new();
    would_open(would, folder);
    assert_int_equal(would_count(would), WOULD_PAIRS_MAX);
    would_free(&would);
}

/* Ends one and begins another, which reads what it left. */
static void again(struct would **would)
{
    would_free(would);
    *would = would_new();
    would_open(*would, folder);
}

static void all_of_it_is_kept(void **state)
{
    char before[sizeof told];
    (void)state;
    struct would *would = would_new();
    would_open(would, folder);
    would_note(would, &hourly, false, "alice", 3, NOW - DAY);
    would_note(would, &hourly, false, "bob", 10, NOW);
    would_flush(would, false);
    long size = folder_size("would.log");
    would_note(would, &addresses, true, "192.0.2.1", 1, NOW);
    would_note(would, &hourly, false, "alice", 1, NOW);
    would_flush(would, true);
    assert_true(folder_size("would.log") > size);
    size = folder_size("would.log");
    would_flush(would, true);
    assert_int_equal(folder_size("would.log"), size);
    snprintf(before, sizeof before, "%s", tell(would, NOW));
    again(&would);
    assert_string_equal(tell(would, NOW), before);
    would_note(would, &hourly, false, "alice", 1, NOW);
    again(&would);
    assert_string_equal(tell(would, NOW), before);
    folder_damage("would.log", folder_size("would.log") - 20);
    again(&would);
    assert_string_equal(tell(would, NOW), "");
    would_flush(would, false);
    would_free(&would);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_are_counted_by_key_and_day),
        TEST(days_are_forgotten),
        TEST(sums_do_not_wrap),
        TEST(pairs_are_bounded),
        TEST(all_of_it_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
