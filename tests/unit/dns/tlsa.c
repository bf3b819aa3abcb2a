/* Which TLSA records count (RFC 7672 2.2), and TXT records: through cache, c-ares and loopback to a scripted server and back. */
#include "../../../relay/dns/tlsa.h"

#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../../../relay/dns/lookup.h"
#include "../../../relay/dns/txt.h"
#include "../unit.h"
#include "server.h"

#define AD 0x20

static void one_a(struct message *message, const char *name)
{
    message_a(message, name, 300, 0xc0000201);
}

static void no_data(struct message *message, const char *name)
{
    message_soa(message, name, 300, 300);
}

static void to_far(struct message *message, const char *name)
{
    message_cname(message, name, 300, "far.example");
    message_a(message, "far.example", 300, 0xc0000201);
}

static void to_far_without(struct message *message, const char *name)
{
    message_cname(message, name, 300, "far.example");
    message_soa(message, "far.example", 300, 300);
}

static void alias(struct message *message, const char *name)
{
    message_cname(message, name, 300, "far.example");
}

#define LABEL_50 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"
#define LONG_245                                                                                                                 \
    LABEL_50 "." LABEL_50 "." LABEL_50 "." LABEL_50 "."                                                                          \
             "abcdefghijklmnopqrstuvwxyzabcdefg.example"
#define LONG_252 "abcdefg" LONG_245

static void to_245_bytes(struct message *message, const char *name)
{
    message_cname(message, name, 300, LONG_245);
    message_a(message, LONG_245, 300, 0xc0000201);
}

static void to_252_bytes(struct message *message, const char *name)
{
    message_cname(message, name, 300, LONG_252);
    message_a(message, LONG_252, 300, 0xc0000201);
}

static void ten_bytes(struct message *message, const char *name)
{
    message_tlsa(message, name, 300, "\3\1\1seven..", 10);
}

static void two_records(struct message *message, const char *name)
{
    message_tlsa(message, name, 300, "\3\1\1a", 4);
    message_tlsa(message, name, 200, "\2\0\1bc", 5);
}

static void no_bytes(struct message *message, const char *name)
{
    message_tlsa(message, name, 300, "", 0);
}

static void three_bytes(struct message *message, const char *name)
{
    message_tlsa(message, name, 300, "\3\1\1", 3);
}

static void strings(struct message *message, const char *name)
{
    const char *const first[] = { "v=STSv1;", " id=1" }, *const second[] = { "" };
    message_txt(message, name, 300, first, 2);
    message_txt(message, name, 300, second, 1);
}

static void string_too_long(struct message *message, const char *name)
{
    message_head(message, name, 16, 300, 3);
    message_byte(message, 5);
    message_byte(message, 'a');
    message_byte(message, 'b');
}

/* HOST has an address that is signed or not, and TLSA records as FLAGS and BUILD say. */
#define HOST(host, address_flags, flags, build)                                                                                  \
    { host, 1, address_flags, one_a, SERVER_PLAIN, 0 }, { host, 28, address_flags, no_data, SERVER_PLAIN, 0 },                   \
    {                                                                                                                            \
        "_25._tcp." host, 52, flags, build, SERVER_PLAIN, 0                                                                      \
    }
/* HOST is an alias of far.example. */
#define ALIAS(host, address_flags)                                                                                               \
    { host, 1, address_flags, to_far, SERVER_PLAIN, 0 },                                                                         \
    {                                                                                                                            \
        host, 28, address_flags, to_far_without, SERVER_PLAIN, 0                                                                 \
    }

static struct server_rule rules[] = {
    HOST("signed.example", AD, AD, two_records),
    HOST("plain.example", 0, AD, two_records),
    HOST("unsigned-records.example", AD, 0, two_records),
    HOST("without.example", AD, AD, no_data),
    HOST("fails.example", AD, 2, NULL),
    HOST("refuses.example", AD, 5, NULL),
    HOST("empty.example", AD, AD, no_bytes),
    HOST("short.example", AD, AD, three_bytes),
    HOST("ten.example", AD, AD, ten_bytes),
    { "no-such-record.example", 1, AD, one_a, SERVER_PLAIN, 0 },
    { "no-such-record.example", 28, AD, no_data, SERVER_PLAIN, 0 },
    { "silent.example", 1, AD, one_a, SERVER_PLAIN, 0 },
    { "silent.example", 28, AD, no_data, SERVER_PLAIN, 0 },
    { "_25._tcp.silent.example", 52, AD, NULL, SERVER_SILENT, 0 },
    { "lost.example", 1, 2, NULL, SERVER_PLAIN, 0 },
    { "lost.example", 28, 2, NULL, SERVER_PLAIN, 0 },
    { "six-lost.example", 1, AD, one_a, SERVER_PLAIN, 0 },
    { "six-lost.example", 28, 2, NULL, SERVER_PLAIN, 0 },
    { "_25._tcp.six-lost.example", 52, AD, ten_bytes, SERVER_PLAIN, 0 },
    { "half.example", 1, AD, one_a, SERVER_PLAIN, 0 },
    { "half.example", 28, 0, no_data, SERVER_PLAIN, 0 },
    { "_25._tcp.half.example", 52, AD, ten_bytes, SERVER_PLAIN, 0 },
    ALIAS("www.example", AD),
    { "_26._tcp.far.example", 52, AD, ten_bytes, SERVER_PLAIN, 0 },
    { "_26._tcp.www.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    { "_27._tcp.far.example", 52, AD, no_data, SERVER_PLAIN, 0 },
    { "_27._tcp.www.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    { "_28._tcp.far.example", 52, 2, NULL, SERVER_PLAIN, 0 },
    { "_28._tcp.www.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    ALIAS("out.example", 0),
    { "out.example", 5, AD, alias, SERVER_PLAIN, 0 },
    { "_26._tcp.out.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    ALIAS("loose.example", 0),
    { "loose.example", 5, 0, alias, SERVER_PLAIN, 0 },
    { "_26._tcp.loose.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    ALIAS("dark.example", 0),
    { "dark.example", 5, 2, NULL, SERVER_PLAIN, 0 },
    { "245.example", 1, AD, to_245_bytes, SERVER_PLAIN, 0 },
    { "245.example", 28, AD, no_data, SERVER_PLAIN, 0 },
    { "_25._tcp.245.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    { "252.example", 1, AD, to_252_bytes, SERVER_PLAIN, 0 },
    { "252.example", 28, AD, no_data, SERVER_PLAIN, 0 },
    { "_25._tcp.252.example", 52, AD, two_records, SERVER_PLAIN, 0 },
    { "strings.example", 16, 0, strings, SERVER_PLAIN, 0 },
    { "lying.example", 16, 0, string_too_long, SERVER_PLAIN, 0 },
    { "none.example", 16, 0, no_data, SERVER_PLAIN, 0 },
};

static struct server server;
static struct loop *loop;
static struct resolve *resolve;
static struct lookup *lookup;
static struct netaddr address;
static struct conf conf = {
    .hostname = (char *)(uintptr_t) "relay.example.net",
    .dns = { .servers = { &address, 1 },
             .timeout_ms = 300,
             .tries = 2,
             .cache_entries = 100,
             .cache_ttl_max_ms = 3600000,
             .cache_negative_ms = 900000 },
};

static int set_up(void **state)
{
    (void)state;
    if (!server_start(&server, rules, COUNT(rules)))
        return -1;
    for (size_t i = 0; i < COUNT(rules); i++)
        atomic_store(&rules[i].asked, 0);
    assert_true(netaddr_parse(SPAN("127.0.0.1"), &address));
    address.port = server.port;
    loop = loop_new();
    resolve = resolve_new(loop, &conf.dns);
    lookup = lookup_new(resolve, &conf);
    return resolve ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    resolve_free(&resolve);
    lookup_free(&lookup);
    loop_free(&loop);
    server_stop(&server);
    return 0;
}

static struct heard {
    bool came;
    struct dns_tlsa tlsa;
    struct dns_txt txt;
} heard;

static void hear_tlsa(void *context, uint64_t ticket, const struct found *found)
{
    (void)context;
    heard.came = true;
    size_t size = tlsa_unpack(found, ticket, &heard.tlsa);
    assert_int_equal(size, offsetof(struct dns_tlsa, records) + heard.tlsa.size);
}

static void hear_txt(void *context, uint64_t ticket, const struct found *found)
{
    (void)context;
    heard.came = true;
    size_t size = txt_unpack(found, ticket, &heard.txt);
    assert_int_equal(size, offsetof(struct dns_txt, records) + heard.txt.size);
}

static void ask(enum cache_kind kind, const char *name)
{
    int64_t end = clock_monotonic_ms() + 20000;
    memset(&heard, 0, sizeof heard);
    lookup_ask(lookup, 0, kind, span_of(name), kind == CACHE_TLSA ? hear_tlsa : hear_txt, &heard, 7);
    while (!heard.came) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < end);
    }
}

static unsigned asked(const char *name, unsigned type)
{
    struct server_query query = { .type = type };
    text_copy(query.name, sizeof query.name, span_of(name));
    const struct server_rule *rule = server_find(&server, &query);
    return rule ? atomic_load(&rule->asked) : 0;
}

static void which_records_count(void **state)
{
    static const struct {
        const char *name;
        enum dns_status status;
        const char *base;
        unsigned records;
    } cases[] = {
        { "_25._tcp.signed.example", DNS_OK, "signed.example", 2 },
        { "_25._tcp.Signed.Example.", DNS_OK, "signed.example", 2 },
        { "_25._tcp.plain.example", DNS_NO_MAIL, "", 0 },
        { "_25._tcp.unsigned-records.example", DNS_NO_MAIL, "", 0 },
        { "_25._tcp.without.example", DNS_NO_MAIL, "", 0 },
        { "_25._tcp.no-such-record.example", DNS_NO_MAIL, "", 0 },
        { "_25._tcp.no-such-host.example", DNS_NO_MAIL, "", 0 },
        { "_25._tcp.fails.example", DNS_SERVFAIL, "", 0 },
        { "_25._tcp.refuses.example", DNS_REFUSED, "", 0 },
        { "_25._tcp.silent.example", DNS_TIMEOUT, "", 0 },
        { "_25._tcp.empty.example", DNS_MALFORMED, "", 0 },
        { "_25._tcp.short.example", DNS_MALFORMED, "", 0 },
        { "_25._tcp.ten.example", DNS_OK, "ten.example", 1 },
        { "_25._tcp.lost.example", DNS_SERVFAIL, "", 0 },
        { "_25._tcp.six-lost.example", DNS_OK, "six-lost.example", 1 },
        { "_25._tcp.half.example", DNS_NO_MAIL, "", 0 },
        { "_26._tcp.www.example", DNS_OK, "far.example", 1 }, /* where the alias leads to comes first */
        { "_27._tcp.www.example", DNS_OK, "www.example", 2 }, /* then the alias itself … */
        { "_28._tcp.www.example", DNS_SERVFAIL, "", 0 },      /* … but not where the first may have been kept away */
        { "_26._tcp.out.example", DNS_OK, "out.example", 2 }, /* only the alias is signed */
        { "_26._tcp.loose.example", DNS_NO_MAIL, "", 0 },     /* nothing is */
        { "_26._tcp.dark.example", DNS_SERVFAIL, "", 0 },     /* who knows */
        { "_25._tcp.245.example", DNS_OK, "245.example", 2 }, /* no TLSA record can be where the alias leads to, */
        { "_25._tcp.252.example", DNS_OK, "252.example", 2 }, /* the name would be too long */
        { "", DNS_NXDOMAIN, "", 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned records = 0;
        ask(CACHE_TLSA, cases[i].name);
        struct span record, rest = span_make(heard.tlsa.records, heard.tlsa.size);
        while (dns_next_record(&rest, &record))
            records++;
        if (heard.tlsa.status != cases[i].status || strcmp(heard.tlsa.base, cases[i].base) != 0 || records != cases[i].records)
            fail_msg("%s: status %u, base %s, %u records", cases[i].name, heard.tlsa.status, heard.tlsa.base, records);
    }
    assert_int_equal(asked("_25._tcp.plain.example", 52), 0);
    assert_int_equal(asked("_26._tcp.loose.example", 52), 0);
}

static void as_they_are_and_kept(void **state)
{
    struct span record;
    (void)state;
    ask(CACHE_TLSA, "_25._tcp.signed.example");
    struct span rest = span_make(heard.tlsa.records, heard.tlsa.size);
    assert_true(dns_next_record(&rest, &record));
    assert_int_equal(record.n, 4);
    assert_memory_equal(record.p, "\3\1\1a", 4);
    assert_true(dns_next_record(&rest, &record));
    assert_memory_equal(record.p, "\2\0\1bc", 5);
    assert_false(dns_next_record(&rest, &record));
    assert_true(heard.tlsa.ttl_s > 190 && heard.tlsa.ttl_s <= 200);
    ask(CACHE_TLSA, "_25._tcp.signed.example");
    assert_int_equal(heard.tlsa.size, 2 + 4 + 2 + 5);
    assert_int_equal(asked("_25._tcp.signed.example", 52), 1);
    rest = span_make("\0\5abc", 5); /* cut off */
    assert_false(dns_next_record(&rest, &record));
}

static void strings_are_joined(void **state)
{
    struct span record;
    (void)state;
    ask(CACHE_TXT, "strings.example");
    assert_int_equal(heard.txt.status, DNS_OK);
    struct span rest = span_make(heard.txt.records, heard.txt.size);
    assert_true(dns_next_record(&rest, &record));
    assert_true(span_equal(record, SPAN("v=STSv1; id=1")));
    assert_true(dns_next_record(&rest, &record));
    assert_int_equal(record.n, 0);
    assert_false(dns_next_record(&rest, &record));
    ask(CACHE_TXT, "lying.example");
    assert_int_equal(heard.txt.status, DNS_MALFORMED);
    ask(CACHE_TXT, "none.example");
    assert_int_equal(heard.txt.status, DNS_NO_MAIL);
    ask(CACHE_TXT, "no-such-name.example");
    assert_int_equal(heard.txt.status, DNS_NXDOMAIN);
}

/* That an answer is signed is the word of servers that are believed: those on this machine, or as the settings have it. */
static void whose_word_counts(void **state)
{
    static struct netaddr both[2];
    static const struct {
        enum conf_trust_ad trust;
        size_t servers;
        enum dns_status status;
    } cases[] = {
        { CONF_TRUST_AD_LOCAL, 1, DNS_OK }, { CONF_TRUST_AD_NO, 1, DNS_NO_MAIL },    { CONF_TRUST_AD_LOCAL, 2, DNS_NO_MAIL },
        { CONF_TRUST_AD_YES, 2, DNS_OK },   { CONF_TRUST_AD_LOCAL, 2, DNS_NO_MAIL },
    };
    (void)state;
    both[0] = address;
    assert_true(netaddr_parse_port(SPAN("192.0.2.1:53"), &both[1]));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf_dns settings = conf.dns;
        settings.trust_ad = cases[i].trust;
        settings.servers = (struct conf_addresses){ both, cases[i].servers };
        if (resolve_settings(resolve, &settings))
            lookup_forget_answers(lookup);
        ask(CACHE_TLSA, "_25._tcp.signed.example");
        assert_int_equal(heard.tlsa.status, cases[i].status);
    }
}

/* What is beyond the room is left out, whole. */
static void too_many_and_too_large(void **state)
{
    static struct tlsa_set set;
    static char large[9000];
    struct buffer out;
    (void)state;
    tlsa_add(&set, span_make(large, sizeof large));
    assert_int_equal(set.size, 0);
    for (unsigned i = 0; i < 300; i++)
        tlsa_add(&set, span_make(large, 35));
    assert_int_equal(set.size, DNS_TLSA_BYTES / 37 * 37);
    buffer_init(&out, DNS_TXT_BYTES);
    for (unsigned i = 0; i < 16; i++)
        large[i * 256] = (char)255;
    txt_add(&out, span_make(large, 256 * 16));
    assert_int_equal(buffer_size(&out), 2 + 255 * 16);
    txt_add(&out, span_make(large, 256));
    assert_int_equal(buffer_size(&out), 2 + 255 * 16);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(which_records_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_they_are_and_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_are_joined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whose_word_counts, set_up, tear_down),
        cmocka_unit_test(too_many_and_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
