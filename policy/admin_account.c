#include "admin_account.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"

#include <stdlib.h>

static const struct judge_order by_hand = { .reason = "by decision of the postmaster", .by = "administrator" };

/* The account that ASK names, in normal form. False where it names none. */
static bool take_name(const struct admin_ask *ask, char account[ACCOUNT_NAME_SIZE], char ret_reason[400])
{
    ret_reason[0] = '\0';
    account_normal(span_of_array(ask->account, sizeof ask->account), account);
    if (!*account)
        text_copy(ret_reason, 400, SPAN("this command needs the name of an account"));
    return *account;
}

/* A record's front page. */
static json_t *summary(struct judge *judge, struct span account)
{
    static const char *const copied[] = { "account", "state", "reason", "since", "by", "weight" };
    json_t *record = standing_show(judge_standing(judge), account, clock_wall_ms());
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        json_object_set(row, copied[i], json_object_get(record, copied[i]));
    json_object_set_new(row, "strikes", json_integer((json_int_t)json_array_size(json_object_get(record, "strikes"))));
    json_object_set_new(row, "signals", json_integer((json_int_t)json_array_size(json_object_get(record, "signals"))));
    json_decref(record);
    return row;
}

struct listing {
    struct judge *judge;
    bool suspended; /* those are listed now */
    size_t count;
    admin_send send;
    void *context;
};

static bool list_one(void *context, struct span account)
{
    struct listing *listing = context;
    if (standing_is_suspended(judge_standing(listing->judge), account) != listing->suspended)
        return true;
    return listing->count++ < ADMIN_ROWS_MAX &&
           admin_send_json(summary(listing->judge, account), listing->send, listing->context);
}

enum admin_result admin_account_list(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                     char ret_reason[400])
{
    struct listing listing = { .judge = judge, .suspended = true, .send = send, .context = context };
    char account[ACCOUNT_NAME_SIZE];
    bool one = take_name(ask, account, ret_reason);
    ret_reason[0] = '\0';
    if (one) {
        admin_send_json(summary(judge, span_of(account)), send, context);
        return ADMIN_DONE;
    }
    standing_each(judge_standing(judge), true, list_one, &listing);
    listing.suspended = false;
    standing_each(judge_standing(judge), false, list_one, &listing);
    if (listing.count > ADMIN_ROWS_MAX)
        text_format(ret_reason, 400, "only the first %d are shown; ask for one account", ADMIN_ROWS_MAX);
    return ADMIN_DONE;
}

enum admin_result admin_account_show(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                     char ret_reason[400])
{
    char account[ACCOUNT_NAME_SIZE];
    if (!take_name(ask, account, ret_reason))
        return ADMIN_REFUSED;
    struct span name = span_of(account);
    json_t *record = standing_show(judge_standing(judge), name, clock_wall_ms());
    if (!standing_is_suspended(judge_standing(judge), name)) { /* else they stand in it as they were then */
        json_object_set_new(record, "networks", judge_networks(judge, name));
        json_object_set_new(record, "curve", curve_show(judge_curve(judge), name, clock_wall_ms()));
    }
    admin_send_json(record, send, context);
    return ADMIN_DONE;
}

/* Does CARRY_OUT to the account that ASK names, and tells how it stands then. */
static enum admin_result order(struct judge *judge, const struct admin_ask *ask,
                               bool (*carry_out)(struct judge *judge, struct span account, const struct judge_order *order),
                               admin_send send, void *context, char ret_reason[400])
{
    char account[ACCOUNT_NAME_SIZE];
    if (!take_name(ask, account, ret_reason))
        return ADMIN_REFUSED;
    bool changed = carry_out(judge, span_of(account), &by_hand);
    json_t *row = summary(judge, span_of(account));
    json_object_set_new(row, "changed", json_boolean(changed));
    admin_send_json(row, send, context);
    return ADMIN_DONE;
}

enum admin_result admin_account_suspend(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                        char ret_reason[400])
{
    return order(judge, ask, judge_suspend, send, context, ret_reason);
}

enum admin_result admin_account_resume(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                       char ret_reason[400])
{
    return order(judge, ask, judge_resume, send, context, ret_reason);
}
