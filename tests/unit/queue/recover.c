/* Starts over a spool that an earlier process left, whole, torn, damaged, or still being written. */
#include "../../../relay/queue/accounts.h"
#include "../../../relay/queue/pair.h"
#include "../../../relay/queue/retry.h"
#include "../../../relay/spool/segment.h"
#include "world.h"

/* The queue process dies without a farewell and another one starts; submission's writer goes on. */
static void world_restart(struct world *world)
{
    queue_steps.stop(&world->role);
    ipc_free(&world->submission);
    ipc_free(&world->dns);
    for (unsigned i = 0; i < WORLD_PROCESSES; i++)
        ipc_free(&world->processes[i].ipc);
    world_begin(world);
}

static void by_name(struct world *world, const char *to, struct delivery_outcome *outcome)
{
    struct delivery_outcome whole = world->verdict;
    if (to[0] == 't')
        world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    *outcome = world->verdict;
    world->verdict = whole;
}

static void what_is_done_is_not_done_again(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->judge = by_name;
    world_send(world, "alice", "alice@here.example", "d@there.example");
    struct uid mixed = world_send(world, "alice", "alice@here.example", "d@there.example t@there.example d2@other.example");
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "to=t@there.example") == 1 &&
                           world_logged(world, "event=delivered", NULL) == 3 && entries_count(world->queue) == 1);
    unsigned before = world->nassigns;
    writer_free(&world->writer);
    world_restart(world);
    WORLD_UNTIL(world, entry_find(world->queue, mixed));
    world_dns(world);
    world_process(world, 0);
    world_serve(world, 100);
    assert_int_equal(world->nassigns, before);
    struct entry *entry = entry_find(world->queue, mixed);
    assert_int_equal(entry->live, 1);
    assert_int_equal(entry->units->attempts, 1);
    assert_int_equal(entry->units->parts[0].recipient, 1);
    assert_in_range(entry->units->due.key - clock_monotonic_ms(), 260000, 331000);
    assert_true(entry->units->parts[0].said > 0);
    world_free(&world);
}

static void what_was_never_sent_is_sent(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    for (unsigned i = 0; i < 20; i++)
        world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 20);
    writer_free(&world->writer);
    world_restart(world);
    world->manual = false;
    world_dns(world);
    world_process(world, 0);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 20);
    WORLD_UNTIL(world, world_files(world, ".seg") == 1 && world_files(world, ".log") == 1); /* the fresh one of the new writer */
    world_free(&world);
}

/* Submission dies between fdatasync and telling: the queue walks its segment. */
static void submission_dies_before_it_tells(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    struct ipc *mute = world->submission;
    world->submission = NULL; /* nothing reaches the queue from here on */
    world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->stored == 2);
    world_serve(world, 20);
    assert_int_equal(world->nassigns, 1);
    ipc_free(&mute);
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_string_equal(world->assigns[1].to, "b@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 0);
    world_free(&world);
}

/* The queue dies; submission goes on writing into the segment that it has, and tells the new queue process: once, and only once. */
static void a_writer_outlives_the_queue(void **state)
{
    (void)state;
    struct world *world = world_new("");
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    world_restart(world);
    world_dns(world);
    world_process(world, 0);
    world_serve(world, 50);
    world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->nassigns == 2 && entries_count(world->queue) == 0);
    struct ipc *mute = world->submission;
    world->submission = NULL;
    world_send(world, "alice", "alice@here.example", "c@there.example");
    WORLD_UNTIL(world, world->stored == 3);
    writer_free(&world->writer); /* its lock goes with it; the queue finds out by itself */
    WORLD_UNTIL(world, world->nassigns == 3 && entries_count(world->queue) == 0);
    ipc_free(&mute);
    world_serve(world, 50);
    assert_int_equal(world->nassigns, 3);
    world_free(&world);
}

/* Every told message is told again, as submission does after the queue died: those that are done stay done. */
static void told_again_after_a_restart(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct uid id = world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    uint64_t segment = store_pair_from(world->queue->store, 0)->number;
    world_restart(world);
    world_dns(world);
    world_process(world, 0);
    world_tell_stored(world, segment, SEGMENT_HEADER_SIZE, id);
    world_serve(world, 100);
    assert_int_equal(world->nassigns, 1);
    world_free(&world);
}

static void path_of(const struct world *world, uint64_t number, const char *ending, char path[160])
{
    text_format(path, 160, "%s/%016llx%s", world->folder, (unsigned long long)number, ending);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    fwrite(bytes, 1, size, file);
    fclose(file);
}

static void strange_files_stop_nothing(void **state)
{
    char path[160], garbage[5000];
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    struct uid id = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 1);
    writer_free(&world->writer);
    memset(garbage, 'x', sizeof garbage);
    path_of(world, 1, ".seg", path);
    write_file(path, "", 0);
    path_of(world, 2, ".log", path);
    write_file(path, "", 0);
    path_of(world, 3, ".seg", path);
    write_file(path, garbage, sizeof garbage);
    path_of(world, 4, ".log", path);
    write_file(path, garbage, sizeof garbage);
    text_format(path, sizeof path, "%s/README", world->folder);
    write_file(path, "not ours", 8);
    text_format(path, sizeof path, "%s/0000000000000005.seg", world->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    world_restart(world);
    WORLD_UNTIL(world, entry_find(world->queue, id));
    world_serve(world, 200);
    assert_int_equal(entries_count(world->queue), 1);
    assert_int_equal(world_logged(world, "event=error", "0000000000000003"), 1);
    path_of(world, 1, ".seg", path);
    assert_int_equal(access(path, F_OK), -1); /* nobody ever wrote into it */
    path_of(world, 2, ".log", path);
    assert_int_equal(access(path, F_OK), -1); /* a lone log is what a crash in a removal leaves */
    path_of(world, 3, ".seg", path);
    assert_int_equal(access(path, F_OK), 0); /* kept for a person */
    text_format(path, sizeof path, "%s/0000000000000005.seg", world->folder);
    rmdir(path);
    world_free(&world);
}

/* One byte of the middle record is flipped: that one is set aside, its neighbours are sent, the pair stays. */
static void a_damaged_record_harms_no_other(void **state)
{
    char path[160];
    (void)state;
    struct world *world = world_new("");
    world->manual = true;
    struct uid ids[3];
    for (unsigned i = 0; i < 3; i++)
        ids[i] = world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == 3);
    struct entry *middle = entry_find(world->queue, ids[1]);
    path_of(world, middle->pair->number, ".seg", path);
    off_t at = (off_t)middle->offset + RECORD_HEADER_SIZE + 5;
    writer_free(&world->writer);
    queue_steps.stop(&world->role);
    ipc_free(&world->submission);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "#", 1, at), 1);
    close(fd);
    world_begin(world);
    WORLD_UNTIL(world, entry_find(world->queue, ids[0]) && entry_find(world->queue, ids[2]));
    world->manual = false;
    world_dns(world);
    world_process(world, 0);
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 2);
    world_serve(world, 100);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(world_logged(world, "event=error", NULL) > 0);
    world_free(&world);
}

static void a_hold_survives(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "bob@there.example");
    envelope.flags |= ENVELOPE_HELD;
    struct uid id = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    WORLD_UNTIL(world, world->queue->recipients[UNIT_HELD] == 1);
    assert_int_equal(world_logged(world, "event=held", "reason=policy"), 1);
    world_restart(world);
    WORLD_UNTIL(world, entry_find(world->queue, id));
    assert_int_equal(world->queue->recipients[UNIT_HELD], 1);
    world_dns(world);
    world_process(world, 0);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RELEASE, id), ADMIN_DONE);
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    world_free(&world);
}

#define HOUR_MS (INT64_C(60) * 60 * 1000)

/* What the log says of a message that came ten hours ago, in hours before now, and what a restart makes of it. */
struct said {
    enum outcome_kind kind;
    unsigned ago_h;
    const char *why;
};
static const struct resting {
    struct said said[4];
    unsigned age_h;
    bool by_policy; /* held from the start */
    bool held, suspended, freed;
} restings[] = {
    { .age_h = 10 },
    { { { OUTCOME_HELD, 8, "administrator" } }, .age_h = 2, .held = true },
    { { { OUTCOME_HELD, 8, ACCOUNTS_WHY } }, .age_h = 2, .held = true, .suspended = true },
    { { { OUTCOME_HELD, 8, ACCOUNTS_WHY }, { OUTCOME_HELD, 1, "administrator" } }, .age_h = 2, .held = true },
    { { { OUTCOME_HELD, 8, "administrator" }, { OUTCOME_RELEASED, 5, "administrator" } }, .age_h = 7, .freed = true },
    { { { OUTCOME_HELD, 8, ACCOUNTS_WHY }, { OUTCOME_RELEASED, 5, ACCOUNTS_WHY_NOT } }, .age_h = 7 },
    { { { OUTCOME_HELD, 8, ACCOUNTS_WHY }, { OUTCOME_RELEASED, 7, ACCOUNTS_WHY_NOT }, { OUTCOME_HELD, 3, ACCOUNTS_WHY } },
      .age_h = 6,
      .held = true,
      .suspended = true },
    { { { OUTCOME_HELD, 8, ACCOUNTS_WHY },
        { OUTCOME_RELEASED, 7, "administrator" },
        { OUTCOME_HELD, 3, "administrator" },
        { OUTCOME_RELEASED, 2, ACCOUNTS_WHY_NOT } },
      .age_h = 8,
      .freed = true },
    { .age_h = 10, .by_policy = true, .held = true },                            /* since now */
    { { { OUTCOME_RELEASED, 4, "administrator" } }, .age_h = 4, .freed = true }, /* its HELD is missing */
};

static struct uid send_resting(struct world *world, const struct resting *resting)
{
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "bob@there.example");
    envelope.arrived_ms -= 10 * HOUR_MS;
    for (unsigned i = 0; i < 6; i++)
        envelope.id.bytes[i] = (unsigned char)(envelope.arrived_ms >> (40 - 8 * i));
    envelope.flags |= resting->by_policy ? ENVELOPE_HELD : 0u;
    return world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
}

/* A restart knows how long a message was held, and by whom. */
static void how_long_it_was_held(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof restings / sizeof *restings; i++) {
        const struct resting *resting = &restings[i];
        struct world *world = world_new("");
        world->manual = true;
        struct uid id = send_resting(world, resting);
        WORLD_UNTIL(world, entry_find(world->queue, id));
        const struct entry *before = entry_find(world->queue, id);
        for (const struct said *said = resting->said; said->why; said++) {
            struct outcome outcome = { .kind = said->kind,
                                       .record_offset = before->offset,
                                       .id = id,
                                       .recipient = OUTCOME_ALL_RECIPIENTS,
                                       .time_ms = clock_wall_ms() - said->ago_h * HOUR_MS,
                                       .mx = SPAN(""),
                                       .tls = SPAN(""),
                                       .reply = span_of(said->why) };
            pair_record(world->queue, before->pair, &outcome);
        }
        world_restart(world);
        WORLD_UNTIL(world, entry_find(world->queue, id));
        const struct entry *entry = entry_find(world->queue, id);
        if (entry->held != resting->held || entry->suspended != resting->suspended || entry->freed != resting->freed ||
            (retry_age(entry) + HOUR_MS / 2) / HOUR_MS != resting->age_h)
            fail_msg("case %zu: held %d, suspended %d, freed %d, %lld ms old", i, entry->held, entry->suspended, entry->freed,
                     (long long)retry_age(entry));
        world_free(&world);
    }
}

static void a_second_queue_does_not_start(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct role other = { .kind = ROLE_QUEUE, .loop = world->role.loop, .conf = world->conf };
    assert_false(queue_steps.start(&other));
    assert_int_equal(world_logged(world, "event=error", "in use by another"), 1);
    world_free(&world);
}

static void room_is_watched(void **state)
{
    (void)state;
    struct world *world = world_new("");
    WORLD_UNTIL(world, world->space == 1);
    world->conf->spool.minimum_free = UINT64_MAX / 32;
    WORLD_UNTIL(world, world->space == 0);
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->refused == 1);
    world->conf->spool.minimum_free = 1;
    WORLD_UNTIL(world, world->space == 1);
    world_free(&world);
}

/* A large message has a segment of its own, which goes with it. */
static void a_large_message(void **state)
{
    (void)state;
    struct world *world = world_new("");
    size_t size = 3u << 20;
    char *content = text_zalloc(size);
    memset(content, 'a', size);
    for (size_t i = 76; i + 2 < size; i += 78)
        memcpy(content + i, "\r\n", 2);
    memcpy(content + size - 2, "\r\n", 2);
    struct envelope envelope;
    world_envelope(&envelope, "alice", "alice@here.example", "bob@there.example");
    world_send_envelope(world, &envelope, span_make(content, size));
    free(content);
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    WORLD_UNTIL(world, world_files(world, ".seg") <= 1);
    world_free(&world);
}

/* A spool that is no folder: the reason is that of the disk, whatever is asked of the list of users behind it. */
static void a_spool_that_cannot_be_opened(void **state)
{
    (void)state;
    struct world *world = world_new("");
    char moved[128];
    text_format(moved, sizeof moved, "%s.moved", world->folder);
    world_end(world);
    assert_int_equal(rename(world->folder, moved), 0);
    close(open(world->folder, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    assert_false(queue_steps.start(&world->role));
    assert_int_equal(world_logged(world, "cannot be opened: Not a directory", NULL), 1);
    world->role.state = NULL;
    unlink(world->folder);
    assert_int_equal(rename(moved, world->folder), 0);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(what_is_done_is_not_done_again),
        WORLD_TEST(what_was_never_sent_is_sent),
        WORLD_TEST(submission_dies_before_it_tells),
        WORLD_TEST(a_writer_outlives_the_queue),
        WORLD_TEST(told_again_after_a_restart),
        WORLD_TEST(strange_files_stop_nothing),
        WORLD_TEST(a_damaged_record_harms_no_other),
        WORLD_TEST(a_hold_survives),
        WORLD_TEST(how_long_it_was_held),
        WORLD_TEST(a_second_queue_does_not_start),
        WORLD_TEST(a_spool_that_cannot_be_opened),
        WORLD_TEST(room_is_watched),
        WORLD_TEST(a_large_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
