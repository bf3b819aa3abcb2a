#include "dns.h"

static const struct ipc_kind kinds[] = { DNS_MESSAGES(IPC_KIND) };

const struct ipc_channel dns_channel = { "dns", kinds, sizeof kinds / sizeof *kinds, false };

static const struct {
    const char *enhanced;
    const char *text;
} statuses[DNS_STATUSES] = {
    [DNS_OK] = { "", "found" },
    [DNS_NXDOMAIN] = { "5.1.2", "the domain does not exist" },
    [DNS_NO_MAIL] = { "5.4.4", "the domain has neither an MX record nor an address" },
    [DNS_NULL_MX] = { "5.1.10", "the domain says that it takes no mail (null MX)" },
    [DNS_LOOP] = { "5.4.6", "mail for the domain would come back to this relay" },
    [DNS_SERVFAIL] = { "4.4.3", "the domain's name servers fail" },
    [DNS_TIMEOUT] = { "4.4.3", "the domain's name servers do not answer" },
    [DNS_REFUSED] = { "4.4.3", "the name server refuses to answer" },
    [DNS_MALFORMED] = { "4.4.3", "the name server's answer makes no sense" },
};

const char *dns_status_text(enum dns_status status)
{
    return status < DNS_STATUSES ? statuses[status].text : "unknown";
}

const char *dns_status_enhanced(enum dns_status status)
{
    return status < DNS_STATUSES ? statuses[status].enhanced : "4.4.3";
}

bool dns_next_record(struct span *rest, struct span *ret_record)
{
    if (rest->n < 2)
        return false;
    size_t n = (size_t)((unsigned char)rest->p[0] << 8 | (unsigned char)rest->p[1]);
    struct span behind = span_skip(*rest, 2);
    *ret_record = span_head(behind, n);
    *rest = span_skip(behind, ret_record->n);
    return ret_record->n == n;
}
