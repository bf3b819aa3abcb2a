/* The end of data and what is no end, each input cut at every byte and at every two bytes; and
 * dot-stuffing there and back. */
#include "../../../relay/smtp/content.h"

#include "../unit.h"

#define OUT_MAX 65536
#define REST    "MAIL FROM:<e@v>\r\n" /* what stands behind the true end and must be left alone */

struct result {
    struct content content;
    struct buffer body;
    size_t used;
    bool ended;
};

static const struct scan_case {
    struct span input; /* up to and with the true end */
    bool bare_cr, bare_lf, nul, eight_bit;
    unsigned longest_line;
} cases[] = {
    { SPAN(".\r\n"), false, false, false, false, 0 },
    { SPAN("\r\n.\r\n"), false, false, false, false, 0 },
    { SPAN("a\r\n.\r\n"), false, false, false, false, 1 },
    { SPAN("a: b\r\n\r\nhello\r\n.\r\n"), false, false, false, false, 5 },
    { SPAN("a\r\n..\r\n.\r\n"), false, false, false, false, 2 },
    { SPAN("..\r\n.x\r\n.\r\n"), false, false, false, false, 2 },
    { SPAN("a\r\n.b\r\n...\r\n.\r\n"), false, false, false, false, 3 },
    { SPAN("a.\r\n.\r\n"), false, false, false, false, 2 },
    { SPAN("gr\xc3\xbc\xc3\x9f\r\n.\r\n"), false, false, false, true, 6 },
    { SPAN("a\0b\r\n.\r\n"), false, false, true, false, 3 },
    { SPAN("\0\r\n\xff\r\n.\r\n"), false, false, true, true, 1 },
    /* LF . LF */
    { SPAN("x\n.\nMAIL FROM:<e@v>\r\nx\r\n.\r\n"), false, true, false, false, 1 },
    { SPAN("\n.\nx\r\n.\r\n"), false, true, false, false, 1 },
    /* LF . CRLF */
    { SPAN("x\n.\r\nRSET\r\n.\r\n"), false, true, false, false, 4 },
    { SPAN("\n.\r\nx\r\n.\r\n"), false, true, false, false, 1 },
    /* CRLF . LF */
    { SPAN("x\r\n.\nRSET\r\n.\r\n"), false, true, false, false, 1 },
    { SPAN(".\nRSET\r\n.\r\n"), false, true, false, false, 1 },
    /* with a CR by itself */
    { SPAN("x\r.\rRSET\r\n.\r\n"), true, false, false, false, 4 },
    { SPAN("x\r.\nRSET\r\n.\r\n"), true, true, false, false, 4 },
    { SPAN("x\r.\r\nRSET\r\n.\r\n"), true, false, false, false, 4 },
    { SPAN("x\n.\rRSET\r\n.\r\n"), true, true, false, false, 4 },
    { SPAN("x\r\n.\rRSET\r\n.\r\n"), true, false, false, false, 4 },
    { SPAN("x\r\n.\r\r\nRSET\r\n.\r\n"), true, false, false, false, 4 },
    { SPAN("x\r\r\n.\r\r\nRSET\r\n.\r\n"), true, false, false, false, 4 },
    { SPAN(".\r\r\n.\r\n"), true, false, false, false, 2 },
    { SPAN(".\r.\r\n.\r\n"), true, false, false, false, 3 },
    { SPAN("x\r\n.\r.\r\n.\r\n"), true, false, false, false, 3 },
    { SPAN("\r\r\n.\r\n"), true, false, false, false, 1 },
    /* no dot */
    { SPAN("a\rb\r\n.\r\n"), true, false, false, false, 3 },
    { SPAN("a\nb\r\n.\r\n"), false, true, false, false, 3 },
    { SPAN("\r\r\r\n\n\n\r\n.\r\n"), true, true, false, false, 3 },
};

static void feed(struct result *result, struct span input)
{
    struct span held, body;
    size_t used;
    if (result->ended)
        return;
    result->ended = content_scan(&result->content, input, &held, &body, &used) == CONTENT_END;
    assert_true(used == input.n || result->ended);
    assert_true(!body.n || body.p == input.p);
    assert_true(buffer_add(&result->body, held) && buffer_add(&result->body, body));
    result->used += used;
}

static void check(const struct scan_case *one, struct result *result)
{
    size_t body = one->input.n - 3;
    assert_true(result->ended);
    assert_int_equal(result->used, one->input.n);
    assert_int_equal(result->content.size, body);
    assert_int_equal(buffer_size(&result->body), body);
    assert_memory_equal(buffer_span(&result->body).p, one->input.p, body);
    assert_int_equal(result->content.bare_cr, one->bare_cr);
    assert_int_equal(result->content.bare_lf, one->bare_lf);
    assert_int_equal(result->content.nul, one->nul);
    assert_int_equal(result->content.eight_bit, one->eight_bit);
    buffer_fini(&result->body);
}

/* One run over INPUT and what follows it, cut at FIRST and SECOND. */
static void run(const struct scan_case *one, size_t first, size_t second, struct result *result)
{
    char text[256];
    size_t n = one->input.n;
    memcpy(text, one->input.p, n);
    memcpy(text + n, REST, sizeof REST - 1);
    n += sizeof REST - 1;
    *result = (struct result){ .used = 0 };
    buffer_init(&result->body, OUT_MAX);
    feed(result, span_make(text, first));
    feed(result, span_make(text + first, second - first));
    feed(result, span_make(text + second, n - second));
    check(one, result);
}

static void test_cut_at_every_byte(void **state)
{
    struct result result;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t first = 0; first <= cases[i].input.n; first++)
            for (size_t second = first; second <= cases[i].input.n; second++)
                run(&cases[i], first, second, &result);
        if (!cases[i].bare_lf && !cases[i].bare_cr)
            assert_int_equal(result.content.longest_line, cases[i].longest_line);
    }
}

static void test_single_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct result result = { .used = 0 };
        buffer_init(&result.body, OUT_MAX);
        for (size_t at = 0; at < cases[i].input.n; at++) {
            assert_false(result.ended);
            feed(&result, span_make(cases[i].input.p + at, 1));
        }
        check(&cases[i], &result);
    }
}

/* What is held back is at most ".\r", and the scan says nothing of an end before it is there. */
static void test_no_end_without_its_last_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t n = 0; n < cases[i].input.n; n++) {
            struct result result = { .used = 0 };
            buffer_init(&result.body, OUT_MAX);
            feed(&result, span_head(cases[i].input, n));
            assert_false(result.ended);
            assert_in_range(buffer_size(&result.body), n < 2 ? 0 : n - 2, n);
            assert_int_equal(result.content.size, buffer_size(&result.body));
            buffer_fini(&result.body);
        }
    }
}

/* The bulk search for 8-bit and NUL finds a byte wherever it stands in its block. */
static void test_every_position(void **state)
{
    char text[203];
    (void)state;
    for (size_t at = 0; at < 200; at++) {
        struct content content = { 0 };
        struct span held, body;
        size_t used;
        memset(text, 'x', sizeof text);
        text[at] = at % 2 ? '\x80' : '\0';
        assert_int_equal(content_scan(&content, span_make(text, 201), &held, &body, &used), CONTENT_MORE);
        assert_int_equal(content.eight_bit, at % 2);
        assert_int_equal(content.nul, !(at % 2));
        assert_int_equal(content.line_size, 201);
    }
}

/* 4 MB of the bytes that a slow scan would trip over: this test would not end if it were not linear. */
static void test_linear(void **state)
{
    static const struct span units[] = { SPAN("\r"), SPAN("\n"), SPAN("\r\n"), SPAN("\r\n.."), SPAN("\r\n.\r"), SPAN("x") };
    size_t size = 4 << 20;
    char *text = malloc(size);
    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        struct content content = { 0 };
        struct span held, body;
        size_t used;
        for (size_t at = 0; at < size; at++)
            text[at] = units[i].p[at % units[i].n];
        assert_int_equal(content_scan(&content, span_make(text, size), &held, &body, &used), CONTENT_MORE);
        assert_int_equal(used, size);
    }
    free(text);
}

static const struct {
    struct span plain, wire;
} stuffed[] = {
    { SPAN(""), SPAN("") },
    { SPAN("a"), SPAN("a\r\n") },
    { SPAN("a\r\n"), SPAN("a\r\n") },
    { SPAN(".\r\n"), SPAN("..\r\n") },
    { SPAN("."), SPAN("..\r\n") },
    { SPAN("a\r\n.b\r\n..\r\n"), SPAN("a\r\n..b\r\n...\r\n") },
    { SPAN("\r\n\r\n.a."), SPAN("\r\n\r\n..a.\r\n") },
};

static void test_stuff(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(stuffed); i++) {
        struct buffer wire, plain;
        buffer_init(&wire, OUT_MAX);
        buffer_init(&plain, OUT_MAX);
        assert_true(content_stuff(stuffed[i].plain, &wire));
        assert_true(span_equal(buffer_span(&wire), stuffed[i].wire));
        assert_true(content_unstuff(buffer_span(&wire), &plain));
        assert_true(span_equal(span_head(buffer_span(&plain), stuffed[i].plain.n), stuffed[i].plain));
        buffer_fini(&wire);
        buffer_fini(&plain);
    }
}

static void test_stuff_refuses(void **state)
{
    static const struct span bad[] = { SPAN("a\nb"), SPAN("a\rb"), SPAN("a\r"), SPAN("\n"), SPAN("a\r\r\n"), SPAN("x\r\n.\n") };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct buffer out;
        buffer_init(&out, OUT_MAX);
        assert_true(buffer_add_text(&out, "kept"));
        assert_false(content_stuff(bad[i], &out));
        assert_int_equal(buffer_size(&out), 4);
        buffer_fini(&out);
    }
}

/* A full buffer is left as it was. */
static void test_full(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 8);
    assert_true(buffer_add_text(&out, "ab"));
    assert_false(content_stuff(SPAN("12\r\n.\r\n"), &out));
    assert_int_equal(buffer_size(&out), 2);
    assert_false(content_unstuff(SPAN("..12\r\n..4\r\n"), &out));
    assert_int_equal(buffer_size(&out), 2);
    assert_false(content_unstuff(SPAN("..12\r\n.xy"), &out));
    assert_true(content_unstuff(SPAN("..12\r\n."), &out));
    assert_true(span_equal(buffer_span(&out), SPAN("ab.12\r\n")));
    buffer_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_single_bytes),
        cmocka_unit_test(test_no_end_without_its_last_byte),
        cmocka_unit_test(test_every_position),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_stuff),
        cmocka_unit_test(test_stuff_refuses),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
