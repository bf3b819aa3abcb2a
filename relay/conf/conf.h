/* The configuration: one immutable struct, made from the file by read.h, handed to every role. All strings NUL-terminated and
 * never NULL unless it says so; "" where nothing was given. Times in milliseconds, sizes in bytes. */
#ifndef POSTERN_CONF_CONF_H
#define POSTERN_CONF_CONF_H

#include "../base/log.h"
#include "../base/netaddr.h"

#include <stddef.h>
#include <stdint.h>

/* A list of texts. */
struct conf_strings {
    char **items;
    size_t count;
};

/* A list of networks. */
struct conf_networks {
    struct netaddr_network *items;
    size_t count;
};

/* A list of addresses with ports. */
struct conf_addresses {
    struct netaddr *items;
    size_t count;
};

/* A list of times in milliseconds. */
struct conf_times {
    int64_t *items;
    size_t count;
};

/* tls { } and certificate "name" { } */
struct conf_certificate {
    char *name; /* SNI; "" for the one in tls { } */
    char *certificate;
    char *key;
};

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_listener_tls { CONF_LISTENER_NONE, CONF_LISTENER_STARTTLS, CONF_LISTENER_IMPLICIT };
enum conf_listener_auth { CONF_AUTH_REQUIRED, CONF_AUTH_OPTIONAL, CONF_AUTH_NONE };

/* listener NAME { } */
struct conf_listener {
    char *name;
    struct conf_addresses address;
    enum conf_listener_tls tls;
    enum conf_listener_auth auth;
    struct conf_networks networks; /* who may connect; empty: anyone */
    struct conf_networks proxies;  /* from whom a PROXY header is taken */
    bool proxy_protocol;
    uint64_t max_connections;            /* 10000, over all submission processes together */
    uint64_t max_connections_per_client; /* 50 */
    uint64_t max_recipients;             /* 1000 */
    uint64_t max_message_size;           /* 50M */
    uint64_t max_messages;               /* a connection's transactions: 1000, then 421 at MAIL */
    uint64_t max_errors;                 /* bad commands in a session: 20, then 421 */
    int64_t command_timeout_ms;          /* 5min: for one whole command */
    int64_t data_timeout_ms;             /* 10min: for the next part of a message; a message as a whole has a minimum rate */
    bool hide_client;                    /* client-address = hide */
    bool check_recipient_domain;         /* yes */
};

enum conf_auth_backend { CONF_BACKEND_FILE, CONF_BACKEND_SASLDB, CONF_BACKEND_SASLAUTHD };

/* auth { } */
struct conf_auth {
    enum conf_auth_backend backend;
    char *file;                     /* /etc/postern/users */
    bool keep_realm;                /* realm = keep: saslauthd tells accounts apart by what is behind the '@' */
    struct conf_strings mechanisms; /* in capitals */
    uint64_t processes;             /* 2 */
    uint64_t max_failures;          /* of one connection: 3, then 421 */
    uint64_t lockout_failures;      /* of one client address within lockout_ms: 20, then locked out */
    int64_t lockout_ms;             /* 15min */
    int64_t cache_ms;               /* how long a good password's digest is kept: 5min */
};

/* account "name" { } */
struct conf_account {
    char *name;                  /* "*" for every account without an entry of its own */
    struct conf_strings senders; /* "alice@example.net", "@sales.example.net" */
    char *class;
    char *contact; /* another address of its user, who is told there when it is suspended; "": none */
};

enum conf_limit_key {
    CONF_KEY_ACCOUNT,
    CONF_KEY_CLIENT,
    CONF_KEY_NETWORK,
    CONF_KEY_SENDER_DOMAIN,
    CONF_KEY_RECIPIENT_DOMAIN,
    CONF_KEY_GLOBAL
};
enum conf_limit_count {
    CONF_COUNT_MESSAGES,
    CONF_COUNT_RECIPIENTS,
    CONF_COUNT_BYTES,
    CONF_COUNT_UNIQUE_RECIPIENTS,
    CONF_COUNT_FIRST_TIME_RECIPIENTS,
    CONF_COUNT_UNIQUE_DOMAINS,
    CONF_COUNT_HARD_BOUNCES,
    CONF_COUNT_SPAM_REPLIES,
    CONF_COUNT_AUTH_FAILURES,
    CONF_COUNT_CONNECTIONS,
    CONF_COUNT_LOGIN_NETWORKS,
    CONF_COUNT_ABUSE_REPORTS
};
enum conf_limit_then { CONF_THEN_SLOW, CONF_THEN_DEFER, CONF_THEN_REJECT, CONF_THEN_HOLD, CONF_THEN_SUSPEND };

enum conf_limit_mode { CONF_MODE_ENFORCE, CONF_MODE_OBSERVE, CONF_MODE_OFF };

/* A rate "200/1h"; all 0: none. */
struct conf_rate {
    uint64_t count;
    int64_t per_ms;
};

/* limit NAME { } */
struct conf_limit {
    char *name;
    enum conf_limit_key key;
    enum conf_limit_count count;
    struct conf_rate rate;
    uint64_t burst; /* bucket's size; where not given, rate.count */
    uint64_t at_least;
    uint64_t share;  /* percent of what was sent that must have come back; 0: the number alone decides */
    uint64_t weight; /* of the strike that then = suspend gives; at STRIKES_MAX an account is suspended: 100 */
    enum conf_limit_then then;
    enum conf_limit_mode mode;
    struct conf_strings apply_to; /* accounts, "class:NAME", networks; empty: all */
    struct conf_strings except;
};

/* policy { } */
struct conf_policy {
    bool redis_store;                 /* store = redis */
    char *redis;                      /* 127.0.0.1:6379, or the path of a socket */
    char *redis_password_file;        /* "": none */
    int64_t redis_timeout_ms;         /* 50ms: for a decision */
    char *directory;                  /* /var/lib/postern/policy: the state that outlives a restart */
    struct conf_strings spam_phrases; /* of replies that call a message spam, lower case, beside those that are built in */
    char *report_address; /* mail to it from listeners without a login is read as a report of abuse; "": none; in normal form */
    struct conf_strings unknown_phrases; /* of replies that say a recipient does not exist */
};

/* spool { } */
struct conf_spool {
    char *directory;       /* /var/spool/postern */
    uint64_t minimum_free; /* 1G */
    bool allow_volatile;   /* no */
};

/* queue { } */
struct conf_queue {
    struct conf_times retry;   /* the schedule; its last step repeats */
    int64_t lifetime_ms;       /* 3d */
    int64_t delay_warning_ms;  /* 4h; 0: none */
    int64_t stall_alarm_ms;    /* 1h: how long nothing is delivered, though there is mail, before it is an alarm; 0: never */
    uint64_t bounce_body_size; /* a body up to this is returned with a bounce where RET=FULL or unset asks for it: 50K */
};

enum conf_delivery_tls { CONF_DELIVERY_NONE, CONF_DELIVERY_OPPORTUNISTIC, CONF_DELIVERY_ENCRYPT, CONF_DELIVERY_VERIFY };

/* delivery { } */
struct conf_delivery {
    uint16_t port; /* 25 */
    enum conf_delivery_tls tls;
    bool dane;
    bool mta_sts;                  /* yes: go by what domains publish (RFC 8461) */
    uint64_t connections;          /* 20000: to all sites together */
    uint64_t connections_per_site; /* 20 */
    bool allow_private;
    struct conf_strings source;         /* addresses to bind to, where no pool of sources is meant */
    char *bounce_source;                /* a pool for mail without a sender; "": as for other mail */
    int64_t connect_timeout_ms;         /* 30s */
    int64_t command_timeout_ms;         /* 5min: banner, EHLO, MAIL, RCPT */
    int64_t data_timeout_ms;            /* 3min: a block of content */
    int64_t dot_timeout_ms;             /* 10min: the reply after the dot */
    int64_t idle_timeout_ms;            /* 10s: how long a connection waits for more work */
    uint64_t messages_per_connection;   /* 100 */
    char *ca_file;                      /* "" = the system's store */
    struct conf_rate rate;              /* messages to one site in a time; none: as many as it takes */
    struct conf_strings slow_phrases;   /* of replies, lower case: the site gets fewer messages a second */
    struct conf_strings rest_phrases;   /* it rests */
    struct conf_strings ignore_phrases; /* they mean nothing for the site */
};

/* site "NAME" { }: bounds for the sites whose first host is NAME or below it */
struct conf_site {
    char *name;
    uint64_t connections;             /* at once; 0: as in delivery { } */
    struct conf_rate rate;            /* messages in a time, spread evenly; none: as in delivery { } */
    uint64_t messages_per_connection; /* 0: as in delivery { } */
};

/* One next host of a route. */
struct conf_host {
    char *name; /* host name or address literal text */
    uint16_t port;
};

/* Where a route goes. */
struct conf_hosts {
    struct conf_host *items; /* in order, where not mx */
    size_t count;
    bool mx; /* via = mx */
};

/* source "name" { } */
struct conf_source {
    char *name;
    struct conf_strings addresses;
    char *helo;                   /* "": the hostname */
    char *pool;                   /* "": the name */
    uint64_t weight;              /* 1 */
    struct conf_strings accounts; /* "alice", "class:bulk": whose mail leaves here; empty: as others say */
};

/* route "name" { } */
struct conf_route {
    char *name;                   /* "example.com", "*.example.com", "*"; where there are `domains`, any */
    struct conf_strings domains;  /* recipient domains as the name would have them; empty: the name */
    struct conf_strings senders;  /* "alice@example.net", "@sales.example.net"; empty: all */
    struct conf_strings accounts; /* "alice", "class:staff"; empty: all */
    struct conf_hosts via;
    bool tls_given; /* else delivery.tls holds */
    enum conf_delivery_tls tls;
    bool dane_given; /* else delivery.dane holds */
    bool dane;
    bool mta_sts_given; /* else delivery.mta_sts holds */
    bool mta_sts;
    char *user;
    char *password_file;
    char *source; /* a pool of sources; "": as the message has it */
    bool token;   /* login = token: the file holds an access token */
};

/* dns { } */
/* Whose word that an answer is signed (the AD bit) counts. */
enum conf_trust_ad { CONF_TRUST_AD_LOCAL, CONF_TRUST_AD_YES, CONF_TRUST_AD_NO };

struct conf_dns {
    struct conf_addresses servers; /* empty: those of /etc/resolv.conf */
    enum conf_trust_ad trust_ad;   /* local: of servers on this machine */
    int64_t timeout_ms;            /* of one try: 3s */
    uint64_t tries;                /* 3 */
    uint64_t cache_entries;        /* 50000 */
    int64_t cache_ttl_max_ms;      /* 1d */
    int64_t cache_negative_ms;     /* at most 15min for "does not exist" */
};

/* mta-sts { } */
struct conf_mta_sts {
    char *directory; /* /var/lib/postern/sts: the policies that are known, which outlive a restart */
    uint16_t port;   /* 443: of the servers that policies are fetched from */
};

/* dkim "domain" { } */
struct conf_dkim {
    char *domain;
    char *selector;
    char *key;
};

/* control { } */
struct conf_control {
    char *socket; /* /run/postern/control.sock */
    char *http;   /* "" = none */
};

/* log { } */
struct conf_log {
    enum log_format format;
    enum log_level level;
};

struct conf {
    char *file; /* that it was read from; NULL: from a text */
    char *hostname;
    char *postmaster;            /* default: postmaster@HOSTNAME */
    struct conf_strings domains; /* sender domains for accounts without `senders`; empty: any */
    bool check_from_header;      /* from-header = check */
    uint64_t processes;          /* submission and delivery processes each; 0: one a core */

    char *tls_certificate; /* tls { certificate key minimum } */
    char *tls_key;
    enum conf_tls_version tls_minimum;
    struct conf_certificate *certificates;
    size_t ncertificates;

    struct conf_listener *listeners;
    size_t nlisteners;
    struct conf_auth auth;
    struct conf_account *accounts;
    size_t naccounts;
    struct conf_limit *limits;
    size_t nlimits;
    struct conf_policy policy;
    struct conf_spool spool;
    struct conf_queue queue;
    struct conf_delivery delivery;
    struct conf_site *sites;
    size_t nsites;
    struct conf_source *sources;
    size_t nsources;
    struct conf_route *routes;
    size_t nroutes;
    bool has_special_routes; /* one or more of them are for some senders or accounts only */
    struct conf_dns dns;
    struct conf_mta_sts mta_sts;
    struct conf_dkim *dkims;
    size_t ndkims;
    struct conf_control control;
    struct conf_log log;
};

/* What ROUTE (NULL: delivery's settings) demands of TLS: verify where there is a user, whatever it says. */
enum conf_delivery_tls conf_tls_of(const struct conf *conf, const struct conf_route *route);

/* Goes mail by ROUTE (or NULL) by the TLSA records of hosts? Not where somebody logs in: a password goes by the authorities, which nobody on
 * the way to the name server can speak for. */
bool conf_goes_by_dane(const struct conf *conf, const struct conf_route *route);

/* Goes mail by ROUTE (or NULL), which is one to MX hosts, by the MTA-STS policies of domains? */
bool conf_goes_by_sts(const struct conf *conf, const struct conf_route *route);

/* The file with the certificate authorities that are trusted: delivery.ca-file, or the system's. Lives as long as CONF. */
const char *conf_ca_file(const struct conf *conf);

/* The route for the recipient domain DOMAIN (lower case) whoever sends: the most specific of name, "*.below", "*", of those that are for all
 * senders and accounts; NULL where none fits: MX. */
const struct conf_route *conf_route_for(const struct conf *conf, struct span domain);

/* The route for mail from SENDER (normal form, empty: null) by ACCOUNT (empty: nobody logged in) where that is one for some senders or
 * accounts only; NULL where conf_route_for decides. The domain comes first: the most specific wins, among equals the one for fewer. */
const struct conf_route *conf_route_special(const struct conf *conf, struct span domain, struct span sender, struct span account);

/* Goes mail for DOMAIN, of some senders at least, to hosts that the settings name? "*" does not count. */
bool conf_is_routed(const struct conf *conf, struct span domain);

/* The pool of sources that mail from SENDER (empty: null) by ACCOUNT (empty: nobody logged in) leaves from where its route names none; "":
 * delivery.source. */
const char *conf_pool_for(const struct conf *conf, struct span sender, struct span account);

/* The pool that SOURCE belongs to. */
const char *conf_source_pool(const struct conf_source *source);

/* Is there a pool of that NAME? */
bool conf_has_pool(const struct conf *conf, const char *name);

/* The route of that NAME, or NULL. */
const struct conf_route *conf_route_named(const struct conf *conf, struct span name);

/* The bounds for the site whose most preferred host is HOST (lower case): those of that name, else of the nearest domain above; NULL where
 * there are none. */
const struct conf_site *conf_site_for(const struct conf *conf, struct span host);

/* NAME, as somebody logs in or writes it, without a realm that tells no accounts apart: policy must see one name of each account, or a
 * limit holds for each spelling by itself. libsasl2 looks in the sasldb for a name with the hostname behind its first '@' as for the one
 * without; saslauthd, unless it is started with -r, looks at nothing behind the '@'. NAME as it is with any other backend. */
struct span conf_account_name(const struct conf *conf, struct span name);

/* The entry for ACCOUNT: its own, else "*", else NULL. */
const struct conf_account *conf_account_for(const struct conf *conf, struct span account);

/* How many submission and delivery processes there are: `processes`, or one a core. */
unsigned conf_processes(const struct conf *conf);

#endif
