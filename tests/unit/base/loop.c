/* What is to be done soon: before the loop rests, and not much later while it does not. */
#include "../../../relay/base/loop.h"

#include "../unit.h"

#include <unistd.h>

#define PIPES    3
#define PATIENCE 5000 /* ms: nothing here takes as long */

struct scene {
    struct loop *loop;
    int pipes[PIPES][2];
    struct watch watches[PIPES];
    struct timer timer;
    struct chore chore;
    unsigned served, seen, chores, rests;
    bool endless; /* what is ready stays ready */
};

static struct scene *current;

static void stop(void *context)
{
    struct scene *scene = context;
    loop_stop(scene->loop);
}

static void do_chore(void *context)
{
    struct scene *scene = context;
    scene->chores++;
    scene->seen = scene->served;
    if (scene->endless)
        loop_stop(scene->loop);
}

static void before_rest(void)
{
    current->rests++;
    if (!current->endless && current->chores)
        timer_set(&current->timer, current->loop, 0, stop, current);
}

/* The first event leaves something to be done. */
static void ready(void *context, int fd, unsigned what)
{
    struct scene *scene = context;
    char byte;
    assert_int_equal(what, WATCH_READ);
    if (!scene->served++)
        loop_soon(scene->loop, &scene->chore, do_chore, scene);
    if (!scene->endless)
        assert_int_equal(read(fd, &byte, 1), 1);
}

static void scene_open(struct scene *scene, unsigned bytes, bool endless)
{
    *scene = (struct scene){ .loop = loop_new(), .endless = endless };
    current = scene;
    assert_non_null(scene->loop);
    loop_before_rest(scene->loop, before_rest);
    for (unsigned i = 0; i < PIPES; i++) {
        assert_int_equal(pipe(scene->pipes[i]), 0);
        for (unsigned n = 0; n < bytes; n++)
            assert_int_equal(write(scene->pipes[i][1], "x", 1), 1);
        watch_set(&scene->watches[i], scene->loop, scene->pipes[i][0], WATCH_READ, ready, scene);
    }
}

static void scene_close(struct scene *scene)
{
    for (unsigned i = 0; i < PIPES; i++) {
        watch_fini(&scene->watches[i]);
        close(scene->pipes[i][0]);
        close(scene->pipes[i][1]);
    }
    timer_fini(&scene->timer);
    chore_drop(&scene->chore);
    loop_free(&scene->loop);
}

/* Many events one behind the other: it is done once, behind more than one round of them where these were quick. */
static void a_chore_waits_for_a_rest(void **state)
{
    (void)state;
    struct scene scene;
    bool put_off = false;
    for (unsigned attempt = 0; attempt < 100 && !put_off; attempt++) {
        scene_open(&scene, 20, false);
        loop_run(scene.loop);
        assert_int_equal(scene.chores, 1);
        assert_true(scene.seen >= PIPES);
        assert_true(scene.rests >= 1);
        put_off = scene.seen == 20 * PIPES;
        scene_close(&scene);
    }
    assert_true(put_off);
}

/* A loop that never rests does it all the same. */
static void a_busy_loop_does_its_chores(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, 1, true);
    loop_run(scene.loop);
    assert_int_equal(scene.chores, 1);
    assert_true(scene.seen >= PIPES);
    assert_int_equal(scene.rests, 2); /* with the chore, and when the loop has ended */
    scene_close(&scene);
}

/* It kicks itself for ever, and each time from within the same round. */
static void kick_again(void *context, int fd, unsigned what)
{
    struct scene *scene = context;
    (void)fd;
    assert_int_equal(what, WATCH_WRITE);
    if (!scene->served++)
        loop_soon(scene->loop, &scene->chore, do_chore, scene);
    watch_kick(&scene->watches[0]);
}

static void who_kicks_itself_holds_up_no_chore(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, 0, true);
    watch_set(&scene.watches[0], scene.loop, scene.pipes[0][0], 0, kick_again, &scene);
    watch_kick(&scene.watches[0]);
    loop_run(scene.loop);
    assert_int_equal(scene.chores, 1);
    assert_true(scene.served > 1);
    scene_close(&scene);
}

static void give_up(void *context)
{
    struct scene *scene = context;
    loop_stop(scene->loop);
    assert_true(scene->chores);
}

/* One event alone is no reason to look for more first. */
static void a_quiet_loop_does_it_at_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, 0, false);
    assert_int_equal(write(scene.pipes[1][1], "x", 1), 1);
    timer_set(&scene.timer, scene.loop, PATIENCE, give_up, &scene);
    loop_run(scene.loop);
    assert_int_equal(scene.chores, 1);
    assert_int_equal(scene.served, 1);
    scene_close(&scene);
}

static void a_chore_is_dropped_and_given_twice(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, 0, false);
    chore_drop(&scene.chore); /* one that never was */
    loop_soon(scene.loop, &scene.chore, do_chore, &scene);
    loop_soon(scene.loop, &scene.chore, do_chore, &scene);
    chore_drop(&scene.chore);
    loop_once(scene.loop, false);
    assert_int_equal(scene.chores, 0);
    loop_soon(scene.loop, &scene.chore, do_chore, &scene);
    loop_once(scene.loop, false);
    loop_once(scene.loop, false);
    assert_int_equal(scene.chores, 1);
    scene_close(&scene);
}

static struct scene *chain;
static struct chore other;

static void do_other(void *context)
{
    struct scene *scene = context;
    scene->chores++;
    chore_drop(&scene->chore);
}

static void do_both(void *context)
{
    loop_soon(chain->loop, &other, do_other, context);
    do_chore(context);
}

/* One may drop another that is due with it, and may give one, which is done with the next rest. */
static void chores_may_touch_each_other(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, 0, false);
    chain = &scene;
    loop_soon(scene.loop, &other, do_other, &scene);
    loop_soon(scene.loop, &scene.chore, do_chore, &scene);
    loop_once(scene.loop, false);
    assert_int_equal(scene.chores, 1);
    loop_soon(scene.loop, &scene.chore, do_both, &scene);
    loop_once(scene.loop, false);
    assert_int_equal(scene.chores, 3);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chore_waits_for_a_rest),           cmocka_unit_test(a_busy_loop_does_its_chores),
        cmocka_unit_test(who_kicks_itself_holds_up_no_chore), cmocka_unit_test(a_quiet_loop_does_it_at_once),
        cmocka_unit_test(a_chore_is_dropped_and_given_twice), cmocka_unit_test(chores_may_touch_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
