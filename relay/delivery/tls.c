/* One context a policy. Opportunistic TLS takes whatever the other side can do, down to TLS 1.0 and keys that are weak by today's
 * measure, because the alternative there is no encryption at all; whoever demands TLS gets 1.2 and sound keys.
 *
 * DANE is OpenSSL's: it is told the records and compares. Records that say what a public authority must confirm (usage 0 and 1) cannot be
 * used in SMTP (RFC 7672 3.1.3), and are not handed to it.
 *
 * Sessions are kept by us, not by OpenSSL's own cache, which looks them up for servers only. The key is policy, host, port, user, domain (where its name
 * counts) and what the TLSA records say: a session made without verification is never resumed where verification is demanded, nor one of a login where another
 * logs in, nor one of a certificate that the records do not name any more. OpenSSL hands a session over when the server
 * has sent it (in TLS 1.3 some time after the handshake), together with the SSL, whose ex_data carries the key. */
#include "tls.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"
#include "connect.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#define TLS_SESSIONS_MAX  1024 /* beyond, all are forgotten and gathered anew */
#define TLS_SESSION_S     3600 /* no session is resumed that is older, whatever the server says */
#define TLS_PLAIN_MAX     4096 /* the same for hosts that cannot do TLS */
#define TLS_PLAIN_MS      (60 * 60 * 1000)
#define TLS_KEY_SIZE      (SMTP_DOMAIN_SIZE + 32 + 256) /* a longer one has no session */
#define TLSA_HEAD         3 /* bytes of a TLSA record: usage, selector, matching type (RFC 6698 2.1) */
#define TLSA_TRUST_ANCHOR 2 /* DANE-TA (RFC 7218 2.1) */
#define TLSA_END_ENTITY   3 /* DANE-EE */

struct tls {
    SSL_CTX *contexts[TLS_POLICIES]; /* NULL for TLS_NONE */
    struct map *sessions;            /* key → SSL_SESSION */
    struct map *plain;               /* host → monotonic time until which it is remembered, as a pointer */
    int key_index;                   /* of an SSL's ex_data: its key, heap */
};

static const struct {
    const char *text;
    const char *proof; /* told behind the cipher */
    int version_min;
    int security_level;
    int verify;
} policies[TLS_POLICIES] = {
    [TLS_NONE] = { "none", "", 0, 0, 0 },
    [TLS_OPPORTUNISTIC] = { "opportunistic", "", TLS1_VERSION, 0, SSL_VERIFY_NONE },
    [TLS_ENCRYPT] = { "encrypt", "", TLS1_2_VERSION, 1, SSL_VERIFY_NONE },
    [TLS_VERIFY] = { "verify", " verified", TLS1_2_VERSION, 2, SSL_VERIFY_PEER },
    [TLS_DANE] = { "dane", " dane", TLS1_2_VERSION, 1, SSL_VERIFY_PEER },
};

static void free_session(void *session)
{
    SSL_SESSION_free(session);
}

static void free_key(void *parent, void *key, CRYPTO_EX_DATA *data, int index, long argument, void *pointer)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argument;
    (void)pointer;
    free(key);
}

/* A server gave a session; returns 1 where it is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *key = SSL_get_ex_data(ssl, tls->key_index);
    bool full = false;
    if (!key)
        return 0;
    SSL_SESSION *old = map_put(tls->sessions, span_of(key), session, &full);
    if (full) {
        map_free(&tls->sessions, free_session);
        tls->sessions = map_new(TLS_SESSIONS_MAX);
        old = map_put(tls->sessions, span_of(key), session, NULL);
    }
    SSL_SESSION_free(old);
    return 1;
}

static SSL_CTX *make_context(struct tls *tls, enum tls_policy policy)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return NULL;
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_security_level(context, policies[policy].security_level);
    SSL_CTX_set_min_proto_version(context, policies[policy].version_min);
    SSL_CTX_set_verify(context, policies[policy].verify, NULL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    if (policy == TLS_DANE && SSL_CTX_dane_enable(context) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* May anything verify, by CONF or by the policies of domains? Reading some hundred certificates takes a while, so it is done only then. */
static bool needs_authorities(const struct conf *conf)
{
    if (conf->delivery.tls == CONF_DELIVERY_VERIFY || conf_goes_by_sts(conf, NULL))
        return true;
    for (size_t i = 0; i < conf->nroutes; i++)
        if (conf->routes[i].user[0] || conf_goes_by_sts(conf, &conf->routes[i]) ||
            (conf->routes[i].tls_given && conf->routes[i].tls == CONF_DELIVERY_VERIFY))
            return true;
    return false;
}

static void load_authorities(SSL_CTX *context, const struct conf *conf)
{
    const char *path = conf_ca_file(conf);
    if (SSL_CTX_load_verify_file(context, path) == 1)
        return;
    unsigned long error = ERR_peek_last_error();
    const char *why = error ? ERR_reason_error_string(error) : NULL;
    log_say(
        LOG_ERROR, "error",
        "the certificate authorities in %s cannot be read (%s): no server's certificate will verify, and mail over routes with "
        "tls = verify or a user waits, and that to domains whose MTA-STS policy says enforce",
        path, why ? why : "no reason given");
    ERR_clear_error();
}

struct tls *tls_new(const struct conf *conf)
{
    struct tls *tls = text_zalloc(sizeof *tls);
    tls->key_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_key);
    tls->sessions = map_new(TLS_SESSIONS_MAX);
    tls->plain = map_new(TLS_PLAIN_MAX);
    for (enum tls_policy policy = TLS_OPPORTUNISTIC; policy < TLS_POLICIES; policy++) {
        tls->contexts[policy] = make_context(tls, policy);
        if (!tls->contexts[policy]) {
            log_say(LOG_ERROR, "error", "OpenSSL gives no TLS context");
            tls_free(&tls);
            return NULL;
        }
    }
    if (needs_authorities(conf))
        load_authorities(tls->contexts[TLS_VERIFY], conf);
    return tls;
}

void tls_free(struct tls **tls)
{
    if (!*tls)
        return;
    for (size_t i = 0; i < TLS_POLICIES; i++)
        SSL_CTX_free((*tls)->contexts[i]);
    map_free(&(*tls)->sessions, free_session);
    map_free(&(*tls)->plain, NULL);
    free(*tls);
    *tls = NULL;
}

/* Offers SSL the session that is kept at KEY, where there is one that is not too old. */
static void offer_session(struct tls *tls, SSL *ssl, struct span key)
{
    SSL_SESSION *session = map_get(tls->sessions, key);
    if (!session)
        return;
    long age_s = (long)time(NULL) - SSL_SESSION_get_time(session);
    if (age_s >= 0 && age_s < TLS_SESSION_S)
        SSL_set_session(ssl, session);
    else
        SSL_SESSION_free(map_remove(tls->sessions, key));
}

/* SNI names hosts only, never addresses (RFC 6066 3). */
static bool set_name(SSL *ssl, enum tls_policy policy, const struct tls_peer *peer)
{
    const char *host = peer->host;
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | (peer->sts ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0);
    struct netaddr address;
    char text[NETADDR_TEXT_SIZE];
    bool literal = connect_literal(span_of(host), &address);
    if (!literal && SSL_set_tlsext_host_name(ssl, host) != 1)
        return false;
    if (policy != TLS_VERIFY)
        return true;
    if (!literal) {
        SSL_set_hostflags(ssl, flags);
        return SSL_set1_host(ssl, host) == 1;
    }
    netaddr_print(&address, text);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
}

enum records { RECORDS_FAILED, RECORDS_OF_NO_USE, RECORDS_SET };

/* Tells OpenSSL one record (RFC 6698 2.1). */
static enum records add_record(SSL *ssl, struct span record)
{
    const unsigned char *bytes = (const unsigned char *)record.p;
    if (record.n <= TLSA_HEAD || (bytes[0] != TLSA_TRUST_ANCHOR && bytes[0] != TLSA_END_ENTITY))
        return RECORDS_OF_NO_USE;
    int added = SSL_dane_tlsa_add(ssl, bytes[0], bytes[1], bytes[2], bytes + TLSA_HEAD, record.n - TLSA_HEAD);
    return added < 0 ? RECORDS_FAILED : added == 0 ? RECORDS_OF_NO_USE : RECORDS_SET;
}

/* The names that a certificate may be for: the host's, where its records are (which SNI says too), or the domain's (RFC 7672 3.2.2). A record
 * that names the server's own certificate asks for none (3.1.1). */
static bool set_names(SSL *ssl, const struct tls_peer *peer)
{
    const char *const names[] = { peer->host, peer->domain, peer->alias_of };
    if (SSL_dane_enable(ssl, peer->tlsa->base) != 1)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i] && SSL_add1_host(ssl, names[i]) != 1)
            return false;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    return true;
}

/* The certificate must be one that the records of PEER's host name. */
static enum records set_records(SSL *ssl, const struct tls_peer *peer)
{
    const struct dns_tlsa *tlsa = peer->tlsa;
    struct span record, rest = span_head(span_make(tlsa->records, tlsa->size), sizeof tlsa->records);
    enum records all = set_names(ssl, peer) ? RECORDS_OF_NO_USE : RECORDS_FAILED;
    while (all != RECORDS_FAILED && dns_next_record(&rest, &record)) {
        enum records one = add_record(ssl, record);
        all = one == RECORDS_OF_NO_USE ? all : one;
    }
    ERR_clear_error();
    return all;
}

/* The SSL object that does what PEER's policy says; *ret_policy is what that comes to. NULL where there is none. */
static SSL *make_client(struct tls *tls, const struct tls_peer *peer, enum tls_policy *ret_policy)
{
    enum tls_policy policy = peer->policy;
    SSL *ssl = tls->contexts[policy] ? SSL_new(tls->contexts[policy]) : NULL;
    enum records records = ssl && policy == TLS_DANE ? set_records(ssl, peer) : RECORDS_SET;
    if (records == RECORDS_OF_NO_USE) {
        SSL_free(ssl);
        policy = peer->otherwise;
        ssl = SSL_new(tls->contexts[policy]);
    }
    *ret_policy = policy;
    if (!ssl || (records != RECORDS_FAILED && (policy == TLS_DANE || set_name(ssl, policy, peer))))
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* Writes the key under which sessions of PEER are kept. False where it is too long, or cannot be had. */
static bool write_key(const struct tls_peer *peer, enum tls_policy policy, char key[TLS_KEY_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    uint64_t records = 0;
    if (policy == TLS_DANE) {
        const char *from = (const char *)peer->tlsa + offsetof(struct dns_tlsa, base);
        if (EVP_Digest(from, sizeof peer->tlsa->base + peer->tlsa->size, digest, NULL, EVP_sha256(), NULL) != 1)
            return false;
        memcpy(&records, digest, sizeof records);
    }
    return text_format(key, TLS_KEY_SIZE, "%d%s %s:%u %llx %s %s", (int)policy, peer->sts ? " sts" : "", peer->host, peer->port,
                       (unsigned long long)records, peer->domain, peer->user);
}

SSL *tls_client(struct tls *tls, const struct tls_peer *peer)
{
    char key[TLS_KEY_SIZE];
    enum tls_policy policy;
    SSL *ssl = make_client(tls, peer, &policy);
    if (!ssl)
        return NULL;
    SSL_set_connect_state(ssl);
    if (write_key(peer, policy, key)) {
        offer_session(tls, ssl, span_of(key));
        SSL_set_ex_data(ssl, tls->key_index, text_dup(span_of(key)));
    }
    return ssl;
}

static enum tls_policy policy_of(const SSL *ssl)
{
    const SSL_CTX *context = SSL_get_SSL_CTX(ssl);
    const struct tls *tls = SSL_CTX_get_app_data(context);
    enum tls_policy policy = TLS_NONE;
    while (tls->contexts[policy] != context)
        policy++;
    return policy;
}

void tls_describe(const SSL *ssl, char text[DELIVERY_TLS_SIZE])
{
    text_format(text, DELIVERY_TLS_SIZE, "%s %s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl),
                policies[policy_of(ssl)].proof);
}

const char *tls_policy_text(enum tls_policy policy)
{
    return policies[policy].text;
}

bool tls_is_mismatch(const SSL *ssl)
{
    return ssl && SSL_get_verify_result(ssl) == X509_V_ERR_HOSTNAME_MISMATCH;
}

void tls_remember_plain(struct tls *tls, const char *host)
{
    void *until = (void *)(intptr_t)(clock_monotonic_ms() + TLS_PLAIN_MS);
    bool full = false;
    map_put(tls->plain, span_of(host), until, &full);
    if (full) {
        map_free(&tls->plain, NULL);
        tls->plain = map_new(TLS_PLAIN_MAX);
        map_put(tls->plain, span_of(host), until, NULL);
    }
}

bool tls_is_plain(const struct tls *tls, const char *host)
{
    intptr_t until = (intptr_t)map_get(tls->plain, span_of(host));
    return until && clock_monotonic_ms() < until;
}
