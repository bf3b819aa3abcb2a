/* Any bytes as an answer: what is told must be bounded and whole. The first byte chooses the type that was asked for. */
#include "../../relay/dns/addresses.h"
#include "../../relay/dns/answer.h"
#include "../../relay/dns/mx.h"
#include "../../relay/dns/tlsa.h"
#include "../../relay/dns/txt.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct gathered {
    struct mx_set mx;
    struct addresses addresses;
    struct tlsa_set tlsa;
    struct buffer txt;
    bool is_txt;
};

static void gather(void *context, const struct answer_record *record)
{
    struct gathered *gathered = context;
    if (record->data.p) {
        tlsa_add(&gathered->tlsa, record->data);
        if (gathered->is_txt)
            txt_add(&gathered->txt, record->data);
    } else if (record->address.family)
        addresses_add(&gathered->addresses, &record->address);
    else
        mx_add(&gathered->mx, record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum answer_type types[] = { ANSWER_MX, ANSWER_A, ANSWER_AAAA, ANSWER_CNAME, ANSWER_TXT, ANSWER_TLSA };
    static struct gathered gathered;
    struct name_wire name;
    if (!size || !name_to_wire(SPAN("example.net"), &name))
        return 0;
    mx_init(&gathered.mx, "relay.example.net");
    gathered.addresses = (struct addresses){ .count4 = 0 };
    struct span bytes = span_make((const char *)data + 1, size - 1);
    enum answer_type type = types[data[0] % (sizeof types / sizeof *types)];
    gathered.tlsa.size = 0;
    gathered.is_txt = type == ANSWER_TXT;
    buffer_init(&gathered.txt, DNS_TXT_BYTES);
    struct answer answer = answer_read(bytes, &name, type, gather, &gathered);
    if (answer.status >= DNS_STATUSES)
        abort();
    buffer_fini(&gathered.txt);
    mx_settle(&gathered.mx);
    for (unsigned i = 0; i < gathered.mx.count; i++) {
        char normal[SMTP_DOMAIN_SIZE];
        if (!name_normal(span_of(gathered.mx.hosts[i].name), normal))
            abort();
    }
    return 0;
}
