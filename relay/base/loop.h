/* The event loop of a process: libevent behind few calls. One loop a process, one thread in it; nothing blocks it. */
#ifndef POSTERN_BASE_LOOP_H
#define POSTERN_BASE_LOOP_H

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

#define LOOP_SOON_MS 2 /* a busy loop puts off what is to be done soon no longer */

struct loop;
struct event;
struct event_base;
struct watched;

/* A loop, or NULL where the kernel gives no epoll. */
struct loop *loop_new(void);

/* Frees *LOOP and nulls it; its timers and watches must be gone before. */
void loop_free(struct loop **loop);

/* libevent's own base, for what speaks libevent itself (evhttp). Borrowed. */
struct event_base *loop_base(struct loop *loop);

/* Serves events until loop_stop. */
void loop_run(struct loop *loop);

/* Makes loop_run return after the callback that is running. */
void loop_stop(struct loop *loop);

/* Calls CALLBACK before the loop rests, after what was to be done soon (loop_soon): whenever all that was ready has been served, or while
 * something is to be done soon, with that. One a loop; NULL ends it. */
void loop_before_rest(struct loop *loop, void (*callback)(void));

/* Something to be done soon, inside the caller's struct, which must not move while it waits. All zero is one that never was. */
struct chore {
    struct list node;
    void (*callback)(void *context);
    void *context;
};

/* Calls CALLBACK(CONTEXT) once, when nothing is ready any more and the loop would rest; while the loop is busy, within LOOP_SOON_MS and the
 * round that is running then. One that waits already goes on waiting. */
void loop_soon(struct loop *loop, struct chore *chore, void (*callback)(void *context), void *context);

/* It is not wanted any more; fine where it does not wait. */
void chore_drop(struct chore *chore);

/* Serves what is ready now, does what was to be done soon, and returns: for tests. BLOCK waits for one event at least. */
void loop_once(struct loop *loop, bool block);

/* A timer inside the caller's struct, which must not move while it is set. All zero is a timer that was never set. */
struct timer {
    struct event *event;
    struct loop *loop;
    void (*callback)(void *context);
    void *context;
};

/* Calls CALLBACK(CONTEXT) once in DELAY_MS milliseconds; a timer that is set already is set anew. */
void timer_set(struct timer *timer, struct loop *loop, int64_t delay_ms, void (*callback)(void *context), void *context);

/* As timer_set for a timer that was set before: the same callback, another delay, nothing allocated. */
void timer_again(struct timer *timer, int64_t delay_ms);

/* Stops TIMER but keeps its memory for timer_again. */
void timer_stop(struct timer *timer);

/* Stops TIMER and frees what it holds; fine where it was never set. */
void timer_fini(struct timer *timer);

/* What happens at a descriptor. */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/* A watch on a descriptor, inside the caller's struct, which must not move while it is set. All zero is one that was never set.
 * Level-triggered. */
struct watch {
    struct watched *event;
    struct loop *loop;
    void (*callback)(void *context, int fd, unsigned ready);
    void *context;
    int fd;
    unsigned wanted;
    bool kicked;
};

/* Calls CALLBACK each time FD is ready for one of WANTED (WATCH_READ | WATCH_WRITE; 0 rests the watch). */
void watch_set(struct watch *watch, struct loop *loop, int fd, unsigned wanted,
               void (*callback)(void *context, int fd, unsigned ready), void *context);

/* Changes what a set watch waits for. Costs nothing where it is the same as before. */
void watch_want(struct watch *watch, unsigned wanted);

/* Makes TO, which is not set, what FROM is, which is not set any more: the same descriptor and the same that is waited for, with another
 * callback. Costs no system call. */
void watch_move(struct watch *to, struct watch *from, void (*callback)(void *context, int fd, unsigned ready), void *context);

/* Calls the callback once from the loop's next round with WATCH_WRITE, whatever the descriptor does: it costs no system call. */
void watch_kick(struct watch *watch);

/* Ends the watch; does not close the descriptor. */
void watch_fini(struct watch *watch);

/* Calls CALLBACK in the loop whenever the process gets SIGNAL. Lasts as long as the loop. */
void loop_signal(struct loop *loop, int signal, void (*callback)(void *context, int signal), void *context);

#endif
