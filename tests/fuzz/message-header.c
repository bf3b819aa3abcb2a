/* Headers: the pass, the strip, the address lists. What is found is clean; what is stripped is gone and stays gone; the header's
 * end does not depend on how the content was cut. */
#include "../../relay/message/header.h"

#include "../../relay/base/text.h"
#include "../../relay/smtp/address.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool check_address(void *context, const char *text)
{
    unsigned *count = context;
    struct address address;
    char again[SMTP_ADDRESS_SIZE];
    require(address_parse(span_of(text), true, &address) == ADDRESS_OK);
    require(address_normal(&address, again, sizeof again) && strcmp(text, again) == 0);
    ++*count;
    return true;
}

static void check_text(const char *text)
{
    for (; *text; text++)
        require((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_facts(const struct header_facts *facts)
{
    require(facts->from_addresses <= HEADER_FROM_MAX + 1 && (facts->from_fields || !facts->from_addresses));
    for (unsigned i = 0; i < facts->from_addresses && i < HEADER_FROM_MAX; i++)
        require(facts->from[i][0] != '\0');
    check_text(facts->sender);
    check_text(facts->message_id);
    check_text(facts->subject);
}

static void check_header(struct span header)
{
    static struct header_facts facts, again;
    struct buffer out;
    buffer_init(&out, header.n);
    header_examine(header, &facts);
    check_facts(&facts);
    require(header_strip(header, &out));
    require((buffer_size(&out) < header.n) == facts.has_stripped);
    header_examine(buffer_span(&out), &again);
    require(facts.from_fields == again.from_fields && facts.received == again.received);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct span content = span_make((const char *)data + 1, size - 1);
    size_t end = header_end(content, 0), cut = data[0] < content.n ? data[0] : content.n;
    size_t first = header_end(span_head(content, cut), 0);
    require((first ? first : header_end(content, cut)) == end && end <= content.n);
    check_header(span_head(content, end ? end : content.n));
    unsigned count = 0;
    (void)!header_addresses(content, check_address, &count);
    return 0;
}
