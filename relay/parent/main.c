/* The parent's life: read and check everything, bind the ports, start the roles, tell systemd; then wait for signals, for children that
 * end, and for the control role's commands. Stopping goes in two steps: submission and delivery finish first, while the queue still
 * takes their outcomes; then the rest. */
#include "parent.h"

#include "../base/log.h"
#include "../base/random.h"
#include "../base/text.h"
#include "../conf/warn.h"
#include "folders.h"
#include "keys.h"
#include "process.h"
#include "reload.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define STOP_PATIENCE_MS      20000 /* for what is being sent when SIGTERM comes */
#define STOP_LAST_PATIENCE_MS 5000  /* for the roles that only have to write down what they know */
#define HEARTBEAT_MS          5000
#define RELOAD_ANSWER_MS      15000 /* `postern reload` waits so long for the new processes */
#define DESCRIPTORS_WANTED    65536

static void print_complaint(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

/* As many descriptors as the machine allows: each connection is one. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (geteuid() == 0 && limit.rlim_max < DESCRIPTORS_WANTED)
        limit.rlim_max = DESCRIPTORS_WANTED;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A second SIGTERM, while the rest of the end takes a moment, is not to spoil its status. */
static void hear_no_more(const int *signals, size_t count)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* The next step of stopping, once the one before is done. */
static void stop_progress(struct parent *parent)
{
    bool first = process_any(parent, ROLE_SUBMISSION, ~0u) || process_any(parent, ROLE_DELIVERY, ~0u);
    LIST_EACH(node, &parent->processes) {
        struct process *process = LIST_ENTRY(node, struct process, node);
        bool now = process->kind == ROLE_SUBMISSION || process->kind == ROLE_DELIVERY;
        if (now || !first)
            process_drain(process, now ? STOP_PATIENCE_MS : STOP_LAST_PATIENCE_MS);
    }
    if (list_empty(&parent->processes))
        loop_stop(parent->loop);
}

void parent_stop(struct parent *parent)
{
    if (parent->stopping)
        return;
    parent->stopping = true;
    sd_notify(0, "STOPPING=1");
    log_say(LOG_INFO, "notice", "stopping: what is being sent is finished first");
    stop_progress(parent);
}

static void answer(struct ipc *channel, uint64_t ticket, bool done, const char *text)
{
    struct parent_answer answer = { .ticket = ticket, .done = done };
    text_copy(answer.text, sizeof answer.text, span_of(text));
    ipc_send(channel, PARENT_ANSWER, &answer, offsetof(struct parent_answer, text) + strlen(answer.text), -1);
}

/* Answers the reload that waits for its processes, where one does and the control role that asked is still there. */
static void answer_reload(struct parent *parent, bool done, const char *text)
{
    LIST_EACH(node, &parent->processes) {
        struct process *process = LIST_ENTRY(node, struct process, node);
        if (parent->asked && process->kind == ROLE_CONTROL && process->ready)
            answer(process->channel, parent->asked, done, text);
    }
    parent->asked = 0;
    timer_stop(&parent->asked_late);
}

static void reload_is_late(void *context)
{
    answer_reload(context, false,
                  "the configuration is right, but the new processes are not ready yet; those before go on meanwhile, and the "
                  "log says why");
}

void parent_progress(struct parent *parent)
{
    if (parent->stopping) {
        stop_progress(parent);
        return;
    }
    reload_progress(parent);
    if (process_any_unready(parent))
        return;
    answer_reload(parent, true, "");
    if (parent->announced)
        return;
    parent->announced = true;
    sd_notify(0, "READY=1\nSTATUS=Relaying mail.");
    log_say(LOG_INFO, "notice", "ready: version %s, hostname %s", POSTERN_VERSION, parent->now.conf->hostname);
}

void parent_command(struct parent *parent, struct ipc *channel, const struct parent_command *command)
{
    static char text[PARENT_ROLE_TEXT];
    if (command->verb == PARENT_STOP) {
        answer(channel, command->ticket, true, "");
        parent_stop(parent);
    } else if (!reload_run(parent, text, sizeof text)) {
        answer(channel, command->ticket, false, text);
    } else {
        answer_reload(parent, true, ""); /* one that still waited: what it asked for is part of this one */
        parent->asked = command->ticket;
        timer_set(&parent->asked_late, parent->loop, RELOAD_ANSWER_MS, reload_is_late, parent);
    }
}

static void on_signal(void *context, int number)
{
    struct parent *parent = context;
    static char text[PARENT_ROLE_TEXT];
    if (number == SIGCHLD)
        process_reap(parent);
    else if (number == SIGHUP) {
        sd_notify(0, "RELOADING=1");
        reload_run(parent, text, sizeof text);
        sd_notify(0, "READY=1");
    } else
        parent_stop(parent);
}

static void heartbeat(void *context)
{
    struct parent *parent = context;
    process_ping_all(parent);
    sd_notify(0, "WATCHDOG=1");
    timer_again(&parent->heartbeat, HEARTBEAT_MS);
}

static void start_roles(struct parent *parent)
{
    const struct conf *conf = parent->now.conf;
    const struct {
        enum role_kind kind;
        unsigned count;
    } roles[] = {
        { ROLE_DNS, 1 },
        { ROLE_POLICY, 1 },
        { ROLE_STS, 1 },
        { ROLE_QUEUE, 1 },
        { ROLE_AUTH, (unsigned)conf->auth.processes },
        { ROLE_DELIVERY, conf_processes(conf) },
        { ROLE_SUBMISSION, conf_processes(conf) },
        { ROLE_CONTROL, 1 },
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        process_start_all(parent, roles[i].kind, roles[i].count, parent->generation);
}

static int run(struct parent *parent)
{
    const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT };
    parent->loop = loop_new();
    if (!parent->loop)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        loop_signal(parent->loop, signals[i], on_signal, parent);
    list_init(&parent->processes);
    start_roles(parent);
    timer_set(&parent->heartbeat, parent->loop, HEARTBEAT_MS, heartbeat, parent);
    loop_run(parent->loop);
    timer_fini(&parent->heartbeat);
    timer_fini(&parent->asked_late);
    process_kill_all(parent);
    hear_no_more(signals, sizeof signals / sizeof *signals);
    loop_free(&parent->loop);
    log_say(LOG_INFO, "notice", "stopped");
    return parent->status;
}

int parent_main(const struct parent_options *options)
{
    struct parent parent = { .options = *options };
    int status = 1;
    umask(0077);
    random_bytes(parent.ticket_key, sizeof parent.ticket_key);
    if (!reload_read(&parent, &parent.now, print_complaint, NULL))
        return 1;
    if (options->check) {
        conf_warn(parent.now.conf, print_complaint, NULL);
        status = 0;
    } else {
        log_setup(parent.now.conf->log.format, options->debug ? LOG_DEBUG : parent.now.conf->log.level, "parent");
        reload_warn(parent.now.conf);
        raise_limits();
        ports_take(&parent.ports);
        if (folders_make(parent.now.conf, options->keep_user) &&
            ports_open(&parent.ports, parent.now.conf, print_complaint, NULL))
            status = run(&parent);
    }
    ports_close(&parent.ports);
    reload_free(&parent.now);
    OPENSSL_cleanse(parent.ticket_key, sizeof parent.ticket_key);
    return status;
}
