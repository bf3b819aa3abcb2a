/* One question for each address. There may be tens of thousands of them; each takes a fraction of a millisecond. Where nobody answers, the
 * others are not asked for: a report is of use without names, too. */
#include "firewall_account.h"

#include "ask.h"

static void take_login(void *context, const json_t *login)
{
    json_t *attempt = context;
    json_object_set(attempt, "account", json_object_get(login, "account"));
    json_object_set(attempt, "login", json_object_get(login, "when"));
}

void firewall_account_add(json_t *attempts, const char *path)
{
    static char reason[ASK_REASON_SIZE];
    bool absent = false;
    json_t *attempt;
    size_t i;
    json_array_foreach(attempts, i, attempt)
    {
        json_object_set_new(attempt, "account", json_null());
        json_object_set_new(attempt, "login", json_null());
        if (absent)
            continue;
        json_t *filters = json_pack("{s:O}", "client", json_object_get(attempt, "address"));
        absent = ask_daemon(path, "login of", filters, take_login, attempt, reason) == ASK_ABSENT;
    }
}
