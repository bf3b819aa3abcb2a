/* One SSL_CTX for each certificate. The first is that of tls { } and serves whoever asks for no name or an unknown one; the others
 * are chosen by SNI in the handshake's servername callback.
 *
 * Keys come as bytes from the parent; this process could not open their files. Session tickets keep resumption cheap without a
 * cache in memory; their key is the parent's, since the next connection of a client may end in another process. Renegotiation is
 * off (CVE-2009-3555), and so is compression. Buffers of idle connections are given back to the heap: that is most of what a
 * waiting TLS session would cost. */
#include "certificates.h"

#include "../base/text.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define TICKET_KEY_SIZE   80 /* name, HMAC key, AES key: what OpenSSL takes */
#define SECRET_NAME_SIZE  (BUNDLE_NAME_MAX + 1)
#define CERTIFICATE_CHAIN 16 /* certificates of one chain that are sent at most */

struct named {
    char *name; /* "" for the default */
    SSL_CTX *context;
};

struct certificates {
    struct named *items;
    size_t count;
};

/* Nobody types a passphrase here. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static const char *openssl_problem(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : "it cannot be read";
}

/* The secret KIND:PATH as a BIO, or NULL with a log line. */
static BIO *open_secret(const struct bundle *secrets, const char *kind, const char *path)
{
    char name[SECRET_NAME_SIZE];
    struct span bytes = { NULL, 0 };
    if (text_format(name, sizeof name, "%s:%s", kind, path))
        bytes = bundle_get(secrets, name);
    if (!bytes.p) {
        log_say(LOG_ERROR, "error", "The TLS %s %s was not handed over; this process cannot serve TLS and ends.", kind, path);
        return NULL;
    }
    return BIO_new_mem_buf(bytes.p, (int)bytes.n);
}

/* The server's own certificate and those of the chain behind it. */
static bool use_chain(SSL_CTX *context, BIO *pem)
{
    X509 *leaf = PEM_read_bio_X509_AUX(pem, NULL, no_passphrase, NULL);
    bool done = leaf && SSL_CTX_use_certificate(context, leaf) == 1;
    X509_free(leaf);
    for (unsigned i = 0; done && i < CERTIFICATE_CHAIN; i++) {
        X509 *next = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
        if (!next)
            break;
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            done = false;
        }
    }
    if (done)
        ERR_clear_error(); /* the end of the file was reported as "no start line" */
    return done;
}

static bool load_chain(SSL_CTX *context, const struct bundle *secrets, const char *path)
{
    BIO *pem = open_secret(secrets, "certificate", path);
    if (!pem)
        return false;
    bool done = use_chain(context, pem);
    if (!done)
        log_say(LOG_ERROR, "error", "The TLS certificate %s is not usable: %s; this process ends.", path, openssl_problem());
    BIO_free(pem);
    return done;
}

static bool load_key(SSL_CTX *context, const struct bundle *secrets, const char *path)
{
    BIO *pem = open_secret(secrets, "key", path);
    if (!pem)
        return false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    bool done = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    if (!done)
        log_say(LOG_ERROR, "error", "The TLS key %s is not usable with its certificate: %s; this process ends.", path,
                openssl_problem());
    EVP_PKEY_free(key);
    BIO_free(pem);
    return done;
}

static void set_defaults(SSL_CTX *context, const struct conf *conf, const struct bundle *secrets)
{
    static const unsigned char session_id_context[] = "postern";
    struct span key = bundle_get(secrets, "ticket-key");
    SSL_CTX_set_min_proto_version(context, conf->tls_minimum == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, session_id_context, sizeof session_id_context - 1);
    SSL_CTX_set_num_tickets(context, 1);
    if (key.n == TICKET_KEY_SIZE)
        SSL_CTX_set_tlsext_ticket_keys(context, (void *)(uintptr_t)key.p, (long)key.n);
}

static SSL_CTX *context_new(const struct conf *conf, const struct bundle *secrets, const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        abort();
    set_defaults(context, conf, secrets);
    if (load_chain(context, secrets, certificate) && load_key(context, secrets, key))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* The client named a server: take that one's certificate where there is one. */
static int choose_by_name(SSL *ssl, int *alert, void *argument)
{
    const struct certificates *certificates = argument;
    struct span wanted = span_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    (void)alert;
    for (size_t i = 1; wanted.n && i < certificates->count; i++)
        if (span_equal_nocase(span_of(certificates->items[i].name), wanted)) {
            SSL_set_SSL_CTX(ssl, certificates->items[i].context);
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_OK;
}

static bool add(struct certificates *certificates, const char *name, SSL_CTX *context)
{
    if (!context)
        return false;
    certificates->items[certificates->count++] = (struct named){ text_dup(span_of(name)), context };
    return true;
}

struct certificates *certificates_new(const struct conf *conf, const struct bundle *secrets)
{
    struct certificates *certificates = text_zalloc(sizeof *certificates);
    certificates->items = text_zalloc((conf->ncertificates + 1) * sizeof *certificates->items);
    bool done = add(certificates, "", context_new(conf, secrets, conf->tls_certificate, conf->tls_key));
    for (size_t i = 0; done && i < conf->ncertificates; i++) {
        const struct conf_certificate *one = &conf->certificates[i];
        done = add(certificates, one->name, context_new(conf, secrets, one->certificate, one->key));
    }
    if (!done) {
        certificates_free(&certificates);
        return NULL;
    }
    SSL_CTX_set_tlsext_servername_callback(certificates->items[0].context, choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(certificates->items[0].context, certificates);
    return certificates;
}

void certificates_free(struct certificates **certificates)
{
    if (!*certificates)
        return;
    for (size_t i = 0; i < (*certificates)->count; i++) {
        SSL_CTX_free((*certificates)->items[i].context);
        free((*certificates)->items[i].name);
    }
    free((*certificates)->items);
    free(*certificates);
    *certificates = NULL;
}

SSL *certificates_accept(const struct certificates *certificates)
{
    SSL *ssl = SSL_new(certificates->items[0].context);
    if (!ssl)
        abort();
    SSL_set_accept_state(ssl);
    return ssl;
}

bool certificates_binding(SSL *ssl, unsigned char binding[CERTIFICATES_BINDING_SIZE])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    if (SSL_version(ssl) < TLS1_3_VERSION)
        return false;
    return SSL_export_keying_material(ssl, binding, CERTIFICATES_BINDING_SIZE, label, sizeof label - 1, (const unsigned char *)"",
                                      0, 1) == 1;
}
