/* The whole role in a process of its own, inside its sandbox, started and ended as the parent does it. */
#include "world.h"

#include "../../../relay/base/bundle.h"
#include "../../../relay/role/mains.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct parent {
    struct world world;
    pid_t child;
    bool ready, finished, ponged;
};

static void from_role(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct parent *parent = context;
    (void)body;
    (void)size;
    (void)fd;
    parent->ready |= type == ROLE_READY;
    parent->finished |= type == ROLE_FINISHED;
    parent->ponged |= type == ROLE_PONG;
}

static const struct parent_empty empty;

static void send_settings(struct parent *parent, bool reload, const char *more)
{
    struct world *world = &parent->world;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    struct conf *conf = world_conf(world->folder, more);
    assert_true(conf && conf_write(conf, &text));
    conf_free(&conf);
    struct parent_settings settings = { .size_bytes = buffer_size(&text), .keep_user = true, .reload = reload };
    int fd = memfd_create("settings", MFD_CLOEXEC);
    assert_int_equal(write(fd, buffer_span(&text).p, buffer_size(&text)), (ssize_t)buffer_size(&text));
    assert_true(ipc_send(world->parent, PARENT_SETTINGS, &settings, sizeof settings, fd));
    close(fd);
    buffer_fini(&text);
    struct bundle *bundle = bundle_new();
    fd = bundle_save(bundle);
    bundle_free(&bundle);
    struct parent_secrets secrets = { .reload = reload };
    assert_true(ipc_send(world->parent, PARENT_SECRETS, &secrets, sizeof secrets, fd));
    close(fd);
}

/* Starts the role over the folder that is there. */
static void start_role(struct parent *parent)
{
    struct world *world = &parent->world;
    int fds[2];
    parent->ready = parent->finished = false;
    assert_true(ipc_pair(fds));
    fflush(NULL);
    parent->child = fork();
    if (parent->child == 0) {
        close(fds[1]);
        exit(queue_main(fds[0]));
    }
    close(fds[0]);
    world->parent = ipc_new(world->role.loop, fds[1], &parent_role_channel, IPC_FRONT, from_role, NULL, parent);
    send_settings(parent, false, "");
    world_submission(world);
    world_dns(world);
    world_process(world, 0);
    struct parent_start start = { .slot = 0, .processes = 1 };
    assert_true(ipc_send(world->parent, PARENT_START, &start, sizeof start, -1));
    WORLD_UNTIL(world, parent->ready);
}

/* Everything of the test's side that spoke to the role. */
static void hang_up(struct parent *parent)
{
    writer_free(&parent->world.writer);
    ipc_free(&parent->world.submission);
    ipc_free(&parent->world.dns);
    ipc_free(&parent->world.sts);
    ipc_free(&parent->world.processes[0].ipc);
    ipc_free(&parent->world.parent);
}

static void end_role(struct parent *parent)
{
    int status;
    WORLD_UNTIL(&parent->world, parent->finished);
    assert_int_equal(waitpid(parent->child, &status, 0), parent->child);
    parent->child = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* the leak checker has looked, too */
    hang_up(parent);
}

static int set_up(void **state)
{
    struct parent *parent = text_zalloc(sizeof *parent);
    struct world *world = &parent->world;
    text_copy(world->folder, sizeof world->folder, SPAN("/tmp/postern-queue-XXXXXX"));
    assert_non_null(mkdtemp(world->folder));
    world->role.loop = loop_new();
    world->resolve = world_resolve;
    world->policy = world_no_policy;
    world_say(world, DELIVERY_DONE, "2.0.0", "250 2.0.0 ok");
    start_role(parent);
    *state = parent;
    return 0;
}

static int tear_down(void **state)
{
    struct parent *parent = *state;
    struct world *world = &parent->world;
    char path[512];
    hang_up(parent);
    loop_free(&world->role.loop);
    if (parent->child > 0) {
        kill(parent->child, SIGKILL);
        waitpid(parent->child, NULL, 0);
    }
    DIR *folder = opendir(world->folder);
    const struct dirent *file;
    while ((file = readdir(folder))) {
        text_format(path, sizeof path, "%s/%s", world->folder, file->d_name);
        unlink(path);
    }
    closedir(folder);
    rmdir(world->folder);
    free(parent);
    return 0;
}

static void drains_when_all_in_hand_is_done(void **state)
{
    struct parent *parent = *state;
    struct world *world = &parent->world;
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1);
    world->manual = true; /* the connection waits and gets this one, too */
    world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_true(ipc_send(world->parent, PARENT_PING, &empty, sizeof empty, -1));
    assert_true(ipc_send(world->parent, PARENT_DRAIN, &empty, sizeof empty, -1));
    WORLD_UNTIL(world, parent->ponged);
    world_serve(world, 300);
    assert_false(parent->finished);
    world_outcome(world, 0, &world->assigns[1].assign, 0, "b@there.example");
    world_next(world, 0, world->assigns[1].assign.connection);
    end_role(parent);
    assert_int_equal(world->nassigns, 2);
}

/* Killed at any moment, and started again: what was told 250 is sent, and what was noted is not sent again. */
static void is_killed_and_comes_back(void **state)
{
    struct parent *parent = *state;
    struct world *world = &parent->world;
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1);
    world_serve(world, 50);
    world->manual = true;
    for (unsigned i = 0; i < 10; i++)
        world_send(world, "alice", "alice@here.example", "b@there.example");
    WORLD_UNTIL(world, world->stored == 11);
    kill(parent->child, SIGKILL);
    waitpid(parent->child, NULL, 0);
    hang_up(parent);
    world->manual = false;
    world->nassigns = 0;
    start_role(parent);
    WORLD_UNTIL(world, world->nassigns >= 10);
    assert_int_equal(world->nassigns, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_string_equal(world->assigns[i].to, "b@there.example");
    WORLD_UNTIL(world, world_files(world, ".seg") <= 1);
    assert_true(ipc_send(world->parent, PARENT_DRAIN, &empty, sizeof empty, -1));
    end_role(parent);
}

static void takes_new_settings(void **state)
{
    struct parent *parent = *state;
    struct world *world = &parent->world;
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 1);
    assert_string_equal(world->last_open.site, "mx.there.example");
    send_settings(parent, true, "route \"there.example\" { via = \"smtp.upstream.example:587\" }\n");
    WORLD_UNTIL(world, world->closes == 1); /* what waited under the old settings */
    world_send(world, "alice", "alice@here.example", "a@there.example");
    WORLD_UNTIL(world, world->nassigns == 2);
    assert_string_equal(world->last_open.site, "smtp.upstream.example");
    assert_true(ipc_send(world->parent, PARENT_DRAIN, &empty, sizeof empty, -1));
    end_role(parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(drains_when_all_in_hand_is_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_killed_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_new_settings, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
