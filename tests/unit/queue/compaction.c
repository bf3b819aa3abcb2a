/* Old segments of which little is needed are made small under the running queue, and nobody notices. */
#include "../../../relay/queue/compaction.h"
#include "../../../relay/queue/pair.h"
#include "world.h"

#define DEAD 10
#define SIZE (200u * 1024) /* of a message */

static void by_name(struct world *world, const char *to, struct delivery_outcome *outcome)
{
    struct delivery_outcome whole = world->verdict;
    if (to[0] == 't')
        world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    *outcome = world->verdict;
    world->verdict = whole;
}

/* A segment with DEAD finished messages and two that wait, which nobody writes to any more. */
static struct pair *fill(struct world *world, struct uid waiting[2])
{
    world->judge = by_name;
    for (unsigned i = 0; i < DEAD; i++) {
        if (i == 4 || i == 8)
            waiting[i / 4 - 1] = world_send_large(world, SIZE, i == 4 ? "t4@there.example d@other.example" : "t8@there.example");
        world_send_large(world, SIZE, "d@there.example");
    }
    WORLD_UNTIL(world,
                world_logged(world, "event=delivered", NULL) == DEAD + 1 && world_logged(world, "event=deferred", NULL) == 2);
    writer_free(&world->writer);
    struct pair *pair = entry_find(world->queue, waiting[0])->pair;
    WORLD_UNTIL(world, pair->writer == PAIR_NO_WRITER && !pair->sealing);
    return pair;
}

static void grow_old(struct pair *pair)
{
    pair->newest_ms -= COMPACTION_AGE_MS + 1;
}

static uint64_t size_of(const struct world *world, const struct pair *pair)
{
    char path[128];
    struct stat status;
    text_format(path, sizeof path, "%s/%016llx.seg", world->folder, (unsigned long long)pair->number);
    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

static int ask_all(struct world *world, enum admin_verb verb)
{
    struct admin_ask ask = { .ticket = 9, .verb = verb, .all = true };
    return world_ask(world, &ask);
}

/* What waits is sent from the new file. */
static void deliver_rest(struct world *world)
{
    unsigned before = world->nassigns;
    world->judge = NULL;
    assert_int_equal(ask_all(world, ADMIN_QUEUE_RETRY), ADMIN_DONE);
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    assert_int_equal(world->nassigns, before + 2);
    for (unsigned i = before; i < world->nassigns; i++)
        assert_non_null(strstr(world->assigns[i].content, "Subject: large\r\n\r\nxxx"));
    WORLD_UNTIL(world, world_files(world, ".log") == 0 || world->writer);
}

static void little_is_left(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid waiting[2];
    struct pair *pair = fill(world, waiting);
    assert_in_range(size_of(world, pair), (DEAD + 2) * SIZE, UINT64_MAX);
    world_serve(world, 1500);
    assert_int_equal(world_logged(world, "was compacted", NULL), 0); /* not old enough */
    grow_old(pair);
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL));
    assert_in_range(size_of(world, pair), 2 * SIZE, 2 * SIZE + 2000);
    assert_int_equal(ask_all(world, ADMIN_QUEUE_LIST), ADMIN_DONE);
    assert_int_equal(world->values, 2);
    assert_int_equal(world_ask_id(world, ADMIN_MESSAGE, waiting[0]), ADMIN_DONE);
    assert_non_null(strstr(world->answer, "deferred"));
    assert_non_null(strstr(world->answer, "d@other.example"));
    deliver_rest(world);
    assert_int_equal(world_files(world, ".seg"), 0);
    world_free(&world);
}

/* The old log goes with the new file. */
static void and_a_start_after_it(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid waiting[2];
    char rest[128];
    grow_old(fill(world, waiting));
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL));
    world_end(world);
    text_format(rest, sizeof rest, "%s/0000000000000001.seg.compact", world->folder); /* of one that was killed */
    close(open(rest, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    world_begin(world);
    WORLD_UNTIL(world, entries_count(world->queue) == 2);
    assert_int_equal(world_files(world, ".compact"), 0);
    assert_int_equal(entry_find(world->queue, waiting[0])->live, 1);
    assert_int_equal(entry_find(world->queue, waiting[1])->units->attempts, 1);
    assert_int_equal(world_logged(world, "level=error", NULL), 0);
    world_dns(world);
    world_process(world, 0);
    deliver_rest(world);
    world_free(&world);
}

/* What is on its way when the file changes comes back, and is remembered. */
static void while_a_message_is_sent(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid waiting[2];
    struct pair *pair = fill(world, waiting);
    unsigned before = world->nassigns;
    world->manual = true;
    assert_int_equal(ask_all(world, ADMIN_QUEUE_RETRY), ADMIN_DONE);
    WORLD_UNTIL(world, world->nassigns > before);
    world_serve(world, 50);
    unsigned sent = world->nassigns;
    grow_old(pair);
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL));
    world->manual = false;
    world->judge = NULL;
    for (unsigned i = before; i < sent; i++) {
        const struct world_assign *got = &world->assigns[i];
        world_outcome(world, got->process, &got->assign, 0, got->to);
        world_next(world, got->process, got->assign.connection);
    }
    WORLD_UNTIL(world, entries_count(world->queue) == 0 && world_files(world, ".seg") == 0);
    assert_int_equal(world_logged(world, "event=delivered", NULL), DEAD + 3);
    world_free(&world);
}

/* The role ends in the midst of it. */
static void while_the_role_ends(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid waiting[2];
    struct pair *pair = fill(world, waiting);
    grow_old(pair);
    WORLD_UNTIL(world, pair->compacting);
    world_end(world);
    assert_int_equal(world_files(world, ".compact"), 0);
    world_begin(world);
    WORLD_UNTIL(world, entries_count(world->queue) == 2);
    world_dns(world);
    world_process(world, 0);
    deliver_rest(world);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(little_is_left),
        WORLD_TEST(and_a_start_after_it),
        WORLD_TEST(while_a_message_is_sent),
        WORLD_TEST(while_the_role_ends),
    };
    return cmocka_run_group_tests_name("compaction", tests, NULL, NULL);
}
