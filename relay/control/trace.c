/* Three questions, one after the other: queue knows the site and how it fares, the configuration the route, dns the mail hosts (unless
 * the route names its own) and then, all at once, their addresses. It is what delivery would do now, short of connecting. */
#include "trace.h"

#include "../base/buffer.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "asking.h"
#include "looking.h"

#include <stdlib.h>

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
    char address[SMTP_ADDRESS_SIZE];
    struct span domain; /* in `address` */
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
    char address[2 * SMTP_ADDRESS_SIZE];
    if (!json_is_object(whole)) {
        json_decref(whole);
        whole = json_pack("{s:s, s:s, s:s}", "route", "", "site", "", "state", "unknown");
    }
    for (unsigned i = 0; i < trace->nhosts; i++)
        json_array_append_new(hosts, host_json(&trace->hosts[i]));
    text_escape(address, sizeof address, span_of(trace->address));
    json_object_set_new(whole, "address", json_string(address));
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

struct trace *trace_new(struct control *control, struct span address, trace_done done, void *context)
{
    static const struct asking_events events = { .text = site_text, .end = site_end };
    struct address parsed;
    struct admin_ask ask = { .verb = ADMIN_SITE };
    struct trace *trace = text_zalloc(sizeof *trace);
    *trace = (struct trace){ .control = control, .done = done, .context = context, .problem = "" };
    if (address_parse(address, true, &parsed) != ADDRESS_OK || !parsed.domain.n ||
        !address_normal(&parsed, trace->address, sizeof trace->address)) {
        free(trace);
        return NULL;
    }
    trace->domain = address_domain(span_of(trace->address));
    trace->route = conf_route_for(control->role->conf, trace->domain);
    buffer_init(&trace->site, SITE_TEXT_MAX);
    text_copy(ask.recipient, sizeof ask.recipient, span_of(trace->address));
    asking_start(control->asking, CONTROL_QUEUE, &ask, &events, trace);
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
