/* The order of a life: settings, secrets, peers and listeners arrive and are kept; START opens what needs rights, closes the
 * sandbox, and hands the kept ones to the role; then messages are served as they come. All of it is one table of handlers over the
 * parent's channel. */
#include "role.h"

#include "../base/log.h"
#include "../base/stream.h"
#include "../base/text.h"
#include "../conf/read.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define ROLE_KEPT_MAX     4096        /* peers and listeners that may come before START */
#define ROLE_SETTINGS_MAX (64u << 20) /* bytes of configuration text */
#define NAME_SIZE         16          /* of a process's name, with the NUL: the kernel's */

/* A peer or listener that came before START. */
struct kept {
    bool listener;
    uint32_t a, b;
    int fd;
};

struct role_runtime {
    const struct role_steps *steps;
    struct ipc *parent;
    struct conf *conf;
    struct conf *old_conf;
    struct bundle *secrets;
    struct bundle *old_secrets;
    struct kept *kept;
    size_t nkept;
    bool keep_user;
    bool debug;
    bool open;
    int status;
};

static const struct {
    const char *user;
} users[ROLE_KINDS] = {
    [ROLE_SUBMISSION] = { "postern" }, [ROLE_DNS] = { "postern" },         [ROLE_DELIVERY] = { "postern" },
    [ROLE_CONTROL] = { "postern" },    [ROLE_QUEUE] = { "postern-queue" }, [ROLE_POLICY] = { "postern-queue" },
    [ROLE_AUTH] = { "postern-auth" },  [ROLE_STS] = { "postern" },
};

const char *role_user(enum role_kind kind)
{
    return kind < ROLE_KINDS ? users[kind].user : NULL;
}

static const char no_room[] = "no descriptor is left to take one from the parent with";

static void fail(struct role *role, const char *what)
{
    log_say(LOG_ERROR, "error", "%s; the process ends and the parent starts it again", what);
    role->runtime->status = 1;
    loop_stop(role->loop);
}

static void complain(void *context, const char *line)
{
    (void)context;
    log_say(LOG_ERROR, "error", "configuration as handed over: %s", line);
}

/* Parses the configuration text in FD. NULL where it cannot be. */
static struct conf *load_settings(int fd, uint64_t size)
{
    if (size == 0 || size > ROLE_SETTINGS_MAX)
        return NULL;
    void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return NULL;
    struct conf *conf = conf_read_text("settings", span_make(text, size), complain, NULL);
    munmap(text, size);
    return conf;
}

static void take_settings(struct role *role, const void *body, int fd)
{
    const struct parent_settings *message = body;
    struct role_runtime *runtime = role->runtime;
    struct conf *conf = load_settings(fd, message->size_bytes);
    close(fd);
    if (!conf) {
        fail(role, "the settings that came from the parent cannot be read");
        return;
    }
    conf_free(&runtime->old_conf);
    runtime->old_conf = runtime->conf;
    runtime->conf = conf;
    runtime->keep_user = message->keep_user;
    runtime->debug = message->debug;
    role->conf = conf;
    log_setup(conf->log.format, message->debug ? LOG_DEBUG : conf->log.level, role_name(role->kind));
}

static void take_secrets(struct role *role, const void *body, int fd)
{
    const struct parent_secrets *message = body;
    struct role_runtime *runtime = role->runtime;
    struct bundle *secrets = bundle_load(fd);
    close(fd);
    if (!secrets) {
        fail(role, "the secrets that came from the parent cannot be read");
        return;
    }
    bundle_free(&runtime->old_secrets);
    runtime->old_secrets = runtime->secrets;
    runtime->secrets = secrets;
    role->secrets = secrets;
    if (message->reload && runtime->open && runtime->steps->settings)
        runtime->steps->settings(role);
}

static void hand_over(struct role *role, const struct kept *kept)
{
    const struct role_steps *steps = role->runtime->steps;
    if (kept->listener && steps->listener)
        steps->listener(role, kept->a, kept->b, kept->fd);
    else if (!kept->listener && steps->peer)
        steps->peer(role, (enum role_kind)kept->a, kept->b, kept->fd);
    else
        close(kept->fd);
}

/* Hands over at once, or after START. */
static void take(struct role *role, struct kept kept)
{
    struct role_runtime *runtime = role->runtime;
    if (runtime->open) {
        hand_over(role, &kept);
        return;
    }
    if (runtime->nkept == ROLE_KEPT_MAX) {
        close(kept.fd);
        return;
    }
    runtime->kept = text_realloc(runtime->kept, (runtime->nkept + 1) * sizeof kept);
    runtime->kept[runtime->nkept++] = kept;
}

static void take_peer(struct role *role, const void *body, int fd)
{
    const struct parent_peer *message = body;
    if (fd < 0)
        fail(role, no_room);
    else if (message->kind >= ROLE_KINDS || message->slot >= ROLE_SLOTS)
        close(fd);
    else
        take(role, (struct kept){ false, message->kind, message->slot, fd });
}

static void take_listener(struct role *role, const void *body, int fd)
{
    const struct parent_listener *message = body;
    if (fd < 0)
        fail(role, no_room);
    else
        take(role, (struct kept){ true, message->listener, message->address, fd });
}

static void take_start(struct role *role, const void *body, int fd)
{
    const struct parent_start *message = body;
    struct role_runtime *runtime = role->runtime;
    const struct role_steps *steps = runtime->steps;
    struct sandbox sandbox = { .user = runtime->keep_user ? NULL : role_user(role->kind) };
    (void)fd;
    role->slot = message->slot;
    role->processes = message->processes;
    if (!runtime->conf || !runtime->secrets) {
        fail(role, "the parent said START before it gave settings and secrets");
        return;
    }
    if (steps->start && !steps->start(role)) {
        fail(role, "the role could not be set up");
        return;
    }
    if (steps->sandbox)
        steps->sandbox(role, &sandbox);
    tzset(); /* reads the time zone now; the C library would at the first date, when no file can be opened any more */
    if (!sandbox_enter(&sandbox)) {
        fail(role, "the sandbox is not closed");
        return;
    }
    runtime->open = true;
    if (steps->open)
        steps->open(role);
    for (size_t i = 0; i < runtime->nkept; i++)
        hand_over(role, &runtime->kept[i]);
    free(runtime->kept);
    runtime->kept = NULL;
    runtime->nkept = 0;
    ipc_send(runtime->parent, ROLE_READY, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
}

static void take_drain(struct role *role, const void *body, int fd)
{
    (void)body;
    (void)fd;
    if (role->draining)
        return;
    role->draining = true;
    if (role->runtime->open && role->runtime->steps->drain)
        role->runtime->steps->drain(role);
    else
        role_finished(role);
}

static void take_ping(struct role *role, const void *body, int fd)
{
    (void)body;
    (void)fd;
    ipc_send(role->runtime->parent, ROLE_PONG, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
}

static void take_answer(struct role *role, const void *body, int fd)
{
    const struct parent_answer *message = body;
    char text[PARENT_ROLE_TEXT];
    (void)fd;
    text_copy(text, sizeof text, span_of_array(message->text, sizeof message->text));
    if (role->runtime->steps->answer)
        role->runtime->steps->answer(role, message->ticket, message->done, text);
}

static void (*const handlers[PARENT_ROLE_COUNT])(struct role *role, const void *body, int fd) = {
    [PARENT_SETTINGS] = take_settings, [PARENT_SECRETS] = take_secrets, [PARENT_PEER] = take_peer,
    [PARENT_LISTENER] = take_listener, [PARENT_START] = take_start,     [PARENT_DRAIN] = take_drain,
    [PARENT_PING] = take_ping,         [PARENT_ANSWER] = take_answer,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    handlers[type](context, body, fd);
}

/* The parent has gone: nothing can be finished in order any more, and nothing accepted is lost by ending. */
static void parent_gone(void *context)
{
    role_finished(context);
}

/* Work comes in many small pieces that processes hand each other: one that is woken waits until whoever is at work rests or has had its
 * turn, and finds more to do at once then. Without it each piece interrupts somebody. What an administrator has chosen stays. */
static void prefer_rounds(void)
{
    if (sched_getscheduler(0) == SCHED_OTHER)
        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
}

/* What top(1) and pgrep(1) show: else it would be the last word of /proc/self/exe. */
static void name_process(const struct role *role)
{
    char name[NAME_SIZE];
    text_format(name, sizeof name, "posternd:%s", role_name(role->kind));
    prctl(PR_SET_NAME, name);
}

int role_run(struct role *role, int fd, const struct role_steps *steps)
{
    struct role_runtime runtime = { .steps = steps };
    const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP }; /* the parent gets these and tells each role in its turn */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    log_setup(LOG_LOGFMT, LOG_INFO, role_name(role->kind));
    name_process(role);
    prefer_rounds();
    role->runtime = &runtime;
    role->loop = loop_new();
    if (!role->loop)
        return 1;
    runtime.parent = ipc_new(role->loop, fd, &parent_role_channel, IPC_BACK, received, parent_gone, role);
    log_gather(steps->gathers_log);
    loop_before_rest(role->loop, log_flush);
    loop_run(role->loop);
    log_gather(false);
    if (runtime.open && steps->stop)
        steps->stop(role);
    for (size_t i = 0; i < runtime.nkept; i++)
        close(runtime.kept[i].fd);
    free(runtime.kept);
    ipc_free(&runtime.parent);
    stream_drop_lingering();
    loop_free(&role->loop);
    conf_free(&runtime.conf);
    conf_free(&runtime.old_conf);
    bundle_free(&runtime.secrets);
    bundle_free(&runtime.old_secrets);
    return runtime.status;
}

void role_finished(struct role *role)
{
    ipc_send(role->runtime->parent, ROLE_FINISHED, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
    loop_stop(role->loop);
}

bool role_command(struct role *role, enum parent_verb verb, uint64_t ticket)
{
    struct parent_command command = { .verb = verb, .ticket = ticket };
    return ipc_send(role->runtime->parent, ROLE_COMMAND, &command, sizeof command, -1);
}

void role_refresh_secrets(struct role *role)
{
    ipc_send(role->runtime->parent, ROLE_SECRETS, &(struct parent_empty){ 0 }, sizeof(struct parent_empty), -1);
}

void role_peers_set(struct role_peers *peers, unsigned slot, struct ipc *channel)
{
    role_peers_drop(peers, slot);
    peers->by_slot[slot] = channel;
    peers->slots[peers->count++] = slot;
}

void role_peers_drop(struct role_peers *peers, unsigned slot)
{
    if (!peers->by_slot[slot])
        return;
    ipc_free(&peers->by_slot[slot]);
    for (unsigned i = 0; i < peers->count; i++) {
        if (peers->slots[i] == slot) {
            peers->slots[i] = peers->slots[--peers->count];
            return;
        }
    }
}

struct ipc *role_peers_pick(const struct role_peers *peers, uint64_t hash)
{
    return peers->count ? peers->by_slot[peers->slots[hash % peers->count]] : NULL;
}
