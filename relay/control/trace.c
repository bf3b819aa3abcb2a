/* Three questions, one after the other: queue knows the site, how it fares, and the pool of sources, the configuration the route, dns the
 * mail hosts (unless the route names its own) and then, all at once, their addresses. It is what delivery would do now, short of
 * connecting. */
#include "trace.h"

#include "../base/buffer.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "asking.h"
#include "looking.h"

#include <stdlib.h>
#include <string.h>

#define SITE_TEXT_MAX (64 * 1024)

struct trace_host {
    char name[SMTP_DOMAIN_SIZE];
    uint16_t preference;
    uint16_t port;
    struct dns_address found;
};

struct trace {
    struct control *control;
    trace_done done;
    void *context;
    struct admin_ask ask; /* with its addresses in normal form */
    char key[ADDRESS_KEY_SIZE];
    struct span domain; /* of the recipient, as it is looked up: in `key`, or in `ask` */
    const struct conf_route *route;
    struct buffer site; /* what queue says of the site */
    struct trace_host hosts[DNS_HOSTS_MAX];
    unsigned nhosts;
    unsigned awaited; /* hosts whose addresses are not known yet */
    const char *problem;
};

static const char *const tls_names[] = {
    [CONF_DELIVERY_NONE] = "none",
    [CONF_DELIVERY_OPPORTUNISTIC] = "opportunistic",
    [CONF_DELIVERY_ENCRYPT] = "encrypt",
    [CONF_DELIVERY_VERIFY] = "verify",
};

static const char *tls_name(const struct trace *trace)
{
    const struct conf *conf = trace->control->role->conf;
    return tls_names[trace->route && trace->route->tls_given ? trace->route->tls : conf->delivery.tls];
}

static json_t *escaped(const char *text)
{
    char shown[2 * SMTP_ADDRESS_SIZE];
    text_escape(shown, sizeof shown, span_of(text));
    return json_string(shown);
}

/* Whose mail it is that goes this way. */
static void tell_origin(const struct trace *trace, json_t *whole)
{
    const char *sender = trace->ask.sender, *account = trace->ask.account;
    const struct conf_account *entry = *account ? conf_account_for(trace->control->role->conf, span_of(account)) : NULL;
    bool nobody = strcmp(sender, ADMIN_NO_SENDER) == 0;
    json_object_set_new(whole, "from", *sender ? escaped(nobody ? "" : sender) : json_null());
    json_object_set_new(whole, "account", *account ? escaped(account) : json_null());
    json_object_set_new(whole, "class", escaped(entry ? entry->class : ""));
    json_object_set_new(whole, "entry", escaped(entry ? entry->name : ""));
}

static void add_source(json_t *sources, const char *name, const struct conf_strings *from, const char *helo)
{
    json_t *addresses = json_array();
    for (size_t i = 0; i < from->count; i++)
        json_array_append_new(addresses, escaped(from->items[i]));
    json_array_append_new(sources,
                          json_pack("{s:o, s:o, s:o}", "name", escaped(name), "addresses", addresses, "helo", escaped(helo)));
}

/* The sources of POOL, or delivery.source where it is "". */
static json_t *sources_json(const struct conf *conf, const char *pool)
{
    json_t *sources = json_array();
    if (!*pool && conf->delivery.source.count)
        add_source(sources, "", &conf->delivery.source, conf->hostname);
    for (size_t i = 0; i < conf->nsources; i++) {
        const struct conf_source *source = &conf->sources[i];
        if (*pool && strcmp(conf_source_pool(source), pool) == 0)
            add_source(sources, source->name, &source->addresses, *source->helo ? source->helo : conf->hostname);
    }
    return sources;
}

static json_t *host_json(const struct trace_host *host)
{
    json_t *addresses = json_array();
    for (uint32_t i = 0; i < host->found.count && i < DNS_ADDRESSES_MAX; i++) {
        char text[NETADDR_TEXT_SIZE];
        netaddr_print(&host->found.addresses[i], text);
        json_array_append_new(addresses, json_string(text));
    }
    return json_pack("{s:s, s:i, s:i, s:o, s:s}", "name", host->name, "preference", host->preference, "port", host->port,
                     "addresses", addresses, "problem", host->found.status == DNS_OK ? "" : dns_status_text(host->found.status));
}

/* All is known: tells it, and TRACE is no more. */
static void finish(struct trace *trace)
{
    trace_done done = trace->done;
    void *context = trace->context;
    const char *problem = trace->problem;
    struct span said = buffer_span(&trace->site);
    json_t *hosts = json_array(), *whole = json_loadb(said.p, said.n, 0, NULL);
    if (!json_is_object(whole)) {
        json_decref(whole);
        whole = json_pack("{s:s, s:s, s:s, s:n}", "route", "", "site", "", "state", "unknown", "source");
    }
    const char *pool = json_string_value(json_object_get(whole, "source"));
    for (unsigned i = 0; i < trace->nhosts; i++)
        json_array_append_new(hosts, host_json(&trace->hosts[i]));
    json_object_set_new(whole, "address", escaped(trace->ask.recipient));
    tell_origin(trace, whole);
    json_object_set_new(whole, "sources", pool ? sources_json(trace->control->role->conf, pool) : json_array());
    json_object_set_new(whole, "tls", json_string(tls_name(trace)));
    json_object_set_new(whole, "hosts", hosts);
    json_object_set_new(whole, "problem", json_string(problem));
    trace_free(&trace);
    done(context, whole, problem);
}

static void address_came(void *context, unsigned which, const struct dns_address *address)
{
    struct trace *trace = context;
    trace->hosts[which].found = *address;
    if (--trace->awaited == 0)
        finish(trace);
}

static void add_host(struct trace *trace, struct span name, uint16_t preference, uint16_t port)
{
    if (trace->nhosts == DNS_HOSTS_MAX)
        return;
    struct trace_host *host = &trace->hosts[trace->nhosts++];
    text_copy(host->name, sizeof host->name, name);
    host->preference = preference;
    host->port = port;
}

static void ask_addresses(struct trace *trace)
{
    trace->awaited = trace->nhosts;
    for (unsigned i = 0; i < trace->nhosts; i++)
        looking_ask_address(trace->control->looking, span_of(trace->hosts[i].name), i, address_came, trace);
    if (!trace->nhosts)
        finish(trace);
}

static void mx_came(void *context, const struct dns_mx *mx)
{
    struct trace *trace = context;
    uint16_t port = trace->control->role->conf->delivery.port;
    if (mx->status != DNS_OK)
        trace->problem = mx->status < DNS_STATUSES ? dns_status_text(mx->status) : dns_status_text(DNS_MALFORMED);
    for (unsigned i = 0; mx->status == DNS_OK && i < mx->count && i < DNS_HOSTS_MAX; i++)
        add_host(trace, span_of_array(mx->hosts[i].name, sizeof mx->hosts[i].name), mx->hosts[i].preference, port);
    ask_addresses(trace);
}

static void site_text(void *context, struct span piece, bool ends)
{
    struct trace *trace = context;
    (void)ends;
    buffer_add(&trace->site, piece);
}

static void site_end(void *context, enum admin_result result, const char *reason)
{
    struct trace *trace = context;
    (void)reason; /* without queue the rest is still worth telling */
    if (result != ADMIN_DONE || trace->site.overflow)
        buffer_clear(&trace->site);
    if (!trace->route || trace->route->via.mx) {
        looking_ask_mx(trace->control->looking, trace->domain, mx_came, trace);
        return;
    }
    for (size_t i = 0; i < trace->route->via.count; i++)
        add_host(trace, span_of(trace->route->via.items[i].name), (uint16_t)i, trace->route->via.items[i].port);
    ask_addresses(trace);
}

/* ADDRESS, an array of SMTP_ADDRESS_SIZE, in normal form; false where it is no address. */
static bool normalise(char *address)
{
    struct address parsed;
    char normal[SMTP_ADDRESS_SIZE];
    if (address_parse(span_of(address), true, &parsed) != ADDRESS_OK || !parsed.domain.n ||
        !address_normal(&parsed, normal, sizeof normal))
        return false;
    text_copy(address, SMTP_ADDRESS_SIZE, span_of(normal));
    return true;
}

/* Why ASK, whose addresses are brought into normal form, cannot be answered; NULL where it can. */
static const char *find_fault(struct admin_ask *ask)
{
    if (!normalise(ask->recipient))
        return "that is no mail address; give one such as user@example.net";
    if (*ask->sender && strcmp(ask->sender, ADMIN_NO_SENDER) != 0 && !normalise(ask->sender))
        return "the sender is no mail address; give one such as user@example.net, or <> for none";
    return NULL;
}

/* The route of mail as ASK says to DOMAIN, or NULL. */
static const struct conf_route *find_route(const struct conf *conf, const struct admin_ask *ask, struct span domain)
{
    struct span sender = span_of(ask->sender);
    const struct conf_route *special = conf_route_special(conf, domain, sender, span_of(ask->account));
    return special ? special : conf_route_for(conf, domain);
}

struct trace *trace_new(struct control *control, const struct admin_ask *ask, trace_done done, void *context,
                        const char **ret_reason)
{
    static const struct asking_events events = { .text = site_text, .end = site_end };
    struct admin_ask asked = { .verb = ADMIN_SITE };
    text_copy(asked.recipient, sizeof asked.recipient, span_of(ask->recipient));
    text_copy(asked.sender, sizeof asked.sender, span_of(ask->sender));
    text_copy(asked.account, sizeof asked.account, span_of(ask->account));
    const char *fault = find_fault(&asked);
    if (fault) {
        *ret_reason = fault;
        return NULL;
    }
    struct trace *trace = text_zalloc(sizeof *trace);
    *trace = (struct trace){ .control = control, .done = done, .context = context, .ask = asked, .problem = "" };
    trace->domain = address_domain(address_key(span_of(trace->ask.recipient), trace->key));
    trace->route = find_route(control->role->conf, &trace->ask, trace->domain);
    buffer_init(&trace->site, SITE_TEXT_MAX);
    asking_start(control->asking, CONTROL_QUEUE, &asked, &events, trace);
    return trace;
}

void trace_free(struct trace **trace)
{
    if (!*trace)
        return;
    asking_forget((*trace)->control->asking, *trace);
    looking_forget((*trace)->control->looking, *trace);
    buffer_fini(&(*trace)->site);
    free(*trace);
    *trace = NULL;
}
