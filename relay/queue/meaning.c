/* One table, and the first row that fits counts. Its parts, in this order, since a reply often has words of several kinds:
 *
 * 1. One recipient who gets too much, and greylisting: in words of rate, but not about what this relay sends.
 * 2. Too many connections.
 * 3. Too many messages; and a bar until the sender mends something, where trying again makes it worse.
 * 4. Spam, reputation, signatures: the sender's, or everybody's, and not to be cured by waiting.
 * 5. The server itself.
 * 6. What the codes alone say (RFC 3463).
 *
 * "Try again later" is said by servers about anything; together with 421 it means the client as a whole. Sources: the receivers' own pages
 * where one is named, else the text in the server's source (Postfix smtpd.c, Exim daemon.c and its chapter on ACLs, sendmail
 * srvrsmtp.c, rspamd's ratelimit module) or replies as they stand in logs. Of T-Online and Mail.ru no words of their own for this are known; the
 * general rows are for them, and for everybody else. */
#include "meaning.h"

#include "../smtp/wording.h"

struct row {
    const char *name;
    const char *reply;  /* the basic code, or its beginning */
    const char *code;   /* the enhanced one, or its beginning */
    const char *phrase; /* lower case */
    enum meaning_about about;
    enum meaning_act act;
};

static const struct row rows[] = {
    /* 1: https://support.google.com/a/answer/3726730 (450 4.2.1, 550 5.2.1) */
    { "recipient-rate", "", "", "receiving mail at a rate", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient-rate", "", "", "receiving mail too quickly", MEANING_RECIPIENT, MEANING_NOTHING },
    { "greylisting", "", "", "greylist", MEANING_POLICY, MEANING_NOTHING },
    { "greylisting", "", "", "greylisted", MEANING_POLICY, MEANING_NOTHING },
    { "greylisting", "", "", "greylisting", MEANING_POLICY, MEANING_NOTHING },
    { "greylisting", "", "", "graylisted", MEANING_POLICY, MEANING_NOTHING },
    { "recipients", "4", "4.5.3", "", MEANING_POLICY, MEANING_NOTHING }, /* of one message: the others go next time */
    /* 2: Postfix smtpd_client_connection_count_limit, and many others */
    { "too-many-connections", "", "", "too many connections", MEANING_CONNECTIONS, MEANING_FEWER },
    /* Exim smtp_accept_max, smtp_accept_max_per_host */
    { "exim-connections", "", "", "too many concurrent smtp connections", MEANING_CONNECTIONS, MEANING_FEWER },
    { "sendmail-connections", "", "", "too many open connections", MEANING_CONNECTIONS, MEANING_FEWER },        /* ClientConn */
    { "exchange-connections", "", "", "number of concurrent connections", MEANING_CONNECTIONS, MEANING_FEWER }, /* 421 4.3.2 */
    { "outlook-connections", "", "", "concurrent connections limit", MEANING_CONNECTIONS, MEANING_FEWER },      /* 432 4.3.2 */
    { "too-many-connections", "", "", "too many simultaneous connections", MEANING_CONNECTIONS, MEANING_FEWER },
    { "too-many-connections", "", "", "too many concurrent connections", MEANING_CONNECTIONS, MEANING_FEWER },
    { "too-many-connections", "", "", "too many sessions", MEANING_CONNECTIONS, MEANING_FEWER },
    { "too-many-connections", "", "", "connection limit", MEANING_CONNECTIONS, MEANING_FEWER },
    { "too-many-connections", "", "", "connections limit exceeded", MEANING_CONNECTIONS, MEANING_FEWER },
    { "orange-connections", "", "", "[104]", MEANING_CONNECTIONS,
      MEANING_FEWER }, /* https://messagerie.orange.fr/postmaster.html */
    /* 3: https://senders.yahooinc.com/smtp-error-codes: all mail is put off until the sender has changed something */
    { "yahoo-deferred", "", "", "[ts03]", MEANING_RATE, MEANING_REST },
    { "yahoo-deferred", "", "", "[tss07]", MEANING_RATE, MEANING_REST },
    { "yahoo-deferred", "", "", "permanently deferred", MEANING_RATE, MEANING_REST },
    { "yahoo-volume", "", "", "[ts01]", MEANING_RATE, MEANING_SLOW },
    { "yahoo-volume", "", "", "[ts02]", MEANING_RATE, MEANING_SLOW },
    { "yahoo-volume", "", "", "[tss04]", MEANING_RATE, MEANING_SLOW },
    { "yahoo-volume", "", "", "[tss05]", MEANING_RATE, MEANING_SLOW },
    { "yahoo-volume", "", "", "[tss09]", MEANING_RATE, MEANING_SLOW },
    { "yahoo-volume", "4", "", "unexpected volume", MEANING_RATE, MEANING_SLOW },
    /* https://support.google.com/a/answer/3726730 */
    { "gmail-rate", "", "4.7.28", "", MEANING_RATE, MEANING_SLOW },
    { "gmail-rate", "", "", "unusual rate", MEANING_RATE, MEANING_SLOW },
    { "gmail-busy", "421", "4.7.0", "try again later, closing connection", MEANING_RATE, MEANING_SLOW },
    /* https://sendersupport.olc.protection.outlook.com/pm/troubleshooting, https://learn.microsoft.com: "non-delivery report errors" */
    { "outlook-rate", "", "", "rp-001", MEANING_RATE, MEANING_SLOW },
    { "outlook-rate", "", "", "rp-002", MEANING_RATE, MEANING_SLOW },
    { "outlook-rate", "", "", "rp-003", MEANING_RATE, MEANING_SLOW },
    { "outlook-rate", "", "4.7.650", "", MEANING_RATE, MEANING_SLOW },
    { "outlook-rate", "", "4.7.651", "", MEANING_RATE, MEANING_SLOW },
    { "outlook-busy", "", "4.7.500", "", MEANING_RATE, MEANING_SLOW },
    { "outlook-busy", "4", "", "server busy", MEANING_RATE, MEANING_SLOW },
    /* Postfix smtpd_client_message_rate_limit, …_recipient_rate_limit, …_new_tls_session_rate_limit */
    { "postfix-rate", "4", "", "too much mail from", MEANING_RATE, MEANING_SLOW },
    { "postfix-rate", "4", "", "too many recipients from", MEANING_RATE, MEANING_SLOW },
    { "postfix-rate", "4", "", "too many new tls sessions", MEANING_RATE, MEANING_SLOW },
    { "sendmail-rate", "4", "", "connection rate limit exceeded", MEANING_RATE, MEANING_SLOW },
    { "exim-rate", "4", "", "sender rate", MEANING_RATE, MEANING_SLOW }, /* the examples of its specification, "ratelimit" */
    { "exim-rate", "4", "", "too busy. try again later", MEANING_RATE, MEANING_SLOW },
    { "comcast-rate", "", "", "rl000000", MEANING_RATE, MEANING_SLOW }, /* https://postmaster.comcast.net */
    { "comcast-rate", "4", "", "throttled", MEANING_RATE, MEANING_SLOW },
    { "rate", "", "", "rate limit", MEANING_RATE, MEANING_SLOW },
    { "rate", "", "", "rate limited", MEANING_RATE, MEANING_SLOW },
    { "rate", "", "", "rate-limited", MEANING_RATE, MEANING_SLOW },
    { "rate", "", "", "ratelimit", MEANING_RATE, MEANING_SLOW }, /* rspamd: 451 4.7.1 Ratelimit "…" exceeded */
    { "rate", "", "", "ratelimited", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "throttling", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "sending rate", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "too many messages", MEANING_RATE, MEANING_SLOW }, /* GMX, Web.de: "in a short period of time" */
    { "rate", "4", "", "too many mails", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "too many emails", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "too much mail", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "too fast", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "too quickly", MEANING_RATE, MEANING_SLOW },
    { "rate", "4", "", "slow down", MEANING_RATE, MEANING_SLOW },
    /* 4 */
    { "spam", "", "", "spam", MEANING_ACCOUNT, MEANING_NOTHING },
    { "spam", "", "", "unsolicited", MEANING_ACCOUNT, MEANING_NOTHING },
    { "spam", "", "", "suspicious", MEANING_ACCOUNT, MEANING_NOTHING },
    { "spam", "", "", "phishing", MEANING_ACCOUNT, MEANING_NOTHING },
    { "reputation", "", "", "reputation", MEANING_ACCOUNT, MEANING_NOTHING },
    { "reputation", "", "", "user complaints", MEANING_ACCOUNT, MEANING_NOTHING },
    { "listed", "", "", "blocked using", MEANING_ACCOUNT, MEANING_NOTHING },
    { "listed", "", "", "blacklisted", MEANING_ACCOUNT, MEANING_NOTHING },
    { "listed", "", "", "block listed", MEANING_ACCOUNT, MEANING_NOTHING },
    { "listed", "", "", "block list", MEANING_ACCOUNT, MEANING_NOTHING },
    { "virus", "", "", "virus", MEANING_CONTENT, MEANING_NOTHING },
    { "authentication", "", "", "spf", MEANING_POLICY, MEANING_NOTHING },
    { "authentication", "", "", "dkim", MEANING_POLICY, MEANING_NOTHING },
    { "authentication", "", "", "dmarc", MEANING_POLICY, MEANING_NOTHING },
    { "authentication", "", "", "unauthenticated", MEANING_POLICY, MEANING_NOTHING },
    /* 5: RFC 3463 3.4; Exim, Postfix and sendmail: the disk is full, whatever the next message is */
    { "storage", "4", "4.3.1", "", MEANING_SITE, MEANING_REST },
    { "storage", "452", "", "insufficient system storage", MEANING_SITE, MEANING_REST },
    { "storage", "452", "", "insufficient system resources", MEANING_SITE, MEANING_REST }, /* Exchange: back pressure */
    { "stopping", "421", "", "shutting down", MEANING_SITE, MEANING_NOTHING },             /* that host; another may serve */
    { "stopping", "", "4.3.2", "", MEANING_SITE, MEANING_NOTHING },
    { "busy", "421", "", "try again later", MEANING_RATE, MEANING_SLOW },
    { "busy", "421", "", "try later", MEANING_RATE, MEANING_SLOW },
    { "busy", "421", "", "too busy", MEANING_RATE, MEANING_SLOW },
    /* 6 */
    { "recipient", "", "5.1", "", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient", "", "4.1", "", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient", "", "5.2", "", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient", "", "4.2", "", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient", "5", "5.0.0", "mailbox unavailable", MEANING_RECIPIENT, MEANING_NOTHING },
    { "recipient", "5", "5.0.0", "user unknown", MEANING_RECIPIENT, MEANING_NOTHING },
    { "content", "", "5.3.4", "", MEANING_CONTENT, MEANING_NOTHING },
    { "content", "", "5.6", "", MEANING_CONTENT, MEANING_NOTHING },
    { "content", "", "4.6", "", MEANING_CONTENT, MEANING_NOTHING },
    { "site", "", "5.3", "", MEANING_SITE, MEANING_NOTHING },
    { "site", "", "4.3", "", MEANING_SITE, MEANING_NOTHING },
    { "site", "", "5.4", "", MEANING_SITE, MEANING_NOTHING },
    { "site", "", "4.4", "", MEANING_SITE, MEANING_NOTHING },
    { "policy", "", "5.7", "", MEANING_POLICY, MEANING_NOTHING },
    { "policy", "", "4.7", "", MEANING_POLICY, MEANING_NOTHING },
};

/* The administrator's own rows. */
static const struct {
    const char *name;
    size_t phrases; /* of a struct conf_strings in struct conf_delivery */
    enum meaning_about about;
    enum meaning_act act;
} own_rows[] = {
    { "ignore-phrases", offsetof(struct conf_delivery, ignore_phrases), MEANING_POLICY, MEANING_NOTHING },
    { "rest-phrases", offsetof(struct conf_delivery, rest_phrases), MEANING_SITE, MEANING_REST },
    { "slow-phrases", offsetof(struct conf_delivery, slow_phrases), MEANING_RATE, MEANING_SLOW },
};

struct meaning meaning_of(const struct conf *conf, const struct cause *cause)
{
    struct wording said;
    if (!cause->remote)
        return (struct meaning){ .row = "" };
    struct span code = span_head(cause->reply, 3);
    wording_take(&said, code.n && code.p[0] == '5', span_of(cause->enhanced), cause->reply);
    for (size_t i = 0; i < sizeof own_rows / sizeof *own_rows; i++) {
        const struct conf_strings *phrases = (const void *)((const char *)&conf->delivery + own_rows[i].phrases);
        if (wording_fits_any(&said, phrases->items, phrases->count))
            return (struct meaning){ own_rows[i].name, own_rows[i].about, own_rows[i].act };
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (span_starts_nocase(code, span_of(rows[i].reply)) &&
            wording_fits(&said, span_of(rows[i].code), span_of(rows[i].phrase)))
            return (struct meaning){ rows[i].name, rows[i].about, rows[i].act };
    return (struct meaning){ .row = "" };
}

const char *meaning_about_name(enum meaning_about about)
{
    static const char *const names[MEANING_ABOUTS] = {
        [MEANING_UNKNOWN] = "",        [MEANING_RECIPIENT] = "recipient",     [MEANING_CONTENT] = "content",
        [MEANING_ACCOUNT] = "account", [MEANING_POLICY] = "policy",           [MEANING_SITE] = "site",
        [MEANING_RATE] = "rate",       [MEANING_CONNECTIONS] = "connections",
    };
    return names[about];
}

bool meaning_is_particular(struct meaning meaning)
{
    return meaning.about == MEANING_RECIPIENT || meaning.about == MEANING_CONTENT || meaning.about == MEANING_ACCOUNT;
}
