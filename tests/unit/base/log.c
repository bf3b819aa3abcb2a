/* Lines of the log as their reader gets them: whole, in order, gathered or at once, and what a slow reader misses is counted. */
#include "../../../relay/base/log.h"
#include "../unit.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* The reader's end of a pipe, and where standard error went before. */
struct reader {
    int pipe[2];
    int before;
};

static int begin(void **state)
{
    static struct reader reader;
    assert_int_equal(pipe2(reader.pipe, O_NONBLOCK | O_CLOEXEC), 0);
    reader.before = dup(STDERR_FILENO);
    dup2(reader.pipe[1], STDERR_FILENO);
    log_setup(LOG_LOGFMT, LOG_INFO, "test");
    *state = &reader;
    return 0;
}

static int end(void **state)
{
    struct reader *reader = *state;
    log_gather(false);
    dup2(reader->before, STDERR_FILENO);
    close(reader->before);
    close(reader->pipe[0]);
    close(reader->pipe[1]);
    return 0;
}

/* What has been written since. */
static const char *heard(const struct reader *reader)
{
    static char text[262144];
    ssize_t n = read(reader->pipe[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void say(enum log_level level, int64_t number)
{
    struct log_entry line;
    log_begin(&line, level, "notice");
    log_number(&line, "n", number);
    log_end(&line);
}

static unsigned count(const char *text, const char *what)
{
    unsigned found = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        found++;
    return found;
}

static void test_line_is_written_at_once(void **state)
{
    say(LOG_INFO, -12);
    const char *text = heard(*state);
    assert_non_null(strstr(text, " level=info role=test event=notice n=-12\n"));
    say(LOG_DEBUG, 1);
    assert_string_equal(heard(*state), "");
}

static void test_gathered_lines_wait(void **state)
{
    log_gather(true);
    say(LOG_INFO, 1);
    say(LOG_INFO, 2);
    assert_string_equal(heard(*state), "");
    log_flush();
    const char *text = heard(*state);
    assert_non_null(strstr(text, "n=1\n"));
    assert_true(strstr(text, "n=2\n") > strstr(text, "n=1\n"));
    log_flush();
    assert_string_equal(heard(*state), "");
    say(LOG_INFO, 3);
    log_gather(false);
    assert_int_equal(count(heard(*state), "n=3\n"), 1);
}

/* An error takes what was said before it along. */
static void test_error_does_not_wait(void **state)
{
    log_gather(true);
    say(LOG_INFO, 1);
    say(LOG_WARNING, 2);
    const char *text = heard(*state);
    assert_non_null(strstr(text, "n=1\n"));
    assert_true(strstr(text, "n=2\n") > strstr(text, "n=1\n"));
}

/* However many are said in one round, none is lost, and no write is larger than what a pipe takes as a whole. */
static void test_many_gathered_lines(void **state)
{
    char expected[32];
    log_gather(true);
    for (int64_t i = 0; i < 200; i++)
        say(LOG_INFO, i);
    log_flush();
    const char *text = heard(*state);
    assert_int_equal(count(text, "\n"), 200);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(expected, sizeof expected, " n=%u\n", i);
        text = strstr(text, expected);
        assert_non_null(text);
    }
}

/* Fills the pipe, so that it takes no line; returns when poll says so. */
static void fill(const struct reader *reader)
{
    static const char zeros[PIPE_BUF];
    while (write(reader->pipe[1], zeros, sizeof zeros) > 0)
        continue;
}

static void empty(const struct reader *reader)
{
    static char bytes[PIPE_BUF];
    while (read(reader->pipe[0], bytes, sizeof bytes) > 0)
        continue;
}

static void test_what_a_slow_reader_misses_is_counted(void **state)
{
    for (unsigned gathers = 0; gathers < 2; gathers++) {
        log_gather(gathers);
        fill(*state);
        for (int64_t i = 0; i < 300; i++)
            say(LOG_INFO, i);
        log_flush();
        empty(*state);
        say(LOG_INFO, 1000);
        say(LOG_INFO, 1001);
        log_flush();
        const char *text = heard(*state);
        assert_int_equal(count(text, "\n"), 2);
        assert_non_null(strstr(text, " n=1000 dropped=300\n"));
        assert_non_null(strstr(text, " n=1001\n"));
    }
}

/* The line that tells of dropped ones is dropped itself: the next tells of all of them. */
static void test_word_of_dropped_lines_is_not_lost(void **state)
{
    log_gather(true);
    fill(*state);
    for (unsigned i = 0; i < 3; i++) {
        say(LOG_INFO, i);
        log_flush();
    }
    empty(*state);
    say(LOG_INFO, 7);
    log_flush();
    assert_non_null(strstr(heard(*state), " n=7 dropped=3\n"));
}

static void test_values_are_escaped(void **state)
{
    struct log_entry line;
    log_begin(&line, LOG_INFO, "notice");
    log_text(&line, "a", SPAN("x\nlevel=error"));
    log_text(&line, "b", SPAN("two words, \"quoted\""));
    log_end(&line);
    assert_non_null(strstr(heard(*state), " a=\"x\\x0alevel=error\" b=\"two words, \\\"quoted\\\"\"\n"));
    log_setup(LOG_JSON, LOG_INFO, "test");
    log_begin(&line, LOG_INFO, "notice");
    log_text(&line, "a", SPAN("x\\\n\""));
    log_number(&line, "b", 5);
    log_end(&line);
    const char *text = heard(*state);
    assert_int_equal(strncmp(text, "{\"time\":\"", 9), 0);
    assert_non_null(strstr(text, "\"event\":\"notice\",\"a\":\"x\\\\x5c\\\\x0a\\\"\",\"b\":5}\n"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_line_is_written_at_once),
        CASE(test_gathered_lines_wait),
        CASE(test_error_does_not_wait),
        CASE(test_many_gathered_lines),
        CASE(test_what_a_slow_reader_misses_is_counted),
        CASE(test_word_of_dropped_lines_is_not_lost),
        CASE(test_values_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
