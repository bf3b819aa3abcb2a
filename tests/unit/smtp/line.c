/* CRLF and nothing else ends a line. */
#include "../../../relay/smtp/line.h"

#include "../unit.h"

#define MAX 16

static const struct {
    struct span input;
    enum line_progress progress;
    const char *line;
    size_t used;
} cases[] = {
    { { "", 0 }, LINE_MORE, "", 0 },
    { { "QUIT", 4 }, LINE_MORE, "", 0 },
    { { "QUIT\r", 5 }, LINE_MORE, "", 0 },
    { { "QUIT\r\n", 6 }, LINE_DONE, "QUIT", 6 },
    { { "\r\n", 2 }, LINE_DONE, "", 2 },
    { { "A\r\nB\r\n", 6 }, LINE_DONE, "A", 3 },
    { { "QUIT\n", 5 }, LINE_BARE, "QUIT", 5 },
    { { "\n", 1 }, LINE_BARE, "", 1 },
    { { "A\rB\r\n", 5 }, LINE_BARE, "A\rB", 5 },
    { { "A\r\r\n", 4 }, LINE_BARE, "A\r", 4 },
    { { "\rA\n", 3 }, LINE_BARE, "\rA", 3 },
    { { "A\rB", 3 }, LINE_MORE, "", 0 },
    { { "0123456789abcd\r\n", 16 }, LINE_DONE, "0123456789abcd", 16 },
    { { "0123456789abcde\r\n", 17 }, LINE_TOO_LONG, "", 0 },
    { { "0123456789abcdef", 16 }, LINE_TOO_LONG, "", 0 },
    { { "0123456789abcde", 15 }, LINE_MORE, "", 0 },
    { { "0123456789abcdefghij\r\n", 22 }, LINE_TOO_LONG, "", 0 },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span line = SPAN("");
        size_t used = 0;
        assert_int_equal(line_next(cases[i].input, MAX, &line, &used), cases[i].progress);
        assert_int_equal(line.n, strlen(cases[i].line));
        assert_memory_equal(line.p, cases[i].line, line.n);
        assert_int_equal(used, cases[i].used);
    }
}

/* Whatever arrives first, the answer to a whole line is the same, and no sooner. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t cut = 0; cases[i].used && cut < cases[i].used; cut++) {
            struct span line;
            size_t used;
            assert_int_equal(line_next(span_head(cases[i].input, cut), MAX, &line, &used), LINE_MORE);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_cut_anywhere) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
