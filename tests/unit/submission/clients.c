/* Connections are counted by listener and by who the client really is. */
#include "../../../relay/submission/clients.h"
#include "../unit.h"

static struct netaddr address(const char *text)
{
    struct netaddr parsed;
    assert_true(netaddr_parse(span_of(text), &parsed));
    return parsed;
}

static void counts_up_and_down(void **state)
{
    (void)state;
    struct clients *clients = clients_new();
    struct netaddr one = address("192.0.2.1"), other = address("192.0.2.2");
    assert_true(clients_enter(clients, 0, &one, 2));
    assert_true(clients_enter(clients, 0, &one, 2));
    assert_false(clients_enter(clients, 0, &one, 2));
    assert_true(clients_enter(clients, 0, &other, 2));
    assert_true(clients_enter(clients, 1, &one, 2));
    clients_leave(clients, 0, &one);
    assert_true(clients_enter(clients, 0, &one, 2));
    assert_false(clients_enter(clients, 0, &one, 2));
    clients_free(&clients);
    assert_null(clients);
}

/* Which addresses are one client? */
static void keys(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "2001:db8::1", "2001:db8::ffff:1:2", true },
        { "2001:db8:0:1::1", "2001:db8:0:2::1", false },
        { "0.0.0.0", "::", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char a[CLIENTS_KEY_SIZE], b[CLIENTS_KEY_SIZE];
        struct netaddr first = address(cases[i].a), second = address(cases[i].b);
        assert_int_equal(span_equal(clients_key(&first, a), clients_key(&second, b)), cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_up_and_down),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
