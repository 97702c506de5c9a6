/* native.server: listening, and libmicrohttpd in our loop.
 *
 * libmicrohttpd runs in epoll mode without threads: one descriptor and a timeout, so it is one
 * internal operation. A connection whose request is complete is suspended while Lua works on it;
 * the response resumes it. libmicrohttpd does not watch a suspended connection, so we watch those
 * that stream and have nothing to send, to learn that a client left. Callbacks only fill our
 * structs. */
#define _GNU_SOURCE
#include "server/server.h"
#include "base/option.h"
#include "loop/host.h"
#include "server/address.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char SERVER_META[] = "drlua.server";
enum { CONNECTION_LIMIT = 8192, IDLE_SECONDS = 300 };

struct server *server_check(lua_State *L) { return luaL_checkudata(L, 1, SERVER_META); }

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* A connection begins or ends. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    (void)cls;
    struct peer *peer = *context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (peer)
            buffer_free(&peer->target);
        free(peer);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    peer = calloc(1, sizeof *peer);
    if (peer && info && info->client_addr)
        memcpy(&peer->address, info->client_addr,
               info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                        : sizeof(struct sockaddr_in));
    *context = peer;
}

/* The request's target before libmicrohttpd decodes it. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    (void)cls;
    struct peer *peer = peer_of(connection);
    if (peer) {
        buffer_clear(&peer->target);
        buffer_add(&peer->target, target, strlen(target) + 1);
    }
    return NULL;
}

static bool announced_too_big(struct MHD_Connection *connection, size_t limit)
{
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text && strtoull(text, NULL, 10) > limit;
}

/* Where a body ends must not depend on who reads it (RFC 9112, 5.1 and 6.3). */
static bool is_ambiguous(const struct request *request)
{
    return request->malformed || request->framings > 1;
}

static struct request *begin(struct server *server, struct MHD_Connection *connection,
                             const char *method)
{
    const struct peer *peer = peer_of(connection);
    struct request *request = peer ? request_new(server, connection) : NULL;
    if (!request)
        return NULL;
    request->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    request->next = server->live;
    if (server->live)
        server->live->prev = request;
    server->live = request;
    if (!request_capture(request, method, peer) ||
        announced_too_big(connection, server->max_body))
        request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    else if (is_ambiguous(request))
        request->refused = MHD_HTTP_BAD_REQUEST;
    return request;
}

static enum MHD_Result send_response(struct request *request)
{
    if (request->reset || !request->response)
        return MHD_NO;
    enum MHD_Result done =
        MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return done;
}

static void take_body(struct request *request, const char *data, size_t size)
{
    if (size > request->server->max_body - request->body.size)
        request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    if (request->refused)
        buffer_free(&request->body);
    else
        buffer_add(&request->body, data, size);
}

/* The request is complete: to Lua, unless it is refused. */
static enum MHD_Result complete(struct request *request)
{
    if (request->body.failed)
        request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    if (request->refused) {
        respond_text(request, request->refused,
                    request->refused == MHD_HTTP_BAD_REQUEST
                        ? "The request does not say in one way where its body ends.\n"
                        : "The request is too large.\n");
        return send_response(request);
    }
    request->state = REQUEST_OPEN;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    accept_enqueue(request->server, request);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct request *request = *context;
    (void)url, (void)version;
    if (!request) {
        request = *context = begin(cls, connection, method);
        if (!request)
            return MHD_NO;
        return request->refused ? complete(request) : MHD_YES;
    }
    if (*size > 0) {
        take_body(request, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return request->state == REQUEST_READING ? complete(request) : send_response(request);
}

static void unlink_request(struct server *server, struct request *request)
{
    if (request->prev)
        request->prev->next = request->next;
    else
        server->live = request->next;
    if (request->next)
        request->next->prev = request->prev;
}

/* libmicrohttpd is done with the request, successfully or not. */
static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    (void)connection, (void)code;
    if (!request)
        return;
    *context = NULL;
    unlink_request(cls, request);
    request->connection = NULL;
    request->server = NULL;
    request->suspended = false;
    request_release(request);
}

static int socket_of(const struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* Streams that wait for Lua: their clients may leave meanwhile. */
static bool is_watched(const struct request *request)
{
    return request->streaming && request->suspended && !request->talkative;
}

static bool server_ask(struct op *op, struct turn *turn)
{
    struct server *server = (struct server *)op;
    MHD_UNSIGNED_LONG_LONG ms;
    turn_fd(turn, op, server->epoll_fd, CURL_WAIT_POLLIN);
    for (struct request *request = server->live; request; request = request->next)
        if (is_watched(request))
            turn_fd(turn, op, socket_of(request), CURL_WAIT_POLLIN);
    if (server->resumed)
        return true;
    if (MHD_get_timeout(server->daemon, &ms) == MHD_YES)
        turn_deadline(turn, op, turn->now + (double)ms / 1000);
    return false;
}

static void look_for_leavers(struct server *server, struct turn *turn)
{
    size_t n = 1;
    struct request *next;
    for (struct request *request = server->live; request; request = next) {
        char byte;
        next = request->next;
        if (!is_watched(request) || !turn_events(turn, &server->op, n++))
            continue;
        ssize_t got = recv(socket_of(request), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got > 0)
            request->talkative = true; /* a pipelined request: it has not left */
        else if (got == 0 || errno != EAGAIN)
            respond_break(request);
    }
}

static bool server_step(struct op *op, struct turn *turn)
{
    struct server *server = (struct server *)op;
    look_for_leavers(server, turn);
    server->resumed = false;
    MHD_run(server->daemon);
    return false;
}

static const struct op_kind server_kind = {
    .name = "server", .ask = server_ask, .step = server_step};

/* Ends every connection. libmicrohttpd cannot stop with suspended ones. */
static void close_server(struct server *server)
{
    if (!server->daemon)
        return;
    struct MHD_Daemon *daemon = server->daemon;
    op_detach(&server->op);
    for (struct request *request = server->live; request; request = request->next) {
        request->reset = true;
        request_resume(request);
    }
    server->daemon = NULL;
    MHD_stop_daemon(daemon);
    accept_close(server);
}

static int server_close(lua_State *L)
{
    close_server(server_check(L));
    return 0;
}

static int server_tostring(lua_State *L)
{
    const struct server *server = server_check(L);
    lua_pushfstring(L, "server on port %d%s", server->port, server->daemon ? "" : " (closed)");
    return 1;
}

static int server_index(lua_State *L)
{
    const struct server *server = server_check(L);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "port") == 0)
        lua_pushinteger(L, server->port);
    else
        lua_gettable(L, lua_upvalueindex(1));
    return 1;
}

static bool start_daemon(struct server *server, int fd, bool ipv6)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (ipv6 ? MHD_USE_IPv6 : 0);
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTION_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info)
        server->epoll_fd = info->epoll_fd;
    return info != NULL;
}

/* listen{host="127.0.0.1", port=0, max_body_bytes=64 MiB} -> srv; srv.port. host is
 * an address, not a name. */
static int server_listen(lua_State *L)
{
    static const char *const known[] = {"host", "port", "max_body_bytes", NULL};
    struct address address;
    option_check(L, 1, known);
    const char *host = option_string(L, 1, "host", "127.0.0.1");
    lua_Integer number = option_integer(L, 1, "port", 0);
    lua_Integer limit = option_integer(L, 1, "max_body_bytes", 64 << 20);
    if (number < 0 || number > 65535)
        return luaL_error(L, "option \"port\": 0 to 65535 expected");
    struct server *server = lua_newuserdatauv(L, sizeof *server, 0);
    *server = (struct server){.epoll_fd = -1, .max_body = limit > 0 ? (size_t)limit : 0};
    luaL_setmetatable(L, SERVER_META);
    if (*host == '/' || !address_read(host, (int)number, &address))
        return push_failure(L, "resolve", "listen on %s: not an address", host);
    int fd = address_listen(&address);
    if (fd < 0)
        return push_errno(L, errno, "listen on %s port %d", host, (int)number);
    server->port = address_port(fd);
    if (!start_daemon(server, fd, address.storage.ss_family == AF_INET6)) {
        if (!server->daemon)
            close(fd);
        return push_failure(L, "io", "listen on %s port %d: the server did not start", host,
                            (int)number);
    }
    op_attach(host_of(L), &server->op, &server_kind);
    return 1;
}

int luaopen_native_server(lua_State *L);
int luaopen_native_server(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"accept", accept_start}, {"close", server_close}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", server_close},
                                           {"__close", server_close},
                                           {"__tostring", server_tostring},
                                           {NULL, NULL}};
    static const luaL_Reg functions[] = {{"listen", server_listen}, {NULL, NULL}};
    request_register(L);
    luaL_newmetatable(L, SERVER_META);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, server_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
