/* Real messages: the test corpus of Python's email package (Debian: libpython3.11-testsuite). Each goes through content_stuff,
 * content_scan (at once, and in pieces) and content_unstuff and comes out byte for byte; its header is examined, stripped and
 * delimited without harm. */
#include "../../../relay/message/header.h"
#include "../../../relay/smtp/content.h"
#include "../unit.h"

#include <glob.h>

#define CORPUS      "/usr/lib/python3*/test/test_email/data/*.txt"
#define MESSAGE_MAX (1 << 20)
#define PIECES      97 /* the largest piece of the scans in pieces */

/* Appends the file at PATH with every line end as CRLF. */
static void read_message(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    int c, next;
    assert_non_null(file);
    while ((c = getc(file)) != EOF) {
        if (c == '\r' && (next = getc(file)) != '\n' && next != EOF)
            ungetc(next, file);
        if (c == '\r' || c == '\n')
            assert_true(buffer_add_text(out, "\r\n"));
        else
            assert_true(buffer_add_byte(out, (char)c));
    }
    fclose(file);
    if (buffer_size(out) && !span_ends_nocase(buffer_span(out), SPAN("\r\n")))
        assert_true(buffer_add_text(out, "\r\n"));
}

/* Scans WIRE (with its final dot and one command behind it) in pieces of SIZE bytes; what it gives out is appended to BODY. */
static void scan(struct span wire, size_t size, struct buffer *body)
{
    struct content content = { 0 };
    enum content_progress progress = CONTENT_MORE;
    size_t at = 0, used;
    struct span held, part;
    while (progress == CONTENT_MORE) {
        progress = content_scan(&content, span_head(span_skip(wire, at), size), &held, &part, &used);
        assert_true(buffer_add(body, held) && buffer_add(body, part));
        at += used;
    }
    assert_true(span_equal(span_skip(wire, at), SPAN("QUIT\r\n")));
    assert_false(content.bare_cr || content.bare_lf);
    assert_int_equal(content.size, buffer_size(body));
}

static void check_content(struct span plain)
{
    struct buffer wire, body, again;
    buffer_init(&wire, MESSAGE_MAX);
    buffer_init(&body, MESSAGE_MAX);
    buffer_init(&again, MESSAGE_MAX);
    assert_true(content_stuff(plain, &wire));
    size_t stuffed = buffer_size(&wire);
    assert_true(buffer_add_text(&wire, ".\r\nQUIT\r\n"));
    for (size_t size = 1; size <= PIECES; size++) {
        buffer_clear(&body);
        scan(buffer_span(&wire), size == PIECES ? MESSAGE_MAX : size, &body);
        assert_true(span_equal(buffer_span(&body), span_head(buffer_span(&wire), stuffed)));
    }
    assert_true(content_unstuff(buffer_span(&body), &again));
    assert_true(span_equal(buffer_span(&again), plain));
    buffer_fini(&wire);
    buffer_fini(&body);
    buffer_fini(&again);
}

static void check_header(const char *path, struct span plain)
{
    static struct header_facts facts;
    struct buffer out;
    size_t end = header_end(plain, 0);
    struct span header = span_head(plain, end ? end : plain.n);
    buffer_init(&out, MESSAGE_MAX);
    header_examine(header, &facts);
    assert_true(header_strip(header, &out));
    assert_int_equal(buffer_size(&out) < header.n, facts.has_stripped);
    if (strstr(path, "msg_01.txt")) {
        assert_true(facts.has_date && facts.has_message_id && !facts.malformed && !facts.from_malformed);
        assert_int_equal(facts.from_addresses, 1);
        assert_string_equal(facts.from[0], "bbb@ddd.com");
        assert_string_equal(facts.subject, "This is a test message");
    }
    buffer_fini(&out);
}

static void test_corpus(void **state)
{
    glob_t found;
    (void)state;
    if (glob(CORPUS, 0, NULL, &found) != 0) {
        print_message("[  NOTE    ] no corpus at " CORPUS ": is libpython3.11-testsuite installed?\n");
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buffer plain;
        buffer_init(&plain, MESSAGE_MAX);
        read_message(found.gl_pathv[i], &plain);
        check_content(buffer_span(&plain));
        check_header(found.gl_pathv[i], buffer_span(&plain));
        buffer_fini(&plain);
    }
    assert_true(found.gl_pathc >= 40);
    globfree(&found);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_corpus) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
