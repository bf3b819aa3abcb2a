/* Letters about suspended accounts while the queue stores some of them, all, or none. What they say is in judge.c. */
#include "../../../policy/tidings.h"

#include "../../../policy/policy.h"
#include "court.h"

#define ACCOUNTS 60 /* with two letters each, more than are kept */

static struct policy policy;
static uint64_t first_ticket;

static void open_judge(void)
{
    policy = (struct policy){ .judge = judge_new(&tidings_events, &policy), .last_ticket = policy.last_ticket };
    list_init(&policy.peers);
    machines_init(&policy.machines, policy.judge);
    judge_free(&court.judge);
    court.judge = policy.judge;
    court_settings();
    judge_open(policy.judge, folder);
    tidings_opened(&policy);
}

static int begin(void **state)
{
    int made = folder_make(state);
    court_new(NULL, 0);
    court.accounts[0].contact = settings_text("home@example.org");
    policy.last_ticket = first_ticket = 1;
    open_judge();
    return made;
}

static int finish(void **state)
{
    tidings_drop(&policy);
    return court_close(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, finish)

/* The process ends, and another one begins. */
static void restart(void)
{
    tidings_drop(&policy);
    open_judge();
}

static void suspend(unsigned from, unsigned count)
{
    char name[20];
    for (unsigned i = from; i < from + count; i++) {
        snprintf(name, sizeof name, "user%u", i);
        assert_true(court_suspend(name, "a reason"));
    }
}

/* How many letters have been written in all. */
static uint64_t written(void)
{
    return policy.last_ticket - first_ticket;
}

/* Stores COUNT letters, from the one of TICKET on. */
static void store(uint64_t ticket, uint64_t count)
{
    for (uint64_t end = ticket + count; ticket < end; ticket++)
        tidings_stored(&policy, ticket);
}

static void store_all(void)
{
    for (uint64_t ticket = first_ticket + 1; policy.nletters; ticket++)
        tidings_stored(&policy, ticket);
}

static bool count_one(void *context, struct span account)
{
    (void)account;
    ++*(unsigned *)context;
    return true;
}

static unsigned untold(void)
{
    unsigned count = 0;
    standing_each_untold(judge_standing(policy.judge), count_one, &count);
    return count;
}

/* There are more than are kept: as soon as some are stored the others are written, each once, and all are told. */
static void more_than_there_is_room_for(void **state)
{
    (void)state;
    suspend(0, ACCOUNTS);
    assert_int_equal(policy.nletters, LETTERS_MAX);
    assert_int_equal(untold(), ACCOUNTS);
    store(first_ticket + 1, 1);
    assert_int_equal(policy.nletters, LETTERS_MAX - 1);
    store(first_ticket + 2, 1);
    assert_int_equal(policy.nletters, LETTERS_MAX);
    assert_int_equal(untold(), ACCOUNTS - 1);
    store_all();
    assert_int_equal(written(), 2 * ACCOUNTS);
    assert_int_equal(untold(), 0);
    restart();
    assert_int_equal(policy.nletters, 0);
}

/* Both letters about an account are kept, or none: where the one would just fit, neither is. */
static void both_or_none(void **state)
{
    (void)state;
    court.accounts[0].contact = settings_text("");
    suspend(0, LETTERS_MAX - 1);
    court.accounts[0].contact = settings_text("home@example.org");
    suspend(LETTERS_MAX, 1);
    assert_int_equal(policy.nletters, LETTERS_MAX - 1);
    store(first_ticket + 1, 1);
    assert_int_equal(policy.nletters, LETTERS_MAX);
    store_all();
    assert_int_equal(written(), LETTERS_MAX + 1);
    assert_int_equal(untold(), 0);
}

/* An account is told when both of its letters are stored; a ticket that nobody knows is none. */
static void told_of_both(void **state)
{
    (void)state;
    suspend(0, 1);
    store(first_ticket + 2, 1);
    store(first_ticket + 2, 1);
    store(first_ticket + 100, 1);
    assert_int_equal(untold(), 1);
    restart();
    assert_int_equal(policy.nletters, 2);
    assert_int_equal(written(), 4);
    store(first_ticket + 3, 2);
    assert_int_equal(untold(), 0);
    restart();
    assert_int_equal(written(), 4);
}

/* Letters about an earlier suspension do for no later one, which waits until those are stored. */
static void suspended_again_meanwhile(void **state)
{
    (void)state;
    suspend(0, 1);
    assert_true(court_resume("user0"));
    suspend(0, 1);
    assert_int_equal(policy.nletters, 2);
    store(first_ticket + 1, 2);
    assert_int_equal(untold(), 1);
    assert_int_equal(policy.nletters, 2);
    store(first_ticket + 3, 2);
    assert_int_equal(untold(), 0);
    assert_int_equal(written(), 4);
}

/* An earlier process left more than there is room for. */
static void left_by_an_earlier_process(void **state)
{
    (void)state;
    suspend(0, ACCOUNTS);
    restart();
    assert_int_equal(policy.nletters, LETTERS_MAX);
    suspend(ACCOUNTS, 1);
    store_all();
    assert_int_equal(untold(), 0);
    assert_int_equal(written(), LETTERS_MAX + 2 * (ACCOUNTS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(more_than_there_is_room_for), TEST(both_or_none), TEST(told_of_both), TEST(suspended_again_meanwhile),
        TEST(left_by_an_earlier_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
