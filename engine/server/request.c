/* A request as Lua sees it. Its text was copied when it arrived; the table of headers is made on
 * first use, and kept. */
#include "base/argument.h"
#include "server/server.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const char REQUEST_META[] = "drlua.request";

struct handle {
    struct request *request;
};

struct request *request_new(struct server *server, struct MHD_Connection *connection)
{
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->server = server;
    request->connection = connection;
    request->references = 1;
    return request;
}

void request_release(struct request *request)
{
    if (--request->references > 0)
        return;
    buffer_free(&request->text);
    buffer_free(&request->body);
    buffer_free(&request->stream);
    if (request->response)
        MHD_destroy_response(request->response);
    free(request);
}

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_size, const char *value, size_t value_size)
{
    struct request *request = cls;
    (void)kind;
    request->framings += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
                         strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    request->malformed |= strpbrk(name, " \t") != NULL;
    while (value_size > 0 && (value[value_size - 1] == ' ' || value[value_size - 1] == '\t'))
        value_size--; /* white space after a value is not part of it (RFC 9110, 5.5) */
    buffer_add(&request->text, name, name_size);
    buffer_add_char(&request->text, 0);
    buffer_add(&request->text, value ? value : "", value ? value_size : 0);
    buffer_add_char(&request->text, 0);
    request->header_count++;
    return MHD_YES;
}

bool request_capture(struct request *request, const char *method, const struct peer *peer)
{
    request->remote = peer->address;
    buffer_reserve(&request->text, 768);
    buffer_add(&request->text, method, strlen(method) + 1);
    buffer_add(&request->text, peer->target.data, peer->target.size);
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, add_header, request);
    return !request->text.failed && !peer->target.failed;
}

void request_resume(struct request *request)
{
    if (!request->suspended || !request->connection)
        return;
    request->suspended = false;
    request->server->resumed = true;
    MHD_resume_connection(request->connection);
}

void request_push(lua_State *L, struct request *request)
{
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);
    handle->request = request;
    luaL_setmetatable(L, REQUEST_META);
}

struct request *request_check(lua_State *L)
{
    return ((struct handle *)luaL_checkudata(L, 1, REQUEST_META))->request;
}

static const char *target_of(const struct request *request)
{
    return request->text.data + strlen(request->text.data) + 1;
}

static const char *after(const char *text) { return text + strlen(text) + 1; }

static int push_headers(lua_State *L, const struct request *request)
{
    if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE)
        return 1;
    const char *text = after(target_of(request));
    lua_createtable(L, (int)request->header_count, 0);
    for (size_t i = 1; i <= request->header_count; i++) {
        lua_createtable(L, 2, 0);
        for (int part = 1; part <= 2; part++, text = after(text)) {
            lua_pushstring(L, text);
            lua_rawseti(L, -2, part);
        }
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

/* req:header(name) -> value of the first header of that name in any case, or nil. */
static int request_header(lua_State *L)
{
    const struct request *request = request_check(L);
    const char *name = argument_text(L, 2), *text = after(target_of(request));
    for (size_t i = 0; i < request->header_count; i++) {
        const char *value = after(text);
        if (strcasecmp(text, name) == 0) {
            lua_pushstring(L, value);
            return 1;
        }
        text = after(value);
    }
    return 0;
}

/* "127.0.0.1:4711", "[::1]:4711" */
static int push_remote(lua_State *L, const struct request *request)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (request->remote.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&request->remote;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        lua_pushfstring(L, "[%s]:%d", text, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&request->remote;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        lua_pushfstring(L, "%s:%d", text, ntohs(v4->sin_port));
    }
    return 1;
}

/* req.method, target, headers, body, remote, closed; the methods. */
static int request_index(lua_State *L)
{
    const struct request *request = request_check(L);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    const char *name = argument_text(L, 2);
    if (strcmp(name, "method") == 0)
        lua_pushstring(L, request->text.data);
    else if (strcmp(name, "target") == 0)
        lua_pushstring(L, target_of(request));
    else if (strcmp(name, "body") == 0)
        lua_pushlstring(L, request->body.data ? request->body.data : "", request->body.size);
    else if (strcmp(name, "headers") == 0)
        return push_headers(L, request);
    else if (strcmp(name, "remote") == 0)
        return push_remote(L, request);
    else if (strcmp(name, "closed") == 0)
        lua_pushboolean(L, !request->connection || request->reset);
    else
        return luaL_error(L, "a request has no field \"%s\"", name);
    return 1;
}

/* A request that Lua forgot must not leave its client waiting. */
static int request_gc(lua_State *L)
{
    struct request *request = request_check(L);
    if (request->connection && request->state == REQUEST_OPEN)
        respond_text(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Nobody responded to the request.\n");
    else if (request->connection && request->streaming && !request->finished)
        respond_break(request);
    request_release(request);
    return 0;
}

static int request_tostring(lua_State *L)
{
    const struct request *request = request_check(L);
    lua_pushfstring(L, "request %s %s", request->text.data, target_of(request));
    return 1;
}

void request_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"header", request_header}, {"respond", respond_whole}, {"start", respond_start},
        {"send", respond_send},      {"finish", respond_finish},   {"reset", respond_reset},
        {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {
        {"__gc", request_gc}, {"__tostring", request_tostring}, {NULL, NULL}};
    luaL_newmetatable(L, REQUEST_META);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, request_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
