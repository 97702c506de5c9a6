/* The file that takes a response's body.
 *
 * The bytes go to PATH.part, which takes the name PATH when the response is complete:
 * whatever fails before that, the file that was there stays as it was, and the part is
 * removed. Appending, and a path that is a device, a pipe or the like, writes in place. */
#ifndef DRLUA_SINK_H
#define DRLUA_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SINK_STATUS_FIRST = 200, SINK_STATUSES = 100 };

struct sink {
    int fd;            /* -1: none */
    char *path, *part; /* part NULL: written in place */
    bool narrow;       /* only the statuses in `wanted`; else every 2xx */
    bool wanted[SINK_STATUSES];
    int64_t bytes;
};

#define SINK_NONE ((struct sink){.fd = -1})

/* Opens it. Returns 0 or an errno. */
int sink_open(struct sink *, const char *path, bool append);
/* True when the body of a response with this status goes to the file. */
bool sink_wants(const struct sink *, long status);
/* Returns 0 or an errno. */
int sink_write(struct sink *, const char *data, size_t size);
/* The response is complete: the file is synced and takes its name. Returns 0 or an errno. */
int sink_keep(struct sink *);
/* Closes it, and removes what was not kept. */
void sink_close(struct sink *);

#endif
