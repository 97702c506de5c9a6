/* A blocking call on a separate thread, for what no library does without blocking (resolving a
 * name, cancelling a PostgreSQL query).
 *
 * The worker is shared by its thread and its owner, and freed by the last to release it: an owner
 * may give up at any time. The thread touches nothing but the worker. A struct of the caller
 * begins with struct worker. */
#ifndef DRLUA_WORKER_H
#define DRLUA_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct worker {
    atomic_int references;
    atomic_bool ended;
    int fd; /* an eventfd, readable when it has ended */
    void (*run)(struct worker *);   /* on the thread */
    void (*clean)(struct worker *); /* releases what the caller's struct holds */
};

/* Allocates `size` zeroed bytes that begin with a worker; NULL: out of memory or
 * descriptors. */
struct worker *worker_new(size_t size, void (*run)(struct worker *),
                          void (*clean)(struct worker *));
/* Starts the thread; false: the system has none left. */
bool worker_start(struct worker *worker);
bool worker_ended(struct worker *worker);
/* The owner releases it. */
void worker_release(struct worker *worker);

#endif
