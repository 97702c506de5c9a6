/* See signing.h. The headers to sign are read back from the lines that libcurl will
 * send, so that what is signed is what is sent. */
#include "http/signing.h"

#include "base/option.h"
#include "sigv4/sigv4.h"

#include <lauxlib.h>
#include <string.h>

enum { MAX_SIGNED = 96 };

struct signer {
    struct sigv4 *state;
};

static int signer_gc(lua_State *L)
{
    struct signer *signer = lua_touserdata(L, 1);
    sigv4_free(signer->state);
    signer->state = NULL;
    return 0;
}

void signing_push(lua_State *L)
{
    struct signer *signer = lua_newuserdatauv(L, sizeof *signer, 0);
    signer->state = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, signer_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    signer->state = sigv4_new();
    if (!signer->state)
        luaL_error(L, "out of memory");
}

/* The table keeps the string alive. */
static struct span text_field(lua_State *L, int index, const char *name, bool required)
{
    struct span s = {"", 0};
    int type = lua_getfield(L, index, name);
    if (type == LUA_TSTRING)
        s.data = lua_tolstring(L, -1, &s.size);
    else if (required || type != LUA_TNIL)
        luaL_error(L, "option \"sign\": %s: a string expected", name);
    lua_pop(L, 1);
    return s;
}

static void read_credentials(lua_State *L, int index, struct sigv4_credentials *c)
{
    if (lua_getfield(L, index, "credentials") != LUA_TTABLE)
        luaL_error(L, "option \"sign\": credentials: a table expected");
    int table = lua_gettop(L);
    c->access_key_id = text_field(L, table, "access_key_id", true);
    c->secret_access_key = text_field(L, table, "secret_access_key", true);
    c->session_token = text_field(L, table, "session_token", false);
    lua_pop(L, 1);
}

static bool flag(lua_State *L, int index, const char *name, bool fallback)
{
    int type = lua_getfield(L, index, name);
    bool value = type == LUA_TNIL ? fallback : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Lines without a value ("Expect:") keep libcurl from sending that header. */
static size_t read_lines(lua_State *L, const struct transfer *transfer, struct sigv4_header *out)
{
    const char *line = transfer->text.data;
    size_t count = 0;
    for (size_t i = 0; i < transfer->line_count; i++) {
        size_t size = strlen(line), name = strcspn(line, ":;");
        if (size > name + 2) {
            if (count == MAX_SIGNED)
                luaL_error(L, "more than %d headers cannot be signed", (int)MAX_SIGNED);
            out[count++] = (struct sigv4_header){{line, name}, {line + name + 2, size - name - 2}};
        }
        line += size + 1;
    }
    return count;
}

static struct span path_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strpbrk(host + 3, "/?") : NULL;
    if (!path)
        return (struct span){"/", 1};
    return (struct span){path, strlen(path)};
}

static void add_lines(lua_State *L, struct transfer *transfer, const struct sigv4_result *result)
{
    for (size_t i = 0; i < result->added_count; i++) {
        const struct sigv4_header *h = &result->added[i];
        buffer_add(&transfer->text, h->name.data, h->name.size);
        buffer_add(&transfer->text, ": ", 2);
        buffer_add(&transfer->text, h->value.data, h->value.size);
        buffer_add_char(&transfer->text, 0);
        if (!transfer_add_line(transfer))
            luaL_error(L, "out of memory");
    }
}

void signing_apply(lua_State *L, int signer, int index, struct transfer *transfer,
                   const char *method, const char *url, const char *body, size_t body_size)
{
    struct sigv4_header headers[MAX_SIGNED];
    struct sigv4_result result;
    char time_text[SIGV4_TIME_SIZE];
    struct sigv4_request r = {.method = {method, strlen(method)}, .uri = path_of(url),
                              .body = {body, body_size}, .headers = headers};
    index = lua_absindex(L, index);
    if (transfer->text.failed)
        luaL_error(L, "out of memory");
    r.header_count = read_lines(L, transfer, headers);
    r.payload_hash = text_field(L, index, "payload_hash", false);
    r.region = text_field(L, index, "region", true);
    r.service = text_field(L, index, "service", true);
    read_credentials(L, index, &r.credentials);
    lua_getfield(L, index, "time");
    sigv4_format_time((int64_t)luaL_checknumber(L, -1), time_text);
    lua_pop(L, 1);
    r.time = (struct span){time_text, SIGV4_TIME_SIZE};
    r.normalize_path = flag(L, index, "normalize_path", true);
    r.double_encode = flag(L, index, "double_encode", true);
    r.sign_body_header = flag(L, index, "sign_body_header", false);
    r.asymmetric = flag(L, index, "asymmetric", false);
    const char *fault =
        sigv4_sign(((struct signer *)lua_touserdata(L, signer))->state, &r, &result);
    if (fault)
        luaL_error(L, "option \"sign\": %s", fault);
    add_lines(L, transfer, &result);
}
