/* Socket addresses and listening sockets, for the server and the relay. */
#ifndef DRLUA_ADDRESS_H
#define DRLUA_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Reads a numeric address, or the path of a Unix socket ("/..."). Names are not
 * resolved: that would block. */
bool address_read(const char *host, int port, struct address *out);
/* A listening socket, not blocking; -1 with errno set. */
int address_listen(const struct address *address);
/* The port of a socket; 0: it has none. */
int address_port(int fd);

#endif
