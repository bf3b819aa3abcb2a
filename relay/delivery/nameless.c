/* 5.7.25 is the code for it (RFC 7372 3.3), which few use; the rest are words that receivers use, with one of whose texts each was seen. */
#include "nameless.h"

#include <string.h>
#include <strings.h>

static const char *const words[] = {
    "PTR record",                /* Gmail: "does not meet IPv6 sending guidelines regarding PTR records and authentication" */
    "PTR resource record",       /* Gmail's guidelines */
    "IPv6 sending guidelines",   /* Gmail */
    "reverse DNS",               /* Comcast, AOL, Yahoo: "reverse DNS lookup failed" */
    "rDNS",                      /* T-Online, 1&1: "no rDNS", "bad rDNS" */
    "reverse hostname",          /* Postfix: reject_unknown_reverse_client_hostname: "cannot find your reverse hostname" */
    "cannot find your hostname", /* Postfix: reject_unknown_client_hostname */
    "reverse lookup",            /* Exim: "host lookup did not complete", "reverse lookup failed" */
    "does not have a PTR",       /* Gmail: 550-5.7.25 */
    "missing PTR",               /* rspamd, OpenSMTPD: "missing reverse dns" */
};

/* A greeting knows nothing but the address, so a few words are enough. */
static const char *const lists[] = {
    "blocklist", "blacklist", "block list", "black list", "blocked", "DNSBL", "RBL", "listed", "reputation", "Spamhaus", "banned",
};

bool nameless_listed(const char *text)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strcasestr(text, lists[i]))
            return true;
    return false;
}

bool nameless_said(const struct reply *reply)
{
    if (reply->code < 400)
        return false;
    if (strcmp(reply->enhanced, "5.7.25") == 0 || strcmp(reply->enhanced, "4.7.25") == 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(reply->text, words[i]))
            return true;
    return false;
}
