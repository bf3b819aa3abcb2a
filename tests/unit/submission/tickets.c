/* Tickets: an answer finds the session that asked last, or nobody. */
#include "../../../relay/submission/tickets.h"
#include "../unit.h"

static void found_while_valid(void **state)
{
    (void)state;
    int owner;
    struct tickets *tickets = tickets_new();
    uint32_t slot = tickets_enter(tickets, &owner);
    uint64_t first = tickets_renew(tickets, slot);
    assert_ptr_equal(tickets_find(tickets, first), &owner);
    uint64_t second = tickets_renew(tickets, slot);
    assert_int_not_equal(first, second);
    assert_null(tickets_find(tickets, first));
    assert_ptr_equal(tickets_find(tickets, second), &owner);
    tickets_leave(tickets, slot);
    assert_null(tickets_find(tickets, second));
    tickets_free(&tickets);
    assert_null(tickets);
}

static void not_found_by_next_owner(void **state)
{
    (void)state;
    int old, new;
    struct tickets *tickets = tickets_new();
    uint32_t slot = tickets_enter(tickets, &old);
    uint64_t ticket = tickets_renew(tickets, slot);
    tickets_leave(tickets, slot);
    assert_int_equal(tickets_enter(tickets, &new), slot);
    assert_null(tickets_find(tickets, ticket));
    assert_ptr_equal(tickets_find(tickets, tickets_renew(tickets, slot)), &new);
    tickets_free(&tickets);
}

static void grows(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static int owners[MANY];
    static uint64_t given[MANY];
    struct tickets *tickets = tickets_new();
    for (int i = 0; i < MANY; i++)
        given[i] = tickets_renew(tickets, tickets_enter(tickets, &owners[i]));
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(tickets_find(tickets, given[i]), &owners[i]);
    tickets_free(&tickets);
}

static void never_given(void **state)
{
    (void)state;
    static const uint64_t cases[] = { 0, 1, UINT32_MAX, UINT64_MAX, (uint64_t)7 << 32 };
    struct tickets *tickets = tickets_new();
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_null(tickets_find(tickets, cases[i]));
    tickets_free(&tickets);
    tickets_free(&tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_while_valid),
        cmocka_unit_test(not_found_by_next_owner),
        cmocka_unit_test(grows),
        cmocka_unit_test(never_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
