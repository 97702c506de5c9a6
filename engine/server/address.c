/* See address.h. */
#define _GNU_SOURCE
#include "server/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static bool read_path(const char *path, struct address *out)
{
    struct sockaddr_un *local = (struct sockaddr_un *)&out->storage;
    local->sun_family = AF_UNIX;
    out->size = sizeof *local;
    return (size_t)snprintf(local->sun_path, sizeof local->sun_path, "%s", path) <
           sizeof local->sun_path;
}

bool address_read(const char *host, int port, struct address *out)
{
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM,
                                     .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char service[16];
    memset(out, 0, sizeof *out);
    if (*host == '/')
        return read_path(host, out);
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &found))
        return false;
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

int address_listen(const struct address *address)
{
    int on = 1, family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int address_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return address.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&address)->sin_port) : 0;
}
