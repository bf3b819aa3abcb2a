/* Plays the parent for one role in a process of its own: the real role_run with its sandbox, without posternd around it. */
#ifndef POSTERN_TESTS_UNIT_PARENT_H
#define POSTERN_TESTS_UNIT_PARENT_H

#include "../../relay/base/bundle.h"
#include "../../relay/base/clock.h"
#include "../../relay/channels/parent_role.h"
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT_PATIENCE_MS 20000

struct parent {
    struct loop *loop;
    struct ipc *ipc;
    pid_t pid;
    bool ready, finished, gone;
    bool commanded; /* `command` came since this was false */
    struct parent_command command;
};

static inline void parent_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct parent *parent = context;
    (void)size;
    if (fd >= 0)
        close(fd);
    parent->ready |= type == ROLE_READY;
    parent->finished |= type == ROLE_FINISHED;
    if (type == ROLE_COMMAND) {
        parent->commanded = true;
        parent->command = *(const struct parent_command *)body;
    }
}

static inline void parent_closed(void *context)
{
    ((struct parent *)context)->gone = true;
}

/* Serves the loop until *DONE, which must come in time. */
static inline void parent_wait(struct parent *parent, const bool *done)
{
    int64_t end = clock_monotonic_ms() + PARENT_PATIENCE_MS;
    while (!*done) {
        loop_once(parent->loop, false);
        usleep(1000);
        assert_true(clock_monotonic_ms() < end);
    }
}

/* Tells the role its settings. */
static inline void parent_settings(struct parent *parent, const char *text, bool reload)
{
    struct parent_settings settings = { .size_bytes = strlen(text), .keep_user = true, .reload = reload };
    struct parent_secrets secrets = { .reload = reload };
    struct bundle *bundle = bundle_new();
    int fd = memfd_create("settings", MFD_CLOEXEC), bundle_fd = bundle_save(bundle);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_true(ipc_send(parent->ipc, PARENT_SETTINGS, &settings, sizeof settings, fd));
    assert_true(ipc_send(parent->ipc, PARENT_SECRETS, &secrets, sizeof secrets, bundle_fd));
    close(fd);
    close(bundle_fd);
    bundle_free(&bundle);
}

/* Starts ROLE_MAIN in a process of its own with the configuration TEXT and waits until it is ready. */
static inline void parent_start(struct parent *parent, int (*role_main)(int fd), const char *text)
{
    struct parent_start begin = { 0, 1 };
    int fds[2];
    *parent = (struct parent){ .loop = loop_new() };
    assert_true(ipc_pair(fds));
    fflush(NULL);
    parent->pid = fork();
    if (parent->pid == 0) {
        close(fds[0]);
        exit(role_main(fds[1]));
    }
    close(fds[1]);
    parent->ipc = ipc_new(parent->loop, fds[0], &parent_role_channel, IPC_FRONT, parent_received, parent_closed, parent);
    parent_settings(parent, text, false);
    assert_true(ipc_send(parent->ipc, PARENT_START, &begin, sizeof begin, -1));
    parent_wait(parent, &parent->ready);
}

/* A channel to the role as KIND in SLOT has it. */
static inline struct ipc *parent_peer(struct parent *parent, enum role_kind kind, unsigned slot,
                                      const struct ipc_channel *channel, ipc_handler received, void *context)
{
    struct parent_peer peer = { kind, slot };
    int fds[2];
    assert_true(ipc_pair(fds));
    assert_true(ipc_send(parent->ipc, PARENT_PEER, &peer, sizeof peer, fds[1]));
    close(fds[1]);
    return ipc_new(parent->loop, fds[0], channel, IPC_FRONT, received, NULL, context);
}

/* Ends the role in order, or kills it, and returns its exit status (-1 where it did not exit by itself). */
static inline int parent_end(struct parent *parent, bool in_order)
{
    struct parent_empty nothing = { 0 };
    int status = 0;
    if (in_order) {
        ipc_send(parent->ipc, PARENT_DRAIN, &nothing, sizeof nothing, -1);
        parent_wait(parent, &parent->finished);
    } else {
        kill(parent->pid, SIGKILL);
    }
    waitpid(parent->pid, &status, 0);
    ipc_free(&parent->ipc);
    loop_free(&parent->loop);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
