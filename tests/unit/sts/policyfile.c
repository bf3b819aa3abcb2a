/* The file of a policy: cases of RFC 8461 3.2, and what is none. */
#include "../../../relay/sts/policyfile.h"
#include "../unit.h"

#define HEAD "version: STSv1\nmode: enforce\nmax_age: 86400\n"

static struct policyfile file;

static void policies(void **state)
{
    static const struct {
        const char *text;
        enum sts_mode mode;
        uint32_t max_age_s;
        const char *hosts;
    } cases[] = {
        { "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: "
          "604800\r\n",
          STS_ENFORCE, 604800, "mail.example.com *.example.net backupmx.example.com" },
        { "version: STSv1\nmode: testing\nmx: Mail.Example.COM\nmax_age: 1", STS_TESTING, 1, "mail.example.com" },
        { "mx:a.example\nmax_age:1\nmode:testing\nversion:STSv1\n", STS_TESTING, 1, "a.example" },
        { HEAD "mx:  a.example \t\n", STS_ENFORCE, 86400, "a.example" },
        { HEAD "mx: a.example\n\n \r\n", STS_ENFORCE, 86400, "a.example" },
        { HEAD "mx: a.example\nmx: a.example\n", STS_ENFORCE, 86400, "a.example a.example" },
        { HEAD "mx: a_b.example\nmx: xn--a.example\nmx: a\n", STS_ENFORCE, 86400, "a_b.example xn--a.example a" },
        { "version: STSv1\nmode: none\nmax_age: 86400\n", STS_NONE, 86400, "" },
        { "version: STSv1\nmode: none\nmax_age: 86400\nmx: a.example\n", STS_NONE, 86400, "" },
        { "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557600\n", STS_ENFORCE, 31557600, "a.example" },
        { "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601\n", STS_ENFORCE, 31557600, "a.example" },
        { "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 9999999999\n", STS_ENFORCE, 31557600, "a.example" },
        { "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 0\n", STS_ENFORCE, 0, "a.example" },
        { HEAD "mx: a.example\nextension: \xc3\xa4 something: else\n-: x\n", STS_ENFORCE, 86400, "a.example" },
        { HEAD "MX: b.example\nmx: a.example\n", STS_ENFORCE, 86400, "a.example" },
        { HEAD "mx: a.example\nmode: none\nversion: STSv2\nmax_age: x\n", STS_ENFORCE, 86400, "a.example" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *problem = policyfile_read(span_of(cases[i].text), &file);
        if (problem)
            fail_msg("%s: %s", cases[i].text, problem);
        assert_int_equal(file.mode, cases[i].mode);
        assert_int_equal(file.max_age_s, cases[i].max_age_s);
        assert_int_equal(file.size, strlen(cases[i].hosts));
        assert_memory_equal(file.hosts, cases[i].hosts, file.size);
    }
}

static void no_policies(void **state)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        { "", "it has no version" },
        { "mode: enforce\nmax_age: 1\nmx: a.example\n", "it has no version" },
        { "version: STSv1\nmax_age: 1\nmx: a.example\n", "it has no mode" },
        { "version: STSv1\nmode: enforce\nmx: a.example\n", "it has no max_age" },
        { HEAD, "it names no mx" },
        { "version: STSv1\nmode: testing\nmax_age: 86400\n", "it names no mx" },
        { "version: STSv2\nmode: none\nmax_age: 1\n", "its version is not STSv1" },
        { "version: stsv1\nmode: none\nmax_age: 1\n", "its version is not STSv1" },
        { "version: STSv1\nmode: Enforce\nmax_age: 1\n", "its mode is not enforce, testing or none" },
        { "version: STSv1\nmode:\nmax_age: 1\n", "its mode is not enforce, testing or none" },
        { "version: STSv1\nmode: none\nmax_age: -1\n", "its max_age is no number of seconds" },
        { "version: STSv1\nmode: none\nmax_age: 1.5\n", "its max_age is no number of seconds" },
        { "version: STSv1\nmode: none\nmax_age:\n", "its max_age is no number of seconds" },
        { "version: STSv1\nmode: none\nmax_age: 10000000000\n", "its max_age is no number of seconds" },
        { HEAD "mx:\n", "one of its mx is no host name" },
        { HEAD "mx: *\n", "one of its mx is no host name" },
        { HEAD "mx: *.\n", "one of its mx is no host name" },
        { HEAD "mx: a.*.example\n", "one of its mx is no host name" },
        { HEAD "mx: *a.example\n", "one of its mx is no host name" },
        { HEAD "mx: a.example.\n", "one of its mx is no host name" },
        { HEAD "mx: .example\n", "one of its mx is no host name" },
        { HEAD "mx: a..example\n", "one of its mx is no host name" },
        { HEAD "mx: a.example b.example\n", "one of its mx is no host name" },
        { HEAD "mx: a.example, b.example\n", "one of its mx is no host name" },
        { HEAD "mx: [192.0.2.1]\n", "one of its mx is no host name" },
        { HEAD "mx: a.\xc3\xa4.example\n", "one of its mx is no host name" },
        { HEAD "mx: a.1234567890123456789012345678901234567890123456789012345678901234.example\n",
          "one of its mx is no host name" },
        { HEAD "mx: a.example\r b.example\n", "one of its mx is no host name" },
        { HEAD "mx: a.example\nnonsense\n", "a line of it has no colon" },
        { "<html><head><title>404</title></head></html>\n", "a line of it has no colon" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *problem = policyfile_read(span_of(cases[i].text), &file);
        if (!problem || strcmp(problem, cases[i].problem) != 0)
            fail_msg("%s: %s", cases[i].text, problem ? problem : "was taken");
    }
}

/* A policy of COUNT hosts of LENGTH bytes each. */
static const char *read_many(size_t count, size_t length)
{
    char *text = malloc(POLICYFILE_SIZE_MAX + 1024);
    size_t n = (size_t)sprintf(text, HEAD);
    for (size_t i = 0; i < count && n < POLICYFILE_SIZE_MAX; i++) {
        n += (size_t)sprintf(text + n, "mx: ");
        for (size_t j = 0; j < length; j++)
            text[n++] = j % 40 == 39 ? '.' : 'a';
        text[n++] = '\n';
    }
    const char *problem = policyfile_read(span_make(text, n), &file);
    free(text);
    return problem;
}

static void limits(void **state)
{
    (void)state;
    assert_null(read_many(1, 255));
    assert_string_equal(read_many(1, 256), "one of its mx is no host name");
    assert_string_equal(read_many(1, 300), "one of its mx is no host name");
    assert_null(read_many(16, 255)); /* 4095 bytes with the spaces */
    assert_int_equal(file.size, 16 * 255 + 15);
    assert_string_equal(read_many(17, 255), "it names more mx than are kept");
    assert_string_equal(read_many(5000, 1), "it names more mx than are kept");
    char *large = calloc(1, POLICYFILE_SIZE_MAX + 1);
    int head = sprintf(large, HEAD "mx: a.example\nx:");
    memset(large + head, 'x', POLICYFILE_SIZE_MAX + 1 - (size_t)head);
    assert_null(policyfile_read(span_make(large, POLICYFILE_SIZE_MAX), &file));
    assert_string_equal(policyfile_read(span_make(large, POLICYFILE_SIZE_MAX + 1), &file), "it is too large");
    free(large);
}

/* What is no policy leaves what was there, and a NUL byte ends nothing. */
static void untouched(void **state)
{
    (void)state;
    file = (struct policyfile){ .mode = STS_TESTING, .max_age_s = 7 };
    assert_non_null(policyfile_read(SPAN(HEAD "mx: a.example\0"), &file));
    assert_int_equal(file.mode, STS_TESTING);
    assert_int_equal(file.max_age_s, 7);
    assert_non_null(policyfile_read(SPAN("version: STSv1\0"), &file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies),
        cmocka_unit_test(no_policies),
        cmocka_unit_test(limits),
        cmocka_unit_test(untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
