/* A digest is HMAC-SHA-256(key, account NUL password); the key is drawn at random when the process starts and never leaves it. A
 * copy of this memory without the key is worthless; with the key it is a fast hash of the passwords used in the last minutes: that
 * is why it is kept for minutes only, wiped, and never extended by use, so that each account proves itself against the slow hash
 * again before long. As nothing extends an entry, the list is in the order of age, and expiring is looking at its front. */
#include "recent.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/random.h"
#include "../base/text.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct digest {
    unsigned char bytes[SCRAM_KEY_SIZE];
};

struct entry {
    struct list by_age;
    int64_t kept_ms;
    struct digest digest;
    unsigned char stored_key[SCRAM_KEY_SIZE]; /* of the verifier that the password was checked against */
    size_t name_size;
    char name[];
};

struct recent {
    int64_t keep_ms;
    size_t max;
    struct map *entries;
    struct list by_age; /* oldest first */
    unsigned char key[SCRAM_KEY_SIZE];
};

struct recent *recent_new(int64_t keep_ms, size_t max)
{
    struct recent *recent = text_zalloc(sizeof *recent);
    recent->keep_ms = keep_ms;
    recent->max = max ? max : 1;
    recent->entries = map_new(0);
    list_init(&recent->by_age);
    random_bytes(recent->key, sizeof recent->key);
    return recent;
}

static struct span name_of(const struct entry *entry)
{
    return span_make(entry->name, entry->name_size);
}

/* Takes ENTRY out, wipes and frees it. */
static void drop(struct recent *recent, struct entry *entry)
{
    map_remove(recent->entries, name_of(entry));
    list_remove(&entry->by_age);
    OPENSSL_cleanse(entry, sizeof *entry);
    free(entry);
}

void recent_free(struct recent **recent)
{
    if (!*recent)
        return;
    LIST_EACH(node, &(*recent)->by_age)
        drop(*recent, LIST_ENTRY(node, struct entry, by_age));
    map_free(&(*recent)->entries, NULL);
    OPENSSL_cleanse(*recent, sizeof **recent);
    free(*recent);
    *recent = NULL;
}

/* The digest of PASSWORD for ACCOUNT. False, and nothing worth comparing, where they are longer than any that is checked. */
static bool digest_of(const struct recent *recent, struct span account, struct span password, struct digest *ret_digest)
{
    char text[SCRAM_NAME_SIZE + 1 + SCRAM_PASSWORD_MAX];
    if (account.n > SCRAM_NAME_SIZE || password.n > SCRAM_PASSWORD_MAX || !password.n)
        return false;
    memcpy(text, account.p, account.n);
    text[account.n] = '\0';
    memcpy(text + account.n + 1, password.p, password.n);
    size_t size = account.n + 1 + password.n;
    bool done = HMAC(EVP_sha256(), recent->key, sizeof recent->key, (const unsigned char *)text, size, ret_digest->bytes, NULL);
    OPENSSL_cleanse(text, sizeof text);
    return done;
}

bool recent_knows(struct recent *recent, struct span account, struct span password, const struct scram_verifier *verifier,
                  int64_t now_ms)
{
    struct digest digest;
    recent_expire(recent, now_ms);
    if (!digest_of(recent, account, password, &digest))
        return false;
    struct entry *entry = map_get(recent->entries, account);
    if (entry && CRYPTO_memcmp(entry->stored_key, verifier->stored_key, sizeof entry->stored_key)) {
        drop(recent, entry);
        entry = NULL;
    }
    bool known = entry && CRYPTO_memcmp(entry->digest.bytes, digest.bytes, sizeof digest.bytes) == 0;
    OPENSSL_cleanse(&digest, sizeof digest);
    return known;
}

void recent_keep(struct recent *recent, struct span account, struct span password, const struct scram_verifier *verifier,
                 int64_t now_ms)
{
    struct digest digest;
    recent_forget(recent, account);
    if (recent->keep_ms <= 0 || !digest_of(recent, account, password, &digest))
        return;
    if (map_count(recent->entries) >= recent->max)
        drop(recent, LIST_ENTRY(recent->by_age.next, struct entry, by_age));
    struct entry *entry = text_zalloc(sizeof *entry + account.n);
    entry->kept_ms = now_ms;
    entry->digest = digest;
    memcpy(entry->stored_key, verifier->stored_key, sizeof entry->stored_key);
    entry->name_size = account.n;
    memcpy(entry->name, account.p, account.n);
    list_append(&recent->by_age, &entry->by_age);
    map_put(recent->entries, account, entry, NULL);
    OPENSSL_cleanse(&digest, sizeof digest);
}

void recent_forget(struct recent *recent, struct span account)
{
    struct entry *entry = map_get(recent->entries, account);
    if (entry)
        drop(recent, entry);
}

void recent_expire(struct recent *recent, int64_t now_ms)
{
    while (!list_empty(&recent->by_age)) {
        struct entry *oldest = LIST_ENTRY(recent->by_age.next, struct entry, by_age);
        if (now_ms - oldest->kept_ms < recent->keep_ms)
            break;
        drop(recent, oldest);
    }
}

size_t recent_count(const struct recent *recent)
{
    return map_count(recent->entries);
}
