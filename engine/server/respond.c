/* Responses to a request: whole, streamed in chunks, cut short, or none at all. A response is
 * complete before the request is marked as answered, so an error in the caller's table leaves the
 * request unchanged. */
#include "base/argument.h"
#include "base/option.h"
#include "loop/host.h"
#include "server/server.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum { BLOCK_BYTES = 16384 };

/* A response that a Lua error cannot leak. */
struct draft {
    struct MHD_Response *response;
};
static const char DRAFT_META[] = "drlua.response";

static int draft_gc(lua_State *L)
{
    struct draft *draft = lua_touserdata(L, 1);
    if (draft->response)
        MHD_destroy_response(draft->response);
    draft->response = NULL;
    return 0;
}

static struct draft *draft_new(lua_State *L)
{
    struct draft *draft = lua_newuserdatauv(L, sizeof *draft, 0);
    draft->response = NULL;
    if (luaL_newmetatable(L, DRAFT_META)) {
        lua_pushcfunction(L, draft_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return draft;
}

/* libmicrohttpd frames the body itself, and cannot send an empty value. */
static void add_header(lua_State *L, struct draft *draft, const char *name, const char *value)
{
    if (!*value || strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
        strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
        return;
    if (MHD_add_response_header(draft->response, name, value) != MHD_YES)
        luaL_error(L, "header \"%s\" cannot be sent: its name or value has a forbidden character",
                   name);
}

static void bad_headers(lua_State *L)
{
    luaL_error(L, "option \"headers\": a list of {name, value} expected");
}

/* Adds the headers of the table at 2. Returns the Content-Length among them, or -1. */
static lua_Integer add_headers(lua_State *L, struct draft *draft)
{
    lua_Integer length = -1;
    if (!option_table(L, 2, "headers"))
        return length;
    int list = lua_gettop(L);
    lua_Integer count = luaL_len(L, list);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, list, i) != LUA_TTABLE)
            bad_headers(L);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *name = stack_text(L, -2, "a header's name");
        const char *value = stack_text(L, -1, "a header's value");
        if (!name || !value)
            bad_headers(L);
        if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
            length = lua_tointeger(L, -1);
        if (draft->response)
            add_header(L, draft, name, value);
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
    return length;
}

static struct request *check_open(lua_State *L)
{
    struct request *request = request_check(L);
    if (request->state != REQUEST_OPEN)
        luaL_error(L, "the request has been answered");
    return request;
}

static unsigned check_status(lua_State *L)
{
    lua_Integer status = option_integer(L, 2, "status", 200);
    if (status < 200 || status > 999)
        luaL_error(L, "option \"status\": 200 to 999 expected");
    return (unsigned)status;
}

/* Marks the request as answered; the connection sends it at the next turn. */
static int commit(lua_State *L, struct request *request, struct draft *draft, unsigned status)
{
    request->state = REQUEST_ANSWERED;
    if (!request->connection)
        return push_failure(L, "closed", "the client has closed the connection");
    request->status = status;
    if (draft) {
        request->response = draft->response;
        draft->response = NULL;
    }
    request_resume(request);
    lua_pushboolean(L, 1);
    return 1;
}

/* A body that ends too early. */
struct cut {
    size_t size;
    char data[];
};

static ssize_t read_cut(void *cls, uint64_t at, char *out, size_t max)
{
    const struct cut *cut = cls;
    if (at >= cut->size)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t size = cut->size - (size_t)at < max ? cut->size - (size_t)at : max;
    memcpy(out, cut->data + at, size);
    return (ssize_t)size;
}

/* Announces `announced` bytes, gives the first `size`, then breaks the connection. */
static struct MHD_Response *new_cut(uint64_t announced, const char *data, size_t size)
{
    struct cut *cut = malloc(sizeof *cut + size);
    if (!cut)
        return NULL;
    cut->size = size;
    if (size)
        memcpy(cut->data, data, size);
    struct MHD_Response *response =
        MHD_create_response_from_callback(announced, BLOCK_BYTES, read_cut, cut, free);
    if (!response)
        free(cut);
    return response;
}

static struct MHD_Response *new_whole(const char *data, size_t size)
{
    return MHD_create_response_from_buffer(size, (void *)data, MHD_RESPMEM_MUST_COPY);
}

/* req:respond{status=200, headers={{name, value}...}, body="", cut_after_bytes=}. The body's
 * length is announced automatically; a Content-Length among the headers counts only in a response
 * to HEAD, which has no body. */
int respond_whole(lua_State *L)
{
    static const char *const known[] = {"status", "headers", "body", "cut_after_bytes", NULL};
    struct request *request = check_open(L);
    size_t size = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    option_check(L, 2, known);
    unsigned status = check_status(L);
    const char *body = option_bytes(L, 2, "body", &size);
    lua_Integer cut = option_integer(L, 2, "cut_after_bytes", -1);
    lua_Integer length = request->head ? add_headers(L, &(struct draft){NULL}) : -1;
    struct draft *draft = draft_new(L);
    if (length >= 0)
        draft->response = new_cut((uint64_t)length, NULL, 0);
    else if (cut >= 0 && (size_t)cut < size)
        draft->response = new_cut(size, body, (size_t)cut);
    else
        draft->response = new_whole(body ? body : "", size);
    if (!draft->response)
        return luaL_error(L, "out of memory");
    add_headers(L, draft);
    return commit(L, request, draft, status);
}

static ssize_t read_stream(void *cls, uint64_t at, char *out, size_t max)
{
    struct request *request = cls;
    (void)at;
    size_t waiting = request->stream.size - request->sent;
    if (request->reset || request->stream.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (waiting == 0 && request->finished)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (waiting == 0) {
        request->suspended = true;
        MHD_suspend_connection(request->connection);
        return 0;
    }
    size_t size = waiting < max ? waiting : max;
    memcpy(out, request->stream.data + request->sent, size);
    request->sent += size;
    if (request->sent == request->stream.size) {
        buffer_clear(&request->stream);
        request->sent = 0;
    }
    return (ssize_t)size;
}

/* req:start{status=200, headers=}: a response in chunks; then send and finish. */
int respond_start(lua_State *L)
{
    static const char *const known[] = {"status", "headers", NULL};
    struct request *request = check_open(L);
    option_check(L, 2, known);
    unsigned status = check_status(L);
    struct draft *draft = draft_new(L);
    /* The connection outlives its response, and holds the request until then. */
    draft->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
                                                        request, NULL);
    if (!draft->response)
        return luaL_error(L, "out of memory");
    add_headers(L, draft);
    request->streaming = true;
    return commit(L, request, draft, status);
}

static struct request *check_streaming(lua_State *L)
{
    struct request *request = request_check(L);
    if (!request->streaming || request->finished)
        luaL_error(L, "the response is not being streamed");
    return request;
}

/* req:send(chunk) -> true, or nil, message, "closed" when the client has left. */
int respond_send(lua_State *L)
{
    struct request *request = check_streaming(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    if (!request->connection || request->reset)
        return push_failure(L, "closed", "the client has closed the connection");
    buffer_add(&request->stream, data, size);
    if (request->stream.failed)
        return luaL_error(L, "out of memory");
    if (size > 0)
        request_resume(request);
    lua_pushboolean(L, 1);
    return 1;
}

/* req:finish(): the streamed response is complete. */
int respond_finish(lua_State *L)
{
    struct request *request = check_streaming(L);
    request->finished = true;
    request_resume(request);
    return 0;
}

void respond_break(struct request *request)
{
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    request->reset = true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    request_resume(request);
}

/* req:reset(): the connection is closed without (the rest of) a response. */
int respond_reset(lua_State *L)
{
    struct request *request = request_check(L);
    if (request->state == REQUEST_ANSWERED && !(request->streaming && !request->finished))
        return luaL_error(L, "the request has been answered");
    request->state = REQUEST_ANSWERED;
    if (request->connection)
        respond_break(request);
    return 0;
}

void respond_text(struct request *request, unsigned status, const char *text)
{
    request->state = REQUEST_ANSWERED;
    request->status = status;
    request->response = new_whole(text, strlen(text));
    if (request->response)
        MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    request_resume(request);
}
