/* What Prometheus reads: each sample under its HELP and TYPE, values and labels as the text format wants them, whatever the overview holds. */
#include "../../../relay/control/metrics.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#define TEXT_MAX 65536

static const char *print(const char *overview, struct buffer *out)
{
    json_error_t error;
    json_t *root = json_loads(overview, 0, &error);
    assert_non_null(root);
    buffer_clear(out);
    assert_true(metrics_print(root, out));
    json_decref(root);
    return buffer_text(out);
}

static void values_are_told(void **state)
{
    static const struct {
        const char *overview, *line; /* that must be there */
    } cases[] = {
        { "{}", "\npostern_queue_messages 0\n" },
        { "{}", "\npostern_up{role=\"queue\"} 1\n" },
        { "{}", "\npostern_accounts_in_trouble 0\n" },
        { "{}", "postern_info{version=\"" POSTERN_VERSION "\"} 1\n" },
        { "{\"unavailable\": [\"queue\"]}", "\npostern_up{role=\"queue\"} 0\npostern_up{role=\"policy\"} 1\n" },
        { "{\"queue\": {\"messages\": 7, \"held\": 9223372036854775807}}", "\npostern_queue_messages 7\n" },
        { "{\"queue\": {\"messages\": 7, \"held\": 9223372036854775807}}",
          "\npostern_queue_recipients_held 9223372036854775807\n" },
        { "{\"queue\": {\"messages\": \"many\"}}", "\npostern_queue_messages 0\n" },
        { "{\"queue\": 3, \"sites\": 3, \"accounts\": 3, \"unavailable\": 3}", "\npostern_queue_messages 0\n" },
        { "{\"accounts\": [{}, {}]}", "\npostern_accounts_in_trouble 2\n" },
        { "{\"sites\": [{\"site\": \"mx.example\", \"waiting\": 3}]}", "\npostern_site_waiting{site=\"mx.example\"} 3\n" },
        { "{\"sites\": [{\"site\": \"a\", \"state\": \"resting\"}]}", "\npostern_site_resting{site=\"a\"} 1\n" },
        { "{\"stalled\": {\"since\": \"2026\", \"reply\": \"\"}}", "\npostern_delivery_stalled 1\n" },
        { "{\"stalled\": null}", "\npostern_delivery_stalled 0\n" },
        { "{\"sites\": [{\"site\": \"a\", \"state\": \"slowed\"}]}", "\npostern_site_slowed{site=\"a\"} 1\n" },
        { "{\"sites\": [{\"site\": \"a\", \"state\": \"open\"}, {}]}",
          "\npostern_site_resting{site=\"a\"} 0\npostern_site_resting{site=\"\"} 0\n" },
        { "{\"sites\": [{\"site\": \"a\\\"b\\\\c\\nd\"}]}", "{site=\"a\\\"b\\\\c d\"} 0\n" },
    };
    struct buffer out;
    (void)state;
    buffer_init(&out, TEXT_MAX);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *text = print(cases[i].overview, &out);
        if (!strstr(text, cases[i].line))
            fail_msg("case %zu: no \"%s\" in:\n%s", i, cases[i].line, text);
    }
    buffer_fini(&out);
}

/* NAME of a sample line or of a "# KIND NAME …" line. */
static struct span name_of(struct span line)
{
    if (line.p[0] == '#') {
        span_cut(&line, ' ');
        span_cut(&line, ' ');
    }
    struct span name = span_cut(&line, ' ');
    return span_cut(&name, '{');
}

/* Each sample stands right behind the HELP and TYPE of its name, which come once; each line ends. */
static void samples_stand_under_their_names(void **state)
{
    struct buffer out;
    struct span described = SPAN(""), rest;
    char seen[TEXT_MAX] = "\n";
    unsigned samples = 0;
    (void)state;
    buffer_init(&out, TEXT_MAX);
    print("{\"sites\": [{\"site\": \"a\"}, {\"site\": \"b\"}]}", &out);
    rest = buffer_span(&out);
    assert_int_equal(rest.p[rest.n - 1], '\n');
    while (rest.n) {
        char key[128];
        struct span line = span_cut(&rest, '\n'), name = name_of(line);
        text_format(key, sizeof key, "\n%.*s\n", SPAN_ARGS(name));
        if (span_starts_nocase(line, SPAN("# HELP "))) {
            assert_null(strstr(seen, key));
            text_format(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s\n", SPAN_ARGS(name));
            described = name;
        }
        assert_true(span_equal(name, described));
        samples += line.p[0] != '#';
    }
    assert_int_equal(samples, 1 + 2 + 5 + 1 + 1 + 6 * 2);
    buffer_fini(&out);
}

static void what_is_too_large_is_not_told_in_part(void **state)
{
    json_t *root = json_pack("{s:[{s:s}]}", "sites", "site", "mx.example");
    struct buffer out;
    (void)state;
    buffer_init(&out, TEXT_MAX);
    assert_true(metrics_print(root, &out));
    size_t whole = buffer_size(&out);
    buffer_fini(&out);
    for (size_t max = 0; max <= whole; max++) {
        buffer_init(&out, max);
        assert_int_equal(metrics_print(root, &out), max == whole);
        assert_true(buffer_size(&out) <= max);
        buffer_fini(&out);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_told),
        cmocka_unit_test(samples_stand_under_their_names),
        cmocka_unit_test(what_is_too_large_is_not_told_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
