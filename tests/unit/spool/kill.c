/* kill -9 at a random moment, then recovery: everything that was acknowledged is there, byte for byte, and nothing twice. */
#include "writers.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS 40

static int acknowledgements; /* the pipe */

static void acknowledge(struct scene *scene, struct result *result)
{
    (void)scene;
    assert_int_equal(result->verdict, WRITER_STORED);
    assert_int_equal(write(acknowledgements, &result->number, sizeof result->number), sizeof result->number);
}

/* The child: takes messages until it is killed. */
static void be_killed(const struct box *box, int fd, uint32_t number)
{
    struct scene *scene = text_zalloc(sizeof *scene);
    scene->box = *box;
    scene->loop = loop_new();
    scene->next_number = 1;
    scene->writer = writer_new(scene->loop, &scene_events, scene);
    scene->on_told = acknowledge;
    acknowledgements = fd;
    for (;;) {
        for (unsigned i = 0; i < 8; i++, number++)
            scene_submit(scene, number, number % 16 ? number * 131 % 20000 : SEGMENT_LARGE_MESSAGE + number);
        while (scene->committed - scene->told > 12)
            loop_once(scene->loop, true);
        if (scene->committed + 100 > RESULTS_MAX)
            _exit(0);
    }
}

static unsigned recover(const struct box *box, int pipe)
{
    struct seen *seen = text_zalloc(sizeof *seen);
    uint32_t number;
    unsigned acknowledged = 0;
    assert_true(box_walk(box, 200, seen) <= 1); /* a segment may have been in the making */
    assert_int_equal(seen->altered, 0);
    assert_int_equal(seen->ndamage, 0);
    for (unsigned i = 0; i < seen->count; i++)
        assert_int_equal(seen_times(seen, seen->numbers[i]), 1);
    while (read(pipe, &number, sizeof number) == sizeof number) {
        assert_int_equal(seen_times(seen, number), 1);
        acknowledged++;
    }
    free(seen);
    return acknowledged;
}

/* What a start does with what it found: seals, and finds the same again. */
static void seal_all(const struct box *box)
{
    for (uint64_t number = 1; number < 200; number++) {
        struct seen *open = text_zalloc(sizeof *open), *sealed = text_zalloc(sizeof *sealed);
        int fd = segment_open(box->folder, number);
        if (fd >= 0 && seen_walk(open, fd) == RECORD_OK) {
            assert_true(segment_seal(box->folder, number, open->end, open->offsets, open->count));
            assert_int_equal(seen_walk(sealed, fd), RECORD_OK);
            assert_int_equal(open->count, sealed->count);
            assert_memory_equal(open->numbers, sealed->numbers, sizeof open->numbers);
            assert_int_equal(sealed->altered, 0);
        }
        if (fd >= 0)
            close(fd);
        free(open);
        free(sealed);
    }
}

static void test_kill(void **state)
{
    (void)state;
    unsigned acknowledged = 0;
    struct box box;
    box_open(&box);
    alarm(120);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int fds[2], status;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            be_killed(&box, fds[1], 1 + round % 16);
        }
        close(fds[1]);
        usleep(2000 + round * 7919 % 60000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        acknowledged += recover(&box, fds[0]);
        if (round % 4 == 0)
            seal_all(&box);
        close(fds[0]);
        box_clear(&box);
    }
    box_close(&box);
    print_message("%u kills, %u acknowledged, 0 lost, 0 altered\n", ROUNDS, acknowledged);
    assert_true(acknowledged > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_kill) };
    return cmocka_run_group_tests_name("spool/kill", tests, NULL, NULL);
}
