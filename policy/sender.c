/* What follows is plain; what matters is what it is compared with. ADDRESS is parsed and in normal form, so "@example.net" is
 * compared with a domain and not with the end of a text: neither "a@evil-example.net" nor a quoted local part that contains
 * "@example.net" fits. A domain fits itself and no subdomain: who may write as example.net is not by that trusted with every
 * host below it.
 *
 * The null sender never comes here; decide.c lets it through for whoever may submit at all (RFC 5321 4.5.5). */
#include "sender.h"

#include "../relay/smtp/address.h"

/* Is ADDRESS what PATTERN says: itself, or of the domain behind a leading "@"? */
static bool matches(struct span pattern, struct span address)
{
    if (pattern.n && pattern.p[0] == '@')
        return span_equal_nocase(span_skip(pattern, 1), address_domain(address));
    return span_equal_nocase(pattern, address);
}

bool sender_allowed(const struct conf *conf, const struct conf_account *entry, struct span address)
{
    char room[ADDRESS_KEY_SIZE];
    if (!address_domain(address).n)
        return false;
    address = address_key(address, room); /* as the settings are kept */
    if (entry && entry->senders.count) {
        for (size_t i = 0; i < entry->senders.count; i++)
            if (matches(span_of(entry->senders.items[i]), address))
                return true;
        return false;
    }
    for (size_t i = 0; i < conf->domains.count; i++)
        if (span_equal_nocase(span_of(conf->domains.items[i]), address_domain(address)))
            return true;
    return conf->domains.count == 0;
}

bool sender_is_checked(const struct conf *conf)
{
    for (size_t i = 0; i < conf->naccounts; i++)
        if (conf->accounts[i].senders.count)
            return true;
    return conf->domains.count > 0;
}
