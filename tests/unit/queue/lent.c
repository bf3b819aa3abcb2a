/* Which segments a delivery process has been lent: each once, few at a time, and none whose file has gone. */
#include "../../../relay/queue/lent.h"
#include "../../../relay/queue/pair.h"
#include "world.h"

#include <sys/mman.h>

static unsigned lent_segments(const struct world_process *process)
{
    unsigned count = 0;
    for (unsigned place = 0; place < DELIVERY_SEGMENTS; place++)
        count += process->segments[place] != 0;
    return count;
}

static void send_one(struct world *world)
{
    unsigned before = world->nassigns;
    world_send(world, "alice", "alice@here.example", "bob@there.example");
    WORLD_UNTIL(world, world->nassigns == before + 1 && entries_count(world->queue) == 0);
}

/* Messages of one segment need one descriptor; when the segment is removed the process has nothing of it any more. */
static void once_until_it_goes(void **state)
{
    (void)state;
    struct world *world = world_new("");
    const struct world_process *process = &world->processes[0];
    for (unsigned i = 0; i < 3; i++)
        send_one(world);
    assert_int_equal(process->lent, 1);
    assert_int_equal(process->forgotten, 0);
    assert_int_equal(lent_segments(process), 1);
    writer_free(&world->writer);
    WORLD_UNTIL(world, world_files(world, ".seg") == 0);
    WORLD_UNTIL(world, process->forgotten == 1);
    assert_int_equal(lent_segments(process), 0);
    world_free(&world);
}

/* A process that is started anew has nothing. */
static void anew_for_another_process(void **state)
{
    (void)state;
    struct world *world = world_new("");
    send_one(world);
    world_process(world, 0);
    send_one(world);
    assert_int_equal(world->processes[0].lent, 2);
    world_free(&world);
}

static void again_where_it_was_not_taken(void **state)
{
    (void)state;
    struct world *world = world_new("");
    struct world_process *process = &world->processes[0];
    struct delivery_lacks lacks = { 0 };
    send_one(world);
    while (!process->segments[lacks.place])
        lacks.place++;
    assert_true(ipc_send(process->ipc, DELIVERY_LACKS, &lacks, sizeof lacks, -1));
    lacks.place = DELIVERY_SEGMENTS; /* a lie */
    assert_true(ipc_send(process->ipc, DELIVERY_LACKS, &lacks, sizeof lacks, -1));
    send_one(world);
    assert_int_equal(process->lent, 2);
    send_one(world);
    assert_int_equal(process->lent, 2);
    world_free(&world);
}

/* What came through the channel last: the place, and what it was filled with. */
struct heard {
    unsigned type, place, count;
};

static void heard(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct heard *it = context;
    (void)size;
    it->type = type;
    it->place = ((const struct delivery_segment *)body)->place;
    it->count++;
    if (fd >= 0)
        close(fd);
}

static void the_one_not_used_longest_makes_room(void **state)
{
    (void)state;
    struct lent lent = { .uses = 0 };
    struct heard told = { 0 };
    int ends[2], fd = memfd_create("segment", MFD_CLOEXEC);
    struct loop *loop = loop_new();
    assert_true(ipc_pair(ends));
    struct ipc *front = ipc_new(loop, ends[0], &queue_delivery_channel, IPC_FRONT, heard, NULL, NULL);
    struct ipc *back = ipc_new(loop, ends[1], &queue_delivery_channel, IPC_BACK, heard, NULL, &told);
    for (uint64_t number = 0; number < DELIVERY_SEGMENTS; number++)
        assert_int_equal(lent_place(&lent, front, number, fd), number);
    assert_int_equal(lent_place(&lent, front, 0, fd), 0);
    loop_once(loop, false);
    assert_int_equal(told.count, DELIVERY_SEGMENTS);
    assert_int_equal(lent_place(&lent, front, 100, fd), 1);
    assert_int_equal(lent_place(&lent, front, 1, fd), 2);
    assert_int_equal(lent_place(&lent, front, 0, fd), 0);
    loop_once(loop, false);
    assert_int_equal(told.count, DELIVERY_SEGMENTS + 2);
    lent_forget(&lent, front, 100);
    lent_forget(&lent, front, 100);
    lent_forget(&lent, front, 2); /* it made room */
    loop_once(loop, false);
    loop_once(loop, false);
    assert_int_equal(told.count, DELIVERY_SEGMENTS + 3);
    assert_int_equal(told.type, DELIVERY_FORGET);
    assert_int_equal(told.place, 1);
    assert_int_equal(lent_place(&lent, front, 101, fd), 1); /* what is free is taken first */
    ipc_free(&back);
    loop_once(loop, false);
    assert_int_equal(lent_place(&lent, front, 102, fd), -1);
    assert_int_equal(lent_place(&lent, front, 101, fd), 1);
    ipc_free(&front);
    loop_free(&loop);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_until_it_goes),
        cmocka_unit_test(anew_for_another_process),
        cmocka_unit_test(again_where_it_was_not_taken),
        cmocka_unit_test(the_one_not_used_longest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
