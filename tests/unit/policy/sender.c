#include "../../../policy/sender.h"

#include "../unit.h"
#include "settings.h"

static char alice[] = "Alice", other[] = "*", bob[] = "bob", staff[] = "staff", none[] = "";
static char alice_address[] = "alice@example.net", sales[] = "@Sales.Example.net", example[] = "example.net";
static char books[] = "@xn--bcher-kva.example";
static char support[] = "support@example.net";

static char *domains[] = { example };

static struct conf_account accounts[] = {
    { alice, SETTINGS_TEXTS(alice_address, sales, books), none, NULL },
    { bob, { NULL, 0 }, none, NULL },
    { other, SETTINGS_TEXTS(support), staff, NULL },
};

static bool may(const struct conf *conf, const char *account, const char *address)
{
    struct account_table *table = account_new(conf);
    char name[ACCOUNT_NAME_SIZE];
    account_normal(span_of(account), name);
    bool allowed = sender_allowed(conf, account_find(table, span_of(name)), span_of(address));
    account_free(&table);
    return allowed;
}

static void who_may_use_what(void **state)
{
    static const struct {
        bool domains; /* domains = { "example.net" } */
        const char *account, *address;
        bool allowed;
    } cases[] = {
        { false, "alice", "alice@example.net", true },
        { false, "ALICE", "alice@example.net", true },
        { false, "alice", "Alice@example.net", true },
        { false, "alice", "bob@example.net", false },
        { false, "alice", "x@sales.example.net", true },
        { false, "alice", "x@sub.sales.example.net", false },
        { false, "alice", "x@notsales.example.net", false },
        { false, "alice", "x@B\u00fccher.example", true },
        { false, "alice", "x@xn--bcher-kva.example", true },
        { false, "alice", "x@a.b\u00fccher.example", false },
        { false, "alice", "alice@example.net.evil", false },
        { false, "alice", "\"x@sales.example.net\"@evil.example", false },
        { false, "alice", "\"alice@example.net\"@evil.example", false },
        { false, "alice", "alice", false },
        { false, "alice", "", false },
        { false, "alice", "support@example.net", false }, /* its own entry holds, not that of "*" */
        { false, "carol", "support@example.net", true },
        { false, "carol", "carol@example.net", false },
        { false, "bob", "anyone@any.example", true },
        { true, "bob", "anyone@any.example", false },
        { true, "bob", "anyone@Example.Net", true },
        { true, "bob", "anyone@sub.example.net", false },
        { true, "carol", "anyone@example.net", false },
        { true, "alice", "x@sales.example.net", true },
        { true, "", "anyone@example.net", true },
        { true, "", "anyone@any.example", false },
        { false, "", "anyone@any.example", true }, /* no account, not even one of "*" */
        { false, "*", "support@example.net", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf conf = { .accounts = accounts, .naccounts = COUNT(accounts) };
        if (cases[i].domains)
            conf.domains = (struct conf_strings){ domains, 1 };
        if (may(&conf, cases[i].account, cases[i].address) != cases[i].allowed)
            fail_msg("%s as %s", cases[i].account, cases[i].address);
    }
}

static void is_anything_checked(void **state)
{
    struct conf conf = { .naccounts = 0 };
    (void)state;
    assert_false(sender_is_checked(&conf));
    conf.accounts = &accounts[1];
    conf.naccounts = 1;
    assert_false(sender_is_checked(&conf));
    conf.naccounts = 2;
    assert_true(sender_is_checked(&conf));
    conf.naccounts = 0;
    conf.domains = (struct conf_strings){ domains, 1 };
    assert_true(sender_is_checked(&conf));
}

static void long_names_are_cut(void **state)
{
    char name[600], normal[ACCOUNT_NAME_SIZE];
    (void)state;
    memset(name, 'A', sizeof name);
    account_normal(span_make(name, sizeof name), normal);
    assert_int_equal(strlen(normal), ACCOUNT_NAME_SIZE - 1);
    assert_int_equal(normal[0], 'a');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_use_what),
        cmocka_unit_test(is_anything_checked),
        cmocka_unit_test(long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
