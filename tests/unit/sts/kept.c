/* The policies that are known: what goes when there is no room, what a restart finds, and what a damaged file costs. */
#include "../../../relay/sts/kept.h"

#include "../../../relay/base/clock.h"
#include "../../../relay/base/journal.h"
#include "../../../relay/base/log.h"
#include "../../../relay/base/text.h"
#include "../folder.h"

#define NOW ((int64_t)1800000000000)
#define DAY ((int64_t)86400000)

static struct loop *loop;

static int set_up(void **state)
{
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "sts");
    loop = loop_new();
    return folder_make(state);
}

static int tear_down(void **state)
{
    loop_free(&loop);
    return folder_remove(state);
}

static void put(struct kept *kept, const char *domain, enum sts_mode mode, int64_t fetched_ms, const char *hosts)
{
    struct kept_policy policy = { .mode = mode, .fetched_ms = fetched_ms, .max_age_s = 86400, .hosts = span_of(hosts) };
    text_format(policy.id, sizeof policy.id, "id%d", (int)mode);
    kept_put(kept, span_of(domain), fetched_ms, &policy);
}

static bool has(struct kept *kept, const char *domain, int64_t wall_ms)
{
    struct kept_policy policy;
    return kept_get(kept, span_of(domain), wall_ms, &policy);
}

static void ignore(void *context, struct span record)
{
    (void)context;
    (void)record;
}

static struct kept *open_at(int64_t wall_ms)
{
    struct kept *kept = kept_new(KEPT_MAX);
    kept_open(kept, loop, folder, wall_ms);
    return kept;
}

static void kept_until_it_expires(void **state)
{
    struct kept *kept = kept_new(10);
    struct kept_policy policy;
    (void)state;
    put(kept, "a.example", STS_ENFORCE, NOW, "mx.a.example *.b.example");
    assert_true(kept_get(kept, SPAN("a.example"), NOW + DAY - 1, &policy));
    assert_int_equal(policy.mode, STS_ENFORCE);
    assert_string_equal(policy.id, "id2");
    assert_int_equal(policy.fetched_ms, NOW);
    assert_int_equal(policy.max_age_s, 86400);
    assert_true(span_equal(policy.hosts, SPAN("mx.a.example *.b.example")));
    assert_false(has(kept, "a.example", NOW + DAY));
    assert_true(has(kept, "a.example", NOW)); /* the clock was wrong for a moment */
    assert_false(has(kept, "b.example", NOW));
    assert_false(has(kept, "", NOW));
    kept_free(&kept);
    kept_free(&kept);
}

static void the_last_one_holds(void **state)
{
    struct kept *kept = kept_new(5);
    struct kept_policy policy;
    (void)state;
    put(kept, "a.example", STS_ENFORCE, NOW, "mx.a.example");
    assert_true(kept_get(kept, SPAN("a.example"), NOW, &policy));
    policy.mode = STS_TESTING; /* its hosts are those of the one that goes */
    kept_put(kept, SPAN("a.example"), NOW, &policy);
    assert_true(kept_get(kept, SPAN("a.example"), NOW, &policy));
    assert_int_equal(policy.mode, STS_TESTING);
    assert_true(span_equal(policy.hosts, SPAN("mx.a.example")));
    put(kept, "a.example", STS_NONE, NOW, "");
    assert_true(kept_get(kept, SPAN("a.example"), NOW, &policy));
    assert_int_equal(policy.mode, STS_NONE);
    assert_int_equal(kept_count(kept), 1);
    kept_free(&kept);
}

/* A clock that was years ahead makes no policy hold for years. */
static void fetched_in_the_future(void **state)
{
    struct kept *kept = kept_new(10);
    struct kept_policy policy;
    (void)state;
    put(kept, "a.example", STS_ENFORCE, NOW + 1000 * DAY, "mx");
    assert_true(kept_get(kept, SPAN("a.example"), NOW, &policy));
    assert_int_equal(policy.fetched_ms, NOW);
    assert_false(has(kept, "a.example", NOW + DAY));
    kept_free(&kept);
}

/* A machine without a clock of its own begins in 1970, or when its system was built, until it is told the time. */
static void a_clock_that_is_not_set_yet(void **state)
{
    struct kept_policy policy;
    (void)state;
    struct kept *kept = open_at(NOW);
    put(kept, "a.example", STS_ENFORCE, NOW, "mx.a.example");
    put(kept, "b.example", STS_ENFORCE, NOW, "mx.b.example");
    kept_free(&kept);
    kept = open_at(1000);
    assert_true(kept_get(kept, SPAN("a.example"), 1000, &policy));
    assert_int_equal(policy.fetched_ms, NOW);
    assert_true(kept_get(kept, SPAN("a.example"), NOW + DAY / 2, &policy));
    assert_int_equal(policy.mode, STS_ENFORCE);
    assert_true(has(kept, "b.example", NOW + DAY / 2));
    kept_free(&kept);
    kept = open_at(NOW + DAY / 2);
    assert_int_equal(kept_count(kept), 2);
    assert_false(has(kept, "a.example", NOW + DAY));
    kept_free(&kept);
}

static void what_goes_first(void **state)
{
    struct kept *kept = kept_new(5);
    (void)state;
    put(kept, "enforce0", STS_ENFORCE, NOW, "mx");
    put(kept, "enforce1", STS_ENFORCE, NOW, "mx");
    put(kept, "enforce2", STS_ENFORCE, NOW, "mx");
    put(kept, "testing", STS_TESTING, NOW, "mx");
    put(kept, "none", STS_NONE, NOW, "");
    put(kept, "enforce3", STS_ENFORCE, NOW, "mx");
    assert_false(has(kept, "none", NOW));
    assert_true(has(kept, "testing", NOW));
    put(kept, "none", STS_NONE, NOW, ""); /* all are worth more */
    assert_false(has(kept, "none", NOW));
    put(kept, "enforce4", STS_ENFORCE, NOW, "mx");
    assert_false(has(kept, "testing", NOW));
    put(kept, "testing", STS_TESTING, NOW, "mx");
    assert_false(has(kept, "testing", NOW));
    assert_true(has(kept, "enforce1", NOW)); /* so that it is the last that goes */
    put(kept, "enforce5", STS_ENFORCE, NOW, "mx");
    assert_false(has(kept, "enforce0", NOW));
    assert_true(has(kept, "enforce1", NOW));
    put(kept, "none", STS_NONE, NOW + DAY, ""); /* all others have expired */
    assert_true(has(kept, "none", NOW + DAY));
    assert_int_equal(kept_count(kept), 5);
    kept_free(&kept);
}

/* Large ones count for several. */
static void bounded_in_memory(void **state)
{
    struct kept *kept = kept_new(100);
    char longest[STS_HOSTS_SIZE], domain[64];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (unsigned i = 0; i < 100; i++) {
        text_format(domain, sizeof domain, "%u.example", i);
        put(kept, domain, STS_ENFORCE, NOW, longest);
    }
    assert_in_range(kept_count(kept), 20, 25);
    assert_true(has(kept, "99.example", NOW));
    assert_false(has(kept, "0.example", NOW));
    for (unsigned i = 0; i < 100; i++) {
        text_format(domain, sizeof domain, "%u.example", i);
        put(kept, domain, STS_ENFORCE, NOW, "mx.example");
    }
    assert_int_equal(kept_count(kept), 100);
    kept_free(&kept);
}

static void a_restart_finds_them(void **state)
{
    struct kept_policy policy;
    char longest[STS_HOSTS_SIZE], domain[SMTP_DOMAIN_SIZE];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(domain, 'd', sizeof domain - 1);
    domain[sizeof domain - 1] = '\0';
    struct kept *kept = open_at(NOW);
    assert_int_equal(kept_count(kept), 0);
    put(kept, "a.example", STS_ENFORCE, NOW, "mx.a.example");
    put(kept, "b.example", STS_TESTING, NOW, "mx.b.example");
    put(kept, "b.example", STS_NONE, NOW, "");
    put(kept, "old.example", STS_ENFORCE, NOW - DAY, "mx");
    put(kept, "future.example", STS_ENFORCE, NOW + 1000 * DAY, "mx");
    put(kept, domain, STS_ENFORCE, NOW, longest);
    kept_free(&kept);
    kept = open_at(NOW + 3650 * DAY); /* the clock is ahead, until it is set */
    assert_false(has(kept, "a.example", NOW + 3650 * DAY));
    kept_free(&kept);
    kept = open_at(NOW + 1000);
    assert_int_equal(kept_count(kept), 5);
    assert_false(has(kept, "old.example", NOW + 1000));
    assert_true(kept_get(kept, SPAN("a.example"), NOW + 1000, &policy));
    assert_int_equal(policy.mode, STS_ENFORCE);
    assert_string_equal(policy.id, "id2");
    assert_int_equal(policy.fetched_ms, NOW);
    assert_true(span_equal(policy.hosts, SPAN("mx.a.example")));
    assert_true(kept_get(kept, SPAN("b.example"), NOW + 1000, &policy));
    assert_int_equal(policy.mode, STS_NONE);
    assert_true(kept_get(kept, SPAN("future.example"), NOW + 1000, &policy));
    assert_int_equal(policy.fetched_ms, NOW + 1000);
    assert_true(kept_get(kept, span_of(domain), NOW + 1000, &policy));
    assert_true(span_equal(policy.hosts, span_of(longest)));
    kept_free(&kept);
    kept = open_at(NOW + DAY);
    assert_true(has(kept, "future.example", NOW + DAY)); /* as long as it was found to be in the future */
    assert_false(has(kept, "a.example", NOW + DAY));
    assert_false(has(kept, "b.example", NOW + DAY));
    kept_free(&kept);
    kept = open_at(NOW + DAY + 1000);
    assert_false(has(kept, "future.example", NOW + DAY + 1000));
    kept_free(&kept);
}

/* Many changes are one write, and a file that has grown is replaced. */
static void a_flood_is_gathered(void **state)
{
    struct kept *kept = open_at(NOW);
    char domain[64];
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        text_format(domain, sizeof domain, "%u.example", i % 1000);
        put(kept, domain, STS_ENFORCE, NOW + i, "mx.example");
    }
    assert_int_equal(folder_size("policies.log"), -1);
    kept_free(&kept);
    assert_in_range(folder_size("policies.log"), 1000 * 40, 1000 * 80);
    kept = open_at(NOW + 30000);
    assert_int_equal(kept_count(kept), 1000);
    kept_free(&kept);
}

static void a_damaged_file(void **state)
{
    struct kept *kept = open_at(NOW);
    (void)state;
    put(kept, "a.example", STS_ENFORCE, NOW, "mx.a.example");
    put(kept, "b.example", STS_ENFORCE, NOW, "mx.b.example");
    kept_free(&kept);
    folder_damage("policies.log", 3);
    kept = open_at(NOW);
    assert_true(has(kept, "a.example", NOW));
    assert_false(has(kept, "b.example", NOW));
    kept_free(&kept);
    kept = open_at(NOW); /* what was whole was written anew */
    assert_true(has(kept, "a.example", NOW));
    kept_free(&kept);
    folder_damage("policies.log", folder_size("policies.log"));
    kept = open_at(NOW);
    assert_int_equal(kept_count(kept), 0);
    put(kept, "c.example", STS_ENFORCE, NOW, "mx");
    kept_free(&kept);
    kept = open_at(NOW);
    assert_true(has(kept, "c.example", NOW));
    kept_free(&kept);
}

/* A record with the right checksum that no version writes: times that reach beyond what can be counted. */
static void a_record_of_the_far_future(void **state)
{
    static const struct {
        int64_t fetched_ms;
        uint32_t max_age_s;
        uint16_t hosts_size;
        uint8_t domain_size, id_size, mode, zero[7];
        char text[13];
    } record = { INT64_MAX, 86400, 2, 9, 1, STS_ENFORCE, { 0 }, "a.example1mx" };
    struct journal *journal = journal_new(folder, "policies.log", "postern sts 1", ignore, NULL);
    (void)state;
    journal_begin(journal, true);
    journal_add(journal, span_make((const char *)&record, 24 + 12));
    journal_end(journal, true);
    journal_free(&journal);
    struct kept *kept = open_at(NOW);
    has(kept, "a.example", NOW);
    kept_free(&kept);
}

static void a_folder_that_is_not_there(void **state)
{
    struct kept *kept = kept_new(10);
    (void)state;
    kept_open(kept, loop, "/nonexistent/folder", NOW);
    put(kept, "a.example", STS_ENFORCE, NOW, "mx");
    assert_true(has(kept, "a.example", NOW));
    kept_free(&kept);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bounded_in_memory), TEST(kept_until_it_expires),      TEST(the_last_one_holds),          TEST(fetched_in_the_future),
        TEST(what_goes_first),   TEST(a_restart_finds_them),       TEST(a_clock_that_is_not_set_yet), TEST(a_flood_is_gathered),
        TEST(a_damaged_file),    TEST(a_folder_that_is_not_there), TEST(a_record_of_the_far_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
