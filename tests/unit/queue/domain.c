/* From a domain to its site, and every way in which DNS can fail. */
#include "../../../relay/queue/domain.h"
#include "../../../relay/queue/waitlist.h"
#include "world.h"

static void a_status_has_its_end(void **state)
{
    static const struct {
        const char *to;
        const char *event;
        const char *code;
    } cases[] = {
        { "bob@nxdomain.example", "event=bounced", "status=5.1.2" }, { "bob@nullmx.example", "event=bounced", "status=5.1.10" },
        { "bob@loop.example", "event=bounced", "status=5.4.6" },     { "bob@servfail.example", "event=deferred", "status=4.4.3" },
        { "bob@timeout.example", "event=deferred", "status=4.4.3" },
    };
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_send(world, "alice", "", cases[i].to);
        WORLD_UNTIL(world, world_logged(world, cases[i].event, cases[i].to) == 1);
        assert_int_equal(world_logged(world, cases[i].to, cases[i].code), 1);
    }
    assert_int_equal(world->opens, 0);
    assert_int_equal(entries_count(world->queue), 2);
    world_free(&world);
}

static void an_answer_is_remembered(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (unsigned i = 1; i <= 10; i++) {
        world_send(world, "alice", "alice@here.example", "bob@there.example");
        WORLD_UNTIL(world, world->nassigns == i);
    }
    assert_int_equal(world->questions, 1);
    world_free(&world);
}

/* The dns role is away at the start: mail waits, and goes when it comes. */
static void dns_comes_late(void **state)
{
    (void)state;
    struct world *world = world_new("");
    ipc_free(&world->dns);
    world_serve(world, 20);
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_RESOLVING] == 1);
    world_serve(world, 50);
    assert_int_equal(world_logged(world, "event=deferred", NULL), 0);
    world_dns(world);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_free(&world);
}

/* The dns role goes with questions open: they are asked again. */
static void dns_goes_and_comes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->dns_silent = true;
    world_send(world, "alice", "alice@here.example", "a@one.example b@two.example c@three.example");
    WORLD_UNTIL(world, world->questions == 3);
    ipc_free(&world->dns);
    world_serve(world, 20);
    world->dns_silent = false;
    world_dns(world);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world->questions, 6);
    world_free(&world);
}

static enum dns_status strange(struct world *world, const char *domain, struct dns_mx *answer)
{
    (void)world;
    if (strcmp(domain, "empty.example") == 0) {
        answer->count = 0;
        return DNS_OK;
    }
    if (strcmp(domain, "status.example") == 0)
        return (enum dns_status)99;
    answer->count = 1; /* a host without a name */
    return DNS_OK;
}

static void answers_that_make_no_sense_are_temporary(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->resolve = strange;
    world_send(world, "alice", "alice@here.example", "a@empty.example a@status.example a@nameless.example");
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "status=4.4.3") == 3);
    assert_int_equal(world->opens, 0);
    world_free(&world);
}

/* reversed.example has the hosts of the others the other way round, far.example says the same as near.example with other numbers, and lists
 * them the other way round. */
static enum dns_status orders(struct world *world, const char *domain, struct dns_mx *answer)
{
    bool far = strcmp(domain, "far.example") == 0, reversed = strcmp(domain, "reversed.example") == 0;
    (void)world;
    answer->count = 2;
    answer->ttl_s = 60;
    answer->hosts[far].preference = far ? 1 : 10;
    answer->hosts[!far].preference = far ? 100 : 20;
    text_copy(answer->hosts[far].name, sizeof answer->hosts[0].name, reversed ? SPAN("mx2.example") : SPAN("mx1.example"));
    text_copy(answer->hosts[!far].name, sizeof answer->hosts[0].name, reversed ? SPAN("mx1.example") : SPAN("mx2.example"));
    return DNS_OK;
}

/* Whoever wrote first does not choose which host the others' mail goes to (RFC 5321 5.1). */
static void the_hosts_in_their_order_are_the_site(void **state)
{
    static const struct {
        const char *to;
        unsigned opens;
    } cases[] = { { "a@reversed.example", 1 }, { "a@near.example", 2 }, { "a@far.example", 2 }, { "b@reversed.example", 2 } };
    (void)state;
    struct world *world = world_new("");
    world->resolve = orders;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_send(world, "alice", "alice@here.example", cases[i].to);
        WORLD_UNTIL(world, world->nassigns == i + 1 && entries_count(world->queue) == 0);
        assert_int_equal(world->opens, cases[i].opens);
    }
    world_free(&world);
}

static void postmaster_without_a_domain(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_send(world, "alice", "alice@here.example", "postmaster");
    WORLD_UNTIL(world, world->nassigns == 1);
    assert_string_equal(world->last_open.site, "mx.here.example");
    world_free(&world);
}

/* One domain in two writings is asked for once, by its ASCII form, and its recipients are one transaction. */
static void domains_in_other_letters(void **state)
{
    (void)state;
    struct world *world = world_new("route \"M\u00fcnchen.example\" { via = \"smart.example:587\" }\n");
    world_send(world, "alice", "alice@here.example", "bob@b\u00fccher.example carol@xn--bcher-kva.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    assert_int_equal(world->questions, 1);
    assert_string_equal(world->last_open.site, "mx.xn--bcher-kva.example");
    world_send(world, "alice", "alice@here.example", "bob@m\u00fcnchen.example carol@xn--mnchen-3ya.example");
    WORLD_UNTIL(world, world->nassigns == 2 && entries_count(world->queue) == 0);
    assert_int_equal(world->questions, 1);
    world_free(&world);
}

#define MANY ((WAITLIST_ASKED_MAX + 2) / 3) /* questions of who sends to many, while nobody else asks */

/* A message from ACCOUNT to COUNT domains, numbered from FIRST on. */
static void send_to_domains(struct world *world, const char *account, unsigned first, unsigned count)
{
    struct envelope envelope;
    world_envelope(&envelope, account, "alice@here.example", "");
    for (unsigned i = first; i < first + count; i++) {
        char address[64];
        text_format(address, sizeof address, "bob@shared%u.example", i);
        envelope_add(&envelope, address, 0, NULL);
    }
    world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
}

/* Very many domains in one message: each is asked, few at a time. */
static void many_domains(void **state)
{
    (void)state;
    struct world *world = world_new("");
    send_to_domains(world, "alice", 0, 1500);
    WORLD_UNTIL(world, world->questions == 1500 && entries_count(world->queue) == 0);
    assert_int_equal(world_logged(world, "event=delivered", NULL), 1500);
    world_free(&world);
}

/* Nobody answers for what one sender's message needs to know: the others' questions are asked all the same, also those that were in line
 * for it already. */
static void a_sender_leaves_questions(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->dns_silent = true;
    send_to_domains(world, "alice", 0, 1500);
    WORLD_UNTIL(world, world->queue->recipients[UNIT_RESOLVING] == 1500 && world->questions == MANY);
    world_serve(world, 20);
    assert_int_equal(world->questions, MANY);
    world->dns_silent = false;
    world_send(world, "alice", "alice@here.example", "dave@where.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "dave@where.example") == 1);
    world_send(world, "bob", "bob@here.example", "carol@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "carol@there.example") == 1);
    world_send(world, "bob", "bob@here.example", "carol@shared700.example carol@shared701.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "carol@shared70") == 2);
    assert_int_equal(world_logged(world, "event=deferred", NULL), 0);
    world_free(&world);
}

/* The same where the first sends each message by itself, and others have come since: each gets some of the places that are left. */
static void each_sender_gets_places(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->dns_silent = true;
    char account[16], addresses[64];
    for (unsigned i = 0, before = 0; i < 4; i++, before = world->questions) {
        unsigned part = (WAITLIST_ASKED_MAX - before + 1) / 2;
        text_format(account, sizeof account, "sender%u", i);
        for (unsigned j = 0; j < part + 50; j++) {
            text_format(addresses, sizeof addresses, "bob@name%u-%u.example", i, j);
            world_send(world, account, "alice@here.example", addresses);
        }
        WORLD_UNTIL(world, world->queue->recipients[UNIT_RESOLVING] == before + (i + 1) * 50 + part &&
                               world->questions >= before + part);
        world_serve(world, 20);
        assert_int_equal(world->questions, before + part);
    }
    world_free(&world);
}

/* What a sender waits for is bounded; the rest comes again later. */
static void a_line_is_bounded(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->dns_silent = true;
    for (unsigned i = 0; i < DOMAIN_LINE_MAX + 1000; i += 1000)
        send_to_domains(world, "alice", i, 1000);
    WORLD_UNTIL(world, world->queue->recipients[UNIT_SCHEDULED] == 1000 - MANY);
    assert_int_equal(world->queue->recipients[UNIT_RESOLVING], DOMAIN_LINE_MAX + MANY);
    world->dns_silent = false;
    world_send(world, "bob", "bob@here.example", "carol@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "carol@there.example") == 1);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_status_has_its_end),
        WORLD_TEST(an_answer_is_remembered),
        WORLD_TEST(dns_comes_late),
        WORLD_TEST(dns_goes_and_comes),
        WORLD_TEST(the_hosts_in_their_order_are_the_site),
        WORLD_TEST(answers_that_make_no_sense_are_temporary),
        WORLD_TEST(domains_in_other_letters),
        WORLD_TEST(many_domains),
        WORLD_TEST(a_sender_leaves_questions),
        WORLD_TEST(each_sender_gets_places),
        WORLD_TEST(a_line_is_bounded),
        WORLD_TEST(postmaster_without_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
