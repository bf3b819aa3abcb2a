/* What a remote server says: bounded, printable, and an enhanced code only of the reply's own class. */
#include "../../relay/smtp/reply.h"

#include "../../relay/base/text.h"
#include "../../relay/smtp/line.h"
#include "../../relay/smtp/status.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct reply *reply)
{
    struct span text = span_of(reply->text);
    require(reply->code >= 200 && reply->code <= 559 && text.n < sizeof reply->text && text_is_utf8(text));
    for (size_t i = 0; i < text.n; i++)
        require((unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7f);
    require(!reply->enhanced[0] || (unsigned)(reply->enhanced[0] - '0') == reply->code / 100);
    require(status_meaning(span_of(reply->enhanced))[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size), line;
    struct reply reply;
    size_t used;
    reply_init(&reply);
    while (line_next(rest, SMTP_REPLY_LINE_MAX, &line, &used) == LINE_DONE) {
        enum reply_progress progress = reply_feed(&reply, line);
        rest = span_skip(rest, used);
        if (progress == REPLY_MALFORMED)
            break;
        check(&reply);
        require(reply_line_text(line).n <= line.n);
        if (progress == REPLY_DONE)
            reply_init(&reply);
    }
    status_meaning(rest);
    return 0;
}
