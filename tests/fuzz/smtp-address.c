/* Paths and addresses: whatever is accepted has a normal form that is clean and reads back as itself. The first byte says what
 * is allowed. */
#include "../../relay/smtp/address.h"

#include "../../relay/base/text.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct address *address, bool utf8)
{
    char normal[SMTP_ADDRESS_SIZE], again[SMTP_ADDRESS_SIZE];
    struct address parsed;
    require(address_normal(address, normal, sizeof normal));
    struct span text = span_of(normal);
    for (size_t i = 0; i < text.n; i++)
        require((unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7f && (utf8 || (unsigned char)text.p[i] < 0x80));
    require(text_is_utf8(text));
    if (!address->domain.n)
        return;
    require(span_equal_nocase(address_domain(text), address->domain));
    require(address_parse(text, utf8, &parsed) == ADDRESS_OK);
    require(address_normal(&parsed, again, sizeof again) && strcmp(normal, again) == 0);
}

/* An accepted path has a domain that can be looked up. */
static void check_key(const struct address *address)
{
    char normal[SMTP_ADDRESS_SIZE], room[ADDRESS_KEY_SIZE];
    require(address_normal(address, normal, sizeof normal));
    struct span domain = address_domain(address_key(span_of(normal), room));
    require(!domain.n || address_is_domain(domain, false) || address_is_literal(domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    bool null_allowed = data[0] & 1, utf8 = data[0] & 2;
    struct span whole = span_make((const char *)data + 1, size - 1), text = whole;
    struct address address;
    if (address_parse_path(&text, null_allowed, utf8, &address) == ADDRESS_OK) {
        require(text.p > whole.p && text.p[-1] == '>');
        check(&address, utf8);
        check_key(&address);
    }
    if (address_parse(whole, utf8, &address) == ADDRESS_OK)
        check(&address, utf8);
    return 0;
}
