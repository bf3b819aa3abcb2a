/* Reports of abuse: what is found does not depend on how the content was cut, and nothing of it is more than it says. */
#include "../../relay/message/feedback.h"

#include "../../relay/base/text.h"
#include "../../relay/smtp/address.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_address(const char *text)
{
    struct address address;
    require(!*text || address_parse(span_of(text), true, &address) == ADDRESS_OK);
}

static void check(const struct feedback_result *result)
{
    require(result->is_report || (!result->accuses && !result->has_origin && !result->type[0] && !result->source.family));
    require(!result->is_report || result->type[0]);
    require(strspn(result->type, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(result->type));
    require(result->has_origin || !result->origin.mark);
    check_address(result->original_from);
    check_address(result->original_rcpt);
}

static void read_report(struct span content, size_t step, struct feedback_result *ret_result)
{
    struct feedback *feedback = feedback_new("relay.example.net");
    for (; content.n; content = span_skip(content, step))
        feedback_add(feedback, span_head(content, step));
    feedback_end(feedback, ret_result);
    feedback_free(&feedback);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feedback_result whole, cut;
    if (!size)
        return 0;
    struct span content = span_make((const char *)data + 1, size - 1);
    read_report(content, SIZE_MAX, &whole);
    read_report(content, 1u + data[0], &cut);
    require(memcmp(&whole, &cut, sizeof whole) == 0);
    check(&whole);
    return 0;
}
