/* Domains in letters of the world: the ASCII form, and what has none. */
#include "../../../relay/smtp/idn.h"

#include "../../../relay/smtp/address.h"
#include "../unit.h"

#define A63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const struct {
    const char *domain, *ascii; /* "": none */
} cases[] = {
    { "example.net", "example.net" },
    { "Example.NET", "Example.NET" },
    { "xn--bcher-kva.example", "xn--bcher-kva.example" },
    { "", "" },
    { "b\u00fccher.example", "xn--bcher-kva.example" },
    { "B\u00dcCHER.Example", "xn--bcher-kva.example" },
    { "bu\u0308cher.example", "xn--bcher-kva.example" },
    { "fa\u00df.example", "xn--fa-hia.example" },
    { "\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah" },
    { "\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah" },
    { "\uff45xample.net", "example.net" },
    { "xn--bcher-kva.b\u00fccher.example", "xn--bcher-kva.xn--bcher-kva.example" },
    /* not UTF-8, and what no name may hold */
    { "b\xff.example", "" },
    { "b\xc3", "" },
    { "\u2615.example\u2028", "" },
    { "\u0301a.example", "" },
    { "a\u200db.example", "" },
    { "\u00ad.example", "" },
    { "a_b.\u00fc", "" },
    { "a b.\u00fc", "" },
    { "a\u2100b.example", "" },
    { "\u00fc..example", "" },
    { "-\u00fc.example", "" },
    { "xn--a.\u00fc", "" },
    /* as U-labels they fit */
    { "\u00fc" A63, "" },
    { A63 "." A63 "." A63 ".\u00fc" A63, "" },
    { A63 "." A63 "." A63 "."
          "\u00fcaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.\u00fcaaa",
      "" },
};

static void forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char dest[SMTP_DOMAIN_SIZE];
        struct span ascii = idn_ascii(span_of(cases[i].domain), dest);
        if (!span_equal(ascii, span_of(cases[i].ascii)))
            fail_msg("%s: %.*s", cases[i].domain, (int)ascii.n, ascii.p);
    }
}

/* A domain in ASCII is handed back as it lies there. */
static void ascii_is_left_alone(void **state)
{
    struct span domain = SPAN("Example.net");
    char dest[SMTP_DOMAIN_SIZE];
    (void)state;
    assert_ptr_equal(idn_ascii(domain, dest).p, domain.p);
}

/* Every string of two bytes as a label, and each cut of a long name: a domain of ASCII comes out, or nothing. */
static void whatever_comes(void **state)
{
    char dest[SMTP_DOMAIN_SIZE];
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        char text[] = { (char)(i >> 8), (char)i, '.', '\xc3', '\xbc' };
        struct span ascii = idn_ascii(span_make(text, sizeof text), dest);
        assert_true(!ascii.n || address_is_domain(ascii, false));
    }
    char name[400];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 6 == 5 ? '.' : i % 2 ? '\xbc' : '\xc3';
    for (size_t n = 1; n <= sizeof name; n++) {
        struct span ascii = idn_ascii(span_make(name, n), dest);
        assert_true(!ascii.n || address_is_domain(ascii, false));
    }
}

static void keys_of_addresses(void **state)
{
    static const struct {
        const char *normal, *key;
    } addresses[] = {
        { "a@b.example", "a@b.example" },
        { "a@b\u00fccher.example", "a@xn--bcher-kva.example" },
        { "\"x@y\"@b\u00fccher.example", "\"x@y\"@xn--bcher-kva.example" },
        { "b\u00fccher@example", "b\u00fccher@example" },
        { "a@-\u00fc", "a@-\u00fc" },
        { "postmaster", "postmaster" },
        { "", "" },
    };
    char dest[ADDRESS_KEY_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_true(span_equal(address_key(span_of(addresses[i].normal), dest), span_of(addresses[i].key)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(ascii_is_left_alone),
        cmocka_unit_test(whatever_comes),
        cmocka_unit_test(keys_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
