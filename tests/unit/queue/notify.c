/* Reports: who gets one, when, and what becomes of the message. */
#include "../../../relay/queue/retry.h"
#include "world.h"

static void the_null_sender_gets_none(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_send(world, "alice", "", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", NULL) == 1 && entries_count(world->queue) == 0);
    world_serve(world, 50);
    assert_int_equal(world->nassigns, 1);
    world_free(&world);
}

/* One message to very many sites that all refuse it is no rain of reports upon its sender, who may be forged. */
static void a_message_to_many_gets_few_reports(void **state)
{
    (void)state;
    enum { MANY = 400 };
    struct world *world = world_new("");
    struct envelope envelope;
    world_envelope(&envelope, "", "victim@elsewhere.example", "");
    for (unsigned i = 0; i < MANY; i++) {
        char address[64];
        text_format(address, sizeof address, "x@d%u.example", i);
        envelope_add(&envelope, address, 0, NULL);
    }
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world_logged(world, "event=bounced", "to=x@") == MANY && entries_count(world->queue) == 0);
    assert_in_range(world_logged(world, "event=accepted", "report=bounced"), 1, 10);
    world_free(&world);
}

/* Removed while its report waits for others to fail: nobody hears of it. */
static void removed_before_its_report(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example carol@else.example");
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->queue->recipients[UNIT_SENDING] == 0);
    bool gathered = entry_find(world->queue, id)->gathering; /* a second has not passed, on most machines */
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_REMOVE, id), ADMIN_DONE);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world_logged(world, "event=accepted", "report="), !gathered);
    world_free(&world);
}

/* What was handed on is told at once: the disk knows it as delivered, and nothing else would remember. */
static void a_success_does_not_wait(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct envelope envelope;
    world->manual = true;
    world_envelope(&envelope, "alice", "alice@here.example", "");
    envelope_add(&envelope, "bob@there.example", COMMAND_NOTIFY_SUCCESS, NULL);
    envelope_add(&envelope, "carol@else.example", COMMAND_NOTIFY_SUCCESS, NULL);
    struct uid id = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 1);
    assert_int_equal(entry_find(world->queue, id)->gathering, 0);
    WORLD_UNTIL(world, world_logged(world, "event=accepted", "report=relayed") == 1);
    world_free(&world);
}

/* A report that fails is reported to nobody. */
static void a_report_that_fails_ends_there(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", NULL) == 2 && entries_count(world->queue) == 0);
    world_serve(world, 100);
    assert_int_equal(world->nassigns, 2);
    assert_string_equal(world->assigns[1].to, "alice@here.example");
    assert_int_equal(world_logged(world, "event=accepted", "report=bounced"), 1);
    world_free(&world);
}

static void notify_is_heeded(void **state)
{
    static const struct {
        unsigned notify;
        bool reported;
    } cases[] = {
        { 0, true },
        { COMMAND_NOTIFY_NEVER, false },
        { COMMAND_NOTIFY_FAILURE, true },
        { COMMAND_NOTIFY_SUCCESS, false },
        { COMMAND_NOTIFY_DELAY, false },
        { COMMAND_NOTIFY_DELAY | COMMAND_NOTIFY_FAILURE, true },
    };
    (void)state;
    struct world *world = world_new("");
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char address[64];
        text_format(address, sizeof address, "user%zu@there.example", i);
        envelope_add(&envelope, address, cases[i].notify, NULL);
    }
    world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world->nassigns == 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char field[80];
        text_format(field, sizeof field, "Final-Recipient: rfc822; user%zu@", i);
        assert_int_equal(strstr(world->assigns[1].content, field) != NULL, cases[i].reported);
    }
    world_free(&world);
}

static void too_old_is_a_bounce(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 60;
    world->conf->queue.lifetime_ms = 150;
    world_say(world, DELIVERY_TEMPORARY, "4.7.8", "454 4.7.8 authentication required");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", "status=4.4.7") == 1);
    assert_int_equal(world_logged(world, "event=bounced", "authentication required"), 1);
    assert_true(world_logged(world, "event=deferred", "to=bob@there.example") >= 2);
    world_say(world, DELIVERY_DONE, "2.0.0", "250 ok");
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    const char *report = world->assigns[world->nassigns - 1].content;
    assert_non_null(strstr(report, "Action: failed"));
    assert_non_null(strstr(report, "Status: 4.4.7"));
    assert_non_null(strstr(report, "Diagnostic-Code: smtp; 454 4.7.8 authentication required"));
    world_free(&world);
}

static void a_delay_is_told_once(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 60;
    world->conf->queue.delay_warning_ms = 100;
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 later");
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=accepted", "report=delayed") == 1);
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "to=bob@there.example") >= 8);
    assert_int_equal(world_logged(world, "event=accepted", "report=delayed"), 1);
    assert_int_equal(world_ask_id(world, ADMIN_MESSAGE, id), ADMIN_DONE);
    assert_non_null(strstr(world->answer, "\"event\":\"delayed\""));
    bool seen = false;
    for (unsigned i = 0; i < world->nassigns; i++)
        if (strstr(world->assigns[i].content, "Action: delayed")) {
            seen = true;
            assert_non_null(strstr(world->assigns[i].content, "Will-Retry-Until: "));
            assert_non_null(strstr(world->assigns[i].content, "text/rfc822-headers"));
        }
    assert_true(seen);
    world_free(&world);
}

/* Those who wait at a dead site grow old too, and are bounced by its failures, without an attempt of their own. */
static void waiting_units_expire(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 60;
    world->conf->queue.lifetime_ms = 200;
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 10; i++)
        world_send(world, "alice", "", "bob@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", "status=4.4.7") == 10);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_free(&world);
}

/* The wall clock at the start is ten years late; nothing that still has a chance is bounced at once. */
static void a_wrong_clock_at_the_start(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "bob@there.example");
    envelope.arrived_ms -= INT64_C(10) * 365 * 86400 * 1000;
    struct uid id = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    world->manual = true;
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    assert_true(retry_age(entry_find(world->queue, id)) < 60000); /* taken in by this process: by its own clock */
    world_end(world);
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 100;
    world->manual = false;
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 later");
    world_begin(world);
    world_dns(world);
    world_process(world, 0);
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "to=bob@there.example") == 3);
    assert_int_equal(world_logged(world, "event=bounced", NULL), 0); /* retry.c has when it ends */
    world_free(&world);
}

static void a_body_above_the_limit_is_left_out(void **state)
{
    (void)state;
    struct world *world = world_new("queue { bounce-body-size = 50 }");
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_null(strstr(world->assigns[1].content, "first line"));
    assert_non_null(strstr(world->assigns[1].content, "Content-Type: text/rfc822-headers"));
    assert_non_null(
        strstr(world->assigns[1].content, "Received: by here.example\r\nFrom: alice@here.example\r\nSubject: hello\r\n"));
    world_free(&world);
}

/* However a line end that is none came into the spool: the report goes out, and what it would smuggle does not. */
static void an_original_with_a_bare_line_feed_is_left_out(void **state)
{
    static const char *const contents[] = {
        "Subject: x\r\n\r\nx\n.\nMAIL FROM:<smuggled@here.example>\r\n",
        "Subject: x\r\n\r\nx\r\n.\rMAIL FROM:<smuggled@here.example>\r\n",
        "Subject: x\nX: smuggled\r\n\r\nx\r\n",
    };
    (void)state;
    struct world *world = world_new("");
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    for (unsigned i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct envelope envelope;
        world_envelope(&envelope, "alice", "alice@here.example", "bob@there.example");
        world_send_envelope(world, &envelope, span_of(contents[i]));
        WORLD_UNTIL(world, world->nassigns == 2 * (i + 1));
        const char *report = world->assigns[world->nassigns - 1].content;
        assert_non_null(strstr(report, "Final-Recipient: rfc822; bob@there.example\r\n"));
        assert_null(strstr(report, "smuggled"));
        for (const char *end = strpbrk(report, "\r\n"); end; end = strpbrk(end + 2, "\r\n"))
            assert_memory_equal(end, "\r\n", 2);
    }
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(an_original_with_a_bare_line_feed_is_left_out),
        WORLD_TEST(the_null_sender_gets_none),
        WORLD_TEST(a_message_to_many_gets_few_reports),
        WORLD_TEST(removed_before_its_report),
        WORLD_TEST(a_success_does_not_wait),
        WORLD_TEST(a_report_that_fails_ends_there),
        WORLD_TEST(notify_is_heeded),
        WORLD_TEST(too_old_is_a_bounce),
        WORLD_TEST(a_delay_is_told_once),
        WORLD_TEST(waiting_units_expire),
        WORLD_TEST(a_wrong_clock_at_the_start),
        WORLD_TEST(a_body_above_the_limit_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
