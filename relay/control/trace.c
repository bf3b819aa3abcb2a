/* Some questions, one after the other: queue knows the site, how it fares, and the pool of sources, the configuration the route, dns the
 * mail hosts and sts the policy of the domain (unless the route names its own hosts), then dns, all at once, their addresses and behind these
 * their TLSA records. It is what queue and delivery would do now, short of connecting. */
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
    struct dns_tlsa tlsa; /* DNS_NO_MAIL: there are none that count, or they do not */
    bool forbidden;       /* by the domain's policy */
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
    struct sts_policy policy; /* of the domain; STS_MODES: it was not asked for, or not told */
    bool wants_policy;
    unsigned awaited; /* answers that are still to come */
    const char *problem;
};

static const char *const tls_names[] = {
    [CONF_DELIVERY_NONE] = "none",
    [CONF_DELIVERY_OPPORTUNISTIC] = "opportunistic",
    [CONF_DELIVERY_ENCRYPT] = "encrypt",
    [CONF_DELIVERY_VERIFY] = "verify",
};

/* What is demanded of hosts by the settings, and by the domain's policy. */
static enum conf_delivery_tls tls_of(const struct trace *trace)
{
    return trace->policy.mode == STS_ENFORCE ? CONF_DELIVERY_VERIFY : conf_tls_of(trace->control->role->conf, trace->route);
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

static unsigned count_records(const struct dns_tlsa *tlsa)
{
    struct span record, rest = span_head(span_make(tlsa->records, tlsa->size), sizeof tlsa->records);
    unsigned count = 0;
    while (dns_next_record(&rest, &record))
        count++;
    return count;
}

/* Why nothing is sent to HOST, or "". */
static const char *problem_of(const struct trace_host *host)
{
    if (host->forbidden)
        return "the domain's MTA-STS policy does not allow it";
    if (host->found.status != DNS_OK)
        return dns_status_text(host->found.status);
    return dns_is_temporary(host->tlsa.status) ? "its TLSA records (DANE) cannot be had now" : "";
}

static json_t *host_json(const struct trace *trace, const struct trace_host *host)
{
    json_t *addresses = json_array();
    bool dane = host->tlsa.status == DNS_OK;
    for (uint32_t i = 0; i < host->found.count && i < DNS_ADDRESSES_MAX; i++) {
        char text[NETADDR_TEXT_SIZE];
        netaddr_print(&host->found.addresses[i], text);
        json_array_append_new(addresses, json_string(text));
    }
    return json_pack("{s:s, s:i, s:i, s:o, s:s, s:i, s:s}", "name", host->name, "preference", host->preference, "port",
                     host->port, "addresses", addresses, "tls", dane ? "dane" : tls_names[tls_of(trace)], "tlsa",
                     dane ? count_records(&host->tlsa) : 0, "problem", problem_of(host));
}

/* What the domain's policy is, or null where none is gone by. */
static json_t *policy_json(const struct trace *trace)
{
    if (!trace->wants_policy)
        return json_null();
    return json_string(sts_mode_text(trace->policy.mode));
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
        json_array_append_new(hosts, host_json(trace, &trace->hosts[i]));
    json_object_set_new(whole, "address", escaped(trace->ask.recipient));
    tell_origin(trace, whole);
    json_object_set_new(whole, "sources", pool ? sources_json(trace->control->role->conf, pool) : json_array());
    json_object_set_new(whole, "tls", json_string(tls_names[tls_of(trace)]));
    json_object_set_new(whole, "mta-sts", policy_json(trace));
    json_object_set_new(whole, "hosts", hosts);
    json_object_set_new(whole, "problem", json_string(problem));
    trace_free(&trace);
    done(context, whole, problem);
}

/* One answer less to wait for. */
static void came(struct trace *trace)
{
    if (--trace->awaited == 0)
        finish(trace);
}

static void tlsa_came(void *context, unsigned which, const struct dns_tlsa *tlsa)
{
    struct trace *trace = context;
    trace->hosts[which].tlsa = *tlsa;
    came(trace);
}

static void address_came(void *context, unsigned which, const struct dns_address *address)
{
    struct trace *trace = context;
    struct trace_host *host = &trace->hosts[which];
    host->found = *address;
    if (address->may_have_tlsa && conf_goes_by_dane(trace->control->role->conf, trace->route))
        looking_ask_tlsa(trace->control->looking, span_of(host->name), host->port, which, tlsa_came, trace);
    else
        came(trace);
}

static void add_host(struct trace *trace, struct span name, uint16_t preference, uint16_t port)
{
    if (trace->nhosts == DNS_HOSTS_MAX)
        return;
    struct trace_host *host = &trace->hosts[trace->nhosts++];
    text_copy(host->name, sizeof host->name, name);
    host->preference = preference;
    host->port = port;
    host->tlsa.status = DNS_NO_MAIL;
}

static void ask_addresses(struct trace *trace)
{
    trace->awaited = trace->nhosts;
    for (unsigned i = 0; i < trace->nhosts; i++)
        looking_ask_address(trace->control->looking, span_of(trace->hosts[i].name), i, address_came, trace);
    if (!trace->nhosts)
        finish(trace);
}

/* The hosts are there, and the policy: some of them may be of no use by it. */
static void judge_hosts(struct trace *trace)
{
    struct span allowed = span_head(span_make(trace->policy.hosts, trace->policy.size), sizeof trace->policy.hosts);
    unsigned forbidden = 0;
    for (unsigned i = 0; trace->policy.mode == STS_ENFORCE && i < trace->nhosts; i++)
        forbidden += trace->hosts[i].forbidden = !sts_allows(allowed, span_of(trace->hosts[i].name));
    if (forbidden && forbidden == trace->nhosts)
        trace->problem = "none of the domain's MX hosts is allowed by its MTA-STS policy";
    ask_addresses(trace);
}

static void policy_came(void *context, const struct sts_policy *policy)
{
    struct trace *trace = context;
    trace->policy = *policy;
    if (--trace->awaited == 0)
        judge_hosts(trace);
}

static void mx_came(void *context, const struct dns_mx *mx)
{
    struct trace *trace = context;
    uint16_t port = trace->control->role->conf->delivery.port;
    if (mx->status != DNS_OK)
        trace->problem = mx->status < DNS_STATUSES ? dns_status_text(mx->status) : dns_status_text(DNS_MALFORMED);
    for (unsigned i = 0; mx->status == DNS_OK && i < mx->count && i < DNS_HOSTS_MAX; i++)
        add_host(trace, span_of_array(mx->hosts[i].name, sizeof mx->hosts[i].name), mx->hosts[i].preference, port);
    if (--trace->awaited == 0)
        judge_hosts(trace);
}

static void ask_hosts(struct trace *trace)
{
    trace->wants_policy = conf_goes_by_sts(trace->control->role->conf, trace->route);
    trace->awaited = trace->wants_policy ? 2 : 1;
    looking_ask_mx(trace->control->looking, trace->domain, mx_came, trace);
    if (trace->wants_policy)
        looking_ask_policy(trace->control->looking, trace->domain, policy_came, trace);
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
        ask_hosts(trace);
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
    *trace = (struct trace){
        .control = control, .done = done, .context = context, .ask = asked, .problem = "", .policy = { .mode = STS_MODES }
    };
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
