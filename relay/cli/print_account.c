/* The order is that in which somebody at three in the morning asks: what is the state and why, what waits, what speaks against it, what
 * did it do, and from where. */
#include "print_account.h"

#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_state(const json_t *account)
{
    char since[32], far[32];
    const char *reason = screen_text_at(account, "reason"), *when = screen_text_at(account, "since");
    if (!*when)
        return;
    screen_flow_format(0, 4, "    since %s (%s ago), by %s", screen_local_time(when, since), screen_away(when, far),
                       screen_text_at(account, "by"));
    screen_wrapped(4, reason);
}

void print_account_row(const json_t *account)
{
    screen_column(0, 40, screen_text_at(account, "account"));
    screen_flow_format(40, 40, " %-9s strikes weigh %" PRId64 ", %" PRId64 " signal%s", screen_text_at(account, "state"),
                       screen_number_at(account, "weight"), screen_number_at(account, "signals"),
                       screen_plural(screen_number_at(account, "signals")));
    print_state(account);
}

static void print_strike(const json_t *strike)
{
    char when[32];
    screen_flow_format(0, 23, "  %s  weight %3" PRId64 "  %s%s", screen_local_time(screen_text_at(strike, "time"), when),
                       screen_number_at(strike, "weight"), screen_text_at(strike, "text"),
                       json_is_true(json_object_get(strike, "forgiven")) ? " (forgiven)" : "");
}

static void print_signal(const json_t *signal)
{
    char when[32];
    screen_flow_format(0, 23, "  %s  %s %s%s%s %s", screen_local_time(screen_text_at(signal, "time"), when),
                       screen_text_at(signal, "kind"), screen_text_at(signal, "client"),
                       *screen_text_at(signal, "to") ? " to " : "", screen_text_at(signal, "to"), screen_text_at(signal, "text"));
}

static void print_network(const json_t *network)
{
    char when[32];
    screen_flow_format(0, 23, "  %-24s %4" PRId64 " login%s, the last at %s", screen_text_at(network, "network"),
                       screen_number_at(network, "count"), screen_plural(screen_number_at(network, "count")),
                       screen_local_time(screen_text_at(network, "last"), when));
}

static void print_sample(const json_t *sample)
{
    char when[32];
    screen_flow_format(0, 23, "  %s  <%s> to <%s>%s, %s: %s", screen_local_time(screen_text_at(sample, "time"), when),
                       screen_text_at(sample, "from"), screen_text_at(sample, "to"),
                       screen_number_at(sample, "recipients") > 1 ? " and others" : "", screen_text_at(sample, "client"),
                       screen_text_at(sample, "subject"));
}

static void print_hour(const json_t *hour)
{
    char when[32];
    printf("  %.16s %10" PRId64 " %9" PRId64 " %10" PRId64 " %8" PRId64 " %6" PRId64 "\n",
           screen_local_time(screen_text_at(hour, "hour"), when), screen_number_at(hour, "recipients"),
           screen_number_at(hour, "refused"), screen_number_at(hour, "delivered"), screen_number_at(hour, "bounced"),
           screen_number_at(hour, "spam"));
}

/* The list NAME of ACCOUNT behind its HEADING, where there is one. */
static void print_list(const json_t *account, const char *name, const char *heading, void (*print)(const json_t *item))
{
    const json_t *list = json_object_get(account, name), *item;
    size_t i;
    if (json_array_size(list))
        puts(heading);
    json_array_foreach(list, i, item)
    {
        print(item);
    }
}

void print_account(const json_t *account)
{
    const json_t *role;
    size_t i;
    screen_flow_format(0, 4, "%s is %s", *screen_text_at(account, "account") ? screen_text_at(account, "account") : "The account",
                       *screen_text_at(account, "state") ? screen_text_at(account, "state") : "unknown");
    print_state(account);
    printf("Queue: %" PRId64 " message%s, %" PRId64 " held\n", screen_number_at(account, "queued"),
           screen_plural(screen_number_at(account, "queued")), screen_number_at(account, "held"));
    if (json_object_get(account, "weight"))
        printf("Strikes weigh %" PRId64 "; at 100 an account is suspended\n", screen_number_at(account, "weight"));
    print_list(account, "strikes", "Strikes:", print_strike);
    print_list(account, "signals", "What came back last:", print_signal);
    print_list(account, "networks", "Logged in from:", print_network);
    print_list(account, "samples", "Sent last, since something spoke against it:", print_sample);
    print_list(account, "curve", "Hour               recipients   refused  delivered  bounced   spam", print_hour);
    json_array_foreach(json_object_get(account, "unavailable"), i, role)
    {
        printf("The %s role does not answer; it is being started again.\n",
               json_string_value(role) ? json_string_value(role) : "");
    }
}
