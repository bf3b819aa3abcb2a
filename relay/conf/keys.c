/* Each row is read by the parser, by conf_write (which hands the settings to the roles), by the manual's and the sample's
 * makers, and by "did you mean". So a key is added in two places: a member in conf.h, a row here; a test fails where
 * postern.conf(5) has drifted.
 *
 * Defaults are written as a person would write them and go through the same parser, so a default cannot be out of bounds unseen.
 * They suit an office of some hundred people and are meant to be left alone: a file with hostname and one listener is enough.
 *
 * Bounds are there to catch slips (a size in the wrong unit, a timeout of a day), not to forbid a choice. Timeouts towards
 * servers have RFC 5321 4.5.3.2 as default where that names one: 5 minutes for greeting, MAIL and RCPT, 3 for a block of data,
 * 10 behind the dot.
 *
 * The words of an enum stand in the order of its C values; a row that names them is the only place that ties the two. What a later
 * version may have (dovecot, dkim …) is known so that a file for it can be told what this one lacks. */
#include "keys.h"

#include "../base/text.h"

#include <string.h>

#define K      1024ull
#define M      (1024 * K)
#define G      (1024 * M)
#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const char *const tls_versions[] = { "1.2", "1.3", NULL };
static const char *const listener_tls[] = { "none", "starttls", "implicit", NULL };
static const char *const listener_auth[] = { "required", "optional", "none", NULL };
static const char *const show_hide[] = { "show", "hide", NULL };
static const char *const ignore_check[] = { "ignore", "check", NULL };
static const char *const backends[] = { "file", "sasldb", "saslauthd", NULL };
static const char *const realms[] = { "drop", "keep", NULL };
static const char *const limit_keys[] = { "account", "client", "network", "sender-domain", "recipient-domain", "global", NULL };
static const char *const limit_counts[] = { "messages",
                                            "recipients",
                                            "bytes",
                                            "unique-recipients",
                                            "first-time-recipients",
                                            "unique-domains",
                                            "hard-bounces",
                                            "spam-replies",
                                            "auth-failures",
                                            "connections",
                                            "login-networks",
                                            "abuse-reports",
                                            NULL };
static const char *const limit_then[] = { "slow", "defer", "reject", "hold", "suspend", NULL };
static const char *const modes[] = { "enforce", "observe", "off", NULL };
static const char *const stores[] = { "local", "redis", NULL };
static const char *const delivery_tls[] = { "none", "opportunistic", "encrypt", "verify", NULL };
static const char *const logins[] = { "password", "token", NULL };
static const char *const trust_ad[] = { "local", "yes", "no", NULL };
static const char *const log_formats[] = { "logfmt", "json", NULL };
static const char *const log_levels[] = { "debug", "info", "warning", "error", NULL };

#define ANY                                                                                                                      \
    {                                                                                                                            \
        0, 0, NULL, NULL                                                                                                         \
    }
#define BETWEEN(low, high)                                                                                                       \
    {                                                                                                                            \
        (low), (high), NULL, NULL                                                                                                \
    }
#define ONE_OF(list)                                                                                                             \
    {                                                                                                                            \
        0, 0, (list), NULL                                                                                                       \
    }
#define ONE_OF_BUT(list, lacks)                                                                                                  \
    {                                                                                                                            \
        0, 0, (list), (lacks)                                                                                                    \
    }

#define AT(member) offsetof(struct conf, member)
static const struct key top_keys[] = {
    { "hostname", VALUE_TEXT, AT(hostname), NULL, ANY, true, "\"relay.example.net\"",
      "The name under which postern greets clients and servers; it should resolve to this machine's address and back.", 0 },
    { "postmaster", VALUE_TEXT, AT(postmaster), "", ANY, false, "\"postmaster@example.net\"",
      "Who gets mail for <postmaster> and letters about suspended accounts, and stands in reports; by default postmaster at the "
      "hostname, whom nobody reads unless another server takes mail for that name.",
      0 },
    { "domains", VALUE_TEXTS, AT(domains), "", ANY, false, "{ \"example.net\", \"example.org\" }",
      "Sender domains for accounts without senders of their own; none: any sender address.", 0 },
    { "from-header", VALUE_CHOICE, AT(check_from_header), "check", ONE_OF(ignore_check), false, "check",
      "Whether the From field is held to the same rule as the sender address.", 0 },
    { "processes", VALUE_NUMBER, AT(processes), "0", BETWEEN(0, 64), false, "2",
      "How many submission and how many delivery processes; 0: one for each core.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf, member)
static const struct key tls_keys[] = {
    { "certificate", VALUE_TEXT, AT(tls_certificate), "", ANY, false, "\"/etc/postern/tls/cert.pem\"",
      "File with the certificate and its chain, in PEM form.", 0 },
    { "key", VALUE_TEXT, AT(tls_key), "", ANY, false, "\"/etc/postern/tls/key.pem\"",
      "File with the private key, in PEM form, readable by root alone.", 0 },
    { "minimum", VALUE_WORD, AT(tls_minimum), "1.2", ONE_OF(tls_versions), false, "\"1.2\"",
      "The oldest TLS version that clients may use.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_certificate, member)
static const struct key certificate_keys[] = {
    { "certificate", VALUE_TEXT, AT(certificate), NULL, ANY, true, "\"/etc/postern/tls/other.pem\"",
      "File with the certificate for this name.", 0 },
    { "key", VALUE_TEXT, AT(key), NULL, ANY, true, "\"/etc/postern/tls/other.key\"", "File with its private key.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_listener, member)
static const struct key listener_keys[] = {
    { "address", VALUE_ADDRESSES, AT(address), NULL, ANY, true, "{ \"0.0.0.0:587\", \"[::]:587\" }",
      "Addresses with ports to listen on.", 0 },
    { "tls", VALUE_WORD, AT(tls), "starttls", ONE_OF(listener_tls), false, "starttls",
      "TLS on request (starttls, for ports 587 and 25), from the start (implicit, for port 465), or none.", 0 },
    { "auth", VALUE_WORD, AT(auth), "required", ONE_OF(listener_auth), false, "required",
      "Whether clients must, may or cannot log in; none and optional need networks.", 0 },
    { "networks", VALUE_NETWORKS, AT(networks), "", ANY, false, "{ \"10.0.0.0/8\" }", "Who may connect; none given: anyone.", 0 },
    { "max-connections", VALUE_NUMBER, AT(max_connections), "10000", BETWEEN(1, 1000000), false, "10000",
      "Connections at once, over all submission processes; further ones get 421; each process has its equal part, so where the "
      "number "
      "is small some are refused before all parts are full.",
      0 },
    { "max-connections-per-client", VALUE_NUMBER, AT(max_connections_per_client), "50", BETWEEN(1, 1000000), false, "50",
      "Connections at once from one address (an IPv6 /64), counted in each submission process by itself, so that they may be "
      "more "
      "together; further ones get 421.",
      0 },
    { "max-recipients", VALUE_NUMBER, AT(max_recipients), "1000", BETWEEN(1, 10000), false, "1000",
      "Recipients of one message; further ones get 452, and the client sends the rest in a second message.", 0 },
    { "max-message-size", VALUE_SIZE, AT(max_message_size), "50M", BETWEEN(1 * K, 2 * G), false, "50M",
      "Size of a message; announced to clients.", 0 },
    { "max-messages", VALUE_NUMBER, AT(max_messages), "1000", BETWEEN(1, 1000000), false, "1000",
      "Messages of one connection; then 421, and the client connects again.", 0 },
    { "max-errors", VALUE_NUMBER, AT(max_errors), "20", BETWEEN(1, 10000), false, "20",
      "Bad commands of one connection; then 421.", 0 },
    { "command-timeout", VALUE_TIME, AT(command_timeout_ms), "5min", BETWEEN(1 * SECOND, 1 * HOUR), false, "5min",
      "How long a client may take for one whole command.", 0 },
    { "data-timeout", VALUE_TIME, AT(data_timeout_ms), "10min", BETWEEN(1 * SECOND, 6 * HOUR), false, "10min",
      "How long a client may pause within a message.", 0 },
    { "proxy-protocol", VALUE_BOOL, AT(proxy_protocol), "no", ANY, false, "yes",
      "Connections begin with a PROXY header that tells the client's address; only from proxies.", 0 },
    { "proxies", VALUE_NETWORKS, AT(proxies), "", ANY, false, "{ \"192.0.2.10\" }",
      "The load balancers whose PROXY header is believed.", 0 },
    { "client-address", VALUE_CHOICE, AT(hide_client), "show", ONE_OF(show_hide), false, "hide",
      "Whether the Received field tells the client's address and name.", 0 },
    { "check-recipient-domain", VALUE_BOOL, AT(check_recipient_domain), "yes", ANY, false, "yes",
      "Refuse a recipient whose domain does not exist or takes no mail; a DNS that does not answer refuses nothing.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_auth, member)
static const struct key auth_keys[] = {
    { "backend", VALUE_WORD, AT(backend), "file", ONE_OF_BUT(backends, "dovecot"), false, "file",
      "Where accounts are kept: postern's own file, a sasldb, or saslauthd (PAM, LDAP, an IMAP server); dovecot, its auth "
      "socket, is "
      "not available in this version.",
      0 },
    { "file", VALUE_TEXT, AT(file), "/etc/postern/users", ANY, false, "\"/etc/postern/users\"",
      "The file of accounts, edited with `postern user`; sasldb is always /etc/sasldb2, saslauthd has accounts of its own.", 0 },
    { "realm", VALUE_CHOICE, AT(keep_realm), "drop", ONE_OF(realms), false, "drop",
      "With saslauthd, whether what is behind the @ of a login is dropped, so that each account has one name, or kept, for a "
      "saslauthd that is started with -r and tells accounts apart by it.",
      0 },
    { "mechanisms", VALUE_TEXTS, AT(mechanisms), "", ANY, false, "{ \"PLAIN\", \"LOGIN\" }",
      "What clients may log in with; offered only under TLS; by default all that the backend can serve: PLAIN and LOGIN, and "
      "SCRAM-SHA-256 and SCRAM-SHA-256-PLUS but with saslauthd, which wants the password itself.",
      0 },
    { "processes", VALUE_NUMBER, AT(processes), "2", BETWEEN(1, 32), false, "2", "How many processes check logins.", 0 },
    { "max-failures", VALUE_NUMBER, AT(max_failures), "3", BETWEEN(1, 100), false, "3",
      "Failed logins of one connection; then 421.", 0 },
    { "lockout-failures", VALUE_NUMBER, AT(lockout_failures), "20", BETWEEN(1, 100000), false, "20",
      "Failed logins from one address within lockout-time after which it is locked out for that time; after three times as many "
      "as one account, from anywhere, only addresses that logged in as it before may do so.",
      0 },
    { "lockout-time", VALUE_TIME, AT(lockout_ms), "15min", BETWEEN(1 * SECOND, 7 * DAY), false, "15min",
      "How long failures are remembered, and a lock-out lasts.", 0 },
    { "cache-time", VALUE_TIME, AT(cache_ms), "5min", BETWEEN(0, 1 * DAY), false, "5min",
      "How long a keyed digest of the last good password is kept in memory, so that the next login is cheap; 0: never.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_account, member)
static const struct key account_keys[] = {
    { "senders", VALUE_TEXTS, AT(senders), "", ANY, false, "{ \"alice@example.net\", \"@sales.example.net\" }",
      "Sender addresses that this account may use; \"@domain\" allows all of a domain.", 0 },
    { "class", VALUE_TEXT, AT(class), "", ANY, false, "staff", "A word that limits can name.", 0 },
    { "contact", VALUE_TEXT, AT(contact), "", ANY, false, "\"alice@home.example\"",
      "Another address of the user, who is told there when the account is suspended.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_limit, member)
static const struct key limit_table[] = {
    { "key", VALUE_WORD, AT(key), "account", ONE_OF(limit_keys), false, "account",
      "What is counted for: each account, client (an IPv4 address, an IPv6 /64), network (a /24 or /48), sender-domain or "
      "recipient-domain, or all together (global).",
      0 },
    { "count", VALUE_WORD, AT(count), "recipients", ONE_OF(limit_counts), false, "hard-bounces",
      "What is counted; of what is asked for: messages, recipients or bytes; recipients or their domains that were not counted "
      "in "
      "the time of the rate (unique-recipients, unique-domains); recipients that the account never wrote to before "
      "(first-time-recipients); of what happened: recipients that do not exist (hard-bounces); replies that call it spam "
      "(spam-replies); abuse-reports; wrong passwords (auth-failures); connections; and networks that logins came from "
      "(login-networks).",
      0 },
    { "rate", VALUE_RATE, AT(rate), "none", BETWEEN(1, 1ull << 50), false, "\"200/1h\"",
      "How many in what time, regained evenly over that time; needed unless the limit is off.", 0 },
    { "burst", VALUE_NUMBER, AT(burst), "0", BETWEEN(0, 1ull << 50), false, "50",
      "How many at once after a pause; 0: as many as the rate's count.", 0 },
    { "at-least", VALUE_NUMBER, AT(at_least), "0", BETWEEN(0, 1ull << 50), false, "20", "Below this volume the limit never acts.",
      0 },
    { "share", VALUE_NUMBER, AT(share), "0", BETWEEN(0, 100), false, "20",
      "Of hard-bounces and spam-replies of an account: the limit acts only where they are this percentage of what was answered, "
      "or "
      "of half of what was asked for where that is more; 0: always.",
      0 },
    { "weight", VALUE_NUMBER, AT(weight), "100", BETWEEN(1, 100), false, "40",
      "Of the strike that then = suspend gives: an account is suspended when its strikes of the last seven days, the older the "
      "lighter, come to 100.",
      0 },
    { "then", VALUE_WORD, AT(then), "defer", ONE_OF(limit_then), false, "defer",
      "What happens above the limit: slow (answers wait, at most 30 s each), defer (450, the client tries again later), "
      "reject (550), hold (the message is taken, and waits in the queue for postern queue release), or suspend (the account gets "
      "a "
      "strike of this weight).",
      0 },
    { "mode", VALUE_WORD, AT(mode), "enforce", ONE_OF(modes), false, "observe",
      "Act, only log what would have happened, or be as if the limit were not there: so a default one is removed.", 0 },
    { "apply-to", VALUE_TEXTS, AT(apply_to), "", ANY, false, "{ \"class:staff\" }",
      "Accounts, \"class:NAME\", or networks that the limit is for; none: all.", 0 },
    { "except", VALUE_TEXTS, AT(except), "", ANY, false, "{ \"newsletter\" }",
      "Accounts, \"class:NAME\", or networks that it is not for.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_policy, member)
static const struct key policy_keys[] = {
    { "store", VALUE_CHOICE, AT(redis_store), "local", ONE_OF(stores), false, "local",
      "Where counters are kept: on this machine alone (local), or shared with all machines that use the same Redis.", 0 },
    { "redis", VALUE_TEXT, AT(redis), "127.0.0.1:6379", ANY, false, "\"192.0.2.5:6379\"",
      "The Redis server for store = redis: an address with a port, or the path of its socket.", 0 },
    { "redis-password-file", VALUE_TEXT, AT(redis_password_file), "", ANY, false, "\"/etc/postern/redis.password\"",
      "File with Redis's password on its first line, readable by root alone.", 0 },
    { "redis-timeout", VALUE_TIME, AT(redis_timeout_ms), "50ms", BETWEEN(1, 10 * SECOND), false, "50ms",
      "How long a decision waits for Redis before this machine decides by what it knows itself.", 0 },
    { "directory", VALUE_TEXT, AT(directory), "/var/lib/postern/policy", ANY, false, "\"/var/lib/postern/policy\"",
      "Folder for counters that outlive a restart.", 0 },
    { "report-address", VALUE_TEXT, AT(report_address), "", ANY, false, "\"abuse-reports@example.net\"",
      "Mail to this address that comes in at a listener with auth = none is read, besides being delivered: reports of abuse "
      "(ARF) in it "
      "count as abuse-reports of the account that sent the mail.",
      0 },
    { "spam-phrases", VALUE_TEXTS, AT(spam_phrases), "", ANY, false, "{ \"message refused by our filter\", \"5.7.350\" }",
      "Further words of servers that count as spam-replies, each behind an enhanced status code or alone.", 0 },
    { "unknown-phrases", VALUE_TEXTS, AT(unknown_phrases), "", ANY, false, "{ \"nobody of that name works here\" }",
      "Further words of servers that count as hard-bounces.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_spool, member)
static const struct key spool_keys[] = {
    { "directory", VALUE_TEXT, AT(directory), "/var/spool/postern", ANY, false, "\"/var/spool/postern\"",
      "Folder for messages that wait.", 0 },
    { "minimum-free", VALUE_SIZE, AT(minimum_free), "1G", BETWEEN(0, 1ull << 60), false, "1G",
      "Below so much free space new mail gets 452.", 0 },
    { "allow-volatile", VALUE_BOOL, AT(allow_volatile), "no", ANY, false, "yes",
      "Allow the folder on a file system that a power cut empties.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_queue, member)
static const struct key queue_keys[] = {
    { "retry", VALUE_TIMES, AT(retry), "5min 15min 30min 1h 2h 4h", BETWEEN(1 * SECOND, 7 * DAY), false,
      "{ 5min, 15min, 30min, 1h, 2h, 4h }", "How long after each failed attempt the next one comes; the last step repeats.", 0 },
    { "lifetime", VALUE_TIME, AT(lifetime_ms), "3d", BETWEEN(1 * SECOND, 365 * DAY), false, "3d",
      "How long delivery is tried before the sender gets a report.", 0 },
    { "delay-warning", VALUE_TIME, AT(delay_warning_ms), "4h", BETWEEN(0, 365 * DAY), false, "4h",
      "After how long the sender is told that a message waits; 0: never.", 0 },
    { "stall-alarm", VALUE_TIME, AT(stall_alarm_ms), "1h", BETWEEN(0, 7 * DAY), false, "1h",
      "How long nothing at all is delivered, though there is mail to deliver, before the log, status and metrics raise an alarm; "
      "0: never.",
      0 },
    { "bounce-body-size", VALUE_SIZE, AT(bounce_body_size), "50K", BETWEEN(0, 10 * M), false, "50K",
      "A message up to this size is returned whole with a report, a larger one with its header only.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_delivery, member)
static const struct key delivery_keys[] = {
    { "port", VALUE_PORT, AT(port), "25", ANY, false, "25", "The port of MX hosts; another one is for tests.", 0 },
    { "tls", VALUE_WORD, AT(tls), "opportunistic", ONE_OF(delivery_tls), false, "opportunistic",
      "TLS towards MX hosts: none, opportunistic (where offered), encrypt (needed), verify (needed, with a certificate that is "
      "proven).",
      0 },
    { "dane", VALUE_BOOL, AT(dane), "yes", ANY, false, "yes",
      "Go by the TLSA records of hosts that have signed ones (DANE): a certificate that they name is needed then, and enough.",
      0 },
    { "mta-sts", VALUE_BOOL, AT(mta_sts), "yes", ANY, false, "yes",
      "Go by the policies that recipient domains publish (MTA-STS): where one says enforce, only to the MX hosts that it names, "
      "and only "
      "over TLS with a valid certificate.",
      0 },
    { "connections", VALUE_NUMBER, AT(connections), "20000", BETWEEN(1, 1000000), false, "20000",
      "Connections at once to all sites together, over all delivery processes; who has many gets no more when they run short.",
      0 },
    { "connections-per-site", VALUE_NUMBER, AT(connections_per_site), "20", BETWEEN(1, 1000), false, "20",
      "Connections at once to one site.", 0 },
    { "messages-per-connection", VALUE_NUMBER, AT(messages_per_connection), "100", BETWEEN(1, 100000), false, "100",
      "Messages over one connection before it is closed.", 0 },
    { "allow-private", VALUE_BOOL, AT(allow_private), "no", ANY, false, "no",
      "Allow MX hosts with loopback, private or link-local addresses; for tests.", 0 },
    { "source", VALUE_TEXTS, AT(source), "", ANY, false, "{ \"192.0.2.7\" }", "Addresses of this machine to connect from.", 0 },
    { "bounce-source", VALUE_TEXT, AT(bounce_source), "", ANY, false, "\"reports\"",
      "The pool of sources for mail without a sender: reports, which strangers can cause, spoil the name of no other address so.",
      0 },
    { "connect-timeout", VALUE_TIME, AT(connect_timeout_ms), "30s", BETWEEN(1 * SECOND, 10 * MINUTE), false, "30s",
      "How long a connection may take to be made.", 0 },
    { "command-timeout", VALUE_TIME, AT(command_timeout_ms), "5min", BETWEEN(1 * SECOND, 30 * MINUTE), false, "5min",
      "How long a server may take to answer a command.", 0 },
    { "data-timeout", VALUE_TIME, AT(data_timeout_ms), "3min", BETWEEN(1 * SECOND, 30 * MINUTE), false, "3min",
      "How long a server may take to accept a block of a message.", 0 },
    { "dot-timeout", VALUE_TIME, AT(dot_timeout_ms), "10min", BETWEEN(1 * SECOND, 1 * HOUR), false, "10min",
      "How long a server may take to answer a whole message.", 0 },
    { "idle-timeout", VALUE_TIME, AT(idle_timeout_ms), "10s", BETWEEN(0, 10 * MINUTE), false, "10s",
      "How long a connection is kept for the next message, at least 0.2 seconds; where connections run short, it makes room "
      "sooner.",
      0 },
    { "ca-file", VALUE_TEXT, AT(ca_file), "", ANY, false, "\"/etc/ssl/certs/ca-certificates.crt\"",
      "Certificates that are trusted for tls = verify; none given: the system's.", 0 },
    { "rate", VALUE_RATE, AT(rate), "none", BETWEEN(1, 1000000), false, "\"100/1s\"",
      "Messages to one site in what time, spread evenly; none: as many as it takes, which postern finds out by itself.", 0 },
    { "slow-phrases", VALUE_TEXTS, AT(slow_phrases), "", ANY, false, "{ \"come back in a minute\" }",
      "Words of replies, perhaps behind an enhanced status code, for which a site gets fewer messages a second, beside those "
      "that "
      "are built in.",
      0 },
    { "rest-phrases", VALUE_TEXTS, AT(rest_phrases), "", ANY, false, "{ \"closed for today\" }",
      "The same, for which a site gets nothing until the next step of retry.", 0 },
    { "ignore-phrases", VALUE_TEXTS, AT(ignore_phrases), "", ANY, false, "{ \"4.7.1 not on mondays\" }",
      "The same, which mean nothing for a site, whatever else the reply says.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_site, member)
static const struct key site_keys[] = {
    { "connections", VALUE_NUMBER, AT(connections), "0", BETWEEN(0, 1000), false, "5",
      "Connections at once; 0: connections-per-site of delivery.", 0 },
    { "rate", VALUE_RATE, AT(rate), "none", BETWEEN(1, 1000000), false, "\"10/1s\"",
      "Messages in what time, spread evenly; none: that of delivery.", 0 },
    { "messages-per-connection", VALUE_NUMBER, AT(messages_per_connection), "0", BETWEEN(0, 100000), false, "20",
      "Messages over one connection; 0: messages-per-connection of delivery.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_source, member)
static const struct key source_keys[] = {
    { "addresses", VALUE_TEXTS, AT(addresses), "", ANY, false, "{ \"192.0.2.7\", \"2001:db8::7\" }",
      "Addresses of this machine to connect from; over a family that the pool has no address of, nothing is sent.", 0 },
    { "helo", VALUE_TEXT, AT(helo), "", ANY, false, "\"out1.example.net\"",
      "The name to greet servers with, to which these addresses should resolve and back; by default the hostname.", 0 },
    { "weight", VALUE_NUMBER, AT(weight), "1", BETWEEN(1, 1000), false, "3",
      "How large its part of its pool's connections is, beside the weights of the others.", 0 },
    { "pool", VALUE_TEXT, AT(pool), "", ANY, false, "\"bulk\"",
      "The pool that it is one of, which routes name; by default its own name.", 0 },
    { "accounts", VALUE_TEXTS, AT(accounts), "", ANY, false, "{ \"newsletter\", \"class:bulk\" }",
      "Accounts and classes whose mail leaves from the pool, unless its route names another.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_route, member)
static const struct key route_keys[] = {
    { "via", VALUE_HOSTS, AT(via), NULL, ANY, true, "\"smtp.upstream.example:587\"", "mx, or one or more hosts, tried in order.",
      0 },
    { "domains", VALUE_TEXTS, AT(domains), "", ANY, false, "{ \"example.com\", \"*.example.com\" }",
      "Recipient domains that the route is for, in place of its name, which may be any then; so there can be several routes for "
      "one domain.",
      0 },
    { "senders", VALUE_TEXTS, AT(senders), "", ANY, false, "{ \"@sales.example.net\" }",
      "Only for mail from these addresses, or those of \"@domain\"; none: from any; of routes that fit a domain equally well the "
      "one for "
      "fewer wins.",
      0 },
    { "accounts", VALUE_TEXTS, AT(accounts), "", ANY, false, "{ \"newsletter\", \"class:bulk\" }",
      "Only for mail of these accounts or classes; none: of anybody.", 0 },
    { "tls", VALUE_WORD, AT(tls), NULL, ONE_OF(delivery_tls), false, "verify", "TLS for this route; by default as in delivery.",
      AT(tls_given) },
    { "dane", VALUE_BOOL, AT(dane), NULL, ANY, false, "no",
      "Go by TLSA records on this route, where nobody logs in; by default as in delivery.", AT(dane_given) },
    { "mta-sts", VALUE_BOOL, AT(mta_sts), NULL, ANY, false, "no",
      "Whether this route, where it is via = mx, goes by MTA-STS; by default as in delivery.", AT(mta_sts_given) },
    { "user", VALUE_TEXT, AT(user), "", ANY, false, "\"office\"", "Log in with this name; only with tls = verify.", 0 },
    { "password-file", VALUE_TEXT, AT(password_file), "", ANY, false, "\"/etc/postern/upstream.password\"",
      "File with the password, or the token, on its first line, readable by root alone; it is read again when the server refuses "
      "the login.",
      0 },
    { "source", VALUE_TEXT, AT(source), "", ANY, false, "\"bulk\"",
      "The pool of sources that connections come from, whoever sends; by default the one of the account.", 0 },
    { "login", VALUE_CHOICE, AT(token), "password", ONE_OF(logins), false, "token",
      "What the file holds: a password, for SCRAM-SHA-256, PLAIN or LOGIN, whichever the server offers first of these; or an "
      "OAuth 2.0 access "
      "token, for OAUTHBEARER or XOAUTH2, that another program keeps fresh there.",
      0 },
};
#undef AT

#define AT(member) offsetof(struct conf_dns, member)
static const struct key dns_keys[] = {
    { "servers", VALUE_ADDRESSES, AT(servers), "", BETWEEN(53, 53), false, "{ \"127.0.0.1:53\" }",
      "Name servers to ask, on port 53 where none is said; none given: those of /etc/resolv.conf.", 0 },
    { "trust-ad", VALUE_WORD, AT(trust_ad), "local", ONE_OF(trust_ad), false, "yes",
      "Whether the name servers are believed that an answer is signed (DNSSEC), which DANE needs: where all of them have "
      "loopback "
      "addresses, always, or never.",
      0 },
    { "timeout", VALUE_TIME, AT(timeout_ms), "3s", BETWEEN(10, 1 * MINUTE), false, "3s", "How long one try may take.", 0 },
    { "tries", VALUE_NUMBER, AT(tries), "3", BETWEEN(1, 10), false, "3", "How often each server is asked.", 0 },
    { "cache-entries", VALUE_NUMBER, AT(cache_entries), "50000", BETWEEN(0, 10000000), false, "50000",
      "Answers that are kept; fewer where many are large.", 0 },
    { "cache-ttl-max", VALUE_TIME, AT(cache_ttl_max_ms), "1d", BETWEEN(0, 7 * DAY), false, "1d",
      "Longest time an answer is kept, whatever it says itself.", 0 },
    { "cache-negative", VALUE_TIME, AT(cache_negative_ms), "15min", BETWEEN(0, 1 * DAY), false, "15min",
      "Longest time a \"does not exist\" is kept.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_mta_sts, member)
static const struct key mta_sts_keys[] = {
    { "directory", VALUE_TEXT, AT(directory), "/var/lib/postern/sts", ANY, false, "\"/var/lib/postern/sts\"",
      "Folder for policies that are known, so that a restart forgets none.", 0 },
    { "port", VALUE_PORT, AT(port), "443", ANY, false, "443",
      "The port that policies are fetched from; another one is for tests.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_dkim, member)
static const struct key dkim_keys[] = {
    { "selector", VALUE_TEXT, AT(selector), NULL, ANY, true, "\"s2026\"",
      "The selector under which the public key stands in DNS.", 0 },
    { "key", VALUE_TEXT, AT(key), NULL, ANY, true, "\"/etc/postern/dkim/example.net.pem\"", "File with the private key.", 0 },
};
#undef AT

#define AT(member) offsetof(struct conf_control, member)
static const struct key control_keys[] = {
    { "socket", VALUE_TEXT, AT(socket), "/run/postern/control.sock", ANY, false, "\"/run/postern/control.sock\"",
      "Where postern(1) asks.", 0 },
    { "http", VALUE_TEXT, AT(http), "", ANY, false, "\"127.0.0.1:8587\"",
      "Address for HTTP: /metrics for Prometheus, /status as JSON as postern status has it, /healthz, which says ok as long as "
      "it is "
      "served; none given: no HTTP.",
      0 },
};
#undef AT

#define AT(member) offsetof(struct conf_log, member)
static const struct key log_keys[] = {
    { "format", VALUE_WORD, AT(format), "logfmt", ONE_OF(log_formats), false, "json", "How a line is written.", 0 },
    { "level", VALUE_WORD, AT(level), "info", ONE_OF(log_levels), false, "info", "From which level on.", 0 },
};
#undef AT

#define COUNTED(keys) (keys), sizeof(keys) / sizeof *(keys)
#define SINGLE(name, member, keys, prose)                                                                                        \
    {                                                                                                                            \
        name, false, offsetof(struct conf, member), 0, 0, 0, NULL, COUNTED(keys), prose, false                                   \
    }
#define TITLED(name, member, type, title, any_case, example, keys, prose)                                                        \
    {                                                                                                                            \
        name, true, offsetof(struct conf, member), offsetof(struct conf, n##member), sizeof(type), offsetof(type, title),        \
            example, COUNTED(keys), prose, any_case                                                                              \
    }

const struct section keys_sections[] = {
    { "", false, 0, 0, 0, 0, NULL, COUNTED(top_keys), "At the top of the file, outside of any section.", false },
    { "tls", false, 0, 0, 0, 0, NULL, COUNTED(tls_keys), "The certificate that clients see.", false },
    TITLED("certificate", certificates, struct conf_certificate, name, true, "mail.other.example", certificate_keys,
           "A further certificate, for clients that ask for this name (SNI)."),
    TITLED("listener", listeners, struct conf_listener, name, false, "submission", listener_keys,
           "Where clients connect; at least one is needed."),
    SINGLE("auth", auth, auth_keys, "How logins are checked."),
    TITLED("account", accounts, struct conf_account, name, true, "alice", account_keys,
           "What an account may do; \"*\" is for every account without an entry of its own."),
    TITLED("limit", limits, struct conf_limit, name, false, "hourly", limit_table, "How much may be sent."),
    SINGLE("policy", policy, policy_keys, "Where the counters of limits are kept."),
    SINGLE("spool", spool, spool_keys, "Where accepted mail is kept until it is delivered."),
    SINGLE("queue", queue, queue_keys, "When delivery is tried again, and when it is given up."),
    SINGLE("delivery", delivery, delivery_keys, "How mail is delivered."),
    TITLED("site", sites, struct conf_site, name, true, "yahoodns.net", site_keys,
           "Bounds for mail servers of this name, or below it; the first MX host counts, or a route's first host."),
    TITLED("source", sources, struct conf_source, name, false, "out1", source_keys,
           "Where connections come from: addresses with a name to greet by; sources of one pool share its connections."),
    TITLED(
        "route", routes, struct conf_route, name, true, "example.com", route_keys,
        "Where mail for a recipient domain goes: a domain, \"*.domain\" for those below it, or \"*\"; the most specific wins."),
    SINGLE("dns", dns, dns_keys, "Which name servers are asked."),
    SINGLE("mta-sts", mta_sts, mta_sts_keys, "Where the policies of recipient domains (MTA-STS) are kept."),
    TITLED("dkim", dkims, struct conf_dkim, domain, true, "example.net", dkim_keys,
           "A DKIM key for a sender domain (not available in this version)."),
    SINGLE("control", control, control_keys, "Where postern(1) and monitoring ask."),
    SINGLE("log", log, log_keys, "What is logged, and how."),
};
const size_t keys_nsections = sizeof keys_sections / sizeof *keys_sections;

const struct section *keys_section(struct span name)
{
    for (size_t i = 0; i < keys_nsections; i++)
        if (span_equal(name, span_of(keys_sections[i].name)))
            return &keys_sections[i];
    return NULL;
}

const struct key *keys_find(const struct section *section, struct span name)
{
    for (size_t i = 0; i < section->nkeys; i++)
        if (span_equal(name, span_of(section->keys[i].name)))
            return &section->keys[i];
    return NULL;
}

const char *keys_nearest(const struct section *section, struct span name)
{
    const char *nearest = NULL;
    unsigned best = name.n < 4 ? 2 : 3;
    for (size_t i = 0; i < section->nkeys; i++) {
        unsigned far = text_distance(name, span_of(section->keys[i].name));
        if (far < best) {
            best = far;
            nearest = section->keys[i].name;
        }
    }
    for (size_t i = 1; !*section->name && i < keys_nsections; i++) {
        unsigned far = text_distance(name, span_of(keys_sections[i].name));
        if (far < best) {
            best = far;
            nearest = keys_sections[i].name;
        }
    }
    return nearest;
}
