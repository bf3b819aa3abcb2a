/* Two lists under one mutex: to do, and done. The thread sleeps on a condition; the loop is woken through an eventfd. */
#include "worker.h"

#include "../base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list todo;
    struct list done;
    bool ending;
    int notice; /* eventfd: something is in `done` */
    struct watch watch;
    unsigned load; /* the loop's own count */
    void *context;
};

static void *run(void *argument)
{
    struct worker *worker = argument;
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (list_empty(&worker->todo) && !worker->ending)
            pthread_cond_wait(&worker->wake, &worker->mutex);
        if (list_empty(&worker->todo))
            break;
        struct job *job = LIST_ENTRY(worker->todo.next, struct job, node);
        list_remove(&job->node);
        pthread_mutex_unlock(&worker->mutex);
        job->work(job);
        pthread_mutex_lock(&worker->mutex);
        list_append(&worker->done, &job->node);
        eventfd_write(worker->notice, 1);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

static void collect(void *context, int fd, unsigned ready)
{
    struct worker *worker = context;
    eventfd_t count;
    (void)ready;
    eventfd_read(fd, &count);
    for (;;) {
        pthread_mutex_lock(&worker->mutex);
        struct job *job = list_empty(&worker->done) ? NULL : LIST_ENTRY(worker->done.next, struct job, node);
        if (job)
            list_remove(&job->node);
        pthread_mutex_unlock(&worker->mutex);
        if (!job)
            return;
        worker->load--;
        job->done(worker->context, job);
    }
}

struct worker *worker_new(struct loop *loop, void *context)
{
    struct worker *worker = text_zalloc(sizeof *worker);
    worker->context = context;
    worker->notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    list_init(&worker->todo);
    list_init(&worker->done);
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->wake, NULL);
    if (worker->notice < 0 || pthread_create(&worker->thread, NULL, run, worker) != 0) {
        if (worker->notice >= 0)
            close(worker->notice);
        free(worker);
        return NULL;
    }
    watch_set(&worker->watch, loop, worker->notice, WATCH_READ, collect, worker);
    return worker;
}

void worker_submit(struct worker *worker, struct job *job)
{
    worker->load++;
    pthread_mutex_lock(&worker->mutex);
    list_append(&worker->todo, &job->node);
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->mutex);
}

unsigned worker_load(const struct worker *worker)
{
    return worker->load;
}

void worker_free(struct worker **worker)
{
    if (!*worker)
        return;
    pthread_mutex_lock(&(*worker)->mutex);
    (*worker)->ending = true;
    pthread_cond_signal(&(*worker)->wake);
    pthread_mutex_unlock(&(*worker)->mutex);
    pthread_join((*worker)->thread, NULL);
    watch_fini(&(*worker)->watch);
    collect(*worker, (*worker)->notice, WATCH_READ);
    while (!list_empty(&(*worker)->todo)) { /* what the last `done` calls asked for */
        struct job *job = LIST_ENTRY((*worker)->todo.next, struct job, node);
        list_remove(&job->node);
        job->work(job);
        (*worker)->load--;
        job->done((*worker)->context, job);
    }
    close((*worker)->notice);
    pthread_cond_destroy(&(*worker)->wake);
    pthread_mutex_destroy(&(*worker)->mutex);
    free(*worker);
    *worker = NULL;
}
