/* A message's way through the queue: in, to its site, out, and what is left on the disk. */
#include "world.h"

static void one_message_is_delivered(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    assert_int_equal(uid_compare(world->assigns[0].assign.id, id), 0);
    assert_int_equal(world->assigns[0].assign.attempt, 1);
    assert_string_equal(world->assigns[0].to, "bob@there.example");
    assert_non_null(strstr(world->assigns[0].content, "..a stuffed line"));
    assert_string_equal(world->last_open.site, "mx.there.example");
    assert_int_equal(world->last_open.hosts[0].port, 25);
    assert_true(world->last_open.is_mx);
    assert_int_equal(world_logged(world, "event=delivered", "to=bob@there.example"), 1);
    assert_int_equal(world_logged(world, "event=delivered", "site=mx.there.example"), 1);
    world_free(&world);
}

static void recipients_of_one_site_go_together(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_send(world, "alice", "alice@here.example", "a@shared1.example b@shared2.example c@shared1.example d@other.example");
    WORLD_UNTIL(world, world->nassigns >= 2 && entries_count(world->queue) == 0);
    world_serve(world, 20);
    assert_int_equal(world->nassigns, 2);
    assert_int_equal(world->assigns[0].assign.count + world->assigns[1].assign.count, 4);
    assert_true(world->assigns[0].assign.count == 3 || world->assigns[1].assign.count == 3);
    world_free(&world);
}

static void many_recipients_are_cut(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "");
    for (unsigned i = 0; i < 250; i++) {
        char address[64];
        text_format(address, sizeof address, "user%u@there.example", i);
        envelope_add(&envelope, address, 0, NULL);
    }
    world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world->stored && world->nassigns >= 3 && entries_count(world->queue) == 0);
    assert_int_equal(world->nassigns, 3);
    assert_int_equal(world_logged(world, "event=delivered", NULL), 250);
    assert_int_equal(world->questions, 1);
    world_free(&world);
}

/* More recipients wait than envelopes are kept of: what was let go is read again, and each outcome is told with its recipient. */
static void more_recipients_than_are_kept(void **state)
{
    enum { MESSAGES = 12, EACH = ENVELOPE_RECIPIENTS_MAX };
    (void)state;
    struct world *world = world_new("");
    struct uid ids[MESSAGES];
    for (unsigned m = 0; m < MESSAGES; m++) {
        struct envelope envelope;
        world_envelope(&envelope, "alice", "alice@here.example", "");
        envelope.flags |= ENVELOPE_HELD;
        for (unsigned i = 0; i < EACH; i++) {
            char address[64];
            text_format(address, sizeof address, "m%u-%u@there.example", m, i);
            assert_true(envelope_add(&envelope, address, 0, NULL));
        }
        ids[m] = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
        WORLD_UNTIL(world, entries_count(world->queue) == m + 1);
    }
    for (unsigned m = 0; m < MESSAGES; m += MESSAGES - 1) {
        char first[32], last[32];
        text_format(first, sizeof first, "to=m%u-0@there.example", m);
        text_format(last, sizeof last, "to=m%u-%u@there.example", m, EACH - 1);
        size_t before = entries_count(world->queue);
        assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RELEASE, ids[m]), ADMIN_DONE);
        WORLD_UNTIL(world, entries_count(world->queue) == before - 1);
        world_serve(world, 20);
        assert_int_equal(world_logged(world, "event=delivered", first), 1);
        assert_int_equal(world_logged(world, "event=delivered", last), 1);
    }
    assert_int_equal(world_logged(world, "event=delivered", NULL), 2 * EACH);
    assert_int_equal(world_logged(world, "event=delivered", "to=?"), 0);
    world_free(&world);
}

static void a_finished_pair_is_removed(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    unsigned before = world_files(world, ".seg");
    writer_free(&world->writer); /* the segment is given up with it */
    ipc_free(&world->submission);
    WORLD_UNTIL(world, world_files(world, ".seg") < before && world_files(world, ".log") == world_files(world, ".seg"));
    world_free(&world);
}

/* One outcome a recipient, whatever the mixture. */
static void by_name(struct world *world, const char *to, struct delivery_outcome *outcome)
{
    struct delivery_outcome whole = world->verdict;
    if (to[0] == 't')
        world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    else if (to[0] == 'p')
        world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 no such user");
    *outcome = world->verdict;
    world->verdict = whole;
}

static void mixed_outcomes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->judge = by_name;
    struct uid id =
        world_send(world, "alice", "alice@here.example", "d1@there.example t1@there.example p1@there.example d2@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=bounced", "to=p1@there.example") == 1);
    assert_int_equal(world_logged(world, "event=delivered", "to=d"), 2);
    assert_int_equal(world_logged(world, "event=deferred", "to=t1@there.example"), 1);
    struct entry *entry = entry_find(world->queue, id);
    assert_non_null(entry);
    assert_int_equal(entry->live, 1);
    assert_int_equal(entry->units->count, 1);
    assert_int_equal(entry->units->attempts, 1);
    assert_int_equal(entry->units->state, UNIT_SCHEDULED);
    /* 5 min ± 10 % */
    int64_t wait_ms = entry->units->due.key - clock_monotonic_ms();
    assert_in_range(wait_ms, 260000, 331000);
    /* the report goes to the sender */
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_string_equal(world->assigns[1].to, "alice@here.example");
    assert_string_equal(world->assigns[1].from, "");
    assert_non_null(strstr(world->assigns[1].content, "Final-Recipient: rfc822; p1@there.example"));
    assert_non_null(strstr(world->assigns[1].content, "Diagnostic-Code: smtp; 550 5.1.1 no such user"));
    assert_non_null(strstr(world->assigns[1].content, "Status: 5.1.1"));
    assert_non_null(strstr(world->assigns[1].content, "Content-Type: message/rfc822"));
    assert_non_null(strstr(world->assigns[1].content, "\r\n..a stuffed line\r\n"));
    world_free(&world);
}

static void a_deferral_comes_again(void **state)
{
    (void)state;
    struct world *world = world_new("");
    for (size_t i = 0; i < world->conf->queue.retry.count; i++)
        world->conf->queue.retry.items[i] = 60;
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 later");
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == 3);
    assert_int_equal(world->assigns[2].assign.attempt, 3);
    world_say(world, DELIVERY_DONE, "2.0.0", "250 ok");
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_free(&world);
}

static void duplicates_are_ignored(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    struct entry *entry = entry_find(world->queue, id);
    world_tell_stored(world, entry->pair->number, entry->offset, id);
    world_tell_stored(world, 12345, 64, uid_next());
    world_tell_stored(world, entry->pair->number, entry->offset + 8, uid_next());
    world_serve(world, 50);
    assert_int_equal(entries_count(world->queue), 1);
    world_free(&world);
}

/* A unit's, entry's and index's bytes for a message to one recipient. */
static void a_message_takes_little_memory(void **state)
{
    (void)state;
    size_t chunk = 16; /* what the allocator adds and rounds up to */
    size_t entry = (sizeof(struct entry) + 8 + chunk - 1) / chunk * chunk;
    size_t unit = (sizeof(struct unit) + sizeof(struct part) + 8 + chunk - 1) / chunk * chunk;
    size_t table = 2 * sizeof(void *), schedule = 2 * sizeof(void *); /* after doubling, the worst case */
    assert_true(entry + unit + table + schedule <= 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(one_message_is_delivered),      WORLD_TEST(recipients_of_one_site_go_together),
        WORLD_TEST(many_recipients_are_cut),       WORLD_TEST(more_recipients_than_are_kept),
        WORLD_TEST(a_finished_pair_is_removed),    WORLD_TEST(mixed_outcomes),
        WORLD_TEST(a_deferral_comes_again),        WORLD_TEST(duplicates_are_ignored),
        WORLD_TEST(a_message_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
