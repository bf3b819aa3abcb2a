/* Turns: bounds for all and for each server, servers one after the other, and a line of thousands that are all over at once. */
#include "../../../relay/sts/turns.h"

#include "../unit.h"

static struct turns *turns;
static char order[TURNS_MAX + 64];
static struct named {
    struct turn turn;
    char name;
} some[TURNS_MAX + 20];

static int set_up(void **state)
{
    (void)state;
    turns = turns_new();
    memset(order, 0, sizeof order);
    memset(some, 0, sizeof some);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    turns_free(&turns);
    turns_free(&turns);
    return 0;
}

static struct netaddr server(unsigned number)
{
    return (struct netaddr){ .family = 4, .bytes = { 192, 0, 2, (uint8_t)number }, .port = (uint16_t)number };
}

static void come(void *context)
{
    struct named *named = context;
    order[strlen(order)] = named->name;
}

static void join(unsigned i, char name, unsigned number)
{
    struct netaddr address = server(number);
    some[i].name = name;
    turns_join(turns, &some[i].turn, &address, come, &some[i]);
}

static void leave_all(void)
{
    for (size_t i = 0; i < COUNT(some); i++)
        turns_leave(turns, &some[i].turn);
    assert_int_equal(turns_waiting(turns), 0);
}

static void bounded_for_a_server(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 7; i++)
        join(i, 'a', 1);
    assert_string_equal(order, "aaaa");
    join(7, 'b', 2);
    assert_string_equal(order, "aaaab");
    turns_leave(turns, &some[7].turn);
    assert_string_equal(order, "aaaab");
    turns_leave(turns, &some[0].turn);
    assert_string_equal(order, "aaaaba");
    turns_leave(turns, &some[6].turn); /* one that waits gives up */
    turns_leave(turns, &some[1].turn);
    assert_string_equal(order, "aaaabaa");
    turns_leave(turns, &some[2].turn);
    assert_string_equal(order, "aaaabaa");
    leave_all();
}

static void bounded_for_all_and_fair(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TURNS_MAX; i++)
        join(i, '-', 1 + i / TURNS_PER_SERVER_MAX);
    assert_int_equal(strlen(order), TURNS_MAX);
    for (unsigned i = 0; i < 4; i++)
        join(TURNS_MAX + i, 'a', 101);
    for (unsigned i = 4; i < 7; i++)
        join(TURNS_MAX + i, 'b', 102);
    join(TURNS_MAX + 7, 'c', 103);
    assert_int_equal(strlen(order), TURNS_MAX);
    assert_int_equal(turns_waiting(turns), 8);
    for (unsigned i = 0; i < 8; i++)
        turns_leave(turns, &some[i].turn);
    assert_string_equal(order + TURNS_MAX, "abcababa");
    leave_all();
}

static void leaving_twice_is_fine(void **state)
{
    (void)state;
    join(0, 'a', 1);
    turns_leave(turns, &some[0].turn);
    turns_leave(turns, &some[0].turn);
    turns_leave(turns, &some[1].turn);
    join(0, 'a', 1);
    assert_string_equal(order, "aa");
    leave_all();
}

static unsigned left;

static void come_and_go(void *context)
{
    left++;
    turns_leave(turns, context);
}

static void over_at_once(void **state)
{
    enum { MANY = 100000 };
    struct turn *many = calloc(MANY, sizeof *many);
    struct netaddr address = server(1);
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        join(i, 'a', 1);
    for (unsigned i = 0; i < MANY; i++)
        turns_join(turns, &many[i], &address, come_and_go, &many[i]);
    assert_int_equal(left, 0);
    turns_leave(turns, &some[0].turn);
    assert_int_equal(left, MANY);
    leave_all();
    free(many);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bounded_for_a_server),
        TEST(bounded_for_all_and_fair),
        TEST(leaving_twice_is_fine),
        TEST(over_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
