/* A process is forked and re-executes this program as `posternd: ROLE`, so that it has its own address space layout. It finds its
 * channel to the parent at PROCESS_CHANNEL_FD and everything else comes over that. Channels between roles are made here: for each
 * pair of living processes whose roles are linked (channels/roles.h), again whenever one of the two was started anew. Submission,
 * auth and delivery belong to a generation (a reload makes a new one) and are linked among themselves within it. */
#include "process.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../conf/read.h"
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_CHANNEL_FD       3
#define PROCESS_BACKOFF_FIRST_MS 50
#define PROCESS_BACKOFF_MAX_MS   30000
#define PROCESS_LIVED_MS         2000  /* one that lived so long begins with the first backoff again */
#define PROCESS_SILENCE_MS       60000 /* without a pong: it hangs */
#define PROCESS_EARLY_DEATHS_MAX 10

static bool is_generational(enum role_kind kind)
{
    return kind == ROLE_SUBMISSION || kind == ROLE_AUTH || kind == ROLE_DELIVERY;
}

static struct process *entry(struct list *node)
{
    return LIST_ENTRY(node, struct process, node);
}

static void free_process(struct process *process)
{
    list_remove(&process->node);
    timer_fini(&process->timer);
    ipc_free(&process->channel);
    free(process);
}

/* A sealed memory file with the configuration's text; -1 with errno. */
static int settings_file(const struct conf *conf, uint64_t *ret_size)
{
    struct buffer text;
    buffer_init(&text, 64u << 20);
    int fd = -1;
    if (conf_write(conf, &text))
        fd = memfd_create("postern-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct span left = buffer_span(&text);
    *ret_size = left.n;
    while (fd >= 0 && left.n) {
        ssize_t n = write(fd, left.p, left.n);
        if (n < 0 && errno != EINTR) {
            close(fd);
            fd = -1;
        }
        left = span_skip(left, n > 0 ? (size_t)n : 0);
    }
    if (fd >= 0)
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    buffer_fini(&text);
    return fd;
}

static void send_secrets(struct process *process, bool reload)
{
    const struct parent *parent = process->parent;
    struct parent_secrets secrets = { .reload = reload };
    struct bundle *none = bundle_new();
    const struct bundle *bundle = parent->now.secrets[process->kind] ? parent->now.secrets[process->kind] : none;
    int fd = bundle_save(bundle);
    if (fd >= 0) {
        ipc_send(process->channel, PARENT_SECRETS, &secrets, sizeof secrets, fd);
        close(fd);
    } else {
        log_say(LOG_ERROR, "error", "secrets for the %s role cannot be handed over: %s", role_name(process->kind),
                strerror(errno));
    }
    bundle_free(&none);
}

static void send_settings(struct process *process, bool reload)
{
    const struct parent *parent = process->parent;
    struct parent_settings settings = { .debug = parent->options.debug,
                                        .keep_user = parent->options.keep_user,
                                        .reload = reload };
    int fd = settings_file(parent->now.conf, &settings.size_bytes);
    if (fd < 0) {
        log_say(LOG_ERROR, "error", "settings for the %s role cannot be handed over: %s", role_name(process->kind),
                strerror(errno));
        return;
    }
    ipc_send(process->channel, PARENT_SETTINGS, &settings, sizeof settings, fd);
    close(fd);
    send_secrets(process, reload);
}

/* Makes a channel between two processes where their roles are linked. */
static void connect_pair(struct process *a, struct process *b)
{
    int fds[2];
    if (!a->channel || !b->channel || !role_link_between(a->kind, b->kind, NULL))
        return;
    if (is_generational(a->kind) && is_generational(b->kind) && a->generation != b->generation)
        return;
    if (!ipc_pair(fds)) {
        log_say(LOG_ERROR, "error", "no channel between %s and %s: %s", role_name(a->kind), role_name(b->kind), strerror(errno));
        return;
    }
    struct parent_peer of_b = { b->kind, b->slot }, of_a = { a->kind, a->slot };
    ipc_send(a->channel, PARENT_PEER, &of_b, sizeof of_b, fds[0]);
    ipc_send(b->channel, PARENT_PEER, &of_a, sizeof of_a, fds[1]);
    close(fds[0]);
    close(fds[1]);
}

static void send_listeners(struct process *process)
{
    const struct conf *conf = process->parent->now.conf;
    for (uint32_t i = 0; i < conf->nlisteners; i++) {
        for (uint32_t j = 0; j < conf->listeners[i].address.count; j++) {
            struct parent_listener message = { i, j };
            int fd = ports_find(&process->parent->ports, &conf->listeners[i].address.items[j]);
            if (fd >= 0)
                ipc_send(process->channel, PARENT_LISTENER, &message, sizeof message, fd);
        }
    }
}

/* What the child does between fork and exec: nothing but what is safe there. It executes the very program that runs and not the file of
 * that name: an upgrade may have put another version there, whose messages have other sizes. */
static void become(const char *title, const char *argument, int fd)
{
    char *const arguments[] = { (char *)(uintptr_t)title, (char *)(uintptr_t)argument, NULL };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (fd == PROCESS_CHANNEL_FD)
        fcntl(fd, F_SETFD, 0);
    else if (dup2(fd, PROCESS_CHANNEL_FD) < 0)
        _exit(71);
    execv("/proc/self/exe", arguments);
    _exit(71);
}

static void received(void *context, unsigned type, const void *body, size_t size, int fd);

/* Forks and hands over everything up to START. False where that fails. */
static bool spawn(struct process *process)
{
    struct parent *parent = process->parent;
    char title[64], argument[64];
    int fds[2];
    if (!ipc_pair(fds))
        return false;
    text_format(title, sizeof title, "posternd: %s", role_name(process->kind));
    text_format(argument, sizeof argument, "--role=%s", role_name(process->kind));
    pid_t pid = fork();
    if (pid == 0)
        become(title, argument, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return false;
    }
    process->pid = pid;
    process->ready = false;
    process->started_ms = process->pong_ms = clock_monotonic_ms();
    process->channel = ipc_new(parent->loop, fds[0], &parent_role_channel, IPC_FRONT, received, NULL, process);
    send_settings(process, false);
    LIST_EACH(node, &parent->processes)
        if (entry(node) != process)
            connect_pair(process, entry(node));
    if (process->kind == ROLE_SUBMISSION)
        send_listeners(process);
    struct parent_start start = { process->slot, process->processes };
    ipc_send(process->channel, PARENT_START, &start, sizeof start, -1);
    return true;
}

static void start_again(void *context);

/* Starts the process later, the later the more often it failed. */
static void schedule(struct process *process)
{
    int64_t delay = PROCESS_BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < process->failures && delay < PROCESS_BACKOFF_MAX_MS; i++)
        delay *= 2;
    timer_set(&process->timer, process->parent->loop, delay < PROCESS_BACKOFF_MAX_MS ? delay : PROCESS_BACKOFF_MAX_MS,
              start_again, process);
}

static void start_again(void *context)
{
    struct process *process = context;
    if (spawn(process))
        return;
    log_say(LOG_ERROR, "error", "the %s role cannot be started: %s; tried again", role_name(process->kind), strerror(errno));
    process->failures++;
    schedule(process);
}

static unsigned free_slot(const struct parent *parent, enum role_kind kind)
{
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        bool used = false;
        LIST_EACH(node, &parent->processes)
            used = used || (entry(node)->kind == kind && entry(node)->slot == slot);
        if (!used)
            return slot;
    }
    return ROLE_SLOTS;
}

void process_start_all(struct parent *parent, enum role_kind kind, unsigned count, unsigned generation)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned slot = free_slot(parent, kind);
        if (slot == ROLE_SLOTS) {
            log_say(LOG_ERROR, "error", "too many %s processes are still finishing; fewer new ones are started", role_name(kind));
            return;
        }
        struct process *process = text_zalloc(sizeof *process);
        process->parent = parent;
        process->kind = kind;
        process->slot = slot;
        process->processes = count;
        process->generation = is_generational(kind) ? generation : 0;
        list_append(&parent->processes, &process->node);
        start_again(process);
    }
}

static struct process *find_pid(struct parent *parent, pid_t pid)
{
    LIST_EACH(node, &parent->processes)
        if (entry(node)->pid == pid)
            return entry(node);
    return NULL;
}

static void log_death(const struct process *process, int status)
{
    struct log_entry line;
    log_begin(&line, LOG_ERROR, "error");
    log_string(&line, "died", role_name(process->kind));
    log_number(&line, "pid", process->pid);
    log_number(&line, WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    log_string(&line, "text",
               WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
                   ? "a system call filter has ended a role: its own, or SystemCallFilter of the unit"
                   : "a role has died; it is started again and nothing accepted is lost");
    log_end(&line);
}

/* A child has ended: one that was asked to is forgotten, another one is started again. */
static void ended(struct process *process, int status)
{
    struct parent *parent = process->parent;
    bool lived = clock_monotonic_ms() - process->started_ms >= PROCESS_LIVED_MS;
    bool expected = process->draining || parent->stopping;
    if (!expected)
        log_death(process, status);
    process->pid = 0;
    ipc_free(&process->channel);
    if (expected) {
        free_process(process);
        parent_progress(parent);
        return;
    }
    if (!process->ready && !parent->announced && ++parent->early_deaths >= PROCESS_EARLY_DEATHS_MAX) {
        log_say(LOG_ERROR, "error", "the %s role cannot start (see above); posternd ends", role_name(process->kind));
        parent->status = 1;
        free_process(process); /* before all the others are ended, too */
        parent_stop(parent);
        parent_progress(parent);
        return;
    }
    process->ready = false;
    process->failures = lived ? 1 : process->failures + 1;
    schedule(process);
}

void process_reap(struct parent *parent)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct process *process = find_pid(parent, pid);
        if (process)
            ended(process, status);
    }
}

static void out_of_patience(void *context)
{
    struct process *process = context;
    log_say(LOG_WARNING, "notice", "the %s role did not finish in time and is killed", role_name(process->kind));
    if (process->pid)
        kill(process->pid, SIGKILL);
}

void process_drain(struct process *process, int64_t patience_ms)
{
    int64_t until_ms = clock_monotonic_ms() + patience_ms;
    if (process->draining && process->patience_until_ms <= until_ms)
        return;
    if (!process->pid) {
        process->draining = true;
        free_process(process);
        return;
    }
    if (!process->draining)
        ipc_send(process->channel, PARENT_DRAIN, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
    process->draining = true;
    process->patience_until_ms = until_ms;
    timer_set(&process->timer, process->parent->loop, patience_ms, out_of_patience, process);
}

void process_resettle(struct process *process)
{
    if (process->channel)
        send_settings(process, true);
}

bool process_any_unready(const struct parent *parent)
{
    LIST_EACH(node, &parent->processes)
        if (!entry(node)->ready && !entry(node)->draining)
            return true;
    return false;
}

bool process_any(const struct parent *parent, enum role_kind kind, unsigned generation)
{
    LIST_EACH(node, &parent->processes)
        if (entry(node)->kind == kind && (generation == ~0u || entry(node)->generation == generation))
            return true;
    return false;
}

void process_ping_all(struct parent *parent)
{
    int64_t now = clock_monotonic_ms();
    LIST_EACH(node, &parent->processes) {
        struct process *process = entry(node);
        if (!process->pid || !process->ready)
            continue;
        if (now - process->pong_ms > PROCESS_SILENCE_MS) {
            log_say(LOG_ERROR, "error", "the %s role has not answered for a minute and is killed", role_name(process->kind));
            kill(process->pid, SIGKILL);
        }
        ipc_send(process->channel, PARENT_PING, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
    }
}

void process_kill_all(struct parent *parent)
{
    LIST_EACH(node, &parent->processes) {
        if (entry(node)->pid) {
            kill(entry(node)->pid, SIGKILL);
            waitpid(entry(node)->pid, NULL, 0);
        }
        free_process(entry(node));
    }
}

static void take_ready(struct process *process, const void *body)
{
    (void)body;
    process->ready = true;
    parent_progress(process->parent);
}

static void take_pong(struct process *process, const void *body)
{
    (void)body;
    process->pong_ms = clock_monotonic_ms();
}

static void take_finished(struct process *process, const void *body)
{
    (void)body;
    process->draining = true; /* its end is expected */
}

/* A password or token may have been replaced in its file. */
static void take_secrets(struct process *process, const void *body)
{
    (void)body;
    if (process->kind != ROLE_DELIVERY)
        return;
    reload_passwords(process->parent);
    send_secrets(process, true);
}

static void take_command(struct process *process, const void *body)
{
    if (process->kind == ROLE_CONTROL)
        parent_command(process->parent, process->channel, body);
}

static void (*const handlers[PARENT_ROLE_COUNT])(struct process *process, const void *body) = {
    [ROLE_READY] = take_ready,     [ROLE_PONG] = take_pong,       [ROLE_FINISHED] = take_finished,
    [ROLE_SECRETS] = take_secrets, [ROLE_COMMAND] = take_command,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    (void)fd;
    handlers[type](context, body);
}
