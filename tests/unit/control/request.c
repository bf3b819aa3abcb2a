/* An administrator's line: what is a request, and the sentence for what is none. */
#include "../../../relay/control/request.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

static void wrong_lines_get_a_sentence(void **state)
{
    static const struct {
        struct span line;
        const char *told; /* part of the reason */
    } cases[] = {
        { SPAN(""), "no JSON" },
        { SPAN("   "), "no JSON" },
        { SPAN("queue list"), "no JSON" },
        { SPAN("{\"command\": \"status\""), "no JSON" },
        { SPAN("{\"command\": \"status\"} {}"), "no JSON" },
        { SPAN("{\"command\": \"status\", \"command\": \"stop\"}"), "no JSON" },
        { SPAN("{\"command\": \"\xff\"}"), "no JSON" },
        { SPAN("{\"command\": \"a\\u0000b\"}"), "no JSON" },
        { SPAN("{\"command\": \"status\"\0}"), "no JSON" },
        { SPAN("[]"), "lacks a command" },
        { SPAN("{}"), "lacks a command" },
        { SPAN("{\"command\": 1}"), "lacks a command" },
        { SPAN("{\"command\": null}"), "lacks a command" },
        { SPAN("{\"command\": \"12345678901234567890123456789012\"}"), "lacks a command" },
        { SPAN("{\"command\": \"status\", \"filters\": []}"), "lacks a command" },
        { SPAN("{\"command\": \"status\", \"filters\": \"all\"}"), "lacks a command" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"colour\": \"red\"}}"), "there is no filter colour" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"\\u001b[2J\": \"red\"}}"), "there is no filter \\x1b[2J" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"account\": 7}}"), "account is no text" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"account\": null}}"), "account is no text" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"all\": \"yes\"}}"), "there is no filter all" },
        { SPAN("{\"command\": \"status\", \"filters\": {\"id\": \"12345678901234567890123456789012\"}}"), "at most 31 bytes" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct request request;
        char reason[REQUEST_REASON_SIZE] = "";
        memset(&request, 'x', sizeof request);
        assert_false(request_read(cases[i].line, &request, reason));
        if (!strstr(reason, cases[i].told))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, reason, cases[i].told);
        assert_int_equal(request.command[0], 'x'); /* nothing is set */
    }
}

static void deep_and_long_ones_are_refused(void **state)
{
    static char deep[60000];
    struct request request;
    char reason[REQUEST_REASON_SIZE] = "";
    (void)state;
    memset(deep, '[', sizeof deep);
    assert_false(request_read(span_make(deep, sizeof deep), &request, reason));
    memset(deep, 'a', sizeof deep);
    int n = snprintf(deep, sizeof deep, "{\"command\": \"status\", \"filters\": {\"");
    deep[n] = 'a';
    memcpy(deep + sizeof deep - 8, "\": 1}}  ", 8);
    assert_false(request_read(span_make(deep, sizeof deep), &request, reason));
    assert_non_null(strstr(reason, "there is no filter aaaa"));
    assert_true(strlen(reason) < 100);
}

static void filters_reach_their_members(void **state)
{
    struct request request;
    char reason[REQUEST_REASON_SIZE] = "";
    (void)state;
    assert_true(request_read(SPAN("{\"command\": \"queue list\"}"), &request, reason));
    assert_string_equal(request.command, "queue list");
    assert_false(request.ask.all || request.ask.id[0] || request.ask.account[0] || request.ask.site[0]);
    assert_true(request_read(
        SPAN("{\"more\": [1], \"filters\": {\"id\": \"i\", \"account\": \"J\\u00fcrgen\", \"client\": \"192.0.2.1\", "
             "\"sender\": \"a@b\", \"recipient\": \"c@d\", \"site\": \"mx\", \"all\": true}, \"command\": \"x\"}"),
        &request, reason));
    assert_string_equal(request.ask.id, "i");
    assert_string_equal(request.ask.account, "J\xc3\xbcrgen");
    assert_string_equal(request.ask.client, "192.0.2.1");
    assert_string_equal(request.ask.sender, "a@b");
    assert_string_equal(request.ask.recipient, "c@d");
    assert_string_equal(request.ask.site, "mx");
    assert_true(request.ask.all);
    assert_true(request_read(SPAN("{\"command\": \"x\", \"filters\": {\"all\": false}}\r"), &request, reason));
    assert_false(request.ask.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_lines_get_a_sentence),
        cmocka_unit_test(deep_and_long_ones_are_refused),
        cmocka_unit_test(filters_reach_their_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
