/* native.http: HTTP requests by libcurl, each an operation.
 *
 * The table of options is read once into a pooled transfer; the answer is turned
 * into a table when Lua collects it. libcurl keeps connections for the next
 * request, offers HTTP/2 over TLS, and verifies certificates unless told not to. */
#define _GNU_SOURCE
#include "option.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const lua_Integer MAX_BODY = 256 << 20;

struct exchange {
    struct op op;
    struct transfer *transfer;
};

/* Pushes the header that begins at `line` as {name, value}; returns its end. A line
 * without a colon gives nothing. */
static const char *push_header(lua_State *L, const char *line, const char *end, bool *pushed)
{
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    const char *next = stop ? stop + 1 : end;
    const char *colon = memchr(line, ':', (size_t)(next - line));
    *pushed = colon != NULL;
    if (!colon)
        return next;
    const char *value = colon + 1, *last = next;
    while (value < last && (*value == ' ' || *value == '\t'))
        value++;
    while (last > value && strchr("\r\n \t", last[-1]))
        last--;
    lua_createtable(L, 2, 0);
    lua_pushlstring(L, line, (size_t)(colon - line));
    lua_rawseti(L, -2, 1);
    lua_pushlstring(L, value, (size_t)(last - value));
    lua_rawseti(L, -2, 2);
    return next;
}

static void push_headers(lua_State *L, const struct buffer *head)
{
    const char *line = head->data, *end = head->data + head->size;
    lua_createtable(L, 8, 0);
    for (lua_Integer n = 1; line < end;) {
        bool pushed;
        line = push_header(L, line, end, &pushed);
        if (pushed)
            lua_rawseti(L, -2, n++);
    }
}

static int exchange_push(lua_State *L, struct op *op)
{
    const struct transfer *transfer = ((struct exchange *)op)->transfer;
    if (transfer->code != CURLE_OK || transfer->kind) {
        char text[512];
        const char *kind = transfer_explain(transfer, text, sizeof text);
        return push_failure(L, kind, "%s", text);
    }
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, transfer->status);
    lua_setfield(L, -2, "status");
    push_headers(L, &transfer->head);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, transfer->body.size ? transfer->body.data : "", transfer->body.size);
    lua_setfield(L, -2, "body");
    lua_pushnumber(L, transfer->seconds);
    lua_setfield(L, -2, "seconds");
    if (transfer->sink_fd >= 0) {
        lua_pushinteger(L, transfer->sink_bytes);
        lua_setfield(L, -2, "sink_bytes");
    }
    return 1;
}

static void exchange_drop(struct op *op)
{
    struct exchange *exchange = (struct exchange *)op;
    if (exchange->transfer)
        transfer_give(exchange->transfer);
    exchange->transfer = NULL;
}

static const struct op_kind exchange_kind = {
    .name = "http", .push = exchange_push, .drop = exchange_drop};

/* Names for which libcurl would add a header of its own. */
struct given {
    bool content_type, expect;
};

static void add_line(lua_State *L, struct transfer *transfer, const char *name, const char *value)
{
    if (!*name || strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
        luaL_error(L, "header \"%s\" cannot be sent: its name or value has a forbidden character",
                   name);
    buffer_add(&transfer->text, name, strlen(name));
    buffer_add(&transfer->text, *value ? ": " : ";", *value ? 2 : 1);
    buffer_add(&transfer->text, value, strlen(value) + 1);
    if (!transfer_add_line(transfer))
        luaL_error(L, "out of memory");
}

/* A line "Name:" keeps libcurl from sending that header. */
static void suppress(lua_State *L, struct transfer *transfer, const char *line)
{
    buffer_add(&transfer->text, line, strlen(line) + 1);
    if (!transfer_add_line(transfer))
        luaL_error(L, "out of memory");
}

static void read_headers(lua_State *L, struct transfer *transfer)
{
    struct given given = {false, false};
    lua_Integer count = option_table(L, 1, "headers") ? luaL_len(L, -1) : -1;
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
            luaL_error(L, "option \"headers\": a list of {name, value} expected");
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1);
        if (!name || !value)
            luaL_error(L, "option \"headers\": a list of {name, value} expected");
        given.content_type |= strcasecmp(name, "Content-Type") == 0;
        given.expect |= strcasecmp(name, "Expect") == 0;
        add_line(L, transfer, name, value);
        lua_pop(L, 3);
    }
    if (count >= 0)
        lua_pop(L, 1);
    if (!given.content_type)
        suppress(L, transfer, "Content-Type:");
    if (!given.expect)
        suppress(L, transfer, "Expect:");
}

static bool is_one_of(const char *name, const char *const names[])
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* The body {file=, offset=, length=} on top of the stack. Returns 0 or an errno. */
static int read_file_body(lua_State *L, struct transfer *transfer)
{
    static const char *const known[] = {"file", "offset", "length", NULL};
    struct stat st;
    option_check(L, -1, known);
    const char *path = option_string(L, -1, "file", NULL);
    if (!path)
        luaL_error(L, "option \"body\": a string or {file=, offset=, length=} expected");
    lua_Integer offset = option_integer(L, -1, "offset", 0);
    lua_Integer length = option_integer(L, -1, "length", -1);
    transfer->upload_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (transfer->upload_fd < 0 || fstat(transfer->upload_fd, &st))
        return errno;
    lua_Integer rest = offset >= 0 && offset <= st.st_size ? st.st_size - offset : -1;
    if (rest < 0 || length > rest)
        luaL_error(L, "option \"body\": %s has %I bytes, fewer than asked for", path,
                   (LUAI_UACINT)st.st_size);
    transfer->upload_offset = offset;
    transfer->upload_size = transfer->upload_left = length < 0 ? rest : length;
    return 0;
}

/* Sets method and body. The string stays where Lua has it; the operation keeps it
 * alive. Returns 0 or an errno; leaves the body on the stack. */
static int read_body(lua_State *L, struct transfer *transfer, const char *method)
{
    static const char *const bodied[] = {"POST", "PUT", "PATCH", NULL};
    static const char *const idempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL};
    CURL *easy = transfer->easy;
    transfer->once = !is_one_of(method, idempotent);
    int type = lua_getfield(L, 1, "body");
    if (type == LUA_TTABLE) {
        int error = read_file_body(L, transfer);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
        return error;
    }
    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "option \"body\": a string or {file=, offset=, length=} expected");
    if (type == LUA_TSTRING || is_one_of(method, bodied)) {
        size_t size = 0;
        const char *body = type == LUA_TSTRING ? lua_tolstring(L, -1, &size) : "";
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return 0;
    }
    if (strcmp(method, "GET") != 0 || type == LUA_TSTRING)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    return 0;
}

/* Opens the file that takes the answer; 0 or an errno. */
static int read_sink(lua_State *L, struct transfer *transfer)
{
    static const char *const known[] = {"file", "append", NULL};
    if (!option_table(L, 1, "sink"))
        return 0;
    option_check(L, -1, known);
    const char *path = option_string(L, -1, "file", NULL);
    if (!path)
        luaL_error(L, "option \"sink\": {file=, append=} expected");
    int how = option_bool(L, -1, "append", false) ? O_APPEND : O_TRUNC;
    transfer->sink_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);
    lua_pop(L, 1);
    return transfer->sink_fd < 0 ? errno : 0;
}

static double seconds_option(lua_State *L, const char *name, double fallback)
{
    double seconds = option_number(L, 1, name, fallback);
    if (seconds < 0 || seconds > 1e6)
        luaL_error(L, "option \"%s\": seconds, 0 to 1000000, expected", name);
    return seconds > 0 && seconds < 0.001 ? 0.001 : seconds;
}

static void read_limits(lua_State *L, struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    transfer->connect_timeout = seconds_option(L, "connect_timeout", 3);
    transfer->timeout = seconds_option(L, "timeout", 0);
    lua_Integer max = option_integer(L, 1, "max_body_bytes", MAX_BODY);
    transfer->max_body = max > 0 ? (size_t)max : 0;
    const char *ca_file = option_string(L, 1, "ca_file", NULL);
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    if (!option_bool(L, 1, "verify", true)) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!option_bool(L, 1, "http2", true))
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (option_bool(L, 1, "follow", false)) {
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
        transfer->once = false; /* each hop is a send of its own */
    }
}

static bool set_url(struct transfer *transfer, const char *url)
{
    CURL *easy = transfer->easy;
    return transfer_set_place(transfer, url) && !strpbrk(url, " \r\n\t") &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

/* Nothing waits for the collector to close the files. */
static int refuse(lua_State *L, struct exchange *exchange, int error, const char *what)
{
    exchange_drop(&exchange->op);
    return push_errno(L, error, "%s", what);
}

/* request{method="GET", url=, headers={{name, value}...}, body=string or {file=,
 * offset=, length=}, sink={file=, append=}, connect_timeout=3, timeout=0 (none),
 * ca_file=, verify=true, http2=true, follow=false, max_body_bytes=}
 * => {status=, headers={{name, value}...}, body=, seconds=, sink_bytes=} */
static int http_request(lua_State *L)
{
    static const char *const known[] = {
        "method", "url",     "headers", "body",  "sink",   "connect_timeout", "timeout",
        "ca_file", "verify", "http2",   "follow", "max_body_bytes", NULL};
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    option_check(L, 1, known);
    const char *url = option_string(L, 1, "url", NULL);
    const char *method = option_string(L, 1, "method", "GET");
    if (!url)
        return luaL_error(L, "option \"url\": a string expected");
    lua_getfield(L, 1, "body"); /* 2: kept by the operation */
    struct exchange *exchange =
        (struct exchange *)op_new(L, sizeof *exchange, &exchange_kind, 2);
    struct transfer *transfer = exchange->transfer = transfer_take(host_of(L));
    if (!transfer)
        return luaL_error(L, "out of memory");
    if (!set_url(transfer, url))
        return push_failure(L, "invalid", "\"%.200s\" is not an http or https URL", url);
    read_headers(L, transfer);
    int error = read_body(L, transfer, method);
    if (error)
        return refuse(L, exchange, error, "read the request's body");
    lua_pop(L, 1);
    read_limits(L, transfer);
    error = read_sink(L, transfer);
    if (error)
        return refuse(L, exchange, error, "open the file for the answer");
    if (!transfer_start(transfer, &exchange->op))
        return luaL_error(L, "out of memory");
    op_start(&exchange->op);
    lua_settop(L, 3);
    return 1;
}

/* close_idle() -> true: closes the connections kept for later; false: requests are
 * under way, nothing was done. */
static int http_close_idle(lua_State *L)
{
    struct host *host = host_of(L);
    bool idle = host->transfers == 0;
    if (idle)
        transfer_close(host);
    lua_pushboolean(L, idle);
    return 1;
}

int luaopen_native_http(lua_State *L);
int luaopen_native_http(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request", http_request}, {"close_idle", http_close_idle}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
