/* Everything is checked before it is used: a key that belongs to another certificate, or one with a passphrase, makes `posternd
 * -n`, `postern check` and a reload fail, where it would else make every handshake fail. Whether the certificate's name and dates are right is
 * the client's to judge, and not looked at: an expired one must not keep a relay from starting.
 *
 * A secret stands in memory until its bundle is freed, which wipes it. PEM text goes through OpenSSL's own memory too, which it wipes for
 * keys. */
#include "files.h"

#include "../base/text.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#define FILES_NAME_SIZE    BUNDLE_NAME_MAX
#define FILES_PASSWORD_MAX 8192 /* access tokens are long */

/* Where complaints go, and whether there was one. */
struct check {
    const struct conf *conf;
    conf_complain complain;
    conf_complain denied; /* or NULL: as complain */
    void *context;
    bool failed;
};

/* Where a file is named in the configuration. */
struct place {
    const char *section, *title;
};

static void complain(struct check *check, struct place place, const char *key, const char *path, const char *why)
{
    char line[1024];
    text_format(line, sizeof line, "%s %s: %s", key, path, why);
    conf_complain_of(check->conf, place.section, place.title, key, line, check->complain, check->context);
    check->failed = true;
}

/* A file that cannot be read, for the reason in errno. */
static void complain_of_errno(struct check *check, struct place place, const char *key, const char *path)
{
    char line[1024];
    if (errno != EACCES) {
        complain(check, place, key, path, strerror(errno));
    } else if (check->denied) {
        text_format(line, sizeof line, "%s %s: %s", key, path, strerror(errno));
        conf_complain_of(check->conf, place.section, place.title, key, line, check->denied, check->context);
    } else {
        complain(check, place, key, path,
                 geteuid() == 0 ? "Permission denied"
                                : "Permission denied; run posternd as root, or let this user read the file");
    }
}

/* Adds the file PATH, which KEY names, to BUNDLE under PREFIX:PATH. */
static bool add_file(struct check *check, struct bundle *bundle, const char *prefix, struct place place, const char *key,
                     const char *path)
{
    char name[FILES_NAME_SIZE];
    errno = ENAMETOOLONG;
    if (text_format(name, sizeof name, "%s:%s", prefix, path) && bundle_add_file(bundle, name, path))
        return true;
    complain_of_errno(check, place, key, path);
    return false;
}

static BIO *bio_of(const struct bundle *bundle, const char *prefix, const char *path)
{
    char name[FILES_NAME_SIZE];
    text_format(name, sizeof name, "%s:%s", prefix, path);
    struct span bytes = bundle_get(bundle, name);
    return BIO_new_mem_buf(bytes.p, (int)bytes.n);
}

/* No passphrase is asked for: a daemon has nobody to ask. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

/* Does the key belong to the certificate? */
static void check_pair(struct check *check, const struct bundle *bundle, struct place place, const char *certificate,
                       const char *key)
{
    BIO *certificate_bio = bio_of(bundle, "certificate", certificate);
    BIO *key_bio = bio_of(bundle, "key", key);
    X509 *x509 = PEM_read_bio_X509(certificate_bio, NULL, no_passphrase, NULL);
    EVP_PKEY *private_key = PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
    if (!x509)
        complain(check, place, "certificate", certificate, "holds no certificate in PEM form");
    else if (!private_key)
        complain(check, place, "key", key, "holds no private key in PEM form without passphrase");
    else if (X509_check_private_key(x509, private_key) != 1)
        complain(check, place, "key", key, "does not belong to the certificate beside it");
    EVP_PKEY_free(private_key);
    X509_free(x509);
    BIO_free(key_bio);
    BIO_free(certificate_bio);
    ERR_clear_error();
}

static void load_pair(struct check *check, struct bundle *bundle, struct place place, const char *certificate, const char *key)
{
    if (!*certificate)
        return;
    bool both = add_file(check, bundle, "certificate", place, "certificate", certificate);
    both = add_file(check, bundle, "key", place, "key", key) && both;
    if (both)
        check_pair(check, bundle, place, certificate, key);
}

static void load_password(struct check *check, struct bundle *bundle, struct place place, const char *key, const char *path)
{
    char name[FILES_NAME_SIZE];
    if (!*path || !add_file(check, bundle, "password", place, key, path))
        return;
    text_format(name, sizeof name, "password:%s", path);
    struct span password = bundle_get(bundle, name);
    if (!password.n || password.n > FILES_PASSWORD_MAX || strchr("\r\n", password.p[0]))
        complain(check, place, key, path, "must hold the password on its first line");
}

static void load_passwords(struct check *check, struct bundle *bundle, const struct conf *conf)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        load_password(check, bundle, (struct place){ "route", conf->routes[i].name }, "password-file",
                      conf->routes[i].password_file);
}

bool files_load_passwords(const struct conf *conf, struct bundle *delivery, conf_complain tell, void *context)
{
    struct check check = { conf, tell, NULL, context, false };
    load_passwords(&check, delivery, conf);
    return !check.failed;
}

bool files_load(const struct conf *conf, const struct files *files, conf_complain tell, conf_complain denied, void *context)
{
    struct check check = { conf, tell, denied, context, false };
    load_pair(&check, files->submission, (struct place){ "tls", "" }, conf->tls_certificate, conf->tls_key);
    for (size_t i = 0; i < conf->ncertificates; i++)
        load_pair(&check, files->submission, (struct place){ "certificate", conf->certificates[i].name },
                  conf->certificates[i].certificate, conf->certificates[i].key);
    load_passwords(&check, files->delivery, conf);
    if (conf->policy.redis_store)
        load_password(&check, files->policy, (struct place){ "policy", "" }, "redis-password-file",
                      conf->policy.redis_password_file);
    return !check.failed;
}
