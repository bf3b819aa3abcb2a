/* A disk that says no for a moment under the running queue, and a power cut behind a queue that was killed: nothing that is there is cut
 * off or removed, and no log tells of a loss that is none. */
#include "../../../relay/spool/disk.h"
#include "../../../relay/queue/compaction.h"
#include "../../../relay/queue/pair.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define SIZE (200u * 1024) /* of a large message */
#define DEAD 10

static struct {
    struct disk calls;
    pthread_t loop;
    atomic_bool reads, opens; /* the loop's fail */
    atomic_bool syncs;        /* those of logs fail */
    atomic_bool kill;         /* nothing is synced */
    atomic_uint synced;       /* logs */
} disk;

static bool is_loop(void)
{
    return pthread_equal(pthread_self(), disk.loop);
}

static ssize_t some_pread(int fd, void *bytes, size_t size, off_t offset)
{
    errno = EIO;
    return disk.reads && is_loop() ? -1 : pread(fd, bytes, size, offset);
}

static int some_openat(int folder, const char *name, int flags, mode_t mode)
{
    errno = EMFILE;
    return disk.opens && is_loop() && strstr(name, ".seg") ? -1 : openat(folder, name, flags, mode);
}

static int some_fdatasync(int fd)
{
    char link[64], path[256] = "";
    text_format(link, sizeof link, "/proc/self/fd/%d", fd);
    bool log = readlink(link, path, sizeof path - 1) > 0 && strstr(path, ".log");
    disk.synced += log;
    errno = EIO;
    return log && disk.syncs ? -1 : disk.kill ? 0 : fdatasync(fd);
}

static int set_up(void **state)
{
    (void)state;
    disk.calls = disk_kernel;
    disk.calls.pread = some_pread;
    disk.calls.openat = some_openat;
    disk.calls.fdatasync = some_fdatasync;
    disk.loop = pthread_self();
    disk.reads = disk.opens = disk.syncs = disk.kill = false;
    disk_replace(&disk.calls);
    return 0;
}

static int tear_down(void **state)
{
    disk_replace(NULL);
    return world_teardown(state);
}

static void by_name(struct world *world, const char *to, struct delivery_outcome *outcome)
{
    struct delivery_outcome whole = world->verdict;
    if (to[0] == 't')
        world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    *outcome = world->verdict;
    world->verdict = whole;
}

/* A queue with one message that waits. */
static struct uid begin(struct world **world)
{
    *world = world_new("");
    (*world)->judge = by_name;
    struct uid first = world_send(*world, "a", "alice@here.example", "t@there.example");
    WORLD_UNTIL(*world, world_logged(*world, "event=deferred", NULL) == 1);
    return first;
}

/* What was told and could not be read is not cut off when its writer is done; it is sent when it can be read. */
static void unread_when_the_writer_is_done(void **state)
{
    struct world *world;
    (void)state;
    begin(&world);
    disk.reads = true;
    world_send(world, "a", "alice@here.example", "d@there.example");
    WORLD_UNTIL(world, world_logged(world, "waits until it can be read", NULL));
    disk.reads = false;
    assert_int_equal(world->stored, 2);
    writer_free(&world->writer);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "to=d@there.example") == 1);
    world_free(&world);
}

/* The same for what was stored and not told, when the writer has gone and its segment cannot be opened. */
static void unread_when_the_writer_has_gone(void **state)
{
    struct world *world;
    (void)state;
    begin(&world);
    struct ipc *mute = world->submission;
    world->submission = NULL;
    world_send(world, "a", "alice@here.example", "d@there.example");
    WORLD_UNTIL(world, world->stored == 2);
    writer_free(&world->writer);
    disk.opens = true;
    ipc_free(&mute);
    WORLD_UNTIL(world, world_logged(world, "what was stored last cannot be read", NULL));
    disk.opens = false;
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "to=d@there.example") == 1);
    world_free(&world);
}

static void path_of(const struct world *world, uint64_t number, const char *ending, char path[160])
{
    text_format(path, 160, "%s/%016llx%s", world->folder, (unsigned long long)number, ending);
}

/* The first block is bad when the writer goes: the file is kept, and named. */
static void a_bad_first_block(void **state)
{
    static const char bad[128] = "bad";
    char path[160];
    (void)state;
    struct world *world = world_new("");
    world_send(world, "a", "alice@here.example", "d@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 1);
    uint64_t number = store_pair_from(world->queue->store, 0)->number;
    struct ipc *mute = world->submission;
    world->submission = NULL;
    world_send(world, "a", "alice@here.example", "e@there.example");
    WORLD_UNTIL(world, world->stored == 2);
    writer_free(&world->writer);
    path_of(world, number, ".seg", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bad, sizeof bad, 0), sizeof bad);
    close(fd);
    ipc_free(&mute);
    WORLD_UNTIL(world, world_logged(world, "what was stored last cannot be found", NULL) == 1);
    world_serve(world, 300);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(store_pair(world->queue->store, number)->damaged);
    world_free(&world);
}

static bool is_at_rest(const struct pair *pair)
{
    return pair->writer == PAIR_NO_WRITER && !pair->sealing && !pair->unsynced && !pair->syncing && !buffer_size(&pair->pending);
}

/* DEAD finished messages and two that were deferred: the second will be delivered. */
static struct pair *fill(struct world *world, struct uid *ret_second)
{
    unsigned before = world_logged(world, "event=delivered", NULL), deferred = world_logged(world, "event=deferred", NULL);
    world->judge = by_name;
    struct uid first = world_send_large(world, SIZE, "t1@there.example");
    *ret_second = world_send_large(world, SIZE, "t2@other.example");
    for (unsigned i = 0; i < DEAD; i++)
        world_send_large(world, SIZE, "d@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == before + DEAD &&
                           world_logged(world, "event=deferred", NULL) == deferred + 2);
    writer_free(&world->writer);
    struct pair *pair = entry_find(world->queue, first)->pair;
    WORLD_UNTIL(world, is_at_rest(pair));
    return pair;
}

static void grow_old(struct pair *pair)
{
    pair->newest_ms -= COMPACTION_AGE_MS + 1;
}

static off_t log_size(const struct world *world, uint64_t number)
{
    char path[160];
    struct stat status;
    path_of(world, number, ".log", path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void finish_second(struct world *world, struct uid second)
{
    world->judge = NULL;
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RETRY, second), ADMIN_DONE);
    WORLD_UNTIL(world, !entry_find(world->queue, second));
}

/* An outcome that a killed queue appended, and nobody synced, is synced before its record goes. */
static void compaction_after_a_kill(void **state)
{
    struct uid second;
    (void)state;
    struct world *world = world_new("");
    struct pair *pair = fill(world, &second);
    uint64_t number = pair->number;
    finish_second(world, second);
    WORLD_UNTIL(world, !buffer_size(&pair->pending));
    disk.kill = true;
    world_end(world);
    disk.kill = false;
    disk.synced = 0;
    world_begin(world);
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    grow_old(store_pair(world->queue->store, number));
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL));
    assert_in_range(disk.synced, 1, 10);
    world_free(&world);
}

/* Where the log's sync failed nothing is known of what is on the disk: the records stay. */
static void no_compaction_after_a_failed_sync(void **state)
{
    struct uid second;
    (void)state;
    struct world *world = world_new("");
    struct pair *pair = fill(world, &second);
    disk.syncs = true;
    finish_second(world, second);
    WORLD_UNTIL(world, world_logged(world, "its outcomes could not be synced", NULL));
    disk.syncs = false;
    grow_old(pair);
    world_serve(world, 2500);
    assert_int_equal(world_logged(world, "was compacted", NULL), 0);
    world_free(&world);
}

/* One pair that cannot be compacted keeps no other from it. */
static void one_that_fails_is_no_obstacle(void **state)
{
    struct uid second;
    char path[160];
    (void)state;
    struct world *world = world_new("");
    struct pair *bad = fill(world, &second);
    world->writer = writer_new(world->role.loop, &world_writer_events, world);
    struct pair *good = fill(world, &second);
    path_of(world, bad->number, ".seg.compact", path);
    assert_int_equal(mkdir(path, 0700), 0);
    grow_old(bad);
    grow_old(good);
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL) == 1);
    assert_int_equal(world_logged(world, "cannot be compacted", NULL), 1);
    rmdir(path);
    world_free(&world);
}

/* A message that is told again when it is finished stays so. */
static void told_again(void **state)
{
    struct uid second;
    (void)state;
    struct world *world = world_new("");
    struct pair *pair = fill(world, &second);
    uint64_t offset = entry_find(world->queue, second)->offset;
    finish_second(world, second);
    WORLD_UNTIL(world, is_at_rest(pair));
    unsigned before = world->nassigns;
    grow_old(pair);
    WORLD_UNTIL(world, pair->compacting);
    world_tell_stored(world, pair->number, offset, second);
    WORLD_UNTIL(world, world_logged(world, "was compacted", NULL));
    assert_int_equal(world->nassigns, before);
    assert_null(entry_find(world->queue, second));
    world_free(&world);
}

/* A pair that an earlier process wrote deferrals to goes only when the end of them is synced. */
static void removal_after_a_start(void **state)
{
    struct world *world;
    (void)state;
    struct uid id = begin(&world);
    uint64_t number = entry_find(world->queue, id)->pair->number;
    writer_free(&world->writer);
    world_end(world);
    world_begin(world);
    world_dns(world);
    world_process(world, 0);
    WORLD_UNTIL(world, entry_find(world->queue, id));
    off_t before = log_size(world, number);
    assert_true(store_pair(world->queue->store, number)->deferred);
    disk.synced = 0;
    finish_second(world, id);
    WORLD_UNTIL(world, !store_pair(world->queue->store, number));
    assert_in_range(disk.synced, 1, 10);
    assert_true(before > 0);
    world_free(&world);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unread_when_the_writer_is_done),
        TEST(unread_when_the_writer_has_gone),
        TEST(a_bad_first_block),
        TEST(compaction_after_a_kill),
        TEST(no_compaction_after_a_failed_sync),
        TEST(one_that_fails_is_no_obstacle),
        TEST(told_again),
        TEST(removal_after_a_start),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
