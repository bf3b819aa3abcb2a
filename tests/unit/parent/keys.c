/* Files with secrets: what does not fit is told with its path and reason, all of it in one go, and nothing is handed on then. */
#include "../../../relay/parent/keys.h"
#include "folder.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static char folder[64];
static char certificate[128], key[128], other_key[128], locked_key[128], empty[128], text[128], password[128], absent[128];
static struct complaints complaints;
static struct bundle *secrets[ROLE_KINDS];
static const struct span ticket = { "ticket", 6 };

static void write_bio(const char *name, BIO *bio, char path[128])
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    folder_write(folder, name, span_make(bytes, (size_t)size), path);
    BIO_free(bio);
}

static void write_key(const char *name, EVP_PKEY *private_key, const char *passphrase, char path[128])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int size = passphrase ? (int)strlen(passphrase) : 0;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, private_key, passphrase ? EVP_aes_128_cbc() : NULL,
                                              (const unsigned char *)passphrase, size, NULL, NULL),
                     1);
    write_bio(name, bio, path);
}

static void write_certificate(EVP_PKEY *private_key)
{
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, private_key);
    assert_true(X509_sign(x509, private_key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x509), 1);
    write_bio("certificate", bio, certificate);
    X509_free(x509);
}

static int set_up(void **state)
{
    EVP_PKEY *own = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    (void)state;
    folder_make(folder);
    write_certificate(own);
    write_key("key", own, NULL, key);
    write_key("other", other, NULL, other_key);
    write_key("locked", own, "passphrase", locked_key);
    folder_write(folder, "empty", SPAN(""), empty);
    folder_write(folder, "text", SPAN("-----BEGIN CERTIFICATE-----\nnonsense\n"), text);
    folder_write(folder, "password", SPAN("wonder land\n"), password);
    text_format(absent, sizeof absent, "%s/absent", folder);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_clear(folder);
    return 0;
}

static bool load(const struct conf *conf)
{
    complaints = (struct complaints){ "", 0 };
    memset(secrets, 0xff, sizeof secrets); /* whatever was there */
    return keys_load(conf, ticket, secrets, complaints_take, &complaints);
}

static void has(const struct bundle *bundle, const char *prefix, const char *path)
{
    char name[256];
    text_format(name, sizeof name, "%s:%s", prefix, path);
    assert_non_null(bundle_get(bundle, name).p);
}

static void each_role_gets_its_own(void **state)
{
    struct conf_certificate more = { (char *)(uintptr_t) "mail.example", certificate, key };
    struct conf_route routes[] = { { .password_file = password }, { .password_file = empty + strlen(empty) } };
    struct conf conf = { .tls_certificate = certificate, .tls_key = key, .certificates = &more, .ncertificates = 1 };
    (void)state;
    conf.routes = routes;
    conf.nroutes = COUNT(routes);
    assert_true(load(&conf));
    assert_string_equal(complaints.text, "");
    has(secrets[ROLE_SUBMISSION], "certificate", certificate);
    has(secrets[ROLE_SUBMISSION], "key", key);
    has(secrets[ROLE_DELIVERY], "password", password);
    assert_true(span_equal(bundle_get(secrets[ROLE_SUBMISSION], "ticket-key"), ticket));
    assert_null(bundle_get(secrets[ROLE_DELIVERY], "ticket-key").p);
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        assert_true(kind == ROLE_SUBMISSION || kind == ROLE_DELIVERY || !secrets[kind]);
    keys_free(secrets);
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        assert_null(secrets[kind]);
    keys_free(secrets);
}

static void what_does_not_fit_is_told(void **state)
{
    const struct {
        const char *certificate, *key, *told;
    } cases[] = {
        { certificate, other_key, "/other: does not belong to the certificate beside it" },
        { certificate, locked_key, "/locked: holds no private key in PEM form without passphrase" },
        { certificate, empty, "/empty: holds no private key" },
        { certificate, text, "/text: holds no private key" },
        { certificate, certificate, "/certificate: holds no private key" },
        { certificate, absent, "/absent: No such file or directory" },
        { certificate, folder, ": Is a directory" },
        { empty, key, "/empty: holds no certificate in PEM form" },
        { text, key, "/text: holds no certificate in PEM form" },
        { key, key, "/key: holds no certificate in PEM form" },
        { absent, key, "certificate " },
        { "/dev/zero", key, "/dev/zero: " },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf conf = { .tls_certificate = (char *)(uintptr_t)cases[i].certificate,
                             .tls_key = (char *)(uintptr_t)cases[i].key };
        if (load(&conf) || complaints.count != 1 || !strstr(complaints.text, cases[i].told))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, complaints.text, cases[i].told);
        for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
            assert_null(secrets[kind]);
    }
}

/* Keys mostly are root's: who is not root hears it. */
static void who_may_not_read_is_told_who_may(void **state)
{
    struct conf conf = { .tls_certificate = certificate, .tls_key = key };
    (void)state;
    assert_int_equal(chmod(folder, 0755) || chmod(certificate, 0644) || chmod(key, 0), 0);
    bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(65534) == 0);
    bool loaded = load(&conf);
    assert_true(!is_root || seteuid(0) == 0);
    assert_int_equal(chmod(key, 0600), 0);
    assert_false(loaded);
    assert_int_equal(complaints.count, 1);
    assert_non_null(strstr(complaints.text, "/key: Permission denied; run posternd as root, or let this user read the file\n"));
}

static void passwords_need_a_line(void **state)
{
    static char longest[9000];
    const struct {
        struct span content;
        bool good;
    } cases[] = {
        { SPAN("secret"), true },    { SPAN("secret\nmore\n"), true }, { SPAN(""), false },
        { SPAN("\n"), false },       { SPAN("\nsecret\n"), false },    { SPAN("\r\n"), false },
        { { longest, 8192 }, true }, { { longest, 8193 }, false },
    };
    (void)state;
    memset(longest, 'p', sizeof longest);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char path[128];
        folder_write(folder, "tried", cases[i].content, path);
        struct conf_route route = { .password_file = path };
        struct conf conf = { .tls_certificate = empty + strlen(empty), .routes = &route, .nroutes = 1 };
        if (load(&conf) != cases[i].good)
            fail_msg("case %zu: \"%s\"", i, complaints.text);
        assert_int_equal(strstr(complaints.text, "/tried: must hold the password on its first line") == NULL, cases[i].good);
        keys_free(secrets);
    }
}

static void all_is_told_in_one_go(void **state)
{
    static char longest[600];
    struct conf_certificate more[] = { { .certificate = text, .key = key }, { .certificate = longest, .key = absent } };
    struct conf_route route = { .password_file = absent };
    struct conf conf = { .tls_certificate = absent, .tls_key = absent, .certificates = more, .ncertificates = COUNT(more) };
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    conf.routes = &route;
    conf.nroutes = 1;
    assert_false(load(&conf));
    assert_int_equal(complaints.count, 6);
    assert_non_null(strstr(complaints.text, ": File name too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_gets_its_own),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(who_may_not_read_is_told_who_may),
        cmocka_unit_test(passwords_need_a_line),
        cmocka_unit_test(all_is_told_in_one_go),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
