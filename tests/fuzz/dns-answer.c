/* Any bytes as an answer: what is told must be bounded and whole. The first byte chooses the type that was asked for. */
#include "../../relay/dns/addresses.h"
#include "../../relay/dns/answer.h"
#include "../../relay/dns/mx.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct gathered {
    struct mx_set mx;
    struct addresses addresses;
};

static void gather(void *context, const struct answer_record *record)
{
    struct gathered *gathered = context;
    if (record->address.family)
        addresses_add(&gathered->addresses, &record->address);
    else
        mx_add(&gathered->mx, record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum answer_type types[] = { ANSWER_MX, ANSWER_A, ANSWER_AAAA };
    static struct gathered gathered;
    struct name_wire name;
    if (!size || !name_to_wire(SPAN("example.net"), &name))
        return 0;
    mx_init(&gathered.mx, "relay.example.net");
    gathered.addresses = (struct addresses){ .count4 = 0 };
    struct span bytes = span_make((const char *)data + 1, size - 1);
    struct answer answer = answer_read(bytes, &name, types[data[0] % 3], gather, &gathered);
    if (answer.status >= DNS_STATUSES)
        abort();
    mx_settle(&gathered.mx);
    for (unsigned i = 0; i < gathered.mx.count; i++) {
        char normal[SMTP_DOMAIN_SIZE];
        if (!name_normal(span_of(gathered.mx.hosts[i].name), normal))
            abort();
    }
    return 0;
}
