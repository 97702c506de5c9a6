/* See sink.h. */
#define _GNU_SOURCE
#include "http/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_in_place(struct sink *sink, const char *path, int how)
{
    sink->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);
    return sink->fd < 0 ? errno : 0;
}

/* The file behind a symbolic link is replaced, not the link. */
static char *real_path(const char *path, bool exists)
{
    return exists ? realpath(path, NULL) : strdup(path);
}

static int open_part(struct sink *sink, const char *path, const struct stat *former)
{
    sink->path = real_path(path, former != NULL);
    if (!sink->path)
        return errno;
    if (asprintf(&sink->part, "%s.part", sink->path) < 0) {
        sink->part = NULL;
        return ENOMEM;
    }
    int error = open_in_place(sink, sink->part, O_TRUNC);
    if (!error && former && fchmod(sink->fd, former->st_mode & 07777))
        error = errno;
    if (sink->fd < 0) { /* there is nothing to remove */
        free(sink->part);
        sink->part = NULL;
    }
    return error;
}

int sink_open(struct sink *sink, const char *path, bool append)
{
    struct stat former;
    bool exists = stat(path, &former) == 0;
    if (append || (exists && !S_ISREG(former.st_mode)))
        return open_in_place(sink, path, append ? O_APPEND : 0);
    return open_part(sink, path, exists ? &former : NULL);
}

bool sink_wants(const struct sink *sink, long status)
{
    long n = status - SINK_STATUS_FIRST;
    return sink->fd >= 0 && n >= 0 && n < SINK_STATUSES && (!sink->narrow || sink->wanted[n]);
}

int sink_write(struct sink *sink, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(sink->fd, data + done, size - done);
        if (put < 0 && errno != EINTR)
            return errno;
        if (put > 0)
            done += (size_t)put;
    }
    sink->bytes += (int64_t)size;
    return 0;
}

int sink_keep(struct sink *sink)
{
    if (!sink->part)
        return 0;
    if (fsync(sink->fd) || rename(sink->part, sink->path))
        return errno;
    free(sink->part);
    sink->part = NULL;
    return 0;
}

void sink_close(struct sink *sink)
{
    if (sink->fd >= 0)
        close(sink->fd);
    if (sink->part)
        unlink(sink->part);
    free(sink->part);
    free(sink->path);
    *sink = SINK_NONE;
}
