/* PROXY headers: a table of whole ones, each of them also cut at every byte, and read as slowly as proxy_wants says. */
#include "../../../relay/submission/proxy.h"
#include "../unit.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(text)                                                                                                             \
    {                                                                                                                            \
        text, sizeof(text) - 1                                                                                                   \
    }

static const struct {
    struct span input;
    enum proxy_progress progress;
    const char *client; /* "" for nobody */
} cases[] = {
    { HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 56324 587\r\n"), PROXY_DONE, "192.0.2.1:56324" },
    { HEADER("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), PROXY_DONE, "[2001:db8::1]:1" },
    { HEADER("PROXY UNKNOWN\r\n"), PROXY_DONE, "" },
    { HEADER("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), PROXY_DONE, "" },
    { HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 56324 587\n"), PROXY_BAD, "" },
    { HEADER("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), PROXY_BAD, "" },
    { HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n"), PROXY_BAD, "" },
    { HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 65536 587\r\n"), PROXY_BAD, "" },
    { HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), PROXY_BAD, "" },
    { HEADER("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, "" },
    { HEADER("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, "" },
    { HEADER("EHLO client.example\r\n"), PROXY_BAD, "" },
    { HEADER("\x16\x03\x01\x02\x00"), PROXY_BAD, "" },
    { HEADER(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\0\x19"), PROXY_DONE, "192.0.2.1:40000" },
    { HEADER(V2 "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\0\x19\4\0\0"), PROXY_DONE, "192.0.2.1:40000" },
    { HEADER(V2 "\x21\x21\0\x24\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2"), PROXY_DONE,
      "[2001:db8::1]:1" },
    { HEADER(V2 "\x20\0\0\0"), PROXY_DONE, "" },
    { HEADER(V2 "\x21\0\0\0"), PROXY_DONE, "" },
    { HEADER(V2 "\x21\x11\0\4\xc0\0\2\1"), PROXY_BAD, "" },
    { HEADER(V2 "\x21\x31\0\0"), PROXY_BAD, "" },
    { HEADER(V2 "\x22\x11\0\0"), PROXY_BAD, "" },
    { HEADER(V2 "\x11\x11\0\0"), PROXY_BAD, "" },
    { HEADER(V2 "\x21\x11\xff\xff"), PROXY_BAD, "" },
};

static void check_client(size_t i, const struct netaddr *client)
{
    char text[NETADDR_PORT_TEXT_SIZE] = "";
    if (client->family)
        netaddr_print_port(client, text);
    assert_string_equal(text, cases[i].client);
}

static void whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr client;
        size_t used;
        assert_int_equal(proxy_parse(cases[i].input, &client, &used), cases[i].progress);
        if (cases[i].progress != PROXY_DONE)
            continue;
        check_client(i, &client);
        assert_int_equal(used, cases[i].input.n);
    }
}

/* A good header is PROXY_MORE at each cut, and bytes behind it change nothing. */
static void cut_and_followed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr client;
        size_t used;
        char longer[256];
        if (cases[i].progress != PROXY_DONE)
            continue;
        for (size_t n = 0; n < cases[i].input.n; n++)
            assert_int_equal(proxy_parse(span_head(cases[i].input, n), &client, &used), PROXY_MORE);
        memcpy(longer, cases[i].input.p, cases[i].input.n);
        memcpy(longer + cases[i].input.n, "EHLO", 4);
        assert_int_equal(proxy_parse(span_make(longer, cases[i].input.n + 4), &client, &used), PROXY_DONE);
        assert_int_equal(used, cases[i].input.n);
        check_client(i, &client);
    }
}

/* Reading what proxy_wants allows never goes beyond the header, and ends. */
static void read_to_the_end_and_no_further(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr client;
        size_t used, n = 0;
        enum proxy_progress progress = PROXY_MORE;
        while (progress == PROXY_MORE && n < cases[i].input.n) {
            size_t wanted = proxy_wants(span_head(cases[i].input, n));
            assert_true(wanted > 0);
            if (cases[i].progress == PROXY_DONE)
                assert_true(n + wanted <= cases[i].input.n);
            n += wanted < cases[i].input.n - n ? wanted : cases[i].input.n - n;
            progress = proxy_parse(span_head(cases[i].input, n), &client, &used);
        }
        assert_int_equal(progress, cases[i].progress);
    }
}

/* A line of text without end, and a header that says it is huge. */
static void endless(void **state)
{
    (void)state;
    char text[PROXY_HEADER_MAX];
    struct netaddr client;
    size_t used;
    memset(text, 'x', sizeof text);
    memcpy(text, "PROXY ", 6);
    assert_int_equal(proxy_parse(span_make(text, 106), &client, &used), PROXY_MORE);
    assert_int_equal(proxy_parse(span_make(text, 107), &client, &used), PROXY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(cut_and_followed),
        cmocka_unit_test(read_to_the_end_and_no_further),
        cmocka_unit_test(endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
