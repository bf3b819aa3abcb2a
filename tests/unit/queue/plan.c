/* MTA-STS policies: which hosts are left, what is demanded of them, and every way in which the sts role can fail. */
#include "../../../relay/queue/plan.h"

#include "../../../relay/queue/domain.h"
#include "world.h"

/* Each domain has two hosts, the better one of which "bad…" domains share with nobody's policy. */
static enum dns_status two_hosts(struct world *world, const char *domain, struct dns_mx *answer)
{
    (void)world;
    answer->count = 2;
    answer->ttl_s = 300;
    answer->hosts[0].preference = 10;
    answer->hosts[1].preference = 20;
    text_format(answer->hosts[0].name, sizeof answer->hosts[0].name, "%s", "mx1.shared.example");
    text_format(answer->hosts[1].name, sizeof answer->hosts[1].name, "%s", "mx2.other.example");
    return strcmp(domain, "gone.example") == 0 ? DNS_NXDOMAIN : DNS_OK;
}

static void set_hosts(struct sts_policy *policy, enum sts_mode mode, const char *hosts)
{
    policy->mode = mode;
    policy->ttl_s = 3600;
    policy->size = (uint32_t)strlen(hosts);
    memcpy(policy->hosts, hosts, policy->size);
}

static void by_name(struct world *world, const char *domain, struct sts_policy *policy)
{
    static const struct {
        const char *domain;
        enum sts_mode mode;
        const char *hosts;
    } known[] = {
        { "none.example", STS_NONE, "" },
        { "testing.example", STS_TESTING, "mx9.example" },
        { "both.example", STS_ENFORCE, "*.shared.example mx2.other.example" },
        { "also.example", STS_ENFORCE, "mx1.shared.example *.other.example" },
        { "second.example", STS_ENFORCE, "mx2.other.example" },
        { "neither.example", STS_ENFORCE, "mx9.example *.mx1.shared.example shared.example" },
        { "empty.example", STS_ENFORCE, "" },
        { "odd.example", (enum sts_mode)77, "mx9.example" },
    };
    (void)world;
    policy->ttl_s = 60;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].domain, domain) == 0)
            set_hosts(policy, known[i].mode, known[i].hosts);
}

static void what_each_policy_means(void **state)
{
    static const struct {
        const char *to;
        unsigned hosts; /* 0: nobody is connected to */
        bool sts;
    } cases[] = {
        { "a@none.example", 2, false },  { "a@testing.example", 2, false }, { "a@both.example", 2, true },
        { "a@second.example", 1, true }, { "a@neither.example", 0, false }, { "a@empty.example", 0, false },
        { "a@odd.example", 2, false },   { "a@[192.0.2.9]", 2, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *world = world_new("");
        world->resolve = two_hosts;
        world->policy = by_name;
        world_send(world, "alice", "alice@here.example", cases[i].to);
        WORLD_UNTIL(world, world->nassigns == 1 || world_logged(world, "event=deferred", "status=4.7.5") == 1);
        if (world->opens != (cases[i].hosts ? 1 : 0) || world->last_open.sts != cases[i].sts ||
            (cases[i].hosts && world->last_open.count != cases[i].hosts))
            fail_msg("%s: %u opened, %u hosts, sts %u", cases[i].to, world->opens, world->last_open.count, world->last_open.sts);
        if (cases[i].hosts == 1)
            assert_string_equal(world->last_open.hosts[0].name, "mx2.other.example");
        assert_int_equal(world->policies, cases[i].to[2] == '[' ? 0 : 1);
        world_free(&world);
    }
}

/* Domains whose policies say the same of the same hosts share a site; one without a policy does not share it with them. */
static void what_is_demanded_is_of_the_site(void **state)
{
    static const struct {
        const char *to;
        unsigned opens;
    } cases[] = { { "a@both.example", 1 }, { "a@also.example", 1 }, { "a@none.example", 2 }, { "b@also.example", 2 } };
    (void)state;
    struct world *world = world_new("");
    world->resolve = two_hosts;
    world->policy = by_name;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_send(world, "alice", "alice@here.example", cases[i].to);
        WORLD_UNTIL(world, world->nassigns == i + 1 && entries_count(world->queue) == 0);
        assert_int_equal(world->opens, cases[i].opens);
    }
    assert_int_equal(world->policies, 3);
    world_free(&world);
}

static void where_nobody_wants_policies(void **state)
{
    static const struct {
        const char *settings;
        bool asks;
    } cases[] = {
        { "delivery { mta-sts = no }\n", false },
        { "delivery { tls = none }\n", false },
        { "delivery { tls = verify }\n", true },
        { "route \"both.example\" { via = mx mta-sts = no }\n", false },
        { "route \"other.example\" { via = mx mta-sts = no }\n", true },
        { "delivery { mta-sts = no }\nroute \"both.example\" { via = mx mta-sts = yes }\n", true },
        { "route \"*\" { via = mx tls = none }\n", false },
        { "route \"*\" { via = \"smart.example:587\" }\n", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *world = world_new(cases[i].settings);
        world->resolve = two_hosts;
        world->policy = by_name;
        world_send(world, "alice", "alice@here.example", "a@both.example");
        WORLD_UNTIL(world, world->nassigns == 1);
        if (world->policies != (cases[i].asks ? 1 : 0) || (world->last_open.sts != 0) != cases[i].asks)
            fail_msg("%s: %u questions, sts %u", cases[i].settings, world->policies, world->last_open.sts);
        world_free(&world);
    }
}

/* What does not exist does so without a policy. */
static void a_no_waits_for_no_policy(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->resolve = two_hosts;
    world->sts_silent = true;
    world_send(world, "alice", "", "a@gone.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", "status=5.1.2") == 1);
    world_free(&world);
}

/* The sts role goes, or is not there yet: what it was asked is asked again, and mail waits for it. */
static void sts_goes_and_comes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->resolve = two_hosts;
    world->policy = by_name;
    world->sts_silent = true;
    world_send(world, "alice", "alice@here.example", "a@both.example");
    WORLD_UNTIL(world, world->policies == 1);
    ipc_free(&world->sts);
    world_serve(world, 20);
    world_send(world, "bob", "bob@here.example", "a@also.example");
    world_serve(world, 50);
    assert_int_equal(world->nassigns, 0);
    world->sts_silent = false;
    world_sts(world);
    WORLD_UNTIL(world, world->nassigns == 2 && entries_count(world->queue) == 0);
    assert_int_equal(world->policies, 3);
    assert_int_equal(world->last_open.sts, 1);
    world_free(&world);
}

/* It is there and does not answer, for longer than it may hang: what was demanded before is not given up, though new settings made the queue forget
 * the way; mail to others goes on. */
static void sts_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->resolve = two_hosts;
    world->policy = by_name;
    world_send(world, "alice", "alice@here.example", "a@both.example");
    WORLD_UNTIL(world, world->nassigns == 1);
    world->sts_silent = true;
    queue_steps.settings(&world->role);
    world_send(world, "alice", "alice@here.example", "b@both.example");
    world_send(world, "alice", "alice@here.example", "c@none.example");
    WORLD_UNTIL(world, world->policies == 3);
    world_serve(world, 50);                                   /* the MX answers are there */
    domains_tick(world->queue, clock_monotonic_ms() + 60000); /* so long the parent lets a role hang */
    assert_int_equal(world->nassigns, 1);
    domains_tick(world->queue, clock_monotonic_ms() + 100000);
    WORLD_UNTIL(world, world->nassigns == 2 && world_logged(world, "event=deferred", "status=4.7.5") == 1);
    assert_int_equal(world->nassigns, 2);
    assert_string_equal(world->assigns[1].to, "c@none.example");
    assert_int_equal(world->last_open.sts, 0);
    world->sts_silent = false;
    world_send(world, "alice", "alice@here.example", "d@both.example");
    WORLD_UNTIL(world, world->nassigns == 3);
    world_free(&world);
}

/* New settings count for what is asked at that moment, too: else a domain went without its policy for as long as its MX records hold. */
static void settings_that_come_while_it_is_asked(void **state)
{
    struct dns_mx answer = { .ticket = 1 }; /* of the first question */
    (void)state;
    struct world *world = world_new("delivery { mta-sts = no }\n");
    world->resolve = two_hosts;
    world->policy = by_name;
    world->dns_silent = true;
    world_send(world, "alice", "alice@here.example", "a@both.example");
    WORLD_UNTIL(world, world->questions == 1);
    struct conf *before = world->conf;
    world->role.conf = world->conf = world_conf(world->folder, "");
    queue_steps.settings(&world->role);
    conf_free(&before);
    world->dns_silent = false;
    two_hosts(world, "both.example", &answer);
    ipc_send(world->dns, DNS_MX, &answer, offsetof(struct dns_mx, hosts) + answer.count * sizeof *answer.hosts, -1);
    WORLD_UNTIL(world, world->nassigns == 1);
    assert_int_equal(world->last_open.sts, 1);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_policy_means),
        cmocka_unit_test(what_is_demanded_is_of_the_site),
        cmocka_unit_test(where_nobody_wants_policies),
        cmocka_unit_test(a_no_waits_for_no_policy),
        cmocka_unit_test(sts_goes_and_comes),
        cmocka_unit_test(settings_that_come_while_it_is_asked),
        cmocka_unit_test(sts_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
