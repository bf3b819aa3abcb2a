#include "../../../relay/dns/answer.h"

#include "../unit.h"
#include "message.h"

#define NAME "example.net"

static struct message message;

/* What was told, as text: "10 mx1 20 mx2 ", "192.0.2.1 ". */
struct told {
    char text[4096];
    unsigned count;
};

static void tell(void *context, const struct answer_record *record)
{
    struct told *told = context;
    char name[SMTP_DOMAIN_SIZE], address[NETADDR_TEXT_SIZE], item[400];
    told->count++;
    if (record->address.family) {
        netaddr_print(&record->address, address);
        snprintf(item, sizeof item, "%s ", address);
    } else {
        snprintf(item, sizeof item, "%u %s ", record->preference, name_from_wire(&record->host, name) ? name : "?");
    }
    strncat(told->text, item, sizeof told->text - strlen(told->text) - 1);
}

static struct answer read_as(enum answer_type type, struct told *told)
{
    struct name_wire name;
    *told = (struct told){ .count = 0 };
    assert_true(name_to_wire(SPAN(NAME), &name));
    char *copy = malloc(message.size + 1);
    memcpy(copy, message.bytes, message.size);
    struct answer answer = answer_read(span_make(copy, message.size), &name, type, tell, told);
    free(copy);
    return answer;
}

static void mx_plain(void)
{
    message_mx(&message, NAME, 300, 20, "mx2.example.net");
    message_mx(&message, NAME, 200, 10, "MX1.example.net");
}

static void mx_null(void)
{
    message_mx(&message, NAME, 300, 0, "");
}

static void mx_alias(void)
{
    message_cname(&message, NAME, 60, "real.example");
    message_mx(&message, "real.example", 300, 10, "mx.example");
}

static void mx_alias_backwards(void)
{
    message_mx(&message, "c.example", 300, 10, "mx.example");
    message_cname(&message, "b.example", 60, "c.example");
    message_cname(&message, NAME, 90, "b.example");
}

static void alias_without_end(void)
{
    message_cname(&message, NAME, 60, "b.example");
    message_cname(&message, "b.example", 60, NAME);
}

static void alias_too_long(void)
{
    char from[32] = NAME, to[32];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(to, sizeof to, "a%u.example", i);
        message_cname(&message, from, 60, to);
        memcpy(from, to, sizeof from);
    }
}

static void others_records(void)
{
    message_a(&message, NAME, 300, 0x01020304);
    message_mx(&message, "other.example", 300, 10, "evil.example");
    message_mx(&message, NAME, 300, 10, "mx.example");
}

static void only_others_records(void)
{
    message_mx(&message, "other.example", 300, 10, "evil.example");
    message_soa(&message, NAME, 300, 60);
}

static void no_data(void)
{
    message_soa(&message, NAME, 300, 60);
}

static void no_data_short_soa(void)
{
    message_soa(&message, NAME, 30, 600);
}

static void referral(void)
{
    message_ns(&message, "net", "ns.example");
}

static void nothing(void)
{
}

static void mx_without_host(void)
{
    message_head(&message, NAME, 15, 300, 2);
    message_16(&message, 10);
}

static void mx_one_byte(void)
{
    message_head(&message, NAME, 15, 300, 1);
    message_byte(&message, 10);
}

static void mx_host_too_short(void)
{
    message_head(&message, NAME, 15, 300, 2 + 13); /* the name is 12 */
    message_16(&message, 10);
    message_name(&message, "mx.example");
    message_byte(&message, 0);
}

static void mx_host_too_long(void)
{
    message_head(&message, NAME, 15, 300, 5);
    message_16(&message, 10);
    message_name(&message, "mx.example");
}

static void mx_pointer_loop(void)
{
    message_head(&message, NAME, 15, 300, 4);
    message_16(&message, 10);
    message_16(&message, 0xc000 | (unsigned)message.size);
}

static void mx_pointer_to_question(void)
{
    message_head(&message, NAME, 15, 300, 7);
    message_16(&message, 10);
    message_byte(&message, 2);
    message_byte(&message, 'm');
    message_byte(&message, 'x');
    message_16(&message, 0xc00c);
}

static void more_counted_than_there(void)
{
    mx_plain();
    message_count(&message, 6, 1);
}

static void record_beyond_the_end(void)
{
    message_head(&message, NAME, 15, 300, 2000);
}

static void broken_behind_good(void)
{
    mx_plain();
    message_head(&message, "other.example", 16, 300, 9);
}

static void odd_host(void)
{
    message_mx(&message, NAME, 300, 10, "a b.example");
}

static void ttl_negative(void)
{
    message_mx(&message, NAME, 0x80000001, 10, "mx.example");
}

static void a_plain(void)
{
    message_a(&message, NAME, 300, 0xc0000201);
    message_a(&message, NAME, 100, 0xc0000202);
}

static void a_three_bytes(void)
{
    message_head(&message, NAME, 1, 300, 3);
    message_16(&message, 1);
    message_byte(&message, 1);
}

static void aaaa_plain(void)
{
    message_aaaa(&message, NAME, 300, 1);
}

static void aaaa_mapped(void)
{
    message_head(&message, NAME, 28, 300, 16);
    message_32(&message, 0);
    message_32(&message, 0);
    message_32(&message, 0xffff);
    message_32(&message, 0x7f000001);
}

static void soa_too_short(void)
{
    message_ns(&message, NAME, "ns.example");
    message.bytes[message.size - 12 - 10 + 1] = 6; /* its type becomes SOA */
}

static void what_answers_say(void **state)
{
    static const struct {
        const char *about;
        void (*build)(void);
        unsigned flags;
        enum answer_type type;
        enum dns_status status;
        const char *told;
        int64_t ttl_s; /* -1: none */
    } cases[] = {
        { "two hosts", mx_plain, 0, ANSWER_MX, DNS_OK, "20 mx2.example.net 10 mx1.example.net ", 200 },
        { "null MX", mx_null, 0, ANSWER_MX, DNS_OK, "0  ", 300 },
        { "alias", mx_alias, 0, ANSWER_MX, DNS_OK, "10 mx.example ", 60 },
        { "aliases backwards", mx_alias_backwards, 0, ANSWER_MX, DNS_OK, "10 mx.example ", 60 },
        { "alias without end", alias_without_end, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "too many aliases", alias_too_long, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "records of others", others_records, 0, ANSWER_MX, DNS_OK, "10 mx.example ", 300 },
        { "only of others", only_others_records, 0, ANSWER_MX, DNS_NO_MAIL, "", 60 },
        { "no data", no_data, 0, ANSWER_MX, DNS_NO_MAIL, "", 60 },
        { "no data, SOA short", no_data_short_soa, 0, ANSWER_MX, DNS_NO_MAIL, "", 30 },
        { "nothing at all", nothing, 0, ANSWER_MX, DNS_NO_MAIL, "", -1 },
        { "referral", referral, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "NXDOMAIN", no_data, 3, ANSWER_MX, DNS_NXDOMAIN, "", 60 },
        { "NXDOMAIN, no SOA", nothing, 3, ANSWER_MX, DNS_NXDOMAIN, "", -1 },
        { "NXDOMAIN, with NS", referral, 3, ANSWER_MX, DNS_NXDOMAIN, "", -1 },
        { "NXDOMAIN and records", mx_plain, 3, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "FORMERR", nothing, 1, ANSWER_MX, DNS_MALFORMED, "", -1 },
        { "SERVFAIL", no_data, 2, ANSWER_MX, DNS_SERVFAIL, "", -1 },
        { "NOTIMP", nothing, 4, ANSWER_MX, DNS_SERVFAIL, "", -1 },
        { "REFUSED", nothing, 5, ANSWER_MX, DNS_REFUSED, "", -1 },
        { "code 15", nothing, 15, ANSWER_MX, DNS_SERVFAIL, "", -1 },
        { "cut", mx_plain, 0x200, ANSWER_MX, DNS_MALFORMED, "", -1 },
        { "MX of 2 bytes", mx_without_host, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "MX of 1 byte", mx_one_byte, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "bytes behind the host", mx_host_too_short, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "host beyond its data", mx_host_too_long, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "pointer loop", mx_pointer_loop, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "compressed host", mx_pointer_to_question, 0, ANSWER_MX, DNS_OK, "10 mx.example.net ", 300 },
        { "lying count", more_counted_than_there, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "lying length", record_beyond_the_end, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "broken behind good", broken_behind_good, 0, ANSWER_MX, DNS_MALFORMED, NULL, -1 },
        { "host with a blank", odd_host, 0, ANSWER_MX, DNS_OK, "10 ? ", 300 },
        { "negative TTL", ttl_negative, 0, ANSWER_MX, DNS_OK, "10 mx.example ", 0 },
        { "addresses", a_plain, 0, ANSWER_A, DNS_OK, "192.0.2.1 192.0.2.2 ", 100 },
        { "address of 3 bytes", a_three_bytes, 0, ANSWER_A, DNS_MALFORMED, NULL, -1 },
        { "IPv6", aaaa_plain, 0, ANSWER_AAAA, DNS_OK, "2001:db8::1 ", 300 },
        { "mapped IPv4", aaaa_mapped, 0, ANSWER_AAAA, DNS_OK, "127.0.0.1 ", 300 },
        { "A asked, AAAA there", aaaa_plain, 0, ANSWER_A, DNS_NO_MAIL, "", -1 },
        { "short SOA", soa_too_short, 0, ANSWER_A, DNS_MALFORMED, NULL, -1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told told;
        message_begin(&message, 1, cases[i].flags, NAME, cases[i].type);
        cases[i].build();
        struct answer answer = read_as(cases[i].type, &told);
        if (answer.status != cases[i].status)
            fail_msg("%s: status %u", cases[i].about, answer.status);
        if (cases[i].told && strcmp(told.text, cases[i].told) != 0)
            fail_msg("%s: told %s", cases[i].about, told.text);
        if (answer.has_ttl != (cases[i].ttl_s >= 0) || (answer.has_ttl && answer.ttl_s != cases[i].ttl_s))
            fail_msg("%s: ttl %u %u", cases[i].about, answer.has_ttl, answer.ttl_s);
    }
}

static void another_question(void **state)
{
    struct told told;
    (void)state;
    message_begin(&message, 1, 0, "other.example", ANSWER_MX);
    mx_plain();
    assert_int_equal(read_as(ANSWER_MX, &told).status, DNS_MALFORMED);
    message_begin(&message, 1, 0, NAME, ANSWER_A);
    mx_plain();
    assert_int_equal(read_as(ANSWER_MX, &told).status, DNS_MALFORMED);
    message_begin(&message, 1, 0, NAME, ANSWER_MX);
    mx_plain();
    message.bytes[2] &= 0x7f; /* a question, not an answer */
    assert_int_equal(read_as(ANSWER_MX, &told).status, DNS_MALFORMED);
    assert_int_equal(told.count, 0);
}

/* An answer cut at any byte makes no sense; none reads too far. */
static void cut_anywhere(void **state)
{
    struct told told;
    (void)state;
    message_begin(&message, 1, 0, NAME, ANSWER_MX);
    mx_alias();
    message_soa(&message, NAME, 300, 60);
    size_t whole = message.size, authority = message_name_size(NAME) + 10 + 22;
    for (message.size = 0; message.size < whole; message.size++) {
        enum dns_status status = read_as(ANSWER_MX, &told).status;
        assert_int_equal(status, message.size >= whole - authority ? DNS_OK : DNS_MALFORMED);
    }
}

/* Every byte changed to every other value: no crash, nothing told that is no record. */
static void any_byte_changed(void **state)
{
    struct told told;
    (void)state;
    message_begin(&message, 1, 0, NAME, ANSWER_MX);
    mx_alias();
    no_data();
    for (size_t i = 0; i < message.size; i++) {
        uint8_t before = message.bytes[i];
        for (unsigned value = 0; value < 256; value += 5) {
            message.bytes[i] = (uint8_t)value;
            read_as(ANSWER_MX, &told);
            assert_true(told.count <= 2);
        }
        message.bytes[i] = before;
    }
}

static void five_hundred(void **state)
{
    struct told told;
    char host[40];
    (void)state;
    message_begin(&message, 1, 0, NAME, ANSWER_MX);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(host, sizeof host, "mx%u.example.net", i);
        message_mx(&message, NAME, 300, i, host);
    }
    assert_int_equal(read_as(ANSWER_MX, &told).status, DNS_OK);
    assert_int_equal(told.count, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_answers_say), cmocka_unit_test(another_question), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(any_byte_changed), cmocka_unit_test(five_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
