#include "../../../relay/dns/name.h"

#include "../unit.h"

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void normal_form(void **state)
{
    static const struct {
        const char *text;
        const char *normal; /* NULL: no host name */
    } cases[] = {
        { "example.net", "example.net" },
        { "Example.NET", "example.net" },
        { "example.net.", "example.net" },
        { "net", "net" },
        { "_dmarc.x-1.example", "_dmarc.x-1.example" },
        { L63 ".example", L63 ".example" },
        { "", NULL },
        { ".", NULL },
        { "..", NULL },
        { "example..net", NULL },
        { ".example.net", NULL },
        { "example.net..", NULL },
        { "a" L63 ".example", NULL },
        { L63 "." L63 "." L63 "." L63, NULL }, /* 255: two too many */
        { L63 "." L63 "." L63 "."
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          L63 "." L63 "." L63 "."
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
        { "exa mple.net", NULL },
        { "b\xc3\xbc"
          "cher.example",
          NULL },
        { "a\\.b", NULL },
        { "a\r\nb", NULL },
        { "a@b", NULL },
        { "[192.0.2.1]", NULL },
    };
    char normal[SMTP_DOMAIN_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(name_normal(span_of(cases[i].text), normal), cases[i].normal != NULL);
        if (cases[i].normal)
            assert_string_equal(normal, cases[i].normal);
    }
    assert_false(name_normal(SPAN("a\0b"), normal));
}

static void wire_and_back(void **state)
{
    struct name_wire a, b;
    char text[SMTP_DOMAIN_SIZE];
    (void)state;
    assert_true(name_to_wire(SPAN("Mx.Example"), &a));
    assert_int_equal(a.size, 12);
    assert_memory_equal(a.bytes, "\2mx\7example", 12);
    assert_true(name_from_wire(&a, text));
    assert_string_equal(text, "mx.example");
    assert_true(name_to_wire(SPAN("mx.example"), &b));
    assert_true(name_equal(&a, &b));
    assert_true(name_to_wire(SPAN("my.example"), &b));
    assert_false(name_equal(&a, &b));
    assert_true(name_to_wire(SPAN(""), &b));
    assert_int_equal(b.size, 1);
    assert_true(name_from_wire(&b, text));
    assert_string_equal(text, "");
}

#define BYTES(literal) literal, sizeof(literal) - 1

static void read_names(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        size_t at;
        const char *name; /* NULL: broken */
        size_t behind;
    } cases[] = {
        { BYTES("\2MX\7example\0"), 0, "mx.example", 12 },
        { BYTES("\0"), 0, "", 1 },
        { BYTES("\7example\0\2mx\xc0\0"), 9, "mx.example", 14 },
        { BYTES("\1a\0\1b\xc0\0\1c\xc0\3"), 7, "c.b.a", 11 },
        { BYTES("\2mx\7exam"), 0, NULL, 0 }, /* cut in a label */
        { BYTES("\2mx"), 0, NULL, 0 },       /* no end */
        { BYTES(""), 0, NULL, 0 },
        { BYTES("\xc0"), 0, NULL, 0 },          /* half a pointer */
        { BYTES("\xc0\0"), 0, NULL, 0 },        /* to itself */
        { BYTES("\1a\xc0\0"), 0, NULL, 0 },     /* into its own run */
        { BYTES("\xc0\2\xc0\0"), 0, NULL, 0 },  /* forward */
        { BYTES("\xc0\2\xc0\0"), 2, NULL, 0 },  /* back, then forward */
        { BYTES("\1a\0\xc7\xff"), 3, NULL, 0 }, /* outside */
        { BYTES("\x40xx\0"), 0, NULL, 0 },      /* reserved bits (RFC 2673) */
        { BYTES("\x80xx\0"), 0, NULL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct name_wire wire;
        char text[SMTP_DOMAIN_SIZE];
        size_t at = cases[i].at;
        char *copy = malloc(cases[i].size ? cases[i].size : 1); /* so that the sanitizer sees a byte too far */
        memcpy(copy, cases[i].bytes, cases[i].size);
        assert_int_equal(name_read(span_make(copy, cases[i].size), &at, &wire), cases[i].name != NULL);
        if (cases[i].name) {
            assert_true(name_from_wire(&wire, text));
            assert_string_equal(text, cases[i].name);
            assert_int_equal(at, cases[i].behind);
        }
        free(copy);
    }
}

/* Each pointer adds a label: bounded by the size of a name. */
static void long_chain_of_pointers(void **state)
{
    char bytes[2000] = "\1a\0";
    size_t size = 3, last = 0;
    struct name_wire wire;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        size_t at = size;
        bytes[size++] = 1;
        bytes[size++] = 'b';
        bytes[size++] = (char)(0xc0 | last >> 8);
        bytes[size++] = (char)(last & 0xff);
        last = at;
        size_t from = at;
        assert_int_equal(name_read(span_make(bytes, size), &from, &wire), i < 126);
    }
}

/* Each adds nothing, and costs whoever reads it: no more of them than a name may have labels. */
static void pointers_that_add_nothing(void **state)
{
    char bytes[2000] = "\1a\0";
    size_t size = 3, last = 0;
    struct name_wire wire;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        size_t from = size;
        bytes[size++] = (char)(0xc0 | last >> 8);
        bytes[size++] = (char)(last & 0xff);
        last = from;
        assert_int_equal(name_read(span_make(bytes, size), &from, &wire), i < 127);
    }
}

static void odd_bytes_are_no_host(void **state)
{
    static const char *const labels[] = { "a b", "a\"b", "a\r\nb", "a.b", "a\x80", "a\x7f", "a/b" };
    (void)state;
    for (size_t i = 0; i < COUNT(labels); i++) {
        char bytes[20], text[SMTP_DOMAIN_SIZE] = "x";
        struct name_wire wire;
        size_t at = 0, n = strlen(labels[i]);
        bytes[0] = (char)n;
        memcpy(bytes + 1, labels[i], n);
        bytes[n + 1] = 0;
        assert_true(name_read(span_make(bytes, n + 2), &at, &wire));
        assert_false(name_from_wire(&wire, text));
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_form),
        cmocka_unit_test(wire_and_back),
        cmocka_unit_test(read_names),
        cmocka_unit_test(long_chain_of_pointers),
        cmocka_unit_test(pointers_that_add_nothing),
        cmocka_unit_test(odd_bytes_are_no_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
