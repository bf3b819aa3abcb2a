#include "../../../policy/key.h"

#include "../unit.h"
#include "settings.h"

static struct key_subject subject_of(const char *client)
{
    struct key_subject subject = {
        .account = SPAN("alice"),
        .class = SPAN("staff"),
        .sender_domain = SPAN("example.net"),
        .recipient_domain = SPAN("example.com"),
    };
    if (*client)
        assert_true(netaddr_parse(span_of(client), &subject.client));
    return subject;
}

static void texts(void **state)
{
    static const struct {
        enum conf_limit_key kind;
        const char *client;
        const char *key; /* NULL: none */
    } cases[] = {
        { CONF_KEY_ACCOUNT, "192.0.2.1", "alice" },
        { CONF_KEY_CLIENT, "192.0.2.1", "192.0.2.1" },
        { CONF_KEY_CLIENT, "::ffff:192.0.2.1", "192.0.2.1" },
        { CONF_KEY_CLIENT, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
        { CONF_KEY_CLIENT, "2001:db8:1:2:ffff::", "2001:db8:1:2::/64" },
        { CONF_KEY_CLIENT, "2001:db8:1:3::1", "2001:db8:1:3::/64" },
        { CONF_KEY_CLIENT, "", NULL },
        { CONF_KEY_NETWORK, "192.0.2.77", "192.0.2.0/24" },
        { CONF_KEY_NETWORK, "2001:db8:1:2::1", "2001:db8:1::/48" },
        { CONF_KEY_SENDER_DOMAIN, "192.0.2.1", "example.net" },
        { CONF_KEY_RECIPIENT_DOMAIN, "192.0.2.1", "example.com" },
        { CONF_KEY_GLOBAL, "192.0.2.1", "all" },
        { (enum conf_limit_key)99, "192.0.2.1", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct key_subject subject = subject_of(cases[i].client);
        char key[KEY_SIZE];
        assert_int_equal(key_of(cases[i].kind, &subject, key), cases[i].key != NULL);
        if (cases[i].key)
            assert_string_equal(key, cases[i].key);
    }
}

static void what_is_missing_has_no_key(void **state)
{
    struct key_subject nobody = { .client = { .family = 4 } };
    char key[KEY_SIZE];
    (void)state;
    assert_false(key_of(CONF_KEY_ACCOUNT, &nobody, key));
    assert_false(key_of(CONF_KEY_SENDER_DOMAIN, &nobody, key));
    assert_false(key_of(CONF_KEY_RECIPIENT_DOMAIN, &nobody, key));
    assert_true(key_of(CONF_KEY_CLIENT, &nobody, key));
}

static void selectors(void **state)
{
    static const struct {
        const char *selector, *client;
        bool selected;
    } cases[] = {
        { "alice", "192.0.2.1", true },          { "Alice", "192.0.2.1", true },
        { "bob", "192.0.2.1", false },           { "class:staff", "192.0.2.1", true },
        { "Class:Staff", "192.0.2.1", true },    { "class:", "192.0.2.1", false },
        { "class:bulk", "192.0.2.1", false },    { "192.0.2.0/24", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.1", true },      { "192.0.2.2", "192.0.2.1", false },
        { "10.0.0.0/8", "192.0.2.1", false },    { "2001:db8::/32", "2001:db8::1", true },
        { "2001:db8::/32", "192.0.2.1", false }, { "", "192.0.2.1", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct key_subject subject = subject_of(cases[i].client);
        struct conf_strings list = SETTINGS_TEXTS(settings_text("nobody"), settings_text(cases[i].selector));
        if (key_selected(&list, &subject) != cases[i].selected)
            fail_msg("%s", cases[i].selector);
    }
    struct key_subject nobody = { .client = { .family = 4 } };
    assert_false(key_selected(&(struct conf_strings)SETTINGS_TEXTS(settings_text("")), &nobody));
    assert_false(key_selected(&(struct conf_strings)SETTINGS_TEXTS(settings_text("class:")), &nobody));
    assert_false(key_selected(&(struct conf_strings){ NULL, 0 }, &nobody));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(what_is_missing_has_no_key),
        cmocka_unit_test(selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
