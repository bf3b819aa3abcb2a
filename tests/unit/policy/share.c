/* The share of what came back: windows, the part of the last one, bounds. */
#include "../../../policy/share.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#define PER 1000

static struct share_table *table;

static int set_up(void **state)
{
    (void)state;
    table = share_new(PER);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    share_free(&table);
    assert_null(table);
    return 0;
}

static void is(const char *key, int64_t now_ms, uint32_t bad, uint32_t all)
{
    struct share share = share_of(table, span_of(key), now_ms);
    assert_int_equal(share.bad, bad);
    assert_int_equal(share.all, all);
}

static void windows_turn(void **state)
{
    (void)state;
    is("a", 0, 0, 0);
    share_note(table, SPAN("a"), (struct share){ .bad = 1, .all = 1 }, 100);
    share_note(table, SPAN("a"), (struct share){ .bad = 0, .all = 9 }, 900);
    is("a", 999, 1, 10);
    is("b", 999, 0, 0);
    is("a", 1000, 1, 10); /* the window before counts whole when the new one begins */
    is("a", 1500, 0, 5);
    share_note(table, SPAN("a"), (struct share){ .bad = 4, .all = 4 }, 1500);
    is("a", 1500, 4, 9);
    is("a", 1400, 4, 4 + 10 * 600 / PER); /* a clock that went back turns nothing */
    is("a", 3000, 0, 0);
    share_forget(table, SPAN("a"));
    share_forget(table, SPAN("a"));
    is("a", 1500, 0, 0);
}

static void of_what_a_share_is_taken(void **state)
{
    (void)state;
    assert_int_equal(share_volume(&(struct share){ .all = 60, .asked = 100 }), 60);
    assert_int_equal(share_volume(&(struct share){ .all = 30, .asked = 100 }), 50);
    share_note(table, SPAN("a"), (struct share){ .asked = 10 }, 500);
    assert_int_equal(share_of(table, SPAN("a"), 1500).asked, 5);
}

static void sums_do_not_wrap(void **state)
{
    (void)state;
    share_note(table, SPAN("a"), (struct share){ .bad = UINT32_MAX, .all = UINT32_MAX }, 0);
    share_note(table, SPAN("a"), (struct share){ .bad = 5, .all = 5 }, 0);
    is("a", 0, UINT32_MAX, UINT32_MAX);
    is("a", 1000, UINT32_MAX, UINT32_MAX);
}

static void count_one(void *context, struct span key, struct share share)
{
    unsigned *count = context;
    (void)key;
    assert_true(share.all > 0);
    ++*count;
}

static void changes_are_told_once(void **state)
{
    unsigned count = 0;
    (void)state;
    share_note(table, SPAN("a"), (struct share){ .bad = 0, .all = 1 }, 0);
    share_note(table, SPAN("b"), (struct share){ .bad = 0, .all = 1 }, 0);
    share_each(table, false, 0, count_one, &count);
    assert_int_equal(count, 2);
    share_note(table, SPAN("a"), (struct share){ .bad = 0, .all = 1 }, 0);
    share_each(table, false, 0, count_one, &count);
    assert_int_equal(count, 3);
    share_each(table, true, 0, count_one, &count);
    assert_int_equal(count, 5);
}

static unsigned char visited[3 * SHARE_WALK];

static void mark(void *context, struct span key, struct share share)
{
    unsigned *count = context;
    uint64_t number = 0;
    assert_true(text_number(key, 0, COUNT(visited) - 1, &number));
    assert_true(share.all > 0);
    visited[number] = true;
    ++*count;
}

static void note_number(unsigned number)
{
    char key[32];
    text_format(key, sizeof key, "%u", number);
    share_note(table, span_of(key), (struct share){ .all = 1 }, 0);
}

/* In steps that are no larger than was said; whatever is noted or forgotten in between, what stays is visited. */
static void walked_in_steps(void **state)
{
    char key[32];
    unsigned steps = 0, next = 0;
    size_t cursor = 0;
    bool more = true;
    (void)state;
    for (unsigned i = 0; i < COUNT(visited); i++)
        note_number(i);
    while (more) {
        unsigned count = 0;
        more = share_walk(table, &cursor, 0, mark, &count);
        assert_in_range(count, 1, SHARE_WALK);
        assert_in_range(++steps, 1, 4);
        while (next < COUNT(visited) && visited[next])
            next++;
        if (next + 1 >= COUNT(visited))
            continue;
        text_format(key, sizeof key, "%u", next); /* the next in turn goes, and the one behind it moves */
        visited[next] = true;
        share_forget(table, span_of(key));
        note_number(next + 1);
    }
    assert_int_equal(steps, 3);
    for (unsigned i = 0; i < COUNT(visited); i++)
        assert_true(visited[i]);
    cursor = 0;
    share_free(&table);
    table = share_new(1000);
    assert_false(share_walk(table, &cursor, 0, mark, &steps));
}

static void memory_is_bounded(void **state)
{
    char key[32];
    (void)state;
    for (unsigned i = 0; i < SHARE_KEYS + 10; i++) {
        text_format(key, sizeof key, "account-%u", i);
        share_note(table, span_of(key), (struct share){ .bad = 0, .all = 1 }, 0);
    }
    is("account-9", 0, 0, 0);
    is("account-10", 0, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(windows_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_what_a_share_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sums_do_not_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_are_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(walked_in_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
