/* The hash is SipHash: as in its authors' paper, and as OpenSSL has it. */
#include "../../../relay/base/siphash.h"

#include "../unit.h"

#include <openssl/evp.h>
#include <openssl/params.h>

static const unsigned char key[SIPHASH_KEY_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static uint64_t hash_of(struct span bytes)
{
    struct siphash hash;
    siphash_begin(&hash, key);
    siphash_add(&hash, bytes);
    return siphash_end(&hash);
}

/* OpenSSL's, SipHash-COMPRESS-FINISH. */
static uint64_t openssl_of(unsigned compress, unsigned finish, struct span bytes)
{
    size_t size = 8, got;
    unsigned char out[8];
    uint64_t value = 0;
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_uint("c-rounds", &compress),
                                  OSSL_PARAM_construct_uint("d-rounds", &finish), OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    assert_true(EVP_MAC_init(context, key, sizeof key, params));
    assert_true(EVP_MAC_update(context, (const unsigned char *)bytes.p, bytes.n));
    assert_true(EVP_MAC_final(context, out, &got, sizeof out));
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)out[i] << (8 * i);
    return value;
}

static void the_paper_has_it(void **state)
{
    static const char bytes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
    (void)state;
    assert_true(hash_of(span_make(bytes, sizeof bytes)) == 0xa129ca6149be45e5u);
    assert_true(hash_of(SPAN("")) == 0x726fdb47dd0e0e31u);
}

static void openssl_has_it(void **state)
{
    char bytes[64];
    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 + 200);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        assert_true(hash_of(span_make(bytes, n)) == openssl_of(2, 4, span_make(bytes, n)));
        assert_true(siphash_fast(key, span_make(bytes, n)) == openssl_of(1, 3, span_make(bytes, n)));
    }
}

static void parts_make_no_difference(void **state)
{
    struct span bytes = SPAN("of which parts a text is made does not matter");
    (void)state;
    for (size_t first = 0; first <= bytes.n; first++)
        for (size_t second = 0; second <= bytes.n - first; second++) {
            struct siphash hash;
            siphash_begin(&hash, key);
            siphash_add(&hash, span_head(bytes, first));
            siphash_add(&hash, span_head(span_skip(bytes, first), second));
            siphash_add(&hash, span_skip(bytes, first + second));
            assert_true(siphash_end(&hash) == hash_of(bytes));
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(the_paper_has_it), cmocka_unit_test(openssl_has_it),
                                               cmocka_unit_test(parts_make_no_difference) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
