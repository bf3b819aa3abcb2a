/* content_scan against an oracle of five lines, on input cut where the fuzzer wants; and stuffing there and back. The first byte
 * is the size of the pieces. */
#include "../../relay/smtp/content.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Where the true end stops, or 0: ".\r\n" at a start that is the message's, or behind CRLF. */
static size_t true_end(struct span text)
{
    if (text.n >= 3 && memcmp(text.p, ".\r\n", 3) == 0)
        return 3;
    const char *end = text.n ? memmem(text.p, text.n, "\r\n.\r\n", 5) : NULL;
    return end ? (size_t)(end - text.p) + 5 : 0;
}

static void check_flags(const struct content *content, struct span body)
{
    bool cr = false, lf = false, nul = false, high = false;
    for (size_t i = 0; i < body.n; i++) {
        cr |= body.p[i] == '\r' && (i + 1 == body.n || body.p[i + 1] != '\n');
        lf |= body.p[i] == '\n' && (i == 0 || body.p[i - 1] != '\r');
        nul |= body.p[i] == '\0';
        high |= (unsigned char)body.p[i] > 127;
    }
    require(content->bare_cr == cr && content->bare_lf == lf && content->nul == nul && content->eight_bit == high);
}

static void check_scan(struct span text, size_t piece)
{
    struct content content = { 0 };
    enum content_progress progress = CONTENT_MORE;
    struct buffer out;
    size_t at = 0, used, end = true_end(text);
    struct span held, body;
    buffer_init(&out, text.n);
    while (progress == CONTENT_MORE && at < text.n) {
        char *copy = malloc(piece);
        struct span input = span_head(span_skip(text, at), piece);
        memcpy(copy, input.p, input.n);
        progress = content_scan(&content, span_make(copy, input.n), &held, &body, &used);
        require(progress == CONTENT_END || used == input.n);
        require(buffer_add(&out, held) && buffer_add(&out, body));
        free(copy);
        at += used;
    }
    require((progress == CONTENT_END) == (end != 0) && (!end || at == end));
    require(span_equal(buffer_span(&out), span_head(text, buffer_size(&out))) && content.size == buffer_size(&out));
    require(end ? buffer_size(&out) == end - 3 : buffer_size(&out) + 2 >= text.n);
    if (end)
        check_flags(&content, buffer_span(&out));
    buffer_fini(&out);
}

static void check_stuffing(struct span plain)
{
    struct buffer wire, again;
    buffer_init(&wire, 2 * plain.n + 4);
    buffer_init(&again, plain.n + 2);
    if (content_stuff(plain, &wire)) {
        require(!true_end(buffer_span(&wire)));
        require(content_unstuff(buffer_span(&wire), &again));
        require(span_equal(span_head(buffer_span(&again), plain.n), plain));
    }
    buffer_fini(&wire);
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct span text = span_make((const char *)data + 1, size - 1);
    check_scan(text, (size_t)data[0] + 1);
    check_stuffing(text);
    return 0;
}
