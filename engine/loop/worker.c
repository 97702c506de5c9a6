/* See worker.h. */
#define _GNU_SOURCE
#include "loop/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct worker *worker_new(size_t size, void (*run)(struct worker *),
                          void (*clean)(struct worker *))
{
    struct worker *worker = calloc(1, size);
    if (!worker)
        return NULL;
    worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->fd < 0) {
        free(worker);
        return NULL;
    }
    worker->run = run;
    worker->clean = clean;
    atomic_init(&worker->references, 1);
    atomic_init(&worker->ended, false);
    return worker;
}

void worker_release(struct worker *worker)
{
    if (atomic_fetch_sub(&worker->references, 1) > 1)
        return;
    worker->clean(worker);
    close(worker->fd);
    free(worker);
}

bool worker_ended(struct worker *worker) { return atomic_load(&worker->ended); }

static void *body(void *argument)
{
    struct worker *worker = argument;
    uint64_t one = 1;
    worker->run(worker);
    atomic_store(&worker->ended, true);
    if (write(worker->fd, &one, sizeof one) < 0) { /* cannot fail on a fresh counter */
    }
    worker_release(worker);
    return NULL;
}

/* With all signals blocked, so that they go to the thread that waits for them. */
bool worker_start(struct worker *worker)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    sigfillset(&all);
    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    atomic_fetch_add(&worker->references, 1);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, body, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed)
        atomic_fetch_sub(&worker->references, 1);
    return !failed;
}
