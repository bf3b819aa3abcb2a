/* The alarm when nothing at all is delivered. */
#include "../../../relay/queue/stall.h"
#include "world.h"

static const char alarm_text[] = "nothing at all has been delivered";

static struct world *begin(void)
{
    struct world *world = world_new("");
    world->conf->queue.stall_alarm_ms = 500;
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 300;
    world->refuse = DELIVERY_UNREACHABLE;
    return world;
}

static const char *status(struct world *world)
{
    assert_int_equal(world_ask(world, &(struct admin_ask){ .ticket = 1, .verb = ADMIN_STATUS }), ADMIN_DONE);
    return world->answer;
}

static void nothing_is_delivered(void **state)
{
    (void)state;
    struct world *world = begin();
    world_send(world, "alice", "alice@here.example", "a@one.example b@two.example c@three.example");
    WORLD_UNTIL(world, world_logged(world, "event=site-backoff", "failures=1") == 3);
    assert_non_null(strstr(status(world), "\"stalled\":null"));
    WORLD_UNTIL(world, world_logged(world, "event=error", alarm_text) == 1);
    assert_int_equal(world_logged(world, alarm_text, "reply=\"connection refused\""), 1);
    assert_non_null(strstr(status(world), "\"stalled\":{\"since\":\"2"));
    world->refuse = DELIVERY_ENDED;
    WORLD_UNTIL(world, world_logged(world, "event=notice", "is over") == 1);
    assert_non_null(strstr(status(world), "\"stalled\":null"));
    assert_int_equal(world_logged(world, alarm_text, NULL), 1);
    world_free(&world);
}

/* Once nothing waits any more there is nothing that could be delivered. */
static void nothing_waits_any_more(void **state)
{
    (void)state;
    struct world *world = begin();
    ipc_free(&world->processes[0].ipc);
    struct uid id = world_send(world, "alice", "alice@here.example", "a@one.example");
    WORLD_UNTIL(world, world_logged(world, "event=error", alarm_text) == 1);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_REMOVE, id), ADMIN_DONE);
    WORLD_UNTIL(world, world_logged(world, "event=notice", "is over") == 1);
    assert_non_null(strstr(status(world), "\"stalled\":null"));
    world_free(&world);
}

/* The same where it is held, until it is let go. */
static void what_waits_is_held(void **state)
{
    (void)state;
    struct world *world = begin();
    ipc_free(&world->processes[0].ipc);
    struct uid id = world_send(world, "alice", "alice@here.example", "a@one.example");
    WORLD_UNTIL(world, world_logged(world, "event=error", alarm_text) == 1);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_HOLD, id), ADMIN_DONE);
    WORLD_UNTIL(world, world_logged(world, "event=notice", "is over") == 1);
    world_serve(world, 1100);
    assert_int_equal(world_logged(world, alarm_text, NULL), 1);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RELEASE, id), ADMIN_DONE);
    WORLD_UNTIL(world, world_logged(world, alarm_text, NULL) == 2);
    world_free(&world);
}

/* Who waits for two dead hosts, however often they are tried, has no outage; nor has who holds mail. */
static void a_quiet_relay_is_none(void **state)
{
    (void)state;
    struct world *world = begin();
    world_send(world, "alice", "alice@here.example", "a@one.example b@two.example");
    WORLD_UNTIL(world, world_logged(world, "event=site-backoff", "failures=4") == 2);
    world_serve(world, 1100);
    assert_int_equal(world_logged(world, alarm_text, NULL), 0);
    world_free(&world);
}

/* The one host that all mail goes through refuses again and again. */
static void a_smart_host_is_down(void **state)
{
    (void)state;
    struct world *world = world_new("route \"*\" { via = \"smtp.upstream.example:587\" }\n");
    world->conf->queue.stall_alarm_ms = 500;
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 200;
    world->refuse = DELIVERY_UNREACHABLE;
    world_send(world, "alice", "alice@here.example", "a@one.example");
    WORLD_UNTIL(world, world_logged(world, alarm_text, "site=smtp.upstream.example") == 1);
    world_free(&world);
}

static enum dns_status no_answer(struct world *world, const char *domain, struct dns_mx *answer)
{
    (void)world;
    (void)domain;
    (void)answer;
    return DNS_TIMEOUT;
}

static void the_name_servers_are_down(void **state)
{
    (void)state;
    struct world *world = begin();
    world->resolve = no_answer;
    world_send(world, "alice", "alice@here.example", "a@one.example b@two.example c@three.example");
    WORLD_UNTIL(world, world_logged(world, "event=error", alarm_text) == 1);
    world_free(&world);
}

/* Mail is due, but no delivery process takes it. */
static void nobody_delivers(void **state)
{
    (void)state;
    struct world *world = begin();
    ipc_free(&world->processes[0].ipc);
    world_send(world, "alice", "alice@here.example", "a@one.example");
    WORLD_UNTIL(world, world_logged(world, "event=error", alarm_text) == 1);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(nothing_is_delivered),      WORLD_TEST(a_quiet_relay_is_none), WORLD_TEST(a_smart_host_is_down),
        WORLD_TEST(the_name_servers_are_down), WORLD_TEST(nobody_delivers),       WORLD_TEST(nothing_waits_any_more),
        WORLD_TEST(what_waits_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
