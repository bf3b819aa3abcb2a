/* One table, and the first row that fits counts. Its parts, in this order, since a reply often has words of several kinds:
 *
 * 1. What only looks like a reproach: greylisting, a sender's address that is in doubt, missing SPF, DKIM, DMARC or reverse names,
 *    closed relays. Large receivers say "blocked" in these cases, too.
 * 2. What is called spam, in words that mean nothing else.
 * 3. Full mailboxes and the like, which come with any code.
 * 4. Who does not exist, in words: servers say it behind 5.7.1 (Yandex), 5.4.1 (Outlook) or no code at all.
 * 5. The codes that mean it (RFC 3463).
 * 6. "Spam" as a word of its own, where nothing else is known.
 *
 * "Blocked" and "denied" alone say nothing. Words are compared as relay/smtp/wording.h says. */
#include "reply.h"

#include "../relay/smtp/wording.h"

/* CODE is compared part by part, and what is left out at its end stands for anything. */
struct row {
    const char *code;
    const char *phrase; /* in lower case; "": the code is enough */
    enum reply_kind kind;
};

static const struct row rows[] = {
    /* 1 */
    { "", "greylist", REPLY_OTHER },
    { "", "greylisted", REPLY_OTHER },
    { "", "greylisting", REPLY_OTHER },
    { "", "graylisted", REPLY_OTHER },
    { "", "graylisting", REPLY_OTHER },
    { "", "grey listed", REPLY_OTHER },
    { "", "grey.rbl", REPLY_OTHER },
    { "", "geographical location", REPLY_OTHER },
    { "", "relay access denied", REPLY_OTHER },
    { "", "relaying denied", REPLY_OTHER },
    { "", "relay not permitted", REPLY_OTHER },
    { "", "unable to relay", REPLY_OTHER },
    { "", "not permitted to relay", REPLY_OTHER },
    { "", "blacklisted by recipient", REPLY_OTHER },
    { "", "sender address rejected", REPLY_OTHER },
    { "", "sender verify failed", REPLY_OTHER },
    { "", "domain of sender", REPLY_OTHER },
    { "", "sender is unauthenticated", REPLY_OTHER },
    { "", "does not pass authentication checks", REPLY_OTHER },
    { "", "does not have authentication information", REPLY_OTHER },
    { "", "unauthenticated email", REPLY_OTHER },
    { "", "anti-spoofing", REPLY_OTHER },
    { "", "does not have a ptr record", REPLY_OTHER },
    { "", "bad dns ptr resource record", REPLY_OTHER },
    { "", "(nowl)", REPLY_OTHER }, /* T-Online: an address that never sent mail there */
    { "", "receiving mail too quickly", REPLY_OTHER },
    { "", "receiving mail at a rate", REPLY_OTHER },
    { "5.1.7", "", REPLY_OTHER },
    { "5.1.8", "", REPLY_OTHER },
    { "5.7.9", "", REPLY_OTHER },  /* Yahoo: DMARC */
    { "5.7.20", "", REPLY_OTHER }, /* RFC 7372: DKIM, SPF, reverse names */
    { "5.7.21", "", REPLY_OTHER },
    { "5.7.22", "", REPLY_OTHER },
    { "5.7.23", "", REPLY_OTHER },
    { "5.7.24", "", REPLY_OTHER },
    { "5.7.25", "", REPLY_OTHER },
    { "5.7.26", "", REPLY_OTHER },
    { "5.7.27", "", REPLY_OTHER }, /* Gmail, as what follows: SPF, TLS, DKIM, alignment */
    { "5.7.29", "", REPLY_OTHER },
    { "5.7.30", "", REPLY_OTHER },
    { "5.7.32", "", REPLY_OTHER },
    { "5.7.509", "", REPLY_OTHER }, /* Outlook: DMARC */
    { "5.7.515", "", REPLY_OTHER },
    /* 2: Google */
    { "", "likely unsolicited mail", REPLY_SPAM },
    { "", "unusual rate of unsolicited mail", REPLY_SPAM },
    { "", "very low reputation", REPLY_SPAM },
    { "", "unsolicitedmessageerror", REPLY_SPAM },
    { "", "unsolicitedratelimiterror", REPLY_SPAM },
    /* Microsoft */
    { "", "s3140", REPLY_SPAM },
    { "", "s3150", REPLY_SPAM },
    { "", "banned sending ip", REPLY_SPAM },
    { "", "banned sender", REPLY_SPAM },
    { "", "spam abuse detected", REPLY_SPAM },
    { "", "traffic not accepted from this ip", REPLY_SPAM },
    { "", "due to ip reputation", REPLY_SPAM },
    { "", "on our block list", REPLY_SPAM },
    { "5.7.501", "", REPLY_SPAM },
    { "5.7.502", "", REPLY_SPAM },
    { "5.7.503", "", REPLY_SPAM },
    /* Yahoo */
    { "", "[ts01]", REPLY_SPAM },
    { "", "[ts02]", REPLY_SPAM },
    { "", "[ts03]", REPLY_SPAM },
    { "", "[tss04]", REPLY_SPAM },
    { "", "[tss05]", REPLY_SPAM },
    { "", "[tss07]", REPLY_SPAM },
    { "", "[tss09]", REPLY_SPAM },
    { "", "[tss11]", REPLY_SPAM },
    { "", "[ph01]", REPLY_SPAM },
    { "", "[bl21]", REPLY_SPAM },
    { "", "[bl23]", REPLY_SPAM },
    { "", "user complaints", REPLY_SPAM },
    /* NetEase, QQ; Apple, Orange, T-Online, GMX and Web.de, Mail.ru, Yandex, AT&T */
    { "", "dt:spm", REPLY_SPAM },
    { "", "mail content denied", REPLY_SPAM },
    { "", "[cs01]", REPLY_SPAM },
    { "", "[hm08]", REPLY_SPAM },
    { "", "ofr_506", REPLY_SPAM },
    { "", "(bl)", REPLY_SPAM },
    { "", "address is block listed", REPLY_SPAM },
    { "", "address is black listed", REPLY_SPAM },
    { "", "notspam-support", REPLY_SPAM },
    { "", "suspicion of spam", REPLY_SPAM },
    { "", "dnsbl:rbl", REPLY_SPAM },
    { "", "dnsbl:attrbl", REPLY_SPAM },
    /* filters: Proofpoint, Mimecast, Barracuda, Cloudmark, SpamAssassin … */
    { "", "ipcheck.proofpoint.com", REPLY_SPAM },
    { "", "email rejected due to security policies", REPLY_SPAM },
    { "", "barracuda reputation", REPLY_SPAM },
    { "", "barracudacentral", REPLY_SPAM },
    { "", "barracudanetworks.com/reputation", REPLY_SPAM },
    { "", "one or more recipients (:blocked)", REPLY_SPAM },
    { "", "csi.cloudmark.com", REPLY_SPAM },
    { "", "spamassassin", REPLY_SPAM },
    /* lists */
    { "", "blocked using", REPLY_SPAM },
    { "", "spamhaus", REPLY_SPAM },
    { "", "spamcop", REPLY_SPAM },
    { "", "sorbs", REPLY_SPAM },
    { "", "uceprotect", REPLY_SPAM },
    { "", "uribl", REPLY_SPAM },
    { "", "surbl", REPLY_SPAM },
    { "", "dnsbl", REPLY_SPAM },
    { "", "dnsbls", REPLY_SPAM },
    { "", "rbl", REPLY_SPAM },
    { "", "blacklist", REPLY_SPAM },
    { "", "blacklisted", REPLY_SPAM },
    { "", "black list", REPLY_SPAM },
    { "", "black listed", REPLY_SPAM },
    { "", "blocklist", REPLY_SPAM },
    { "", "blocklisted", REPLY_SPAM },
    { "", "block list", REPLY_SPAM },
    { "", "denylisted", REPLY_SPAM },
    /* reputation */
    { "", "poor reputation", REPLY_SPAM },
    { "", "bad reputation", REPLY_SPAM },
    { "", "low reputation", REPLY_SPAM },
    { "", "negative reputation", REPLY_SPAM },
    { "", "reputation too low", REPLY_SPAM },
    { "", "ip reputation", REPLY_SPAM },
    { "", "sender reputation", REPLY_SPAM },
    { "", "domain reputation", REPLY_SPAM },
    { "", "identified as spammer", REPLY_SPAM },
    { "", "spammer list", REPLY_SPAM },
    { "", "sending spam", REPLY_SPAM },
    /* content */
    { "", "spam message rejected", REPLY_SPAM },
    { "", "spam detected", REPLY_SPAM },
    { "", "spam content", REPLY_SPAM },
    { "", "spam-like", REPLY_SPAM },
    { "", "spam score", REPLY_SPAM },
    { "", "spam points", REPLY_SPAM },
    { "", "detected as spam", REPLY_SPAM },
    { "", "rejected as spam", REPLY_SPAM },
    { "", "identified as spam", REPLY_SPAM },
    { "", "classified as spam", REPLY_SPAM },
    { "", "recognized as spam", REPLY_SPAM },
    { "", "considered spam", REPLY_SPAM },
    { "", "considered as spam", REPLY_SPAM },
    { "", "looks like spam", REPLY_SPAM },
    { "", "appears to be spam", REPLY_SPAM },
    { "", "judged to be spam", REPLY_SPAM },
    { "", "suspected spam", REPLY_SPAM },
    { "", "contains spam", REPLY_SPAM },
    { "", "due to spam", REPLY_SPAM },
    { "", "probable spam", REPLY_SPAM },
    { "", "probability of spam", REPLY_SPAM },
    { "", "junk mail", REPLY_SPAM },
    { "", "junkmail", REPLY_SPAM },
    { "", "unsolicited bulk", REPLY_SPAM },
    { "", "unsolicited mail", REPLY_SPAM },
    { "", "unsolicited email", REPLY_SPAM },
    { "", "unsolicited commercial", REPLY_SPAM },
    { "", "phishing", REPLY_SPAM },
    /* 3 */
    { "", "spf", REPLY_OTHER },
    { "", "openspf", REPLY_OTHER },
    { "", "dkim", REPLY_OTHER },
    { "", "dmarc", REPLY_OTHER },
    { "", "reverse dns", REPLY_OTHER },
    { "", "mailbox full", REPLY_OTHER },
    { "", "mailbox is full", REPLY_OTHER },
    { "", "inbox is full", REPLY_OTHER },
    { "", "out of storage space", REPLY_OTHER },
    { "", "over quota", REPLY_OTHER },
    { "", "overquota", REPLY_OTHER },
    { "", "quota exceeded", REPLY_OTHER },
    { "", "exceeded storage allocation", REPLY_OTHER },
    { "5.2.2", "", REPLY_OTHER },
    /* 4 */
    { "5", "user unknown", REPLY_UNKNOWN },
    { "5", "unknown user", REPLY_UNKNOWN },
    { "5", "unknown recipient", REPLY_UNKNOWN },
    { "5", "unknown address", REPLY_UNKNOWN },
    { "5", "unknown mailbox", REPLY_UNKNOWN },
    { "5", "unknown local part", REPLY_UNKNOWN },
    { "5", "unknown or illegal alias", REPLY_UNKNOWN },
    { "5", "recipient unknown", REPLY_UNKNOWN },
    { "5", "address unknown", REPLY_UNKNOWN },
    { "5", "mailbox unknown", REPLY_UNKNOWN },
    { "5", "no such user", REPLY_UNKNOWN },
    { "5", "no such recipient", REPLY_UNKNOWN },
    { "5", "no such mailbox", REPLY_UNKNOWN },
    { "5", "no such account", REPLY_UNKNOWN },
    { "5", "no such address", REPLY_UNKNOWN },
    { "5", "no such email address", REPLY_UNKNOWN },
    { "5", "no such person", REPLY_UNKNOWN },
    { "5", "no such domain", REPLY_UNKNOWN },
    { "5", "no mailbox here", REPLY_UNKNOWN },
    { "5", "user not found", REPLY_UNKNOWN },
    { "5", "recipient not found", REPLY_UNKNOWN },
    { "5", "recipientnotfound", REPLY_UNKNOWN },
    { "5", "mailbox not found", REPLY_UNKNOWN },
    { "5", "account not found", REPLY_UNKNOWN },
    { "5", "address not found", REPLY_UNKNOWN },
    { "5", "domain not found", REPLY_UNKNOWN },
    { "5", "user does not exist", REPLY_UNKNOWN },
    { "5", "user doesn't exist", REPLY_UNKNOWN },
    { "5", "recipient does not exist", REPLY_UNKNOWN },
    { "5", "mailbox does not exist", REPLY_UNKNOWN },
    { "5", "account does not exist", REPLY_UNKNOWN },
    { "5", "address does not exist", REPLY_UNKNOWN },
    { "5", "domain does not exist", REPLY_UNKNOWN },
    { "5", "tried to reach does not exist", REPLY_UNKNOWN },
    { "5", "tried to reach is disabled", REPLY_UNKNOWN },
    { "5", "tried to reach is inactive", REPLY_UNKNOWN },
    { "5", "this user doesn't have a", REPLY_UNKNOWN },
    { "5", "invalid recipient", REPLY_UNKNOWN },
    { "5", "invalid mailbox", REPLY_UNKNOWN },
    { "5", "invalid user", REPLY_UNKNOWN },
    { "5", "not a valid mailbox", REPLY_UNKNOWN },
    { "5", "not a valid user", REPLY_UNKNOWN },
    { "5", "not a known user", REPLY_UNKNOWN },
    { "5", "bad destination mailbox address", REPLY_UNKNOWN },
    { "5", "undeliverable address", REPLY_UNKNOWN },
    { "5", "unrouteable address", REPLY_UNKNOWN },
    { "5", "unroutable address", REPLY_UNKNOWN },
    { "5", "account has been disabled", REPLY_UNKNOWN },
    { "5", "account is disabled", REPLY_UNKNOWN },
    { "5", "mailbox is disabled", REPLY_UNKNOWN },
    { "5", "mailbox disabled", REPLY_UNKNOWN },
    { "5.7", "mailbox unavailable", REPLY_OTHER },
    { "5", "mailbox unavailable", REPLY_UNKNOWN },
    { "5", "no longer accepts mail", REPLY_UNKNOWN },
    { "5", "not listed in domino directory", REPLY_UNKNOWN },
    { "5", "empfaenger unbekannt", REPLY_UNKNOWN },
    { "5", "as(201806281)", REPLY_UNKNOWN }, /* Outlook: a name that is not in the directory */
    { "5.4.1", "recipient address rejected: access denied", REPLY_UNKNOWN },
    /* 5 */
    { "5.1.1", "", REPLY_UNKNOWN },
    { "5.1.2", "", REPLY_UNKNOWN },
    { "5.1.3", "", REPLY_UNKNOWN },
    { "5.1.6", "", REPLY_UNKNOWN },
    { "5.1.10", "", REPLY_UNKNOWN },
    { "5.2.1", "", REPLY_UNKNOWN },
    /* 6 */
    { "5", "spam", REPLY_SPAM },
    { "5", "spammer", REPLY_SPAM },
    { "5", "spamming", REPLY_SPAM },
};

static bool fits(const struct wording *said, bool permanent, const struct row *row)
{
    return (row->kind != REPLY_UNKNOWN || permanent) && wording_fits(said, span_of(row->code), span_of(row->phrase));
}

enum reply_kind reply_kind(const struct conf *conf, bool permanent, struct span enhanced, struct span text)
{
    const struct conf_policy *policy = &conf->policy;
    struct wording said;
    wording_take(&said, permanent, enhanced, text);
    if (wording_fits_any(&said, policy->spam_phrases.items, policy->spam_phrases.count))
        return REPLY_SPAM;
    if (permanent && wording_fits_any(&said, policy->unknown_phrases.items, policy->unknown_phrases.count))
        return REPLY_UNKNOWN;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (fits(&said, permanent, &rows[i]))
            return rows[i].kind;
    return REPLY_OTHER;
}
