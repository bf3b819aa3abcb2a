/* Connections over their life: kept, idle, dead while kept, full, drained; and what happens when the queue or the DNS goes. */
#include "world.h"

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define PIPELINING "accept", "> 220 mx.test ESMTP", "< EHLO relay.test", "> 250-mx.test", "> 250 PIPELINING"
#define OK         "> 250 ok"
#define ASKED      "< MAIL FROM:<alice@example.net>", "< RCPT TO:<bob@mx.test>", "< DATA"
#define SENT       ASKED, OK, OK, "> 354 go", "content", OK

static struct world world;
static struct world_server server;

static void begin(const char *const *script)
{
    world_serve(&server, script, NULL);
    world_begin(&world, &world_plain, NULL);
}

static void end(const char *events)
{
    world_end(&world);
    if (strcmp(world.events, events) != 0)
        print_error("%s\n%s", world.events, world.replies);
    world_served(&server);
    assert_string_equal(world.events, events);
}

static void run_for(int64_t ms)
{
    bool never = false;
    world_run(&world, &never, ms);
}

/* Nobody needs it any more: QUIT after the idle time. */
static void test_idle(void **state)
{
    (void)state;
    world_init(&world);
    world.keep = true;
    world.conf.delivery.idle_timeout_ms = 800;
    begin(LINES(PIPELINING, SENT, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;ended;");
}

/* However short the idle time is, the queue has time to answer: a connection that ended before would be made again and again. */
static void test_idle_at_once(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 0;
    world.keep = true;
    world.conf.delivery.idle_timeout_ms = 0;
    begin(LINES(PIPELINING, SENT, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    while (!*world.events)
        loop_once(world.loop, true);
    run_for(20);
    world.messages = 1;
    world_assign(&world);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;ended;");
}

/* An ASSIGN that crosses the CLOSED is not begun (the queue gives it to another connection). */
static void test_crossing(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 0;
    world.keep = true;
    world.conf.delivery.idle_timeout_ms = 50;
    begin(LINES(PIPELINING, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    world.messages = 1;
    world_assign(&world);
    run_for(50);
    end("next;ended;");
}

/* The server closes while the connection waits: nobody's failure. */
static void test_closed_while_idle(void **state)
{
    (void)state;
    world_init(&world);
    world.keep = true;
    begin(LINES(PIPELINING, SENT, "silent", "> 421 4.4.2 idle too long", "close"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;ended;");
}

/* A kept connection is found dead at MAIL: the message gets a fresh one, without anybody hearing of it. */
static void test_stale(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 2;
    begin(LINES(PIPELINING, SENT, ASKED, "close", PIPELINING, SENT, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;0 done 2.0.0 remote;next;ended;");
}

/* The fresh one dies as well: the message waits. */
static void test_stale_twice(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 2;
    begin(LINES(PIPELINING, SENT, ASKED, "close", PIPELINING, ASKED, "close"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;0 temporary 4.4.2;lost 4.4.2;");
}

/* No fresh connection can be had. */
static void test_stale_and_away(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 2;
    begin(LINES(PIPELINING, SENT, ASKED, "away", "close"));
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;0 temporary 4.4.1;unreachable 4.4.1;");
}

/* The queue ends a connection that is still being made. */
static void test_close_early(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES("accept", "gone"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(50);
    world_close(&world);
    assert_true(world_run(&world, &world.closed, 3000));
    end("ended;");
}

/* A second ASSIGN before the first is done is against the rules, but loses nobody. */
static void test_assign_twice(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 0;
    world.keep = true;
    begin(LINES(PIPELINING, ASKED, OK, OK, "> 354 go", "content", "stall", OK, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(100);
    world.messages = 2;
    world_assign(&world);
    world_assign(&world);
    run_for(200);
    assert_string_equal(world.events, "next;0 temporary 4.3.0;");
    world.keep = false;
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 temporary 4.3.0;0 done 2.0.0 remote;next;ended;");
}

/* A segment that came without its descriptor is told back, and what lies in it waits; a place that does not exist is no place. */
static void test_segment_lacks(void **state)
{
    const struct delivery_segment lacking = { 3 }, outside = { DELIVERY_SEGMENTS };
    (void)state;
    world_init(&world);
    world.lent = true;
    begin(LINES(PIPELINING, "< QUIT"));
    pool_segment(&world.pool, &outside, -1);
    pool_forget(&world.pool, &(struct delivery_forget){ DELIVERY_SEGMENTS });
    pool_segment(&world.pool, &lacking, -1);
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    end("lacks 3;next;0 temporary 4.3.0;next;ended;");
}

static void test_segment_forgotten(void **state)
{
    (void)state;
    world_init(&world);
    world.keep = true;
    begin(LINES(PIPELINING, SENT, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(200);
    assert_string_equal(world.events, "next;0 done 2.0.0 remote;next;");
    pool_forget(&world.pool, &(struct delivery_forget){ 3 });
    world.messages = 1;
    world.keep = false;
    world_assign(&world);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;0 temporary 4.3.0;next;ended;");
}

/* Draining: what is at work is finished, what waits is ended, what is new is not begun. */
static void test_drain(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES(PIPELINING, ASKED, OK, OK, "> 354 go", "content", "stall", OK, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(150);
    pool_drain(&world.pool);
    assert_false(world.emptied);
    world.connection++;
    world_open(&world, "mx.test", server.port, NULL);
    assert_true(world_run(&world, &world.emptied, 3000));
    run_for(20);
    end("next;ended;0 done 2.0.0 remote;ended;");
}

static void test_drain_empty(void **state)
{
    (void)state;
    world_init(&world);
    world.messages = 0;
    world.keep = true;
    begin(LINES(PIPELINING, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(100);
    pool_drain(&world.pool);
    assert_true(world.emptied);
    run_for(20);
    end("next;ended;");
}

/* The queue goes. Before the dot: nothing is delivered. */
static void test_queue_gone_early(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES(PIPELINING, ASKED, "stall", "raw 250 ok\r\n250 ok\r\n354 go\r\n", "close"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(150);
    pool_queue_gone(&world.pool);
    assert_true(list_empty(&world.pool.connections));
    end("next;");
    assert_int_equal(server.contents, 0);
}

/* After the dot: it goes its way, and the next queue is told nothing of it. */
static void test_queue_gone_late(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES(PIPELINING, ASKED, OK, OK, "> 354 go", "content", "stall", OK, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(150);
    pool_queue_gone(&world.pool);
    world.pool.queue = world.queue_back;
    assert_false(list_empty(&world.pool.connections));
    run_for(600);
    assert_true(list_empty(&world.pool.connections));
    end("next;");
}

/* After the dot, where the server takes one recipient at a time: the others are left to the next queue. */
static void test_queue_gone_between(void **state)
{
    (void)state;
    world_init(&world);
    world.recipients = 2;
    begin(LINES("accept", "> 220 mx.test ESMTP", "< EHLO relay.test", "> 250-mx.test", "> 250-PIPELINING",
                "> 250 LIMITS RCPTMAX=1", ASKED, OK, OK, "> 354 go", "content", "stall", OK, "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(150);
    pool_queue_gone(&world.pool);
    world.pool.queue = world.queue_back;
    run_for(600);
    assert_true(list_empty(&world.pool.connections));
    end("next;");
    assert_int_equal(server.contents, 1);
}

/* After the dot, which the server then refuses: the next queue hears nothing of the dialogue either. */
static void test_queue_gone_refused(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES(PIPELINING, ASKED, OK, OK, "> 354 go", "content", "stall", "> 550 5.7.1 no", "< QUIT"));
    world_open(&world, "mx.test", server.port, NULL);
    run_for(150);
    pool_queue_gone(&world.pool);
    world.pool.queue = world.queue_back;
    run_for(600);
    assert_true(list_empty(&world.pool.connections));
    end("next;");
    assert_int_equal(world.dialogues, 0);
}

/* The DNS is away: the question waits for it. */
static void test_dns_away(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES(PIPELINING, SENT, "< QUIT"));
    world.pool.dns = NULL;
    world_open(&world, "mx.test", server.port, NULL);
    run_for(50);
    assert_string_equal(world.asked, "");
    world.pool.dns = world.dns;
    pool_dns_came(&world.pool);
    assert_true(world_run(&world, &world.closed, 3000));
    end("next;0 done 2.0.0 remote;next;ended;");
}

/* A route that this process does not know (the queue has newer settings): nothing is connected to. */
static void test_unknown_route(void **state)
{
    (void)state;
    world_init(&world);
    begin(LINES("close"));
    world_open(&world, "mx.test", server.port, "gone.test");
    assert_true(world_run(&world, &world.closed, 3000));
    end("unreachable 4.3.5;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_idle_at_once),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_closed_while_idle),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_stale_twice),
        cmocka_unit_test(test_stale_and_away),
        cmocka_unit_test(test_close_early),
        cmocka_unit_test(test_assign_twice),
        cmocka_unit_test(test_segment_lacks),
        cmocka_unit_test(test_segment_forgotten),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_empty),
        cmocka_unit_test(test_queue_gone_early),
        cmocka_unit_test(test_queue_gone_late),
        cmocka_unit_test(test_queue_gone_between),
        cmocka_unit_test(test_queue_gone_refused),
        cmocka_unit_test(test_dns_away),
        cmocka_unit_test(test_unknown_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
