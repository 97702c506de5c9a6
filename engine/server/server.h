/* The embedded HTTP server: what its files share.
 *
 *   server.c   listens, runs libmicrohttpd in the loop, hands out requests
 *   accept.c   requests meet those who wait for them
 *   request.c  a request as Lua reads it
 *   respond.c  responses: whole, streamed, cut short, or none
 *
 * A request is held by libmicrohttpd until its response is sent or its connection has ended, and
 * by Lua as long as it is referenced; the last to release it frees it. */
#ifndef DRLUA_SERVER_H
#define DRLUA_SERVER_H

#include "base/buffer.h"
#include "loop/op.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdint.h>

struct server;

/* One connection, as long as it lives. */
struct peer {
    struct sockaddr_storage address;
    struct buffer target; /* of the request under way, as sent */
};

enum request_state {
    REQUEST_READING, /* its body is arriving */
    REQUEST_OPEN,    /* complete, waits for a response, connection suspended */
    REQUEST_ANSWERED,
};

struct request {
    struct server *server;             /* NULL: closed */
    struct MHD_Connection *connection; /* NULL: over */
    int references;
    struct request *next, *prev; /* all that libmicrohttpd holds */
    struct request *queued;      /* the next one not yet accepted */
    enum request_state state;
    bool suspended, reset, head;
    unsigned refused; /* the status it is answered with before Lua sees it; 0: none */
    struct sockaddr_storage remote;

    /* Method, target, then name and value of each header, each ended by a zero
     * byte: read once, so that Lua can look at it after the connection is gone. */
    struct buffer text;
    size_t header_count;
    unsigned framings; /* how many of them say where the body ends */
    bool malformed;    /* a name has white space in it */
    struct buffer body;

    struct MHD_Response *response; /* to be queued */
    unsigned status;

    /* A streamed response. */
    bool streaming, finished, talkative;
    struct buffer stream;
    size_t sent; /* of stream */
};

struct server {
    struct op op; /* internal: libmicrohttpd's descriptor */
    struct MHD_Daemon *daemon; /* NULL: closed */
    int epoll_fd, port;
    size_t max_body;
    bool resumed; /* a connection has something to do without a descriptor firing */
    struct request *live, *queue, *queue_tail;
    struct accept *acceptors, *acceptors_tail;
};

/* server.c */
struct server *server_check(lua_State *L);

/* accept.c */
int accept_start(lua_State *L);
void accept_enqueue(struct server *server, struct request *request);
/* Drops the queue and ends those who wait. */
void accept_close(struct server *server);

/* request.c */
struct request *request_new(struct server *server, struct MHD_Connection *connection);
void request_release(struct request *request);
/* Copies method, target and headers; false: out of memory. */
bool request_capture(struct request *request, const char *method, const struct peer *peer);
void request_push(lua_State *L, struct request *request);
struct request *request_check(lua_State *L);
void request_register(lua_State *L);

/* Resumes a suspended connection at the next turn. */
void request_resume(struct request *request);

/* respond.c: the methods of a request that respond to it. */
int respond_whole(lua_State *L);
int respond_start(lua_State *L);
int respond_send(lua_State *L);
int respond_finish(lua_State *L);
int respond_reset(lua_State *L);
/* Responds in plain text, from C; used when Lua does not. */
void respond_text(struct request *request, unsigned status, const char *text);
/* The connection is to end without (the rest of) a response. */
void respond_break(struct request *request);

#endif
