/* A busy loop has many rounds without a rest, and each serves a few events. What they leave to be sent to other processes is sent when the
 * loop would rest: each packet wakes somebody, and to wake and to be woken costs more than most messages do. So while chores wait, the round
 * behind one that served several looks only whether more is ready; where it was not, or they have waited long enough, they are done.
 *
 * libevent does the waiting. Watches and timers are events allocated once and re-used; a watch adds and deletes only when what it
 * wants changes. A watch's event knows its watch by way of `watched`, so that another one can have it. */
#include <event2/event.h>
#include <event2/event_struct.h>

/* Behind libevent, which has a LIST_ENTRY of its own for a while. */
#include "loop.h"

#include "clock.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define LOOP_SIGNALS_MAX 8
#define BUSY_MIN         2 /* callbacks in a round that make it likely that there is more to do */

struct signal_watch {
    struct event *event;
    void (*callback)(void *context, int signal);
    void *context;
};

struct loop {
    struct event_base *base;
    struct signal_watch signals[LOOP_SIGNALS_MAX];
    unsigned nsignals;
    void (*before_rest)(void); /* or NULL */
    bool stopped;
    struct list chores;
    int64_t chores_since_ms; /* the first one's */
    uint64_t served;         /* callbacks that were called */
};

struct loop *loop_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config) {
        /* The environment does not choose how we wait; and the loop is one thread's, which others wake by an eventfd. */
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!base)
        return NULL;
    struct loop *loop = text_zalloc(sizeof *loop);
    loop->base = base;
    list_init(&loop->chores);
    return loop;
}

void loop_free(struct loop **loop)
{
    if (!*loop)
        return;
    for (unsigned i = 0; i < (*loop)->nsignals; i++)
        event_free((*loop)->signals[i].event);
    event_base_free((*loop)->base);
    free(*loop);
    *loop = NULL;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_before_rest(struct loop *loop, void (*callback)(void))
{
    loop->before_rest = callback;
}

void loop_soon(struct loop *loop, struct chore *chore, void (*callback)(void *context), void *context)
{
    if (!chore->node.next)
        list_init(&chore->node);
    if (!list_empty(&chore->node))
        return;
    if (list_empty(&loop->chores))
        loop->chores_since_ms = clock_monotonic_ms();
    chore->callback = callback;
    chore->context = context;
    list_append(&loop->chores, &chore->node);
}

void chore_drop(struct chore *chore)
{
    if (chore->node.next)
        list_remove(&chore->node);
}

/* A chore may give others, but not without end. */
static void do_chores(struct loop *loop)
{
    struct list now;
    list_init(&now);
    LIST_EACH(node, &loop->chores) {
        list_remove(node);
        list_append(&now, node);
    }
    while (!list_empty(&now)) {
        struct chore *chore = LIST_ENTRY(now.next, struct chore, node);
        list_remove(&chore->node);
        chore->callback(chore->context);
    }
}

/* Have chores waited long enough? */
static bool are_due(const struct loop *loop)
{
    return !list_empty(&loop->chores) && clock_monotonic_ms() - loop->chores_since_ms >= LOOP_SOON_MS;
}

static void prepare_rest(struct loop *loop)
{
    do_chores(loop);
    if (loop->before_rest)
        loop->before_rest();
}

/* One round. False where the kernel's waiting fails. */
static bool serve(struct loop *loop)
{
    bool puts_off = !list_empty(&loop->chores);
    uint64_t before = loop->served;
    if (event_base_loop(loop->base, EVLOOP_ONCE | (puts_off ? EVLOOP_NONBLOCK : EVLOOP_NO_EXIT_ON_EMPTY)) < 0)
        return false;
    puts_off = !list_empty(&loop->chores) && loop->served - before >= BUSY_MIN;
    if (!puts_off || are_due(loop))
        prepare_rest(loop);
    return true;
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (serve(loop) && !loop->stopped)
        continue;
    prepare_rest(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    event_base_loopbreak(loop->base);
}

void loop_once(struct loop *loop, bool block)
{
    do_chores(loop);
    event_base_loop(loop->base, EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
    prepare_rest(loop);
}

static struct timeval timeval_of(int64_t delay_ms)
{
    if (delay_ms < 0)
        delay_ms = 0;
    return (struct timeval){ .tv_sec = (time_t)(delay_ms / 1000), .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000) };
}

static void timer_fired(evutil_socket_t fd, short what, void *argument)
{
    struct timer *timer = argument;
    (void)fd;
    (void)what;
    timer->loop->served++;
    timer->callback(timer->context);
}

void timer_set(struct timer *timer, struct loop *loop, int64_t delay_ms, void (*callback)(void *context), void *context)
{
    timer->loop = loop;
    timer->callback = callback;
    timer->context = context;
    if (!timer->event)
        timer->event = event_new(loop->base, -1, 0, timer_fired, timer);
    if (!timer->event)
        abort();
    timer_again(timer, delay_ms);
}

void timer_again(struct timer *timer, int64_t delay_ms)
{
    struct timeval delay = timeval_of(delay_ms);
    event_add(timer->event, &delay);
}

void timer_stop(struct timer *timer)
{
    if (timer->event)
        event_del(timer->event);
}

void timer_fini(struct timer *timer)
{
    if (timer->event)
        event_free(timer->event);
    *timer = (struct timer){ 0 };
}

/* An event, and the watch that has it. */
struct watched {
    struct event event;
    struct watch *watch;
};

static void watch_fired(evutil_socket_t fd, short what, void *argument)
{
    struct watch *watch = ((struct watched *)argument)->watch;
    struct loop *loop = watch->loop;
    if (watch->kicked && are_due(loop))
        event_base_loopbreak(loop->base); /* behind this: who kicks itself again and again would make the round endless */
    watch->kicked = false;
    loop->served++;
    unsigned ready = (what & EV_READ ? WATCH_READ : 0u) | (what & EV_WRITE ? WATCH_WRITE : 0u);
    watch->callback(watch->context, fd, ready);
}

void watch_set(struct watch *watch, struct loop *loop, int fd, unsigned wanted,
               void (*callback)(void *context, int fd, unsigned ready), void *context)
{
    watch_fini(watch);
    *watch = (struct watch){ .loop = loop, .callback = callback, .context = context, .fd = fd };
    watch->event = text_zalloc(sizeof *watch->event);
    watch->event->watch = watch;
    event_assign(&watch->event->event, loop->base, fd, EV_PERSIST, watch_fired, watch->event);
    watch_want(watch, wanted);
}

void watch_move(struct watch *to, struct watch *from, void (*callback)(void *context, int fd, unsigned ready), void *context)
{
    *to = *from;
    to->callback = callback;
    to->context = context;
    to->event->watch = to;
    *from = (struct watch){ .fd = -1 };
}

void watch_want(struct watch *watch, unsigned wanted)
{
    if (watch->wanted == wanted || !watch->event)
        return;
    event_del(&watch->event->event); /* takes it from the active ones too: an active event must not be assigned anew */
    watch->wanted = wanted;
    if (wanted) {
        short what = (short)(EV_PERSIST | (wanted & WATCH_READ ? EV_READ : 0) | (wanted & WATCH_WRITE ? EV_WRITE : 0));
        event_assign(&watch->event->event, watch->loop->base, watch->fd, what, watch_fired, watch->event);
        event_add(&watch->event->event, NULL);
    }
    if (watch->kicked)
        event_active(&watch->event->event, EV_WRITE, 0);
}

void watch_kick(struct watch *watch)
{
    watch->kicked = true;
    event_active(&watch->event->event, EV_WRITE, 0);
}

void watch_fini(struct watch *watch)
{
    if (watch->event) {
        event_del(&watch->event->event);
        free(watch->event);
    }
    *watch = (struct watch){ .fd = -1 };
}

static void signal_fired(evutil_socket_t number, short what, void *argument)
{
    struct signal_watch *watch = argument;
    (void)what;
    watch->callback(watch->context, (int)number);
}

void loop_signal(struct loop *loop, int signal, void (*callback)(void *context, int signal), void *context)
{
    if (loop->nsignals == LOOP_SIGNALS_MAX)
        abort();
    struct signal_watch *watch = &loop->signals[loop->nsignals++];
    *watch = (struct signal_watch){ NULL, callback, context };
    watch->event = event_new(loop->base, signal, EV_SIGNAL | EV_PERSIST, signal_fired, watch);
    if (!watch->event)
        abort();
    event_add(watch->event, NULL);
}
