/* Redis for the tests of policy: a real one in a folder of its own, and one that says what a test wants. */
#ifndef TESTS_UNIT_POLICY_REDIS_H
#define TESTS_UNIT_POLICY_REDIS_H

#include "../../../relay/base/clock.h"
#include "../../../relay/base/loop.h"
#include "../unit.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define REDIS_PATIENCE_MS 20000

struct redis {
    char folder[64], where[80];
    pid_t pid;
    redisContext *asks; /* the test's own connection */
};

/* Starts redis-server in the folder, with EXTRA ("--requirepass", "secret" …), and waits until it answers. */
static inline void redis_start_with(struct redis *redis, const char *option, const char *value)
{
    int64_t until = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    redis->pid = fork();
    if (redis->pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis->where, "--dir", redis->folder, "--save", "",
               "--appendonly", "no", option, value, (char *)NULL);
        _exit(127);
    }
    do {
        if (redis->asks)
            redisFree(redis->asks);
        redis->asks = redisConnectUnix(redis->where);
        assert_non_null(redis->asks);
        assert_true(clock_monotonic_ms() < until);
        usleep(1000);
    } while (redis->asks->err);
}

static inline void redis_start(struct redis *redis)
{
    redis_start_with(redis, "--loglevel", "warning");
}

static inline void redis_kill(struct redis *redis)
{
    if (redis->pid) {
        kill(redis->pid, SIGKILL);
        waitpid(redis->pid, NULL, 0);
    }
    redis->pid = 0;
    if (redis->asks)
        redisFree(redis->asks);
    redis->asks = NULL;
    unlink(redis->where);
}

static inline int redis_folder(struct redis *redis)
{
    *redis = (struct redis){ .pid = 0 };
    snprintf(redis->folder, sizeof redis->folder, "/tmp/postern-redis-XXXXXX");
    if (!mkdtemp(redis->folder))
        return -1;
    snprintf(redis->where, sizeof redis->where, "%s/socket", redis->folder);
    return 0;
}

static inline int redis_end(struct redis *redis)
{
    redis_kill(redis);
    return rmdir(redis->folder);
}

/* Serves the loop until *DONE, which must come in time. */
static inline void redis_wait(struct loop *loop, const bool *done)
{
    int64_t until = clock_monotonic_ms() + REDIS_PATIENCE_MS;
    while (!*done) {
        loop_once(loop, false);
        usleep(200);
        assert_true(clock_monotonic_ms() < until);
    }
}

/* A server whose whole wit is to send SAYS to each connection once it has heard something, and then to hang up or to keep silent. */
struct redis_fake {
    struct loop *loop;
    struct watch listening;
    struct watch talking;
    int fd, client;
    const char *says;
    size_t size;
    bool hangs_up;
    unsigned heard; /* bytes came in so many pieces */
};

static inline void redis_fake_hears(void *context, int fd, unsigned ready)
{
    struct redis_fake *fake = context;
    char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof bytes);
    (void)ready;
    fake->heard += n > 0;
    if (n > 0 && fake->says)
        (void)!send(fd, fake->says, fake->size, MSG_NOSIGNAL);
    if (n > 0 && !fake->hangs_up)
        return;
    watch_fini(&fake->talking);
    close(fake->client);
    fake->client = -1;
}

static inline void redis_fake_accepts(void *context, int fd, unsigned ready)
{
    struct redis_fake *fake = context;
    (void)ready;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    if (fake->client >= 0) { /* the second connection hears nothing at all */
        close(client);
        return;
    }
    fake->client = client;
    watch_set(&fake->talking, fake->loop, client, WATCH_READ, redis_fake_hears, fake);
}

static inline void redis_fake_start(struct redis_fake *fake, struct loop *loop, const char *where, const char *says, size_t size,
                                    bool hangs_up)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    *fake = (struct redis_fake){ .loop = loop, .client = -1, .says = says, .size = size, .hangs_up = hangs_up };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", where);
    unlink(where);
    fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->fd, 8), 0);
    watch_set(&fake->listening, loop, fake->fd, WATCH_READ, redis_fake_accepts, fake);
}

static inline void redis_fake_end(struct redis_fake *fake, const char *where)
{
    watch_fini(&fake->listening);
    watch_fini(&fake->talking);
    close(fake->fd);
    if (fake->client >= 0)
        close(fake->client);
    unlink(where);
}

#endif
