/* Orders are a table. Most go to one role as they are; `status` and `trace` put together what several say; `reload` and `stop` are for
 * the parent. What changes something is logged with the user who asked for it. */
#include "order.h"

#include "../base/log.h"
#include "../base/text.h"
#include "asking.h"
#include "overview.h"
#include "trace.h"

struct order {
    const char *command;
    void (*run)(struct visitor *visitor, const struct order *order, const struct request *request);
    enum control_peer peer; /* of what is relayed */
    enum admin_verb verb;
    bool needs_id, needs_account;
    bool changes;
    enum parent_verb parent_verb;
};

static void relayed_text(void *context, struct span piece, bool ends)
{
    visitor_piece(context, piece, ends);
}

static void relayed_end(void *context, enum admin_result result, const char *reason)
{
    visitor_end(context, result == ADMIN_DONE, reason);
}

static void relay(struct visitor *visitor, const struct order *order, const struct request *request)
{
    static const struct asking_events events = { .text = relayed_text, .end = relayed_end };
    struct admin_ask ask = request->ask;
    ask.verb = order->verb;
    asking_start(visitor_control(visitor)->asking, order->peer, &ask, &events, visitor);
}

static void overview_came(void *context, json_t *overview)
{
    struct visitor *visitor = context;
    visitor_waits(visitor)->overview = NULL;
    visitor_value(visitor, overview); /* small: never too much unread */
    visitor_end(visitor, true, "");
}

static void overview(struct visitor *visitor, const struct order *order, const struct request *request)
{
    struct admin_ask ask = request->ask;
    ask.verb = order->verb;
    visitor_waits(visitor)->overview = overview_new(visitor_control(visitor), &ask, overview_came, visitor);
}

static void trace_came(void *context, json_t *trace, const char *problem)
{
    struct visitor *visitor = context;
    visitor_waits(visitor)->trace = NULL;
    visitor_value(visitor, trace);
    visitor_end(visitor, !*problem, problem);
}

static void trace(struct visitor *visitor, const struct order *order, const struct request *request)
{
    const char *reason;
    (void)order;
    visitor_waits(visitor)->trace = trace_new(visitor_control(visitor), &request->ask, trace_came, visitor, &reason);
    if (!visitor_waits(visitor)->trace)
        visitor_end(visitor, false, reason);
}

static void command_parent(struct visitor *visitor, const struct order *order, const struct request *request)
{
    struct control *control = visitor_control(visitor);
    (void)request;
    visitor_waits(visitor)->ticket = ++control->last_command;
    if (!role_command(control->role, order->parent_verb, control->last_command))
        visitor_end(visitor, false, "the parent process cannot be asked now");
}

static void ping(struct visitor *visitor, const struct order *order, const struct request *request)
{
    (void)order;
    (void)request;
    visitor_value(visitor, json_pack("{s:s}", "version", POSTERN_VERSION));
    visitor_end(visitor, true, "");
}

static const struct order orders[] = {
    { "status", .run = overview, .verb = ADMIN_STATUS },
    { "queue list", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_LIST },
    { "queue show", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_SHOW, .needs_id = true },
    { "queue hold", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_HOLD, .changes = true },
    { "queue release", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_RELEASE, .changes = true },
    { "queue remove", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_REMOVE, .changes = true },
    { "queue retry", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_RETRY, .changes = true },
    { "queue adopt", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_QUEUE_ADOPT },
    { "message", .run = relay, .peer = CONTROL_QUEUE, .verb = ADMIN_MESSAGE, .needs_id = true },
    { "limits", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_LIMITS },
    { "limits would", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_WOULD },
    { "login of", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_LOGIN_OF },
    { "account list", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_ACCOUNT_LIST },
    { "account show", .run = overview, .verb = ADMIN_ACCOUNT_SHOW, .needs_account = true },
    { "account suspend", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_ACCOUNT_SUSPEND, .changes = true,
      .needs_account = true },
    { "account resume", .run = relay, .peer = CONTROL_POLICY, .verb = ADMIN_ACCOUNT_RESUME, .changes = true,
      .needs_account = true },
    { "trace", .run = trace },
    { "reload", .run = command_parent, .parent_verb = PARENT_RELOAD, .changes = true },
    { "stop", .run = command_parent, .parent_verb = PARENT_STOP, .changes = true },
    { "ping", .run = ping },
};

static const struct order *find(const char *command)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(orders[i].command, command) == 0)
            return &orders[i];
    return NULL;
}

/* Does ASK, which changes many messages at once, say which? */
static bool is_aimed(const struct admin_ask *ask)
{
    return ask->all || ask->id[0] || ask->account[0] || ask->client[0] || ask->sender[0] || ask->recipient[0] || ask->site[0];
}

static void note(const struct visitor *visitor, const struct request *request)
{
    const struct admin_ask *ask = &request->ask;
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "notice");
    log_number(&entry, "user", visitor_user(visitor));
    log_string(&entry, "command", request->command);
    const struct {
        const char *name, *value;
    } given[] = { { "id", ask->id },         { "account", ask->account },     { "client", ask->client },
                  { "sender", ask->sender }, { "recipient", ask->recipient }, { "site", ask->site } };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (*given[i].value)
            log_string(&entry, given[i].name, given[i].value);
    log_end(&entry);
}

void order_run(struct visitor *visitor, const struct request *request)
{
    const struct order *order = find(request->command);
    if (!order) {
        visitor_end(visitor, false, "the running daemon does not know this command; are postern and posternd of one version?");
        return;
    }
    if (order->needs_id && !request->ask.id[0]) {
        visitor_end(visitor, false, "this command needs the id of a message");
        return;
    }
    if (order->needs_account && !request->ask.account[0]) {
        visitor_end(visitor, false, "this command needs the name of an account");
        return;
    }
    if (order->changes && order->run == relay && !is_aimed(&request->ask)) {
        visitor_end(visitor, false, "nothing says which messages; name an id or a filter, or say --all");
        return;
    }
    if (order->changes)
        note(visitor, request);
    order->run(visitor, order, request);
}
