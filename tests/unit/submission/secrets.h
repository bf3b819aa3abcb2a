/* Certificates made on the spot, and a client for them: what the TLS side of submission is tested with. */
#ifndef POSTERN_TESTS_SUBMISSION_SECRETS_H
#define POSTERN_TESTS_SUBMISSION_SECRETS_H

#include "../../../relay/base/bundle.h"
#include "../unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Adds BIO's content to SECRETS under KIND:PATH. */
static inline void secrets_take(struct bundle *secrets, const char *kind, const char *path, BIO *bio)
{
    char name[128], *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    snprintf(name, sizeof name, "%s:%s", kind, path);
    assert_true(bundle_add(secrets, name, span_make(bytes, (size_t)size)));
    BIO_free(bio);
}

/* Adds a self-signed certificate for NAME and its key to SECRETS as certificate:NAME.pem and key:NAME.key. */
static inline void secrets_add(struct bundle *secrets, const char *name)
{
    char path[96];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    BIO *certificate = BIO_new(BIO_s_mem()), *private_key = BIO_new(BIO_s_mem());
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME *subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, subject);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(certificate, x509), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(private_key, key, NULL, NULL, 0, NULL, NULL), 1);
    snprintf(path, sizeof path, "%s.pem", name);
    secrets_take(secrets, "certificate", path, certificate);
    snprintf(path, sizeof path, "%s.key", name);
    secrets_take(secrets, "key", path, private_key);
    X509_free(x509);
    EVP_PKEY_free(key);
}

#endif
