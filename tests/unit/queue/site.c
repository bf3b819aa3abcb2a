/* Sites: how many connections, in whose turn, and what happens when nobody answers. */
#include "../../../relay/queue/site.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/queue/carrier.h"
#include "../../../relay/queue/fair.h"
#include "world.h"

static struct site *only_site(struct world *world)
{
    struct site_plan plan = {
        .source = "", .domain = "", .alias_of = "", .is_mx = true, .nhosts = 1, .hosts = { { "mx.there.example", 10, 25 } }
    };
    return site_get(world->queue, &plan);
}

static struct site *smart_host(struct world *world)
{
    struct site_plan plan = {
        .source = "", .domain = "", .alias_of = "", .nhosts = 1, .hosts = { { "smtp.upstream.example", 0, 587 } }
    };
    return site_get(world->queue, &plan);
}

static void concurrency_grows_with_success(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 4 }");
    world->manual = true;
    for (unsigned i = 0; i < 20; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 20 && entries_count(world->queue) == 20);
    world_serve(world, 30);
    assert_int_equal(world->opens, PACE_FIRST);
    assert_int_equal(only_site(world)->ready, 20);
    world->manual = false;
    for (uint64_t i = 1; i <= world->opens && i <= PACE_FIRST; i++)
        world_next(world, 0, i);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_in_range(world->opens, 3, 4);
    assert_int_equal(only_site(world)->pace.limit, 4);
    assert_int_equal(world->nassigns, 20);
    world_free(&world);
}

/* More than one connection at once is made where the first is not ready soon. */
static void the_first_connection_may_be_enough(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    int64_t begun_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < 20; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 2);
    assert_true(clock_monotonic_ms() >= begun_ms + SITE_PATIENCE_MS);
    WORLD_UNTIL(world, world->opens == PACE_FIRST);
    world_free(&world);
    world = world_new("");
    for (unsigned i = 0; i < 3; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 3 && world->nassigns && entries_count(world->queue) == 0);
    assert_in_range(world->opens, 1, 3);
    world_free(&world);
}

static struct site *other_site(struct world *world, unsigned number)
{
    char name[40];
    snprintf(name, sizeof name, "mx%u.crowd.example", number);
    struct site_plan plan = {
        .source = "", .domain = "", .alias_of = "", .is_mx = true, .nhosts = 1, .hosts = { { name, 10, 25 } }
    };
    return site_get(world->queue, &plan);
}

/* Where very many are begun at once, the first is late because of them: a second one for the same few messages would not help. */
static void in_a_crowd_the_first_connection_has_more_time(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    for (unsigned i = 0; i < 1000; i++)
        assert_true(carrier_open(world->queue, other_site(world, i)));
    assert_true(carriers_crowd(world->queue));
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, only_site(world)->ready == 5);
    int64_t begun_ms = only_site(world)->opening_ms;
    WORLD_UNTIL(world, only_site(world)->open == 2);
    assert_true(clock_monotonic_ms() >= begun_ms + SITE_CROWD_MS);
    world_free(&world);
}

static void senders_take_turns(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    for (unsigned i = 0; i < 30; i++)
        world_send(world, "bulk", "bulk@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 30);
    world_send(world, "carol", "carol@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 31 && world->opens == 1);
    world->manual = false;
    world_next(world, 0, 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    unsigned turn = 0;
    while (strcmp(world->assigns[turn].from, "carol@here.example") != 0)
        turn++;
    assert_in_range(turn, 0, 2);
    world_free(&world);
}

static void connections_are_used_again(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (unsigned i = 1; i <= 5; i++) {
        world_send(world, "alice", "alice@here.example", "bob@there.example");
        WORLD_UNTIL(world, world->nassigns == i && entries_count(world->queue) == 0);
    }
    assert_int_equal(world->opens, 1);
    world_free(&world);
}

static void a_dead_site_rests(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 5 && world_logged(world, "event=site-backoff", "site=mx.there.example") == 1);
    world_serve(world, 100);
    struct site *site = only_site(world);
    assert_true(site_rests(site));
    assert_int_equal(site->failures, 1);
    assert_in_range(world->refused_opens, 1, PACE_FIRST);
    /* one pays with an attempt, the others wait, and the log says so */
    assert_int_equal(site->ready, 4);
    assert_int_equal(world->queue->recipients[UNIT_SCHEDULED], 1);
    assert_int_equal(world_logged(world, "event=deferred", "reply=\"connection refused\""),
                     1 + world_logged(world, "event=deferred", "attempt=0"));
    world_free(&world);
}

static void a_site_that_comes_back_is_probed(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 80;
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 5 && only_site(world)->failures >= 3);
    unsigned opens = world->opens;
    world->refuse = DELIVERY_ENDED;
    WORLD_UNTIL(world, world->opens > opens);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world_logged(world, "event=site-recovered", "site=mx.there.example"), 1);
    assert_int_equal(world_logged(world, "event=delivered", NULL), 5);
    world_free(&world);
}

static int64_t rest_of(const struct site *site)
{
    return site->next_ms - site->since_ms;
}

/* All mail waits for it, and nobody's attempt is used up. Half a minute without it is no five minutes without mail. */
static void a_smart_host_is_probed_soon(void **state)
{
    static const int64_t rests_ms[] = { 15000, 30000, 60000, 120000, 240000 };
    unsigned probes = sizeof rests_ms / sizeof *rests_ms;
    (void)state;
    struct world *world = world_new("route \"*\" { via = \"smtp.upstream.example:587\" }\n");
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 3; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 3 && entries_count(world->queue) == 3);
    for (unsigned i = 0; i <= probes; i++) {
        WORLD_UNTIL(world, smart_host(world)->failures == i + 1);
        struct site *site = smart_host(world);
        if (i < probes)
            assert_int_equal(rest_of(site), rests_ms[i]);
        else
            assert_in_range(rest_of(site), 270000, 330000); /* now it is an outage, and the schedule begins */
        assert_int_equal(site->ready, 3);
        world->refuse = i < probes ? DELIVERY_UNREACHABLE : DELIVERY_ENDED;
        site_retry(world->queue, site, sites_rests_begun(world->queue));
    }
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "attempt=1") == 3);
    assert_int_equal(smart_host(world)->probes, 0);
    world_free(&world);
}

/* What a smart host said, and how long it rests then. */
static void a_smart_host_that_answers_is_not_asked_so_soon(void **state)
{
    static const struct {
        const char *enhanced, *reply;
        bool soon;
    } cases[] = {
        { "4.4.1", "connection refused", true },
        { "4.3.2", "421 4.3.2 shutting down", true },
        { "4.7.8", "421 who guesses passwords waits", false },
        { "4.7.8", "535 5.7.8 wrong password", false },
        { "4.7.1", "554 5.7.1 go away", false },
        { "4.7.0", "454 4.7.0 the passwords cannot be read", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *world = world_new("route \"*\" { via = \"smtp.upstream.example:587\" }\n");
        world->manual = true;
        world_send(world, "alice", "alice@here.example", "bob@there.example");
        WORLD_UNTIL(world, world->opens == 1);
        world_close(world, 0, 1, DELIVERY_UNREACHABLE, cases[i].enhanced, cases[i].reply);
        WORLD_UNTIL(world, site_rests(smart_host(world)));
        if (cases[i].soon)
            assert_int_equal(rest_of(smart_host(world)), 15000);
        else
            assert_in_range(rest_of(smart_host(world)), 270000, 330000);
        world_free(&world);
    }
}

/* It starts anew while mail goes there: its connections break one after the other. */
static void a_smart_host_that_breaks_off_is_probed_soon(void **state)
{
    (void)state;
    struct world *world =
        world_new("route \"*\" { via = \"smtp.upstream.example:587\" }\ndelivery { connections-per-site = 1 }\n");
    world->manual = true;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    for (uint64_t i = 1; i <= SITE_LOST_MAX; i++) {
        WORLD_UNTIL(world, world->opens == i);
        world_next(world, 0, i);
        WORLD_UNTIL(world, world->nassigns == i);
        world_close(world, 0, i, DELIVERY_LOST, "4.4.2", "the connection was reset");
    }
    WORLD_UNTIL(world, site_rests(smart_host(world)));
    assert_int_equal(rest_of(smart_host(world)), 15000);
    world_free(&world);
}

/* Where the schedule has a shorter step, that is kept to. */
static void a_short_schedule_is_kept_to(void **state)
{
    (void)state;
    struct world *world = world_new("route \"*\" { via = \"smtp.upstream.example:587\" }\n");
    world->conf->queue.retry.items[0] = 5000;
    world->refuse = DELIVERY_UNREACHABLE;
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 1 && smart_host(world)->failures == 1);
    assert_in_range(rest_of(smart_host(world)), 4500, 5500);
    world_free(&world);
}

/* A person asked for it to be tried: a connection that waits takes the next message. */
static void a_retry_wakes_an_idle_connection(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }\n");
    world_say(world, DELIVERY_TEMPORARY, "4.3.1", "452 4.3.1 the disk is full");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && site_rests(only_site(world)));
    world_say(world, DELIVERY_DONE, "2.0.0", "250 2.0.0 fine");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, only_site(world)->ready == 1);
    world_serve(world, 50);
    assert_int_equal(world->nassigns, 1);
    site_retry(world->queue, only_site(world), sites_rests_begun(world->queue));
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 1);
    assert_int_equal(world->opens, 1);
    world_free(&world);
}

static void an_impossible_site_bounces(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->refuse = DELIVERY_IMPOSSIBLE;
    world_send(world, "alice", "", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 1 && world_logged(world, "event=bounced", "status=5.4.6") == 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_free(&world);
}

static void one_connection_too_many_is_no_failure(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    for (unsigned i = 0; i < 3; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 2 && only_site(world)->ready == 3);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_close(world, 0, 2, DELIVERY_UNREACHABLE, "4.4.1", "421 too many connections");
    world_serve(world, 50);
    assert_false(site_rests(only_site(world)));
    assert_int_equal(only_site(world)->pace.limit, 1);
    assert_int_equal(world_logged(world, "event=deferred", NULL), 0);
    world_free(&world);
}

/* What a site's rate is judged by is counted once for each transaction, whatever it came to. */
static void a_transaction_counts_once(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 5 && entries_count(world->queue) == 0);
    assert_int_equal(only_site(world)->pace.since_fresh, 5);
    world_say(world, DELIVERY_TEMPORARY, "4.2.2", "452 4.2.2 mailbox full");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "attempt=1") == 1);
    assert_int_equal(only_site(world)->pace.since_fresh, 6);
    world_free(&world);
}

/* A refusal for the rate costs that message an attempt and the others a pause; the site does not rest. */
static void a_rate_refusal_slows(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 5 && world->opens == 1);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_say(world, DELIVERY_TEMPORARY, "4.7.0", "421 4.7.0 rate limit exceeded");
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_close(world, 0, 1, DELIVERY_LOST, "4.7.0", "421 4.7.0 rate limit exceeded");
    WORLD_UNTIL(world, world_logged(world, "event=site-slowed", "row=rate about=rate") == 1);
    struct site *site = only_site(world);
    assert_false(site_rests(site));
    assert_true(site_is_slowed(site));
    assert_true(site->pace.rate > 0);
    assert_int_equal(world->opens, 1);
    assert_int_equal(world_logged(world, "event=deferred", "attempt=1"), 1);
    assert_int_equal(world_ask(world, &(struct admin_ask){ .ticket = 1, .verb = ADMIN_STATUS }), ADMIN_DONE);
    assert_non_null(strstr(world->answer, "\"state\":\"slowed\""));
    assert_non_null(strstr(world->answer, "\"row\":\"rate\""));
    assert_non_null(strstr(world->answer, "421 4.7.0 rate limit exceeded"));
    WORLD_UNTIL(world, world->opens == 2); /* behind the pause */
    world_say(world, DELIVERY_DONE, "2.0.0", "250 ok");
    world->manual = false;
    world_next(world, 0, 2);
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    assert_int_equal(world_logged(world, "event=site-slowed", NULL), 1);
    world_free(&world);
}

/* What is told of a site is of one piece: the row is that of the reply, when a rest has come and gone as well. */
static void a_slowed_site_rests_and_comes_back(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 5 && world->opens == 1);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_say(world, DELIVERY_TEMPORARY, "4.7.0", "421 4.7.0 rate limit exceeded");
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_close(world, 0, 1, DELIVERY_LOST, "4.7.0", "421 4.7.0 rate limit exceeded");
    WORLD_UNTIL(world, world->opens == 2); /* behind the pause */
    world_next(world, 0, 2);
    WORLD_UNTIL(world, world->nassigns == 2);
    world_say(world, DELIVERY_TEMPORARY, "4.3.1", "452 4.3.1 Insufficient system storage");
    world_outcome(world, 0, &world->assigns[1].assign, 0, "");
    world_close(world, 0, 2, DELIVERY_ENDED, "", "");
    WORLD_UNTIL(world, world_logged(world, "event=site-backoff", "row=storage") == 1);
    struct site *site = only_site(world);
    assert_int_equal(world_ask(world, &(struct admin_ask){ .ticket = 1, .verb = ADMIN_STATUS }), ADMIN_DONE);
    assert_non_null(strstr(world->answer, "\"row\":\"storage\",\"reply\":\"452 4.3.1 "));
    world_say(world, DELIVERY_DONE, "2.0.0", "250 ok");
    world->manual = false;
    site_retry(world->queue, site, sites_rests_begun(world->queue));
    WORLD_UNTIL(world, world_logged(world, "event=site-recovered", NULL) == 1);
    assert_true(site_is_slowed(site));
    assert_int_equal(world_ask(world, &(struct admin_ask){ .ticket = 1, .verb = ADMIN_STATUS }), ADMIN_DONE);
    assert_non_null(strstr(world->answer, "\"row\":\"rate\",\"reply\":\"421 4.7.0 "));
    world_free(&world);
}

/* A reproach of one account in a 421 says nothing of the site, however often. */
static void a_reproach_is_no_failure_of_the_site(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    for (unsigned i = 0; i < 6; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 6);
    world_say(world, DELIVERY_TEMPORARY, "4.7.0", "421 4.7.0 this looks like spam");
    for (uint64_t i = 1; i <= SITE_LOST_MAX + 2; i++) {
        WORLD_UNTIL(world, world->opens == i);
        world_next(world, 0, i);
        WORLD_UNTIL(world, world->nassigns == i);
        world_outcome(world, 0, &world->assigns[i - 1].assign, 0, "");
        world_close(world, 0, i, DELIVERY_LOST, "4.7.0", "421 4.7.0 this looks like spam");
    }
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "attempt=1") == SITE_LOST_MAX + 2);
    assert_false(site_rests(only_site(world)));
    assert_int_equal(world_logged(world, "event=site-slowed", NULL) + world_logged(world, "event=site-backoff", NULL), 0);
    world_free(&world);
}

static void a_full_disk_there_lets_the_site_rest(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world_say(world, DELIVERY_TEMPORARY, "4.3.1", "452 4.3.1 Insufficient system storage");
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 5 && world_logged(world, "event=site-backoff", "row=storage about=site") == 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 5);
    world_serve(world, 30);
    assert_int_equal(world->nassigns, 1);
    assert_true(site_rests(only_site(world)));
    world_free(&world);
}

static void bounds_of_a_site(void **state)
{
    (void)state;
    struct world *world = world_new("site \"there.example\" { connections = 3 messages-per-connection = 2 rate = \"50/1s\" }\n"
                                    "site \"example\" { connections = 1 }\n");
    int64_t begun_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < 21; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 21 && entries_count(world->queue) == 0);
    assert_true(clock_monotonic_ms() - begun_ms >= 20 * 20 - 10);
    assert_int_equal(only_site(world)->bounds.connections, 3);
    assert_in_range(world->opens, 11, 24);
    assert_true(world->closes + 3 >= world->opens);
    world_free(&world);
}

/* Where the next message's turn is far away no connection is opened to wait for it. */
static void a_low_rate_needs_few_connections(void **state)
{
    (void)state;
    struct world *world = world_new("site \"mx.there.example\" { rate = \"1/1min\" }\n");
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 4);
    assert_int_equal(world->opens, 1);
    world_close(world, 0, 1, DELIVERY_ENDED, "", "");
    WORLD_UNTIL(world, only_site(world)->connections == 0);
    world_serve(world, 1200); /* a round of the clock at least */
    assert_int_equal(world->opens, 1);
    assert_int_equal(world->nassigns, 1);
    world_free(&world);
}

/* LOST in a transaction: what has no outcome is put off; three times in a row, and the site rests. */
static void lost_connections(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    for (unsigned i = 0; i < 5; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 5);
    for (uint64_t i = 1; i <= SITE_LOST_MAX; i++) {
        WORLD_UNTIL(world, world->opens == i);
        world_next(world, 0, i);
        WORLD_UNTIL(world, world->nassigns == i);
        world_close(world, 0, i, DELIVERY_LOST, "4.4.2", "the connection was reset");
        WORLD_UNTIL(world, world_logged(world, "event=deferred", "attempt=1") == i);
    }
    world_serve(world, 50);
    assert_true(site_rests(only_site(world)));
    assert_int_equal(world->opens, SITE_LOST_MAX);
    assert_int_equal(entries_count(world->queue), 5);
    world_free(&world);
}

static void a_delivery_process_goes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    world_send(world, "alice", "alice@here.example", "a@there.example b@there.example");
    world_send(world, "alice", "alice@here.example", "c@there.example");
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_outcome(world, 0, &world->assigns[0].assign, 0, "a@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "to=a@there.example") == 1);
    world_process(world, 1);
    ipc_free(&world->processes[0].ipc);
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "to=b@there.example") == 1);
    WORLD_UNTIL(world, world->opens == 3); /* for c, elsewhere */
    assert_int_equal(world_logged(world, "event=deferred", NULL), 1);
    world_free(&world);
}

static void an_idle_connection_that_closes_gives_its_unit_back(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 1 }");
    world->manual = true;
    world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->opens == 1);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_close(world, 0, 1, DELIVERY_ENDED, "", "");
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 2);
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_int_equal(world->assigns[1].assign.attempt, 1);
    world_free(&world);
}

/* A person was faster than the end of the connection. */
static void what_is_given_back_is_held_or_removed(void **state)
{
    static const enum admin_verb verbs[] = { ADMIN_QUEUE_HOLD, ADMIN_QUEUE_REMOVE };
    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        struct world *world = world_new("");
        world->manual = true;
        struct uid id = world_send(world, "alice", "alice@here.example", "b@there.example");
        WORLD_UNTIL(world, world->opens == 1);
        world_next(world, 0, 1);
        WORLD_UNTIL(world, world->nassigns == 1);
        assert_int_equal(world_ask_id(world, verbs[i], id), ADMIN_DONE);
        world_close(world, 0, 1, DELIVERY_ENDED, "", "");
        WORLD_UNTIL(world, !carriers_count(world->queue));
        assert_int_equal(entries_count(world->queue), verbs[i] == ADMIN_QUEUE_HOLD);
        assert_int_equal(world->queue->recipients[UNIT_HELD], verbs[i] == ADMIN_QUEUE_HOLD);
        assert_int_equal(world->queue->recipients[UNIT_READY], 0);
        world_free(&world);
    }
}

/* It goes by another connection of its site, which waits for work. */
static void what_is_given_back_wakes_a_connection(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 2 }");
    world->manual = true;
    for (unsigned i = 0; i < 2; i++)
        world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 1);
    world_next(world, 0, 2);
    WORLD_UNTIL(world, world->nassigns == 2);
    uint64_t idle = world->assigns[0].assign.connection;
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_next(world, 0, idle);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 1);
    world_close(world, 0, world->assigns[1].assign.connection, DELIVERY_ENDED, "", "");
    WORLD_UNTIL(world, world->nassigns == 3);
    assert_int_equal(world->assigns[2].assign.connection, idle);
    world_free(&world);
}

/* Slow sites, however many they are, get one connection each as long as there are any; then they take turns. */
static void slow_sites_take_turns(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections = 24 }");
    char first[SMTP_DOMAIN_SIZE];
    world->manual = true;
    for (unsigned i = 0; i < 30; i++) {
        char to[64];
        text_format(to, sizeof to, "bob@slow%u.example", i);
        for (unsigned n = 0; n < 3; n++)
            world_send(world, "alice", "alice@here.example", to);
    }
    WORLD_UNTIL(world, entries_count(world->queue) == 90 && world->opens == 24);
    world_serve(world, 30);
    assert_int_equal(world->opens, 24);
    for (uint64_t i = 1; i <= 6; i++) { /* the six that had none */
        world_close(world, 0, i, DELIVERY_ENDED, "", "");
        WORLD_UNTIL(world, world->opens == 24 + i);
        assert_int_equal(world->last_open.connection, 24 + i);
        if (i > 1)
            assert_string_not_equal(world->last_open.site, first);
        text_copy(first, sizeof first, span_of(world->last_open.site));
    }
    world_free(&world);
}

/* What waits for more work of its site makes room as soon as another site has none. */
static void idle_connections_make_room(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections = 4 }");
    for (unsigned i = 1; i <= 12; i++) {
        char to[64];
        text_format(to, sizeof to, "bob@site%u.example", i);
        world_send(world, "alice", "alice@here.example", to);
        WORLD_UNTIL(world, world->nassigns == i && entries_count(world->queue) == 0);
        assert_in_range(carriers_count(world->queue), 1, 4);
    }
    assert_int_equal(world->opens, 12);
    assert_in_range(world->closes, 8, 9);
    world_free(&world);
}

/* The same for one that has some and wants more; those at work are left alone. */
static void idle_connections_make_room_for_a_busy_site(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections = 40 }");
    for (unsigned i = 1; i <= 40; i++) {
        char to[64];
        text_format(to, sizeof to, "bob@site%u.example", i);
        world_send(world, "alice", "alice@here.example", to);
        WORLD_UNTIL(world, world->nassigns == i && entries_count(world->queue) == 0);
    }
    assert_int_equal(carriers_waiting(world->queue), 40);
    world->manual = true;
    only_site(world)->pace.limit = 20;
    for (unsigned i = 0; i < 20; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 20 && world->opens == 44);
    world_serve(world, 30);
    assert_int_equal(only_site(world)->open, 4); /* (40 - 3) / 8 are four, (40 - 4) / 8 no more */
    assert_in_range(carriers_count(world->queue), 36, 40);
    world_free(&world);
}

static void one_site_gets_no_more_than_a_part(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections = 60 }");
    world->manual = true;
    for (unsigned i = 0; i < 20; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 20 && world->opens == PACE_FIRST);
    only_site(world)->pace.limit = 20;
    site_fill(world->queue, only_site(world));
    WORLD_UNTIL(world, world->opens == 6); /* (60 - 5) / 8 are six, (60 - 6) / 8 no more */
    world_serve(world, 30);
    assert_int_equal(world->opens, 6);
    world_send(world, "alice", "alice@here.example", "bob@elsewhere.example");
    WORLD_UNTIL(world, world->opens == 7);
    assert_string_equal(world->last_open.site, "mx.elsewhere.example");
    world_free(&world);
}

static void work_is_spread_over_processes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_process(world, 1);
    world->manual = true;
    for (unsigned i = 0; i < 4; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 2);
    world_serve(world, 30);
    world_next(world, 0, 1);
    world_next(world, 0, 2);
    world_next(world, 1, 1);
    world_next(world, 1, 2);
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_int_not_equal(world->assigns[0].process, world->assigns[1].process);
    world_free(&world);
}

/* What a process says of connections, messages and recipients that are not its own is ignored. */
static void lies_are_ignored(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_process(world, 1);
    world->manual = true;
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 1);
    world_next(world, 0, 1);
    world_next(world, 1, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    struct delivery_assign assign = world->assigns[0].assign;
    unsigned process = world->assigns[0].process;
    world_outcome(world, !process, &assign, 0, "");
    assign.recipients[0] = 77;
    world_outcome(world, process, &assign, 0, "");
    assign.recipients[0] = 0;
    assign.connection = 99;
    world_outcome(world, process, &assign, 0, "");
    world_close(world, !process, 1, DELIVERY_LOST, "4.4.2", "a lie");
    world_serve(world, 50);
    assert_int_equal(world_logged(world, "event=delivered", NULL), 0);
    assert_int_equal(entries_count(world->queue), 1);
    world_outcome(world, process, &world->assigns[0].assign, 0, "");
    world_outcome(world, process, &world->assigns[0].assign, 0, ""); /* twice */
    world_next(world, process, 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world_logged(world, "event=delivered", NULL), 1);
    world_free(&world);
}

static void routes_decide(void **state)
{
    (void)state;
    struct world *world = world_new("route \"there.example\" { via = \"smtp.upstream.example:587\" }\n");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    assert_int_equal(world->questions, 0);
    assert_false(world->last_open.is_mx);
    assert_string_equal(world->last_open.route, "there.example");
    assert_string_equal(world->last_open.hosts[0].name, "smtp.upstream.example");
    assert_int_equal(world->last_open.hosts[0].port, 587);
    world_free(&world);
}

/* A reload acts on mail that waits: the route is chosen at each attempt. */
static void a_reload_acts_on_what_waits(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 3; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->stored == 3 && world_logged(world, "event=site-backoff", NULL) == 1);
    struct conf *before = world->conf;
    world->conf = world_conf(world->folder, "route \"*\" { via = \"smtp.upstream.example:587\" }\n");
    world->role.conf = world->conf;
    world->refuse = DELIVERY_ENDED;
    queue_steps.settings(&world->role);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "site=smtp.upstream.example") == 2);
    assert_int_equal(entries_count(world->queue), 1); /* the one that paid with an attempt waits for its time */
    conf_free(&before);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(concurrency_grows_with_success),
        WORLD_TEST(the_first_connection_may_be_enough),
        WORLD_TEST(in_a_crowd_the_first_connection_has_more_time),
        WORLD_TEST(senders_take_turns),
        WORLD_TEST(connections_are_used_again),
        WORLD_TEST(a_dead_site_rests),
        WORLD_TEST(a_site_that_comes_back_is_probed),
        WORLD_TEST(a_smart_host_is_probed_soon),
        WORLD_TEST(a_smart_host_that_answers_is_not_asked_so_soon),
        WORLD_TEST(a_smart_host_that_breaks_off_is_probed_soon),
        WORLD_TEST(a_short_schedule_is_kept_to),
        WORLD_TEST(a_retry_wakes_an_idle_connection),
        WORLD_TEST(an_impossible_site_bounces),
        WORLD_TEST(one_connection_too_many_is_no_failure),
        WORLD_TEST(a_transaction_counts_once),
        WORLD_TEST(a_rate_refusal_slows),
        WORLD_TEST(a_slowed_site_rests_and_comes_back),
        WORLD_TEST(a_reproach_is_no_failure_of_the_site),
        WORLD_TEST(a_full_disk_there_lets_the_site_rest),
        WORLD_TEST(bounds_of_a_site),
        WORLD_TEST(a_low_rate_needs_few_connections),
        WORLD_TEST(lost_connections),
        WORLD_TEST(a_delivery_process_goes),
        WORLD_TEST(an_idle_connection_that_closes_gives_its_unit_back),
        WORLD_TEST(what_is_given_back_is_held_or_removed),
        WORLD_TEST(what_is_given_back_wakes_a_connection),
        WORLD_TEST(slow_sites_take_turns),
        WORLD_TEST(idle_connections_make_room),
        WORLD_TEST(idle_connections_make_room_for_a_busy_site),
        WORLD_TEST(one_site_gets_no_more_than_a_part),
        WORLD_TEST(work_is_spread_over_processes),
        WORLD_TEST(lies_are_ignored),
        WORLD_TEST(routes_decide),
        WORLD_TEST(a_reload_acts_on_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
