/* The control role: administrators and machines ask it, it asks the roles that know. It is the only one that both listens to people on
 * this machine and talks to most others, so it holds nothing worth stealing: no message, no password, no key. */
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../role/mains.h"
#include "asking.h"
#include "control.h"
#include "http.h"
#include "looking.h"
#include "socket.h"
#include "visitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The age in milliseconds of the process that started this one; 0 where /proc does not say. */
static int64_t parent_age_ms(void)
{
    char path[64], line[1024] = "";
    unsigned long long ticks = 0;
    text_format(path, sizeof path, "/proc/%d/stat", (int)getppid());
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = '\0';
    char *behind = strrchr(line, ')'); /* the name may hold anything; field 22 is counted from behind it (proc(5)) */
    struct span rest = behind ? span_of(behind + 1) : span_of("");
    for (unsigned field = 2; field < 22; field++)
        span_cut(&rest, ' ');
    uint64_t started = 0;
    if (text_number(span_cut(&rest, ' '), 0, UINT64_MAX / 1000, &started))
        ticks = started;
    int64_t started_ms = (int64_t)(ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
    return ticks ? clock_monotonic_ms() - started_ms : 0;
}

static bool start(struct role *role)
{
    struct control *control = text_zalloc(sizeof *control);
    const struct conf_control *conf = &role->conf->control;
    control->role = role;
    control->since_ms = clock_wall_ms() - parent_age_ms();
    control->socket_fd = socket_admin(conf->socket, role_user(role->kind));
    control->http_fd = *conf->http ? socket_http(conf->http) : -1;
    control->asking = asking_new(control);
    control->looking = looking_new(control);
    role->state = control;
    return control->socket_fd >= 0; /* without HTTP it goes on: what failed is in the log */
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    (void)role;
    sandbox->duties = SANDBOX_ACCEPT | SANDBOX_LOCAL_SOCKET;
}

static void open_doors(struct role *role)
{
    struct control *control = role->state;
    control->visitors = visitor_listen(control, control->socket_fd);
    control->socket_fd = -1;
    if (control->http_fd >= 0)
        control->http = http_new(control, control->http_fd);
    control->http_fd = -1;
}

static void drop(struct control *control, enum control_peer peer)
{
    ipc_free(&control->peers[peer]);
    if (peer == CONTROL_DNS || peer == CONTROL_STS)
        looking_gone(control->looking, peer);
    else
        asking_gone(control->asking, peer);
}

/* One handler a peer, since a channel's context is one pointer. */
static void queue_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct control *control = context;
    (void)fd;
    asking_received(control->asking, CONTROL_QUEUE, type, body, size);
}

static void policy_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct control *control = context;
    (void)fd;
    asking_received(control->asking, CONTROL_POLICY, type, body, size);
}

static void dns_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct control *control = context;
    (void)size;
    (void)fd;
    looking_received(control->looking, CONTROL_DNS, type, body);
}

static void sts_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct control *control = context;
    (void)size;
    (void)fd;
    looking_received(control->looking, CONTROL_STS, type, body);
}

static void queue_closed(void *context)
{
    drop(context, CONTROL_QUEUE);
}

static void policy_closed(void *context)
{
    drop(context, CONTROL_POLICY);
}

static void dns_closed(void *context)
{
    drop(context, CONTROL_DNS);
}

static void sts_closed(void *context)
{
    drop(context, CONTROL_STS);
}

static const struct {
    enum role_kind kind;
    const struct ipc_channel *channel;
    ipc_handler received;
    void (*closed)(void *context);
} links[CONTROL_PEERS] = {
    [CONTROL_QUEUE] = { ROLE_QUEUE, &admin_channel, queue_received, queue_closed },
    [CONTROL_POLICY] = { ROLE_POLICY, &admin_channel, policy_received, policy_closed },
    [CONTROL_DNS] = { ROLE_DNS, &dns_channel, dns_received, dns_closed },
    [CONTROL_STS] = { ROLE_STS, &sts_channel, sts_received, sts_closed },
};

static void peer_came(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct control *control = role->state;
    (void)slot; /* there is one of each */
    for (unsigned peer = 0; peer < CONTROL_PEERS; peer++) {
        if (links[peer].kind != kind)
            continue;
        if (control->peers[peer])
            drop(control, peer);
        control->peers[peer] =
            ipc_new(role->loop, fd, links[peer].channel, IPC_FRONT, links[peer].received, links[peer].closed, control);
        return;
    }
    close(fd);
}

static void answer(struct role *role, uint64_t ticket, bool done, const char *text)
{
    struct control *control = role->state;
    visitor_parent_answer(control->visitors, ticket, done, text);
}

static void stop(struct role *role)
{
    struct control *control = role->state;
    if (!control)
        return;
    http_free(&control->http);
    visitor_close_all(&control->visitors);
    asking_free(&control->asking);
    looking_free(&control->looking);
    for (unsigned peer = 0; peer < CONTROL_PEERS; peer++)
        ipc_free(&control->peers[peer]);
    free(control);
    role->state = NULL;
}

int control_main(int fd)
{
    static const struct role_steps steps = {
        .start = start,
        .sandbox = sandbox,
        .open = open_doors,
        .peer = peer_came,
        .answer = answer,
        .stop = stop,
    };
    struct role role = { .kind = ROLE_CONTROL };
    return role_run(&role, fd, &steps);
}
