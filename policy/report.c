/* A mark does not say whose it is, it only fits: so all accounts that are known are tried, a hundred thousand in some milliseconds. That is
 * why no more than REPORT_SEARCHES_MAX reports are looked at in a second. */
#include "report.h"

#include "../relay/base/log.h"
#include "../relay/base/text.h"

static const char *const verdicts[] = {
    [REPORT_COUNTS] = "counts",
    [REPORT_AGAIN] = "was reported before",
    [REPORT_HARMLESS] = "not of abuse",
    [REPORT_NOBODY] = "fits no account that is known",
    [REPORT_TOO_MANY] = "too many in a second",
};

struct search {
    const struct tag_key *key;
    const struct policy_report *report;
    char *account;
};

static bool try_account(void *context, struct span account)
{
    struct search *search = context;
    if (!tag_fits(search->key, account, search->report->id, search->report->mark))
        return true;
    text_copy(search->account, ACCOUNT_NAME_SIZE, account);
    return false;
}

static bool may_search(struct report_desk *desk, int64_t wall_ms)
{
    if (desk->second != wall_ms / 1000) {
        desk->second = wall_ms / 1000;
        desk->searches = 0;
    }
    return desk->searches++ < REPORT_SEARCHES_MAX;
}

static bool is_new(struct seen *seen, const struct policy_report *report, const char *account, int64_t wall_ms)
{
    struct span id = span_make((const char *)report->id.bytes, sizeof report->id.bytes);
    uint64_t pair = seen_pair(seen, SPAN("reported"), span_of(account), id);
    if (seen_last(seen, pair))
        return false;
    seen_note(seen, pair, wall_ms > 0 ? (uint32_t)(wall_ms / 1000) : 0);
    return true;
}

static void tell(const struct policy_report *report, enum report_verdict verdict, const char *account)
{
    char client[NETADDR_TEXT_SIZE];
    struct log_entry entry;
    netaddr_print(&report->client, client);
    log_begin(&entry, verdict == REPORT_COUNTS ? LOG_WARNING : LOG_INFO, "reported");
    if (report->has_id)
        log_uid(&entry, "id", report->id);
    log_string(&entry, "account", account);
    log_text(&entry, "type", span_of_array(report->type, sizeof report->type));
    log_text(&entry, "to", span_of_array(report->recipient, sizeof report->recipient));
    log_uid(&entry, "report", report->report);
    log_string(&entry, "client", client);
    log_string(&entry, "verdict", verdicts[verdict]);
    log_end(&entry);
}

static enum report_verdict judge(struct report_desk *desk, const struct logins *logins, struct seen *seen,
                                 const struct policy_report *report, int64_t wall_ms, char account[ACCOUNT_NAME_SIZE])
{
    struct search search = { &desk->key, report, account };
    if (!report->has_id || !report->mark)
        return REPORT_NOBODY;
    if (!may_search(desk, wall_ms))
        return REPORT_TOO_MANY;
    logins_accounts(logins, try_account, &search);
    if (!account[0])
        return REPORT_NOBODY;
    if (!report->accuses)
        return REPORT_HARMLESS;
    return is_new(seen, report, account, wall_ms) ? REPORT_COUNTS : REPORT_AGAIN;
}

enum report_verdict report_judge(struct report_desk *desk, const struct logins *logins, struct seen *seen,
                                 const struct policy_report *report, int64_t wall_ms, char ret_account[ACCOUNT_NAME_SIZE])
{
    ret_account[0] = '\0';
    enum report_verdict verdict = judge(desk, logins, seen, report, wall_ms, ret_account);
    tell(report, verdict, ret_account);
    return verdict;
}
