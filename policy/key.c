/* A key is text, so that it can be logged, shown and kept as it is. It must be one per subject: two spellings of an account or
 * an address with two buckets would double a limit. Accounts and domains come in normal form (account.c, the caller), addresses
 * have one form (netaddr), and networks are printed with their host bits cleared.
 *
 * IPv6 clients count by /64: one subscriber has at least so much (RFC 6177), and may use another address for each connection. A
 * wide network is /24 or /48, the smallest blocks that are routed by themselves.
 *
 * A subject without the thing that a limit is about (an account limit, nobody logged in) is not limited by it, and not counted
 * under "" together with all others like it. Text longer than KEY_SIZE is cut; addresses and domains fit, and account names are
 * no longer (ACCOUNT_NAME_SIZE). */
#include "key.h"

#include "../relay/base/text.h"

/* The first BITS4 or BITS6 bits of CLIENT as text; a whole address stands without its length. */
static bool network_key(const struct netaddr *client, unsigned bits4, unsigned bits6, char dest[KEY_SIZE])
{
    struct netaddr network = *client;
    char text[NETADDR_TEXT_SIZE];
    unsigned bits = client->family == 4 ? bits4 : bits6;
    if (client->family != 4 && client->family != 6)
        return false;
    memset(network.bytes + bits / 8, 0, sizeof network.bytes - bits / 8);
    netaddr_print(&network, text);
    return text_format(dest, KEY_SIZE, bits == 32 ? "%s" : "%s/%u", text, bits);
}

static bool text_key(struct span text, char dest[KEY_SIZE])
{
    text_copy(dest, KEY_SIZE, text);
    return text.n > 0;
}

static bool account_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    return text_key(subject->account, dest);
}

static bool client_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    return network_key(&subject->client, 32, 64, dest);
}

static bool wide_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    return network_key(&subject->client, 24, 48, dest);
}

static bool sender_domain_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    return text_key(subject->sender_domain, dest);
}

static bool recipient_domain_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    return text_key(subject->recipient_domain, dest);
}

static bool global_key(const struct key_subject *subject, char dest[KEY_SIZE])
{
    (void)subject;
    return text_key(SPAN("all"), dest);
}

static const struct {
    const char *name;
    bool (*make)(const struct key_subject *subject, char dest[KEY_SIZE]);
} kinds[] = {
    [CONF_KEY_ACCOUNT] = { "account", account_key },
    [CONF_KEY_CLIENT] = { "client", client_key },
    [CONF_KEY_NETWORK] = { "network", wide_key },
    [CONF_KEY_SENDER_DOMAIN] = { "sender-domain", sender_domain_key },
    [CONF_KEY_RECIPIENT_DOMAIN] = { "recipient-domain", recipient_domain_key },
    [CONF_KEY_GLOBAL] = { "global", global_key },
};

bool key_of(enum conf_limit_key kind, const struct key_subject *subject, char dest[KEY_SIZE])
{
    return (size_t)kind < sizeof kinds / sizeof *kinds && kinds[kind].make(subject, dest);
}

const char *key_name(enum conf_limit_key kind)
{
    return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].name : "unknown";
}

static bool selects(struct span selector, const struct key_subject *subject)
{
    struct netaddr_network network;
    if (span_starts_nocase(selector, SPAN("class:")))
        return subject->class.n && span_equal_nocase(span_skip(selector, 6), subject->class);
    if (subject->account.n && span_equal_nocase(selector, subject->account))
        return true;
    return netaddr_parse_network(selector, &network) && netaddr_in_network(&subject->client, &network);
}

bool key_selected(const struct conf_strings *selectors, const struct key_subject *subject)
{
    for (size_t i = 0; i < selectors->count; i++)
        if (selects(span_of(selectors->items[i]), subject))
            return true;
    return false;
}
