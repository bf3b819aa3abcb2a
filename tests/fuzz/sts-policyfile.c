/* What domains publish about MTA-STS: the TXT records that announce a policy, or the policy's file, with any bytes in them. What is read
 * holds only what it may. */
#include "../../relay/sts/announcement.h"
#include "../../relay/sts/policyfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_announcement(struct span records)
{
    char id[ANNOUNCEMENT_ID_SIZE];
    if (!announcement_read(records, id))
        return;
    size_t n = strnlen(id, sizeof id);
    require(n > 0 && n < sizeof id);
}

static void try_file(struct span text)
{
    struct policyfile file;
    if (policyfile_read(text, &file))
        return;
    require(file.mode < STS_MODES && file.max_age_s <= POLICYFILE_MAX_AGE_S && file.size < sizeof file.hosts);
    require((file.size == 0) == (file.mode == STS_NONE));
    struct span hosts = span_make(file.hosts, file.size);
    while (hosts.n) {
        struct span host = span_cut(&hosts, ' ');
        require(host.n && span_find(host, '\0') == host.n);
        require(host.p[0] == '*' || sts_allows(span_make(file.hosts, file.size), host));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make((const char *)data, size);
    try_announcement(bytes);
    try_file(bytes);
    return 0;
}
