/* The server side of TLS over memory: which certificate is shown, which versions are spoken, what is refused. */
#include "../../../relay/submission/certificates.h"
#include "secrets.h"

static struct conf_certificate others[] = { { (char *)"mail.other.example", (char *)"mail.other.example.pem",
                                              (char *)"mail.other.example.key" } };

static struct conf settings(void)
{
    return (struct conf){
        .tls_certificate = (char *)"relay.example.net.pem",
        .tls_key = (char *)"relay.example.net.key",
        .certificates = others,
        .ncertificates = COUNT(others),
    };
}

static struct bundle *make_secrets(void)
{
    static const char ticket_key[80] = "a key that all processes share";
    struct bundle *secrets = bundle_new();
    secrets_add(secrets, "relay.example.net");
    secrets_add(secrets, "mail.other.example");
    bundle_add(secrets, "ticket-key", span_make(ticket_key, sizeof ticket_key));
    return secrets;
}

/* A client and a server joined by memory. */
struct pair {
    SSL_CTX *context;
    SSL *client, *server;
};

static struct pair join(const struct certificates *certificates, int max_version, const char *name, SSL_SESSION *resumed)
{
    struct pair pair = { SSL_CTX_new(TLS_client_method()), NULL, certificates_accept(certificates) };
    BIO *near, *far;
    SSL_CTX_set_max_proto_version(pair.context, max_version);
    pair.client = SSL_new(pair.context);
    SSL_set_connect_state(pair.client);
    if (name)
        SSL_set_tlsext_host_name(pair.client, name);
    if (resumed)
        SSL_set_session(pair.client, resumed);
    assert_int_equal(BIO_new_bio_pair(&near, 0, &far, 0), 1);
    SSL_set_bio(pair.client, near, near);
    SSL_set_bio(pair.server, far, far);
    return pair;
}

static bool shake(struct pair *pair)
{
    for (int i = 0; i < 20 && !(SSL_is_init_finished(pair->client) && SSL_is_init_finished(pair->server)); i++) {
        SSL_do_handshake(pair->client);
        SSL_do_handshake(pair->server);
    }
    return SSL_is_init_finished(pair->client) && SSL_is_init_finished(pair->server);
}

static void part(struct pair *pair)
{
    SSL_free(pair->client);
    SSL_free(pair->server);
    SSL_CTX_free(pair->context);
}

static void chosen_by_name(void **state)
{
    static const struct {
        const char *wanted, *shown;
    } cases[] = {
        { NULL, "relay.example.net" },
        { "relay.example.net", "relay.example.net" },
        { "mail.other.example", "mail.other.example" },
        { "MAIL.other.EXAMPLE", "mail.other.example" },
        { "nobody.example", "relay.example.net" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[64];
        struct pair pair = join(*state, 0, cases[i].wanted, NULL);
        assert_true(shake(&pair));
        X509 *shown = SSL_get1_peer_certificate(pair.client);
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
        assert_string_equal(name, cases[i].shown);
        X509_free(shown);
        part(&pair);
    }
}

static void old_versions_refused(void **state)
{
    (void)state;
    struct conf conf = settings();
    struct bundle *secrets = make_secrets();
    conf.tls_minimum = CONF_TLS_1_3;
    struct certificates *certificates = certificates_new(&conf, secrets);
    struct pair pair = join(certificates, TLS1_2_VERSION, NULL, NULL);
    assert_false(shake(&pair));
    part(&pair);
    pair = join(certificates, TLS1_3_VERSION, NULL, NULL);
    assert_true(shake(&pair));
    part(&pair);
    certificates_free(&certificates);
    bundle_free(&secrets);
}

/* Both ends export the same binding, from TLS 1.3 on. */
static void binding(void **state)
{
    unsigned char ours[CERTIFICATES_BINDING_SIZE], theirs[CERTIFICATES_BINDING_SIZE];
    struct pair pair = join(*state, 0, NULL, NULL);
    assert_true(shake(&pair));
    assert_true(certificates_binding(pair.server, ours));
    assert_true(certificates_binding(pair.client, theirs));
    assert_memory_equal(ours, theirs, sizeof ours);
    part(&pair);
    pair = join(*state, TLS1_2_VERSION, NULL, NULL);
    assert_true(shake(&pair));
    assert_false(certificates_binding(pair.server, ours));
    part(&pair);
}

/* CVE-2009-3555: a client that asks for a renegotiation does not get one. */
static void no_renegotiation(void **state)
{
    char byte;
    struct pair pair = join(*state, TLS1_2_VERSION, NULL, NULL);
    assert_true(shake(&pair));
    SSL_renegotiate(pair.client);
    SSL_do_handshake(pair.client);
    SSL_read(pair.server, &byte, 1);
    assert_true(SSL_do_handshake(pair.client) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    part(&pair);
}

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* A session of one process is resumed in another, which has the same ticket key and nothing else in common. */
static void resumed_elsewhere(void **state)
{
    char byte;
    struct conf conf = settings();
    struct bundle *secrets = make_secrets();
    struct certificates *elsewhere = certificates_new(&conf, secrets);
    struct pair pair = join(*state, 0, NULL, NULL);
    SSL_CTX_set_session_cache_mode(pair.context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(pair.context, keep_session);
    assert_true(shake(&pair));
    SSL_read(pair.client, &byte, 1); /* takes the ticket */
    assert_non_null(kept);
    struct pair again = join(elsewhere, 0, NULL, kept); /* the first one stays: its end would spoil the session */
    assert_true(shake(&again));
    assert_true(SSL_session_reused(again.server));
    part(&again);
    part(&pair);
    SSL_SESSION_free(kept);
    kept = NULL;
    certificates_free(&elsewhere);
    bundle_free(&secrets);
}

/* What is missing or does not fit ends the start. */
static void unusable(void **state)
{
    (void)state;
    static const char *const missing[] = { "certificate:relay.example.net.pem", "key:relay.example.net.key",
                                           "key:mail.other.example.key" };
    struct conf conf = settings();
    struct bundle *nothing = bundle_new();
    assert_null(certificates_new(&conf, nothing));
    bundle_free(&nothing);
    for (size_t i = 0; i < COUNT(missing); i++) {
        struct bundle *secrets = make_secrets();
        bundle_add(secrets, missing[i], SPAN("-----BEGIN NOTHING-----\n"));
        assert_null(certificates_new(&conf, secrets));
        bundle_free(&secrets);
    }
    struct bundle *secrets = make_secrets(), *others_secrets = make_secrets();
    bundle_add(secrets, "key:relay.example.net.key", bundle_get(others_secrets, "key:mail.other.example.key"));
    assert_null(certificates_new(&conf, secrets));
    bundle_free(&secrets);
    bundle_free(&others_secrets);
}

static int set_up(void **state)
{
    struct conf conf = settings();
    struct bundle *secrets = make_secrets();
    *state = certificates_new(&conf, secrets);
    bundle_free(&secrets);
    return *state ? 0 : 1;
}

static int tear_down(void **state)
{
    struct certificates *certificates = *state;
    certificates_free(&certificates);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_by_name),   cmocka_unit_test(old_versions_refused), cmocka_unit_test(binding),
        cmocka_unit_test(no_renegotiation), cmocka_unit_test(resumed_elsewhere),    cmocka_unit_test(unusable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
