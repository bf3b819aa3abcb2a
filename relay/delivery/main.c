/* The delivery role: one a core. It is the BACK of the queue's channel and the FRONT of the DNS's; everything else is in the pool.
 *
 * What needs a path or a right happens in start(): reading the certificate authorities, looking at the machine's interfaces. After
 * that the process makes outgoing sockets and reads segments whose descriptors the queue lends it, nothing else. It is not told of a
 * reload: a new generation of processes takes over, and this one drains. Secrets alone come anew, where it asked for them. */
#include "../base/text.h"
#include "../role/mains.h"
#include "../role/role.h"
#include "login.h"
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BACKLOG_WAIT_MS 20 /* between two looks at it */

struct delivery {
    struct role *role;
    struct own own;
    struct tls *tls;
    struct sources sources;
    struct reach *reach;
    struct pool pool;
    struct ipc *queue;
    struct ipc *dns;
    struct timer end; /* of a drain, once the queue has taken all outcomes */
};

static void take_open(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_open(&delivery->pool, body);
}

static void take_segment(struct delivery *delivery, const void *body, int fd)
{
    pool_segment(&delivery->pool, body, fd);
}

static void take_forget(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_forget(&delivery->pool, body);
}

static void take_assign(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_assign(&delivery->pool, body);
}

static void take_close(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_close(&delivery->pool, body);
}

static void take_address(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_address(&delivery->pool, body);
}

static void take_tlsa(struct delivery *delivery, const void *body, int fd)
{
    (void)fd;
    pool_tlsa(&delivery->pool, body);
}

typedef void (*handler)(struct delivery *delivery, const void *body, int fd);

static const handler queue_handlers[QUEUE_DELIVERY_COUNT] = {
    [DELIVERY_OPEN] = take_open,     [DELIVERY_SEGMENT] = take_segment, [DELIVERY_FORGET] = take_forget,
    [DELIVERY_ASSIGN] = take_assign, [DELIVERY_CLOSE] = take_close,
};

static const handler dns_handlers[DNS_COUNT] = {
    [DNS_ADDRESS] = take_address,
    [DNS_TLSA] = take_tlsa,
};

static void from_queue(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    queue_handlers[type](context, body, fd);
}

/* MX answers are never asked for here, so that one is of no use. */
static void from_dns(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    if (dns_handlers[type])
        dns_handlers[type](context, body, fd);
}

static void queue_gone(void *context)
{
    struct delivery *delivery = context;
    pool_queue_gone(&delivery->pool);
    ipc_free(&delivery->queue);
}

/* What was asked stays asked: the parent starts the DNS again, and connection.c's own timer bounds the wait. */
static void dns_gone(void *context)
{
    struct delivery *delivery = context;
    delivery->pool.dns = NULL;
    ipc_free(&delivery->dns);
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct delivery *delivery = role->state;
    (void)slot;
    if (kind == ROLE_QUEUE) {
        if (delivery->queue)
            queue_gone(delivery);
        delivery->queue = ipc_new(role->loop, fd, &queue_delivery_channel, IPC_BACK, from_queue, queue_gone, delivery);
        delivery->pool.queue = delivery->queue;
    } else if (kind == ROLE_DNS) {
        if (delivery->dns)
            dns_gone(delivery);
        delivery->dns = ipc_new(role->loop, fd, &dns_channel, IPC_FRONT, from_dns, dns_gone, delivery);
        delivery->pool.dns = delivery->dns;
        pool_dns_came(&delivery->pool);
    } else {
        close(fd);
    }
}

/* An outcome that the channel did not take yet would end with this process, and its message be sent again. */
static void emptied(void *context)
{
    struct role *role = context;
    struct delivery *delivery = role->state;
    if (ipc_backlog(delivery->queue))
        timer_set(&delivery->end, role->loop, BACKLOG_WAIT_MS, emptied, role);
    else
        role_finished(role);
}

/* Every connection is a descriptor, and every large message at work another. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void ask_secrets(void *context)
{
    role_refresh_secrets(context);
}

static bool has_logins(const struct conf *conf)
{
    for (size_t i = 0; i < conf->nroutes; i++)
        if (*conf->routes[i].user)
            return true;
    return false;
}

static bool start(struct role *role)
{
    const struct conf *conf = role->conf;
    struct delivery *delivery = text_zalloc(sizeof *delivery);
    delivery->role = role;
    role->state = delivery;
    raise_limit();
    if (!own_init(&delivery->own, conf)) {
        log_say(LOG_ERROR, "error", "the addresses of this machine cannot be found: %s", strerror(errno));
        return false;
    }
    delivery->tls = tls_new(conf);
    if (!delivery->tls)
        return false;
    delivery->reach = reach_new();
    sources_init(&delivery->sources, conf);
    delivery->pool = (struct pool){ .loop = role->loop,
                                    .conf = conf,
                                    .secrets = role->secrets,
                                    .tls = delivery->tls,
                                    .rules = { .own = &delivery->own,
                                               .sources = &delivery->sources,
                                               .allow_private = conf->delivery.allow_private,
                                               .hostname = conf->hostname,
                                               .reach = delivery->reach },
                                    .emptied = emptied,
                                    .ask_secrets = ask_secrets,
                                    .context = role };
    pool_init(&delivery->pool);
    if (has_logins(conf))
        login_load();
    return true;
}

/* libsasl2 takes its nonces from a file; where nobody logs in, no path is left to open. */
static void sandbox(struct role *role, struct sandbox *sandbox)
{
    static const struct sandbox_path random = { .path = LOGIN_RANDOM };
    sandbox->duties = SANDBOX_CONNECT;
    if (!has_logins(role->conf))
        return;
    sandbox->duties |= SANDBOX_READ_FILES;
    sandbox->paths = &random;
    sandbox->npaths = 1;
}

static void settings(struct role *role)
{
    struct delivery *delivery = role->state;
    pool_secrets_came(&delivery->pool, role->secrets);
}

static void drain(struct role *role)
{
    struct delivery *delivery = role->state;
    pool_drain(&delivery->pool);
}

static void stop(struct role *role)
{
    struct delivery *delivery = role->state;
    pool_fini(&delivery->pool);
    timer_fini(&delivery->end);
    ipc_free(&delivery->queue);
    ipc_free(&delivery->dns);
    tls_free(&delivery->tls);
    own_fini(&delivery->own);
    reach_free(&delivery->reach);
    login_unload();
    sources_fini(&delivery->sources);
    free(delivery);
    role->state = NULL;
}

static const struct role_steps steps = {
    .start = start, .sandbox = sandbox, .peer = peer, .settings = settings, .drain = drain, .stop = stop
};

int delivery_main(int fd)
{
    struct role role = { .kind = ROLE_DELIVERY };
    return role_run(&role, fd, &steps);
}
