/* A lane is one socket on which connect() is in progress. The first lane that connects ends the other. When one fails while the other
 * runs on, the runner gets the next rival at once (the head start has served its purpose); when none is left running, the way's next
 * address is tried, perhaps of another host.
 *
 * Mostly there is no race: the first address answers at once, and the server speaks first. So during the head start a lane waits for the
 * server's greeting, not for the connection, which is one event less and leaves the socket's place in the loop to the session. After the
 * head start a lane that has connected meanwhile wins, however silent the server is; one that has not waits for its connection. Where
 * it is for us to speak first (implicit TLS) a lane does so from the start. */
#include "race.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void race_init(struct race *race, struct loop *loop, struct connect *way, const struct race_events *events, void *context,
               int64_t timeout_ms)
{
    *race = (struct race){ .loop = loop, .way = way, .events = events, .context = context, .timeout_ms = timeout_ms };
    for (unsigned i = 0; i < RACE_LANES; i++)
        race->lanes[i] = (struct race_lane){ .race = race, .watch = { .fd = -1 } };
}

static bool is_running(const struct race_lane *lane)
{
    return lane->watch.fd >= 0;
}

/* Frees LANE and closes its socket. */
static void end(struct race_lane *lane)
{
    int fd = lane->watch.fd;
    watch_fini(&lane->watch);
    timer_fini(&lane->limit);
    close(fd);
}

static void stop(struct race *race)
{
    timer_stop(&race->head_start);
    for (unsigned i = 0; i < RACE_LANES; i++)
        if (is_running(&race->lanes[i]))
            end(&race->lanes[i]);
}

void race_fini(struct race *race)
{
    if (!race->loop)
        return;
    stop(race);
    timer_fini(&race->head_start);
}

static struct race_lane *find_lane(struct race *race, bool running)
{
    for (unsigned i = 0; i < RACE_LANES; i++)
        if (is_running(&race->lanes[i]) == running)
            return &race->lanes[i];
    return NULL;
}

bool race_is_on(const struct race *race)
{
    for (unsigned i = 0; i < RACE_LANES; i++)
        if (race->loop && is_running(&race->lanes[i]))
            return true;
    return false;
}

static void ready(void *context, int fd, unsigned what);

static void late(void *context);

/* Begins to connect to TARGET in a free lane, which waits for WHAT. False, and told, where the kernel refuses at once. */
static bool start(struct race *race, struct connect_target *target, unsigned what)
{
    struct race_lane *lane = find_lane(race, false);
    int fd = connect_socket(race->way, target);
    if (fd < 0) {
        race->events->failed(race->context, target, errno, true);
        return false;
    }
    lane->target = *target;
    watch_set(&lane->watch, race->loop, fd, what, ready, lane);
    timer_set(&lane->limit, race->loop, race->timeout_ms, late, lane);
    return true;
}

/* Starts a rival of what runs in one lane, where the host has another family. */
static void start_rival(struct race *race)
{
    const struct race_lane *runner = find_lane(race, true);
    struct connect_target rival;
    if (!runner || !find_lane(race, false))
        return;
    while (connect_rival(race->way, &runner->target, &rival))
        if (start(race, &rival, WATCH_WRITE))
            return;
}

/* LANE has connected. */
static void win(struct race_lane *lane)
{
    struct race *race = lane->race;
    struct connect_target target = lane->target;
    struct watch watch;
    watch_move(&watch, &lane->watch, NULL, NULL);
    timer_fini(&lane->limit);
    stop(race);
    race->events->won(race->context, &watch, &target);
}

static bool has_connected(const struct race_lane *lane)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    return getpeername(lane->watch.fd, (struct sockaddr *)&address, &size) == 0;
}

static void head_start_over(void *context)
{
    struct race *race = context;
    struct race_lane *runner = find_lane(race, true);
    if (!runner)
        return;
    if (has_connected(runner)) {
        win(runner);
        return;
    }
    watch_want(&runner->watch, WATCH_WRITE);
    start_rival(race);
}

void race_go(struct race *race)
{
    struct connect_target target;
    for (;;) {
        switch (connect_next(race->way, &target)) {
        case CONNECT_WAIT:
            race->events->waits(race->context);
            return;
        case CONNECT_OVER:
            race->events->over(race->context);
            return;
        case CONNECT_TARGET:
            if (!start(race, &target, race->events->greets(race->context, &target) ? WATCH_READ : WATCH_WRITE))
                continue;
            timer_set(&race->head_start, race->loop, RACE_HEAD_START_MS, head_start_over, race);
            return;
        }
    }
}

bool race_again(struct race *race, const struct connect_target *target)
{
    struct connect_target again = *target;
    return start(race, &again, WATCH_WRITE);
}

/* LANE came to nothing. */
static void lose(struct race_lane *lane, int error)
{
    struct race *race = lane->race;
    end(lane);
    race->events->failed(race->context, &lane->target, error, false);
    timer_stop(&race->head_start);
    if (race_is_on(race))
        start_rival(race);
    else
        race_go(race);
}

static void late(void *context)
{
    struct race_lane *lane = context;
    if (has_connected(lane))
        win(lane);
    else
        lose(lane, ETIMEDOUT);
}

/* Why there is no connection at FD, which was waited for; 0: there is one. */
static int failure_of(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/* The same where something to read was waited for. What the server has said counts, though it has reset the connection since; and that it has
 * only closed it is for the session to see. */
static int failure_to_greet(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 ? errno : 0;
}

static void ready(void *context, int fd, unsigned what)
{
    struct race_lane *lane = context;
    int error = what & WATCH_READ ? failure_to_greet(fd) : failure_of(fd);
    if (!error)
        win(lane);
    else if (error != EAGAIN && error != EINTR)
        lose(lane, error);
}
