/* Fetches from a web server that does all that it should not: each ends by itself, with the file or with a reason. */
#include "../../../relay/sts/fetch.h"

#include "../../../relay/base/clock.h"
#include "../../../relay/base/log.h"
#include "web.h"

#define TEXT        "version: STSv1\\nmode: none\\nmax_age: 1\\n"
#define FILE_TEXT   "version: STSv1\nmode: none\nmax_age: 1\n"
#define PATIENCE_MS 30000

static struct web web;
static struct loop *loop;
static struct fetch *fetch;
static const struct netaddr local = { .family = 4, .bytes = { 127, 0, 0, 1 } };

struct result {
    bool came;
    char problem[600];
    char file[256];
};

static void set_up_fetch(const char *ca_file)
{
    const struct fetch_settings settings = { ca_file, 3000, 6000, 65536, "text/plain" };
    fetch = fetch_new(loop, &settings);
}

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "sts");
    loop = loop_new();
    web_start(&web);
    set_up_fetch(web.authority);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fetch_free(&fetch);
    loop_free(&loop);
    web_stop(&web);
    return 0;
}

static void done(void *context, const char *problem, struct span file)
{
    struct result *result = context;
    assert_false(result->came);
    result->came = true;
    text_copy(result->problem, sizeof result->problem, span_of(problem ? problem : ""));
    text_copy(result->file, sizeof result->file, file);
}

static void begin(const char *domain, const struct netaddr *addresses, unsigned count, struct result *result)
{
    char host[300];
    text_format(host, sizeof host, "mta-sts.%s", domain);
    *result = (struct result){ .came = false };
    fetch_start(fetch, host, web.port, ".well-known/mta-sts.txt", addresses, count, done, result);
}

static void await(const struct result *result)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (!result->came) {
        assert_true(clock_monotonic_ms() < end_ms);
        loop_once(loop, true);
    }
}

static void what_servers_do(void **state)
{
    static const struct {
        const char *trick, *problem; /* NULL: the file comes */
    } cases[] = {
        { "none", NULL },
        { "plain", NULL },
        { "chunked", NULL },
        { "parameters", NULL },
        { "redirect", "the server answers with 302" },
        { "missing", "the server answers with 404" },
        { "broken", "the server answers with 500" },
        { "empty", "the server answers with 204" },
        { "html", "what the server sends is text/html and not text/plain" },
        { "typeless", "what the server sends is of no type and not text/plain" },
        { "large", "it is larger than 65536 bytes" },
        { "large-chunked", "it is larger than 65536 bytes" },
        { "header", "the server's header is larger than 65536 bytes" },
        { "continue", "the server's header is larger than 65536 bytes" },
        { "cut", "transfer closed with" },
        { "drip", "timed out after 6" },
        { "silent", "timed out after 6" },
        { "mute", "SSL connection timeout" },
        { "wrong-name", "hostname mismatch" },
        { "expired", "certificate has expired" },
        { "untrusted", "unable to get local issuer certificate" },
        { "old-tls", "" },
        { "reset", "" },
    };
    struct result results[COUNT(cases)];
    char domain[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_format(domain, sizeof domain, "%s.test", cases[i].trick);
        web_serve(&web, domain, cases[i].trick, TEXT);
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_format(domain, sizeof domain, "%s.test", cases[i].trick);
        begin(domain, &local, 1, &results[i]);
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        await(&results[i]);
        if (!cases[i].problem != !results[i].problem[0] || (cases[i].problem && !strstr(results[i].problem, cases[i].problem)))
            fail_msg("%s: %s", cases[i].trick, results[i].problem);
        assert_string_equal(results[i].file, cases[i].problem ? "" : FILE_TEXT);
    }
    assert_int_equal(web_count(&web, "redirect.test"), 1); /* and nothing more */
    assert_int_equal(web_count(&web, "wrong-name.test"), 0);
    assert_int_equal(web_count(&web, "expired.test"), 0);
    assert_int_equal(web_count(&web, "untrusted.test"), 0);
}

/* What is not encoded as asked for is handed on as it came; the file's reader finds that it is none. */
static void an_encoding_is_not_undone(void **state)
{
    struct result result;
    (void)state;
    web_serve(&web, "gzip.test", "gzip", TEXT);
    begin("gzip.test", &local, 1, &result);
    await(&result);
    assert_string_equal(result.file, FILE_TEXT);
}

/* An address where nobody listens, and another family, lead to the one where somebody does. Nothing but the addresses given is used. */
static void addresses(void **state)
{
    static const struct netaddr several[] = { { .family = 6, .bytes = { [15] = 1 } },
                                              { .family = 4, .bytes = { 127, 9, 9, 9 } },
                                              { .family = 4, .bytes = { 127, 0, 0, 1 } } };
    struct result result;
    (void)state;
    web_serve(&web, "several.test", "none", TEXT);
    begin("several.test", several, COUNT(several), &result);
    await(&result);
    assert_string_equal(result.problem, "");
    assert_string_equal(result.file, FILE_TEXT);
    begin("several.test", several, 2, &result); /* what was given before is forgotten */
    await(&result);
    assert_string_not_equal(result.problem, "");
    assert_int_equal(web_count(&web, "several.test"), 1);
}

/* The environment of who started the process is not asked. */
static void no_proxy(void **state)
{
    struct result result;
    (void)state;
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    web_serve(&web, "proxy.test", "none", TEXT);
    begin("proxy.test", &local, 1, &result);
    await(&result);
    assert_string_equal(result.problem, "");
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    unsetenv("SSL_CERT_FILE");
}

static void dropped_under_way(void **state)
{
    struct result result;
    (void)state;
    web_serve(&web, "silent.test", "silent", TEXT);
    begin("silent.test", &local, 1, &result);
    for (unsigned i = 0; i < 200 && !web_count(&web, "silent.test"); i++)
        loop_once(loop, false);
    fetch_free(&fetch);
    assert_false(result.came);
    set_up_fetch(web.authority);
}

/* Every fetch fails where there are no authorities, or none of the server's. */
static void without_authorities(void **state)
{
    static const char *const files[] = { "/nonexistent/ca.pem", "/dev/null" };
    struct result result;
    (void)state;
    web_serve(&web, "good.test", "none", TEXT);
    for (size_t i = 0; i < COUNT(files); i++) {
        fetch_free(&fetch);
        set_up_fetch(files[i]);
        begin("good.test", &local, 1, &result);
        await(&result);
        assert_string_not_equal(result.problem, "");
    }
    assert_int_equal(web_count(&web, "good.test"), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_servers_do), TEST(an_encoding_is_not_undone), TEST(addresses),
        TEST(no_proxy),        TEST(dropped_under_way),         TEST(without_authorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
