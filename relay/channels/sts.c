#include "sts.h"

static const struct ipc_kind kinds[] = { STS_MESSAGES(IPC_KIND) };

const struct ipc_channel sts_channel = { "sts", kinds, sizeof kinds / sizeof *kinds, false };

static const char *const modes[STS_MODES] = { [STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce" };

static bool matches(struct span pattern, struct span host)
{
    if (pattern.n > 2 && pattern.p[0] == '*' && pattern.p[1] == '.') {
        pattern = span_skip(pattern, 2);
        if (!span_cut(&host, '.').n)
            return false;
    }
    return pattern.n && span_equal_nocase(pattern, host);
}

bool sts_allows(struct span hosts, struct span host)
{
    if (host.n && host.p[host.n - 1] == '.')
        host = span_head(host, host.n - 1);
    while (hosts.n)
        if (matches(span_cut(&hosts, ' '), host))
            return true;
    return false;
}

const char *sts_mode_text(enum sts_mode mode)
{
    return mode < STS_MODES ? modes[mode] : "unknown";
}
