/* native.http: HTTP requests by libcurl, each an operation.
 *
 * The table of options is read once into a pooled transfer; the response becomes a table when Lua
 * collects it. libcurl keeps connections for the next request, offers HTTP/2 over TLS, and
 * verifies certificates unless `verify` is false. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/header.h"
#include "base/option.h"
#include "http/signing.h"
#include "http/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const lua_Integer MAX_BODY = 256 << 20;
enum { EXPECT_FROM = 1024 }; /* bytes; the least of any libcurl */

struct exchange {
    struct op op;
    struct transfer *transfer;
    bool header_text;
};

static void push_pair(lua_State *L, const struct header *h)
{
    lua_createtable(L, 2, 0);
    lua_pushlstring(L, h->name.data, h->name.size);
    lua_rawseti(L, -2, 1);
    lua_pushlstring(L, h->value.data, h->value.size);
    lua_rawseti(L, -2, 2);
}

/* As a list of pairs; or as one text, for callers that read few of them. */
static void push_headers(lua_State *L, const struct buffer *head, bool as_text)
{
    struct span block = buffer_span(head);
    struct header header;
    if (as_text) {
        lua_pushlstring(L, block.size ? block.data : "", block.size);
        return;
    }
    lua_createtable(L, 8, 0);
    for (lua_Integer n = 1; header_next(&block, &header); n++) {
        push_pair(L, &header);
        lua_rawseti(L, -2, n);
    }
}

static int exchange_push(lua_State *L, struct op *op)
{
    const struct exchange *exchange = (struct exchange *)op;
    const struct transfer *transfer = exchange->transfer;
    if (transfer->code != CURLE_OK || transfer->kind) {
        char text[512];
        const char *kind = transfer_explain(transfer, text, sizeof text);
        return push_failure(L, kind, "%s", text);
    }
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, transfer->status);
    lua_setfield(L, -2, "status");
    push_headers(L, &transfer->head, exchange->header_text);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, transfer->body.size ? transfer->body.data : "", transfer->body.size);
    lua_setfield(L, -2, "body");
    lua_pushnumber(L, transfer->seconds);
    lua_setfield(L, -2, "seconds");
    if (transfer->sink.fd >= 0) {
        lua_pushinteger(L, transfer->sink.bytes);
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

/* Names for which libcurl would add its own header. */
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

/* The name and the value on top of the stack; pops both. */
static void add_header(lua_State *L, struct transfer *transfer, struct given *given)
{
    bool texts = lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1);
    if (!texts)
        luaL_error(L, "option \"headers\": a list of {name, value} expected");
    const char *name = stack_text(L, -2, "a header's name");
    const char *value = stack_text(L, -1, "a header's value");
    given->content_type |= strcasecmp(name, "Content-Type") == 0;
    given->expect |= strcasecmp(name, "Expect") == 0;
    add_line(L, transfer, name, value);
    lua_pop(L, 2);
}

/* `body`: its stack index. With a large one libcurl would ask first whether to send it. */
static void read_headers(lua_State *L, struct transfer *transfer, int body)
{
    struct given given = {false, false};
    lua_Integer count = option_table(L, 1, "headers") ? luaL_len(L, -1) : -1;
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, -1, i) != LUA_TTABLE)
            luaL_error(L, "option \"headers\": a list of {name, value} expected");
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        add_header(L, transfer, &given);
        lua_pop(L, 1);
    }
    if (count >= 0)
        lua_pop(L, 1);
    if (option_table(L, 1, "more_headers")) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            add_header(L, transfer, &given);
        }
        lua_pop(L, 1);
    }
    if (!given.content_type)
        suppress(L, transfer, "Content-Type:");
    if (!given.expect && (lua_type(L, body) == LUA_TTABLE || lua_rawlen(L, body) >= EXPECT_FROM))
        suppress(L, transfer, "Expect:");
}

/* Signs by the option "sign", when it is given; `body` is the stack index of the body. */
static void sign(lua_State *L, struct transfer *transfer, const char *method, const char *url,
                 int body)
{
    size_t size = 0;
    if (!option_table(L, 1, "sign"))
        return;
    const char *text = lua_type(L, body) == LUA_TSTRING ? lua_tolstring(L, body, &size) : "";
    signing_apply(L, lua_upvalueindex(1), -1, transfer, method, url, text, size);
    lua_pop(L, 1);
}

static bool is_one_of(const char *name, const char *const names[])
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* Sets an option that most requests do not have. */
static void set_special(struct transfer *transfer, CURLoption option, long value)
{
    transfer->special = true;
    curl_easy_setopt(transfer->easy, option, value);
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
    if (type == LUA_TSTRING && lua_rawlen(L, -1) == 0)
        type = LUA_TNIL; /* a HEAD with a body, even an empty one, would wait for one */
    bool posts = transfer->posts = type == LUA_TSTRING || is_one_of(method, bodied);
    if (posts) {
        size_t size = 0;
        const char *body = type == LUA_TSTRING ? lua_tolstring(L, -1, &size) : "";
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* the last one may have been a POST */
    }
    bool by_itself = !posts && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, by_itself ? NULL : method);
    if (by_itself && *method == 'H')
        set_special(transfer, CURLOPT_NOBODY, 1);
    return 0;
}

/* The statuses whose body goes to the file, of the table of the sink on top. */
static void read_statuses(lua_State *L, struct sink *sink)
{
    sink->narrow = option_table(L, -1, "statuses");
    lua_Integer count = sink->narrow ? luaL_len(L, -1) : 0;
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        lua_Integer n = lua_tointeger(L, -1) - SINK_STATUS_FIRST;
        if (n < 0 || n >= SINK_STATUSES)
            luaL_error(L, "option \"sink\": statuses: integers from 200 to 299 expected");
        sink->wanted[n] = true;
        lua_pop(L, 1);
    }
    if (sink->narrow)
        lua_pop(L, 1);
}

/* Opens the file that takes the response's body; 0 or an errno. */
static int read_sink(lua_State *L, struct transfer *transfer)
{
    static const char *const known[] = {"file", "append", "statuses", NULL};
    if (!option_table(L, 1, "sink"))
        return 0;
    option_check(L, -1, known);
    const char *path = option_string(L, -1, "file", NULL);
    if (!path)
        luaL_error(L, "option \"sink\": {file=, append=, statuses=} expected");
    read_statuses(L, &transfer->sink);
    int error = sink_open(&transfer->sink, path, option_bool(L, -1, "append", false));
    lua_pop(L, 1);
    return error;
}

static double seconds_option(lua_State *L, const char *name, double fallback)
{
    double seconds = option_number(L, 1, name, fallback);
    if (seconds < 0 || seconds > 1e6)
        luaL_error(L, "option \"%s\": seconds, 0 to 1000000, expected", name);
    return seconds > 0 && seconds < 0.001 ? 0.001 : seconds;
}

/* Set each time: a handle used again must not trust what the last request did. */
static void set_ca_file(struct transfer *transfer, const char *path)
{
    char *of_libcurl = NULL;
    if (!path)
        curl_easy_getinfo(transfer->easy, CURLINFO_CAINFO, &of_libcurl);
    curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, path ? path : of_libcurl);
}

static void read_limits(lua_State *L, struct transfer *transfer)
{
    transfer->connect_timeout = seconds_option(L, "connect_timeout", 3);
    transfer->timeout = seconds_option(L, "timeout", 0);
    lua_Integer max = option_integer(L, 1, "max_body_bytes", MAX_BODY);
    transfer->max_body = max > 0 ? (size_t)max : 0;
    set_ca_file(transfer, option_string(L, 1, "ca_file", NULL));
    if (!option_bool(L, 1, "verify", true)) {
        set_special(transfer, CURLOPT_SSL_VERIFYPEER, 0);
        set_special(transfer, CURLOPT_SSL_VERIFYHOST, 0);
    }
    if (!option_bool(L, 1, "http2", true))
        set_special(transfer, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    if (option_bool(L, 1, "fresh", false)) {
        set_special(transfer, CURLOPT_FRESH_CONNECT, 1);
        set_special(transfer, CURLOPT_FORBID_REUSE, 1);
        set_special(transfer, CURLOPT_DNS_CACHE_TIMEOUT, 0);
    }
    if (option_bool(L, 1, "follow", false)) {
        set_special(transfer, CURLOPT_FOLLOWLOCATION, 1);
        set_special(transfer, CURLOPT_MAXREDIRS, 10);
        transfer->once = false; /* each hop is a separate send */
    }
}

static bool set_url(struct transfer *transfer, const char *url)
{
    CURL *easy = transfer->easy;
    return transfer_set_place(transfer, url) && !strpbrk(url, " \r\n\t") &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

/* A part of a URL may be a part of a secret, which nobody recognizes any more. */
static int refuse_url(lua_State *L, const char *url)
{
    if (strlen(url) > 200)
        return push_failure(L, "invalid", "a text of %zu bytes is not an http or https URL",
                            strlen(url));
    return push_failure(L, "invalid", "\"%s\" is not an http or https URL", url);
}

/* Closes the files now, not at the next collection. */
static int refuse(lua_State *L, struct exchange *exchange, int error, const char *what)
{
    exchange_drop(&exchange->op);
    return push_errno(L, error, "%s", what);
}

/* request{method="GET", url=, headers={{name, value}...}, more_headers={name = value},
 * header_text=false (the response's headers as one text), body=string or {file=, offset=,
 * length=}, sign={region=, service=, credentials=, time=, payload_hash=, normalize_path=,
 * double_encode=, sign_body_header=, asymmetric=} (see aws.sigv4; no other headers are
 * added), sink={file=, append=, statuses=}, connect_timeout=3, timeout=0 (none), ca_file=,
 * verify=true, http2=true, follow=false, fresh=false, max_body_bytes=}
 * => {status=, headers={{name, value}...}, body=, seconds=, sink_bytes=} */
static int http_request(lua_State *L)
{
    static const char *const known[] = {
        "method", "url",     "headers", "body",  "sink",   "connect_timeout", "timeout",
        "ca_file", "verify", "http2",   "follow", "max_body_bytes", "more_headers",
        "header_text", "sign", "fresh", NULL};
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
        return refuse_url(L, url);
    read_headers(L, transfer, 2);
    sign(L, transfer, method, url, 2);
    exchange->header_text = option_bool(L, 1, "header_text", false);
    int error = read_body(L, transfer, method);
    if (error)
        return refuse(L, exchange, error, "read the request's body");
    lua_pop(L, 1);
    read_limits(L, transfer);
    error = read_sink(L, transfer);
    if (error)
        return refuse(L, exchange, error, "open the file for the response");
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

/* header(text, name) -> the value of the first header of that name, in any case, in a response's
 * header_text; or nil. */
static int http_header(lua_State *L)
{
    struct span block, name;
    struct header header;
    block.data = luaL_checklstring(L, 1, &block.size);
    name.data = luaL_checklstring(L, 2, &name.size);
    while (header_next(&block, &header)) {
        if (header.name.size != name.size ||
            strncasecmp(header.name.data, name.data, name.size) != 0)
            continue;
        lua_pushlstring(L, header.value.data, header.value.size);
        return 1;
    }
    lua_pushnil(L);
    return 1;
}

int luaopen_native_http(lua_State *L);
int luaopen_native_http(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request", http_request}, {"close_idle", http_close_idle}, {"header", http_header},
        {NULL, NULL}};
    luaL_newlibtable(L, functions);
    signing_push(L);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
