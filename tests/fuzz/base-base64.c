/* Base64 is strict: what decodes encodes to the very same text, and whatever is encoded decodes again. */
#include "../../relay/base/base64.h"

#include <stdlib.h>

#define BEFORE "kept"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_decode(struct span text)
{
    struct buffer bytes, again;
    buffer_init(&bytes, text.n + sizeof BEFORE);
    buffer_init(&again, text.n + 4);
    buffer_add_text(&bytes, BEFORE);
    bool good = base64_decode(text, &bytes);
    require(span_equal(span_head(buffer_span(&bytes), sizeof BEFORE - 1), SPAN(BEFORE)));
    require(good || buffer_size(&bytes) == sizeof BEFORE - 1);
    if (good) {
        require(base64_encode(span_skip(buffer_span(&bytes), sizeof BEFORE - 1), &again));
        require(span_equal(buffer_span(&again), text));
    }
    buffer_fini(&bytes);
    buffer_fini(&again);
}

static void check_encode(struct span bytes)
{
    struct buffer text, again;
    buffer_init(&text, (bytes.n + 2) / 3 * 4);
    buffer_init(&again, bytes.n + 2);
    require(base64_encode(bytes, &text) && !text.overflow);
    require(base64_decode(buffer_span(&text), &again) && span_equal(buffer_span(&again), bytes));
    buffer_fini(&text);
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    check_decode(input);
    check_decode(span_head(input, size / 4 * 4));
    check_encode(input);
    return 0;
}
