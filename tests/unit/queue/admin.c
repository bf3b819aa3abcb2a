/* What control asks: lists, one message, and what a person does to the queue. */
#include "world.h"

#include <jansson.h>

/* Value NUMBER of the answer, to be released; its lines are the values. */
static json_t *value_of(const struct world *world, unsigned number)
{
    struct span rest = span_make(world->answer, world->answer_size), line = { "", 0 };
    for (unsigned i = 0; i <= number; i++)
        line = span_cut(&rest, '\n');
    json_t *value = json_loadb(line.p, line.n, 0, NULL);
    assert_non_null(value);
    return value;
}

static json_int_t changed(struct world *world, const struct admin_ask *ask)
{
    assert_int_equal(world_ask(world, ask), ADMIN_DONE);
    json_t *value = value_of(world, 0);
    json_int_t count = json_integer_value(json_object_get(value, "changed"));
    json_decref(value);
    return count;
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    assert_non_null(value);
    return value;
}

/* A world with N messages deferred: by alice to a@one.example and carol to b@two.example in turn. */
static struct world *world_of_deferred(unsigned n)
{
    struct world *world = world_new("");
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    for (unsigned i = 0; i < n; i++)
        world_send(world, i % 2 ? "carol" : "alice", i % 2 ? "carol@here.example" : "alice@here.example",
                   i % 2 ? "b@two.example" : "a@one.example");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_SCHEDULED] == n);
    return world;
}

static void the_list_tells_all(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(2);
    struct admin_ask ask = { .ticket = 3, .verb = ADMIN_QUEUE_LIST };
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_int_equal(world->values, 2);
    json_t *one = value_of(world, 0);
    assert_string_equal(text(one, "account"), "alice");
    assert_string_equal(text(one, "client"), "192.0.2.1");
    assert_string_equal(text(one, "from"), "alice@here.example");
    assert_string_equal(text(one, "state"), "scheduled");
    assert_int_equal(json_integer_value(json_object_get(one, "size")),
                     strlen(WORLD_CONTENT) + strlen("Received: by here.example\r\n"));
    const json_t *recipient = json_array_get(json_object_get(one, "recipients"), 0);
    assert_string_equal(text(recipient, "to"), "a@one.example");
    assert_string_equal(text(recipient, "site"), "mx.one.example");
    assert_string_equal(text(recipient, "reply"), "450 4.2.0 greylisted");
    assert_int_equal(json_integer_value(json_object_get(recipient, "attempts")), 1);
    assert_true(strlen(text(recipient, "next")) > 10);
    json_decref(one);
    world_free(&world);
}

static void filters_are_heeded(void **state)
{
    static const struct {
        struct admin_ask ask;
        unsigned values;
    } cases[] = {
        { { .account = "alice" }, 3 },
        { { .sender = "CAROL@here.example" }, 3 },
        { { .recipient = "A@one.example" }, 3 },
        { { .site = "mx.two.example" }, 3 },
        { { .client = "192.0.2.1" }, 6 },
        { { .client = "192.0.2.2" }, 0 },
        { { .account = "alice", .recipient = "b@two.example" }, 0 },
        { { .account = "carol", .site = "mx.two.example" }, 3 },
        { { .all = 1 }, 6 },
    };
    (void)state;
    struct world *world = world_of_deferred(6);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct admin_ask ask = cases[i].ask;
        ask.verb = ADMIN_QUEUE_LIST;
        assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
        assert_int_equal(world->values, cases[i].values);
    }
    world_free(&world);
}

static void a_long_list_comes_in_pieces(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(1000);
    struct admin_ask ask = { .verb = ADMIN_QUEUE_LIST };
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_int_equal(world->values, 1000);
    ask = (struct admin_ask){ .verb = ADMIN_QUEUE_REMOVE, .all = 1 };
    assert_int_equal(changed(world, &ask), 1000);
    assert_int_equal(entries_count(world->queue), 0);
    assert_int_equal(world->queue->recipients[UNIT_SCHEDULED], 0);
    world_free(&world);
}

/* Retrying all messages of a dead site tries the site once, however many rounds that takes. */
static void a_dead_site_is_retried_once(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 1000; i++)
        world_send(world, "alice", "alice@here.example", "bob@dead.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 1000 && world_logged(world, "event=site-backoff", NULL) == 1);
    struct admin_ask ask = { .verb = ADMIN_QUEUE_RETRY, .all = 1 };
    assert_int_equal(changed(world, &ask), 1000);
    WORLD_UNTIL(world, world_logged(world, "event=site-backoff", NULL) >= 2);
    world_serve(world, 50);
    assert_int_equal(world_logged(world, "event=site-backoff", NULL), 2);
    world_free(&world);
}

/* One element may be larger than a piece. */
static void a_large_element_is_cut(void **state)
{
    (void)state;
    struct world *world = world_new("");
    ipc_free(&world->processes[0].ipc);
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "");
    for (unsigned i = 0; i < 500; i++) {
        char address[64];
        text_format(address, sizeof address, "recipient-number-%u@there.example", i);
        envelope_add(&envelope, address, 0, NULL);
    }
    struct uid id = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world->queue->recipients[UNIT_READY] == 500);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_SHOW, id), ADMIN_DONE);
    assert_int_equal(world->values, 1);
    json_t *one = value_of(world, 0);
    assert_int_equal(json_array_size(json_object_get(one, "recipients")), 500);
    assert_non_null(strstr(text(one, "headers"), "Subject: hello\n"));
    json_decref(one);
    world_free(&world);
}

static void hold_and_release(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(2);
    struct admin_ask hold = { .verb = ADMIN_QUEUE_HOLD, .account = "alice" };
    assert_int_equal(changed(world, &hold), 1);
    assert_int_equal(changed(world, &hold), 0);
    assert_int_equal(world->queue->recipients[UNIT_HELD], 1);
    assert_int_equal(world_logged(world, "event=held", NULL), 1);
    struct admin_ask retry = { .verb = ADMIN_QUEUE_RETRY, .all = 1 };
    world_say(world, DELIVERY_DONE, "2.0.0", "250 ok");
    assert_int_equal(changed(world, &retry), 1); /* not what is held */
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    struct admin_ask release = { .verb = ADMIN_QUEUE_RELEASE, .all = 1 };
    assert_int_equal(changed(world, &release), 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world_logged(world, "event=released", NULL), 1);
    world_free(&world);
}

/* A message that is being sent: the hold and the removal act on what comes back. */
static void while_it_is_sent(void **state)
{
    (void)state;
    struct world *world = world_new("delivery { connections-per-site = 2 }");
    world->manual = true;
    struct uid ids[2];
    for (unsigned i = 0; i < 2; i++)
        ids[i] = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 2);
    world_next(world, 0, 1);
    world_next(world, 0, 2);
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_HOLD, ids[0]), ADMIN_DONE);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_REMOVE, ids[1]), ADMIN_DONE);
    assert_int_equal(entries_count(world->queue), 2);
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 later");
    for (unsigned i = 0; i < 2; i++) {
        world_outcome(world, 0, &world->assigns[i].assign, 0, "");
        world_next(world, 0, world->assigns[i].assign.connection);
    }
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    assert_int_equal(world->queue->recipients[UNIT_HELD], 1);
    assert_non_null(entry_find(world->queue, ids[0]));
    world_free(&world);
}

/* Nobody hears that a removed message was refused. */
static void removed_and_refused(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->opens == 1);
    world_next(world, 0, 1);
    WORLD_UNTIL(world, world->nassigns == 1);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_REMOVE, id), ADMIN_DONE);
    world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    world_outcome(world, 0, &world->assigns[0].assign, 0, "");
    world_next(world, 0, 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_serve(world, 50);
    assert_int_equal(world_logged(world, "event=accepted", "report="), 0);
    world_free(&world);
}

static void a_life_is_told(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_SCHEDULED] == 1);
    world_say(world, DELIVERY_DONE, "2.0.0", "250 2.0.0 ok");
    world_ask_id(world, ADMIN_QUEUE_RETRY, id);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world_ask_id(world, ADMIN_MESSAGE, id), ADMIN_DONE); /* finished, but its pair is still written to */
    json_t *life = value_of(world, 0);
    const json_t *events = json_object_get(life, "events");
    static const char *const expected[] = { "accepted", "deferred", "delivered" };
    assert_int_equal(json_array_size(events), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text(json_array_get(events, i), "event"), expected[i]);
    assert_string_equal(text(json_array_get(events, 1), "reply"), "450 4.2.0 greylisted");
    assert_string_equal(text(json_array_get(events, 2), "to"), "bob@there.example");
    assert_string_equal(text(life, "state"), "finished");
    json_decref(life);
    world_free(&world);
}

static void status_counts(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(4);
    world->refuse = DELIVERY_UNREACHABLE;
    for (unsigned i = 0; i < 3; i++)
        world_send(world, "alice", "alice@here.example", "bob@dead.example");
    struct admin_ask hold = { .verb = ADMIN_QUEUE_HOLD, .account = "carol" };
    WORLD_UNTIL(world, world_logged(world, "event=site-backoff", "site=mx.dead.example") == 1);
    WORLD_UNTIL(world, entries_count(world->queue) == 7);
    changed(world, &hold);
    struct admin_ask ask = { .verb = ADMIN_STATUS };
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    json_t *status = value_of(world, 0);
    const json_t *queue = json_object_get(status, "queue");
    assert_int_equal(json_integer_value(json_object_get(queue, "messages")), 7);
    assert_int_equal(json_integer_value(json_object_get(queue, "recipients")), 7);
    assert_int_equal(json_integer_value(json_object_get(queue, "held")), 2);
    assert_int_equal(json_integer_value(json_object_get(queue, "scheduled")), 5);
    assert_int_equal(json_integer_value(json_object_get(queue, "due")), 0);
    const json_t *site = json_array_get(json_object_get(status, "sites"), 0);
    assert_string_equal(text(site, "site"), "mx.dead.example");
    assert_string_equal(text(site, "state"), "resting");
    assert_string_equal(text(site, "reply"), "connection refused");
    json_decref(status);
    world_free(&world);
}

static void a_site_is_resolved_for_trace(void **state)
{
    (void)state;
    struct world *world =
        world_new("route \"routed.example\" { via = \"smtp.upstream.example:587\" }\n"
                  "route \"sales\" { domains = { \"*\" } senders = { \"@sales.example\" } via = \"bulk.example:25\" }\n"
                  "route \"robot\" { domains = { \"*\" } accounts = { \"robot\" } via = mx source = own }\n"
                  "source \"own\" { addresses = { \"127.0.7.1\" } }\n"
                  "source \"bulk1\" { pool = bulk addresses = { \"127.0.7.2\" } accounts = { \"class:bulk\" } }\n"
                  "source \"reports\" { addresses = { \"127.0.7.3\" } }\n"
                  "delivery { bounce-source = reports }\n"
                  "account \"carol\" { class = bulk }\n");
    static const struct {
        struct admin_ask ask;
        const char *site, *route, *source;
    } cases[] = {
        { { .recipient = "bob@there.example" }, "mx.there.example", "", "" },
        { { .recipient = "There.Example" }, "mx.there.example", "", "" },
        { { .recipient = "bob@routed.example" }, "smtp.upstream.example", "routed.example", "" },
        { { .recipient = "bob@there.example", .sender = "a@sales.example" }, "bulk.example", "sales", "" },
        { { .recipient = "bob@there.example", .sender = "a@other.example" }, "mx.there.example", "", "" },
        { { .recipient = "bob@routed.example", .sender = "a@sales.example" }, "smtp.upstream.example", "routed.example", "" },
        { { .recipient = "bob@there.example", .account = "Carol" }, "mx.there.example", "", "bulk" },
        { { .recipient = "bob@there.example", .account = "carol", .sender = "a@sales.example" },
          "bulk.example",
          "sales",
          "bulk" },
        { { .recipient = "bob@there.example", .account = "robot", .sender = "a@sales.example" },
          "mx.there.example",
          "robot",
          "own" },
        { { .recipient = "bob@there.example", .account = "unknown" }, "mx.there.example", "", "" },
        { { .recipient = "bob@there.example", .sender = ADMIN_NO_SENDER }, "mx.there.example", "", "reports" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct admin_ask ask = cases[i].ask;
        ask.verb = ADMIN_SITE;
        assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
        json_t *value = value_of(world, 0);
        assert_string_equal(text(value, "site"), cases[i].site);
        assert_string_equal(text(value, "route"), cases[i].route);
        assert_string_equal(text(value, "source"), cases[i].source);
        json_decref(value);
    }
    world_free(&world);
}

static void what_is_refused(void **state)
{
    static const struct {
        struct admin_ask ask;
        enum admin_result result;
    } cases[] = {
        { { .verb = ADMIN_QUEUE_REMOVE }, ADMIN_REFUSED },
        { { .verb = ADMIN_QUEUE_HOLD }, ADMIN_REFUSED },
        { { .verb = ADMIN_LIMITS }, ADMIN_REFUSED },
        { { .verb = 77 }, ADMIN_REFUSED },
        { { .verb = ADMIN_QUEUE_SHOW, .id = "00000000000000000000" }, ADMIN_NOT_FOUND },
        { { .verb = ADMIN_QUEUE_REMOVE, .id = "nonsense" }, ADMIN_NOT_FOUND },
        { { .verb = ADMIN_MESSAGE, .id = "00000000000000000000" }, ADMIN_NOT_FOUND },
        { { .verb = ADMIN_MESSAGE, .id = "'; drop" }, ADMIN_NOT_FOUND },
    };
    (void)state;
    struct world *world = world_of_deferred(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(world_ask(world, &cases[i].ask), cases[i].result);
        assert_true(strlen(world->reason) > 10);
    }
    assert_int_equal(entries_count(world->queue), 1);
    world_free(&world);
}

/* Control goes in the middle of a list: nothing is left of its question. */
static void control_goes(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(300);
    struct admin_ask ask = { .verb = ADMIN_QUEUE_LIST };
    world->control =
        ipc_new(world->role.loop, world_link(world, ROLE_CONTROL, 0), &admin_channel, IPC_FRONT, world_answered, NULL, world);
    ipc_send(world->control, ADMIN_ASK, &ask, sizeof ask, -1);
    loop_once(world->role.loop, false);
    loop_once(world->role.loop, false);
    ipc_free(&world->control);
    world_serve(world, 50);
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_int_equal(world->values, 300);
    world_free(&world);
}

/* Tells the queue how fast the answer to TICKET should come. */
static void want(struct world *world, uint64_t ticket, enum admin_pace pace)
{
    struct admin_want want = { .ticket = ticket, .pace = pace };
    ipc_send(world->control, ADMIN_WANT, &want, sizeof want, -1);
}

static void expect_end(struct world *world)
{
    world->values = 0;
    world->result = -1;
}

/* A list rests while control wants that, whatever else is asked meanwhile, and one that nobody waits for is dropped; a removal is done. */
static void lists_rest_and_are_forgotten(void **state)
{
    (void)state;
    struct world *world = world_of_deferred(500);
    struct admin_ask status = { .ticket = 1, .verb = ADMIN_STATUS }, list = { .ticket = 2, .verb = ADMIN_QUEUE_LIST },
                     removal = { .ticket = 3, .verb = ADMIN_QUEUE_REMOVE, .all = 1 };
    assert_int_equal(world_ask(world, &status), ADMIN_DONE);
    ipc_send(world->control, ADMIN_ASK, &list, sizeof list, -1);
    want(world, 2, ADMIN_REST);
    world_serve(world, 20);
    assert_int_equal(world_ask(world, &status), ADMIN_DONE);
    assert_int_equal(world->values, 1);
    expect_end(world);
    want(world, 99, ADMIN_GO_ON);
    want(world, 2, ADMIN_GO_ON);
    WORLD_UNTIL(world, world->result == ADMIN_DONE);
    assert_int_equal(world->values, 500);
    expect_end(world);
    ipc_send(world->control, ADMIN_ASK, &list, sizeof list, -1);
    want(world, 2, ADMIN_FORGET);
    ipc_send(world->control, ADMIN_ASK, &removal, sizeof removal, -1);
    want(world, 3, ADMIN_FORGET);
    WORLD_UNTIL(world, world->result == ADMIN_DONE);
    assert_int_equal(world->values, 1);
    assert_int_equal(entries_count(world->queue), 0);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_list_tells_all),
        WORLD_TEST(filters_are_heeded),
        WORLD_TEST(a_long_list_comes_in_pieces),
        WORLD_TEST(a_large_element_is_cut),
        WORLD_TEST(hold_and_release),
        WORLD_TEST(while_it_is_sent),
        WORLD_TEST(removed_and_refused),
        WORLD_TEST(a_life_is_told),
        WORLD_TEST(status_counts),
        WORLD_TEST(a_site_is_resolved_for_trace),
        WORLD_TEST(what_is_refused),
        WORLD_TEST(control_goes),
        WORLD_TEST(a_dead_site_is_retried_once),
        WORLD_TEST(lists_rest_and_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
