/* Pairs that were seen: found again, apart from each other, in a table that grows, is bounded, and is written down. */
#include "../../../policy/seen.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static bool seen_since(const struct seen *seen, uint64_t pair, uint32_t since_s)
{
    uint32_t last_s = seen_last(seen, pair);
    return last_s && last_s >= since_s;
}

static uint64_t pair(struct seen *seen, unsigned i)
{
    char who[32], whom[32];
    text_format(who, sizeof who, "account%u", i / 100);
    text_format(whom, sizeof whom, "user%u@there.example", i);
    return seen_pair(seen, SPAN("first"), span_of(who), span_of(whom));
}

static void what_was_seen_is_known(void **state)
{
    (void)state;
    struct seen *seen = seen_new(SEEN_MEMORY);
    uint64_t alice = seen_pair(seen, SPAN("first"), SPAN("alice"), SPAN("bob"));
    assert_false(seen_since(seen, alice, 0));
    seen_note(seen, alice, 1000);
    assert_true(seen_since(seen, alice, 0));
    assert_true(seen_since(seen, alice, 1000));
    assert_false(seen_since(seen, alice, 1001));
    seen_note(seen, alice, 2000);
    assert_true(seen_since(seen, alice, 1001));
    seen_note(seen, alice, 0); /* a clock without a battery */
    assert_int_equal(seen_last(seen, alice), 1);
    assert_int_equal(seen_count(seen), 1);
    seen_free(&seen);
    seen_free(&seen);
}

/* Where one name ends and the next begins matters, and so does the key. */
static void pairs_are_apart(void **state)
{
    (void)state;
    struct seen *seen = seen_new(SEEN_MEMORY), *other = seen_new(SEEN_MEMORY);
    uint64_t one = seen_pair(seen, SPAN("a"), SPAN("bc"), SPAN("d"));
    assert_true(one != seen_pair(seen, SPAN("ab"), SPAN("c"), SPAN("d")));
    assert_true(one != seen_pair(seen, SPAN("a"), SPAN("b"), SPAN("cd")));
    assert_true(one == seen_pair(seen, SPAN("a"), SPAN("bc"), SPAN("d")));
    assert_true(one != seen_pair(other, SPAN("a"), SPAN("bc"), SPAN("d")));
    seen_set_key(other, seen_key(seen));
    assert_true(one == seen_pair(other, SPAN("a"), SPAN("bc"), SPAN("d")));
    seen_free(&seen);
    seen_free(&other);
}

static void the_table_grows(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct seen *seen = seen_new(SEEN_MEMORY);
    for (unsigned i = 0; i < MANY; i++)
        seen_note(seen, pair(seen, i), i);
    assert_int_equal(seen_count(seen), MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(seen_since(seen, pair(seen, i), i));
    seen_free(&seen);
}

/* At the bound those seen longest ago go. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    enum { MANY = 40000 };
    struct seen *seen = seen_new(128 * 1024); /* 8192 places */
    for (unsigned i = 0; i < MANY; i++)
        seen_note(seen, pair(seen, i), i);
    assert_in_range(seen_count(seen), 5000, 11000);
    unsigned old = 0, young = 0;
    for (unsigned i = 0; i < 4000; i++) {
        old += seen_since(seen, pair(seen, i), 0);
        young += seen_since(seen, pair(seen, MANY - 1 - i), 0);
    }
    assert_in_range(young, 3700, 4000);
    assert_in_range(old, 0, 10);
    seen_free(&seen);
}

/* No pair is forgotten for another while the table may grow, nor before five of eight places are taken at the bound. */
static void nothing_is_forgotten_early(void **state)
{
    (void)state;
    for (size_t kib = 128; kib <= 8192; kib *= 8) {
        struct seen *seen = seen_new(kib * 1024);
        size_t places = kib * 64; /* 1024 / 96 sets a KiB, as a power of two, of 8 */
        for (unsigned i = 0; i < places * 5 / 8; i++)
            seen_note(seen, pair(seen, i), i);
        assert_int_equal(seen_count(seen), places * 5 / 8);
        for (unsigned i = 0; i < places * 5 / 8; i++)
            assert_true(seen_since(seen, pair(seen, i), i));
        seen_free(&seen);
    }
}

/* A walk that is overtaken by growth, several times, misses nobody who was there when it began. */
static void a_walk_while_the_table_grows(void **state)
{
    (void)state;
    enum { BEFORE = 50000, AFTER = 400000 };
    struct seen *seen = seen_new(SEEN_MEMORY), *walked = seen_new(SEEN_MEMORY);
    struct buffer records;
    unsigned i = 0;
    size_t cursor = 0;
    buffer_init(&records, SEEN_CHANGES_MAX);
    seen_set_key(walked, seen_key(seen));
    while (i < BEFORE)
        seen_note(seen, pair(seen, i++), 1);
    for (bool more = true; more;) {
        more = seen_walk(seen, &cursor, &records);
        seen_restore(walked, buffer_span(&records));
        buffer_clear(&records);
        for (unsigned until = i + AFTER / 20; i < until && i < AFTER; i++)
            seen_note(seen, pair(seen, i), 1);
    }
    for (i = 0; i < BEFORE; i++)
        assert_true(seen_since(walked, pair(walked, i), 1));
    buffer_fini(&records);
    seen_free(&seen);
    seen_free(&walked);
}

/* What changed, and a walk over all, make the same table elsewhere; what is torn at the end is left out. */
static void it_is_written_down(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct seen *seen = seen_new(SEEN_MEMORY), *again = seen_new(SEEN_MEMORY), *walked = seen_new(SEEN_MEMORY);
    struct buffer records;
    size_t cursor = 0;
    bool more = true;
    buffer_init(&records, SEEN_CHANGES_MAX);
    seen_set_key(again, seen_key(seen));
    seen_set_key(walked, seen_key(seen));
    for (unsigned i = 0; i < MANY; i++)
        seen_note(seen, pair(seen, i), i + 1);
    seen_changes(seen, &records);
    assert_int_equal(buffer_size(&records), MANY * SEEN_RECORD_SIZE);
    seen_restore(again, span_head(buffer_span(&records), (MANY - 1) * SEEN_RECORD_SIZE + 5));
    assert_int_equal(seen_count(again), MANY - 1);
    buffer_clear(&records);
    seen_changes(seen, &records);
    assert_int_equal(buffer_size(&records), 0);
    while (more) {
        more = seen_walk(seen, &cursor, &records);
        seen_restore(walked, buffer_span(&records));
        buffer_clear(&records);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_true(seen_since(walked, pair(walked, i), i + 1));
    buffer_fini(&records);
    seen_free(&seen);
    seen_free(&again);
    seen_free(&walked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_seen_is_known),
        cmocka_unit_test(pairs_are_apart),
        cmocka_unit_test(the_table_grows),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(it_is_written_down),
        cmocka_unit_test(nothing_is_forgotten_early),
        cmocka_unit_test(a_walk_while_the_table_grows),
    };
    return cmocka_run_group_tests_name("seen", tests, NULL, NULL);
}
