/* SaltedPassword = PBKDF2-HMAC-SHA-256(password, salt, iterations); StoredKey = SHA-256(HMAC(SaltedPassword, "Client Key"));
 * ServerKey = HMAC(SaltedPassword, "Server Key") (RFC 5802 3). Whoever reads a verifier can try passwords against it, and can pose
 * as the server to that client, but cannot log in with it.
 *
 * SASLprep is left out on purpose: libsasl2, on the other side of SCRAM-SHA-256, feeds the password to PBKDF2 as it comes, most
 * clients do too, and a password that is hashed differently in two places is one that does not work. */
#include "scram.h"

#include "base64.h"
#include "random.h"
#include "text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define SCRAM_PREFIX "SCRAM-SHA-256$"

/* HMAC-SHA-256 of TEXT with a key of SCRAM_KEY_SIZE bytes. */
static bool keyed_hash(const unsigned char *key, const char *text, unsigned char *hash)
{
    unsigned size = 0;
    return HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, (const unsigned char *)text, strlen(text), hash, &size) &&
           size == SCRAM_KEY_SIZE;
}

/* Sets the keys of VERIFIER, whose salt and iterations are set, from PASSWORD. */
static bool derive(struct scram_verifier *verifier, struct span password)
{
    unsigned char salted[SCRAM_KEY_SIZE], client_key[SCRAM_KEY_SIZE];
    bool done = PKCS5_PBKDF2_HMAC(password.p, (int)password.n, verifier->salt, (int)verifier->salt_size,
                                  (int)verifier->iterations, EVP_sha256(), SCRAM_KEY_SIZE, salted) == 1 &&
                keyed_hash(salted, "Client Key", client_key) && keyed_hash(salted, "Server Key", verifier->server_key) &&
                SHA256(client_key, sizeof client_key, verifier->stored_key);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return done;
}

bool scram_make(struct span password, uint32_t iterations, struct scram_verifier *ret_verifier)
{
    struct scram_verifier verifier = { .iterations = iterations, .salt_size = SCRAM_SALT_DEFAULT };
    random_bytes(verifier.salt, verifier.salt_size);
    if (!derive(&verifier, password))
        return false;
    *ret_verifier = verifier;
    return true;
}

bool scram_check(const struct scram_verifier *verifier, struct span password)
{
    struct scram_verifier tried = *verifier;
    if (!scram_password(password))
        return false;
    bool right = derive(&tried, password) && CRYPTO_memcmp(tried.stored_key, verifier->stored_key, sizeof tried.stored_key) == 0;
    OPENSSL_cleanse(&tried, sizeof tried);
    return right;
}

/* Decodes base64 TEXT of MIN to MAX bytes into BYTES; returns how many, or 0. */
static size_t decode(struct span text, unsigned char *bytes, size_t min, size_t max)
{
    struct buffer buffer;
    size_t size = 0;
    /* The maximum counts what is reserved while decoding: up to two bytes that padding takes away again. */
    buffer_init(&buffer, max + 2);
    if (base64_decode(text, &buffer) && buffer_size(&buffer) >= min && buffer_size(&buffer) <= max) {
        size = buffer_size(&buffer);
        memcpy(bytes, buffer_span(&buffer).p, size);
    }
    buffer_wipe(&buffer);
    return size;
}

bool scram_parse(struct span text, struct scram_verifier *ret_verifier)
{
    struct scram_verifier verifier = { 0 };
    uint64_t iterations;
    if (text.n >= SCRAM_TEXT_SIZE || !span_equal(span_head(text, sizeof SCRAM_PREFIX - 1), SPAN(SCRAM_PREFIX)))
        return false;
    text = span_skip(text, sizeof SCRAM_PREFIX - 1);
    if (!text_number(span_cut(&text, ':'), SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, &iterations))
        return false;
    verifier.iterations = (uint32_t)iterations;
    verifier.salt_size = (uint32_t)decode(span_cut(&text, '$'), verifier.salt, SCRAM_SALT_MIN, SCRAM_SALT_MAX);
    bool whole = verifier.salt_size && decode(span_cut(&text, ':'), verifier.stored_key, SCRAM_KEY_SIZE, SCRAM_KEY_SIZE) &&
                 decode(text, verifier.server_key, SCRAM_KEY_SIZE, SCRAM_KEY_SIZE);
    if (whole)
        *ret_verifier = verifier;
    OPENSSL_cleanse(&verifier, sizeof verifier);
    return whole;
}

void scram_print(const struct scram_verifier *verifier, char text[SCRAM_TEXT_SIZE])
{
    struct buffer buffer;
    buffer_init(&buffer, SCRAM_TEXT_SIZE - 1);
    buffer_addf(&buffer, SCRAM_PREFIX "%u:", (unsigned)verifier->iterations);
    base64_encode(span_make((const char *)verifier->salt, verifier->salt_size), &buffer);
    buffer_add_byte(&buffer, '$');
    base64_encode(span_make((const char *)verifier->stored_key, SCRAM_KEY_SIZE), &buffer);
    buffer_add_byte(&buffer, ':');
    base64_encode(span_make((const char *)verifier->server_key, SCRAM_KEY_SIZE), &buffer);
    text_copy(text, SCRAM_TEXT_SIZE, buffer_span(&buffer));
    buffer_wipe(&buffer);
}

enum scram_line scram_line(struct span line, char name[SCRAM_NAME_SIZE], struct scram_verifier *ret_verifier)
{
    char normal[SCRAM_NAME_SIZE];
    if (!span_trim(line).n || line.p[0] == '#')
        return SCRAM_LINE_NOTHING;
    if (span_find(line, ':') == line.n)
        return SCRAM_LINE_BAD_VERIFIER;
    if (!scram_name(span_cut(&line, ':'), normal))
        return SCRAM_LINE_BAD_NAME;
    if (!scram_parse(line, ret_verifier))
        return SCRAM_LINE_BAD_VERIFIER;
    text_copy(name, SCRAM_NAME_SIZE, span_of(normal));
    return SCRAM_LINE_ACCOUNT;
}

bool scram_name(struct span name, char normal[SCRAM_NAME_SIZE])
{
    if (!name.n || name.n >= SCRAM_NAME_SIZE || !text_is_utf8(name) || name.p[0] == '#' || span_equal(name, SPAN("*")))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char byte = (unsigned char)name.p[i];
        bool c1_control = byte == 0xc2 && (unsigned char)name.p[i + 1] < 0xa1; /* and U+00A0, a space; UTF-8 has the next byte */
        if (byte <= ' ' || byte == 0x7f || byte == ':' || c1_control)
            return false;
    }
    text_copy(normal, SCRAM_NAME_SIZE, name);
    text_lower(normal);
    return true;
}

bool scram_password(struct span password)
{
    if (!password.n || password.n > SCRAM_PASSWORD_MAX || !text_is_utf8(password))
        return false;
    for (size_t i = 0; i < password.n; i++)
        if ((unsigned char)password.p[i] < ' ' || password.p[i] == 0x7f)
            return false;
    return true;
}
