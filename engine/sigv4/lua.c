/* native.sigv4: the signer for Lua.
 *
 *   sign(request) -> result      everything, for tests and for people
 *   apply(request) -> request    signs in place and makes as little garbage as
 *                                can be: what the client calls for each attempt
 *   verify(request, lookup, now) what the simulator calls
 *   public_key(access_key_id, secret) -> x, y      of SigV4A
 *   check_asymmetric(access_key_id, secret, text, signature)
 *   last() -> canonical request, string to sign    of the last call
 *
 * A request is read from its table into spans; the strings stay alive in the
 * table meanwhile, since nothing here writes to it before the signature is made.
 * The state with its key cache is a userdata shared by the functions.
 */
#include "sigv4/state.h"

#include <lauxlib.h>
#include <openssl/core_names.h>
#include <stdlib.h>
#include <time.h>

struct signer {
    struct sigv4 *state;
    struct sigv4_header *headers;
    size_t header_capacity;
    bool in_use; /* lookup, a Lua function, must not sign meanwhile */
};

static int signer_gc(lua_State *L)
{
    struct signer *g = lua_touserdata(L, 1);
    sigv4_free(g->state);
    free(g->headers);
    *g = (struct signer){0};
    return 0;
}

static struct signer *signer(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* reading a request's table (at stack index 1)
 *
 * The names of the fields are upvalues of the functions: looking one up by a C
 * string costs a comparison each time, which for the twenty of a request was a
 * quarter of the whole. Raw, so that no metamethod can hand out a string that
 * nothing keeps alive. */

enum field {
    METHOD,
    URI,
    HEADERS,
    BODY,
    PAYLOAD_HASH,
    REGION,
    SERVICE,
    CREDENTIALS,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    TIME,
    EXPIRES,
    NORMALIZE_PATH,
    DOUBLE_ENCODE,
    SIGN_BODY_HEADER,
    OMIT_SESSION_TOKEN,
    ASYMMETRIC,
    FIELDS
};

static const char *const field_names[FIELDS] = {
    "method",        "uri",
    "headers",       "body",
    "payload_hash",  "region",
    "service",       "credentials",
    "access_key_id", "secret_access_key",
    "session_token", "time",
    "expires",       "normalize_path",
    "double_encode", "sign_body_header",
    "omit_session_token", "asymmetric",
};

static int get(lua_State *L, int table, enum field name)
{
    lua_pushvalue(L, lua_upvalueindex(2 + (int)name));
    return lua_rawget(L, table);
}

static struct span field(lua_State *L, int table, enum field name, bool required)
{
    struct span s = {"", 0};
    int type = get(L, table, name);
    if (type == LUA_TSTRING)
        s.data = lua_tolstring(L, -1, &s.size);
    else if (type != LUA_TNIL || required)
        luaL_error(L, "sigv4: %s: a string expected, got %s", field_names[name],
                   lua_typename(L, type));
    lua_pop(L, 1);
    return s;
}

static bool flag(lua_State *L, enum field name, bool otherwise)
{
    bool value = get(L, 1, name) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static struct span element(lua_State *L, lua_Integer row, int n)
{
    struct span s;
    if (lua_rawgeti(L, -1, n) != LUA_TSTRING)
        luaL_error(L, "sigv4: headers[%d] must be a pair of strings", (int)row);
    s.data = lua_tolstring(L, -1, &s.size);
    lua_pop(L, 1);
    return s;
}

static void read_headers(lua_State *L, struct signer *g, struct sigv4_request *r)
{
    if (get(L, 1, HEADERS) != LUA_TTABLE)
        luaL_error(L, "sigv4: headers: a list of pairs {name, value} expected");
    size_t count = lua_rawlen(L, -1);
    if (count > g->header_capacity) {
        struct sigv4_header *grown = realloc(g->headers, count * sizeof *grown);
        if (grown == NULL)
            luaL_error(L, "out of memory while signing");
        g->headers = grown;
        g->header_capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TTABLE)
            luaL_error(L, "sigv4: headers[%d] must be a pair of strings", (int)i + 1);
        g->headers[i].name = element(L, (lua_Integer)i + 1, 1);
        g->headers[i].value = element(L, (lua_Integer)i + 1, 2);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    r->headers = g->headers;
    r->header_count = count;
}

static void read_parts(lua_State *L, struct signer *g, struct sigv4_request *r)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    *r = (struct sigv4_request){.method = field(L, 1, METHOD, true)};
    r->uri = field(L, 1, URI, true);
    r->body = field(L, 1, BODY, false);
    r->payload_hash = field(L, 1, PAYLOAD_HASH, false);
    read_headers(L, g, r);
}

static void read_credentials(lua_State *L, struct sigv4_credentials *c)
{
    if (get(L, 1, CREDENTIALS) != LUA_TTABLE)
        luaL_error(L, "sigv4: credentials: a table expected");
    int table = lua_gettop(L);
    c->access_key_id = field(L, table, ACCESS_KEY_ID, true);
    c->secret_access_key = field(L, table, SECRET_ACCESS_KEY, true);
    c->session_token = field(L, table, SESSION_TOKEN, false);
    lua_pop(L, 1);
}

/* request.time: text, seconds since the epoch, or now. */
static struct span read_time(lua_State *L, char out[SIGV4_TIME_SIZE])
{
    int type = get(L, 1, TIME);
    struct span text = {out, SIGV4_TIME_SIZE};
    if (type == LUA_TSTRING)
        text.data = lua_tolstring(L, -1, &text.size);
    else if (type == LUA_TNUMBER)
        sigv4_format_time((int64_t)lua_tonumber(L, -1), out);
    else if (type == LUA_TNIL)
        sigv4_format_time((int64_t)time(NULL), out);
    else
        luaL_error(L, "sigv4: time: text or seconds expected, got %s", lua_typename(L, type));
    lua_pop(L, 1);
    return text;
}

static void read_request(lua_State *L, struct signer *g, struct sigv4_request *r,
                         char time_text[SIGV4_TIME_SIZE])
{
    read_parts(L, g, r);
    r->region = field(L, 1, REGION, true);
    r->service = field(L, 1, SERVICE, true);
    read_credentials(L, &r->credentials);
    r->time = read_time(L, time_text);
    r->normalize_path = flag(L, NORMALIZE_PATH, true);
    r->double_encode = flag(L, DOUBLE_ENCODE, true);
    r->sign_body_header = flag(L, SIGN_BODY_HEADER, false);
    r->omit_session_token = flag(L, OMIT_SESSION_TOKEN, false);
    r->asymmetric = flag(L, ASYMMETRIC, false);
    get(L, 1, EXPIRES);
    if (!lua_isnil(L, -1)) {
        r->expires = luaL_checkinteger(L, -1);
        if (r->expires < 1 || r->expires > 604800)
            luaL_error(L, "sigv4: expires: 1 to 604800 seconds (a week) expected, got %d",
                       (int)r->expires);
    }
    lua_pop(L, 1);
}

/* writing results */

static void push_span(lua_State *L, struct span s)
{
    lua_pushlstring(L, s.data, s.size);
}

static void push_pair(lua_State *L, const struct sigv4_header *h)
{
    lua_createtable(L, 2, 0);
    push_span(L, h->name);
    lua_rawseti(L, -2, 1);
    push_span(L, h->value);
    lua_rawseti(L, -2, 2);
}

/* Pushes a list: the request's headers (the same pairs) and the signature's. */
static void push_headers(lua_State *L, const struct sigv4_request *r,
                         const struct sigv4_result *out)
{
    get(L, 1, HEADERS);
    lua_createtable(L, (int)(r->header_count + out->added_count), 0);
    lua_Integer n = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        if (sigv4_replaces(r->headers[i].name))
            continue;
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        lua_rawseti(L, -2, ++n);
    }
    for (size_t i = 0; i < out->added_count; i++) {
        push_pair(L, &out->added[i]);
        lua_rawseti(L, -2, ++n);
    }
    lua_remove(L, -2);
}

/* Does the whole of sign and apply but for their results. */
static void sign(lua_State *L, struct sigv4_request *r, struct sigv4_result *out,
                 char time_text[SIGV4_TIME_SIZE])
{
    struct signer *g = signer(L);
    if (g->in_use)
        luaL_error(L, "sigv4: lookup must not sign");
    read_request(L, g, r, time_text);
    const char *fault = sigv4_sign(g->state, r, out);
    if (fault != NULL)
        luaL_error(L, "sigv4: %s", fault);
}

static void set_span(lua_State *L, const char *name, struct span s)
{
    push_span(L, s);
    lua_setfield(L, -2, name);
}

static int sigv4_lua_sign(lua_State *L)
{
    struct sigv4_request r;
    struct sigv4_result out;
    char time_text[SIGV4_TIME_SIZE];
    sign(L, &r, &out, time_text);
    lua_createtable(L, 0, 5);
    set_span(L, "canonical_request", out.canonical_request);
    set_span(L, "string_to_sign", out.string_to_sign);
    set_span(L, "signature", out.signature);
    set_span(L, "uri", out.uri);
    push_headers(L, &r, &out);
    lua_setfield(L, -2, "headers");
    return 1;
}

static int sigv4_lua_apply(lua_State *L)
{
    struct sigv4_request r;
    struct sigv4_result out;
    char time_text[SIGV4_TIME_SIZE];
    sign(L, &r, &out, time_text);
    if (r.expires > 0) {
        push_span(L, out.uri);
        lua_setfield(L, 1, "uri");
    }
    push_headers(L, &r, &out);
    lua_setfield(L, 1, "headers");
    lua_settop(L, 1);
    return 1;
}

/* verifying */

static int push_fault(lua_State *L, const struct sigv4_fault *f)
{
    lua_pushnil(L);
    lua_pushstring(L, f->message);
    lua_pushstring(L, f->code);
    return 3;
}

/* Calls lookup(access_key_id, session_token), leaves its three results on the stack. The claim's
 * strings live in the request or in the state, which the function cannot reach while in_use is
 * set. */
static void call_lookup(lua_State *L, struct signer *g, const struct sigv4_claim *c)
{
    lua_pushvalue(L, 2);
    push_span(L, c->access_key_id);
    if (c->session_token.size > 0)
        push_span(L, c->session_token);
    else
        lua_pushnil(L);
    g->in_use = true;
    int status = lua_pcall(L, 2, 3, 0);
    g->in_use = false;
    if (status != LUA_OK)
        lua_error(L);
}

/* The response to a key that lookup does not know: its own message and code. */
static int push_unknown(lua_State *L)
{
    struct sigv4_fault f = {"InvalidClientTokenId",
                            "The security token included in the request is invalid."};
    if (lua_type(L, -2) == LUA_TSTRING)
        f.message = lua_tostring(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING)
        f.code = lua_tostring(L, -1);
    return push_fault(L, &f);
}

static int sigv4_lua_verify(lua_State *L)
{
    struct signer *g = signer(L);
    struct sigv4_request r;
    struct sigv4_claim c;
    struct sigv4_fault f;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_Integer now = (lua_Integer)luaL_optnumber(L, 3, (lua_Number)time(NULL));
    lua_settop(L, 3);
    if (g->in_use)
        return luaL_error(L, "sigv4: lookup must not verify");
    read_parts(L, g, &r);
    if (!sigv4_parse(g->state, &r, &c, &f) || !sigv4_check_time(g->state, &c, now, &f))
        return push_fault(L, &f);
    call_lookup(L, g, &c);
    struct span secret = {NULL, 0};
    if (lua_type(L, -3) != LUA_TSTRING)
        return push_unknown(L);
    secret.data = lua_tolstring(L, -3, &secret.size);
    if (!sigv4_check(g->state, &r, &c, secret, &f))
        return push_fault(L, &f);
    push_span(L, c.region);
    push_span(L, c.service);
    push_span(L, c.access_key_id);
    if (c.session_token.size > 0)
        push_span(L, c.session_token);
    else
        lua_pushnil(L);
    return 4;
}

/* The string to sign of the last sign or verify, for messages and tests. */
static int sigv4_lua_last(lua_State *L)
{
    struct signer *g = signer(L);
    lua_pushlstring(L, g->state->canonical.size > 0 ? g->state->canonical.data : "",
                    g->state->canonical.size);
    lua_pushlstring(L, g->state->to_sign.size > 0 ? g->state->to_sign.data : "",
                    g->state->to_sign.size);
    return 2;
}

static int sigv4_lua_public_key(lua_State *L)
{
    struct sigv4_credentials c = {{0}, {0}, {0}};
    c.access_key_id.data = luaL_checklstring(L, 1, &c.access_key_id.size);
    c.secret_access_key.data = luaL_checklstring(L, 2, &c.secret_access_key.size);
    unsigned char point[65];
    size_t size = 0;
    EVP_PKEY *pair = asymmetric_key(signer(L)->state, &c);
    if (pair == NULL || EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                        sizeof point, &size) != 1 ||
        size != sizeof point)
        return luaL_error(L, "sigv4: cannot derive the SigV4A key");
    lua_pushlstring(L, (const char *)point + 1, 32);
    lua_pushlstring(L, (const char *)point + 33, 32);
    return 2;
}

/* check_asymmetric(access_key_id, secret, text, signature in hex) -> boolean */
static int sigv4_lua_check_asymmetric(lua_State *L)
{
    struct sigv4_credentials c = {{0}, {0}, {0}};
    struct span text, signature;
    c.access_key_id.data = luaL_checklstring(L, 1, &c.access_key_id.size);
    c.secret_access_key.data = luaL_checklstring(L, 2, &c.secret_access_key.size);
    text.data = luaL_checklstring(L, 3, &text.size);
    signature.data = luaL_checklstring(L, 4, &signature.size);
    lua_pushboolean(L, asymmetric_verify(signer(L)->state, &c, text, signature));
    return 1;
}

static const luaL_Reg functions[] = {
    {"sign", sigv4_lua_sign},     {"apply", sigv4_lua_apply},
    {"verify", sigv4_lua_verify}, {"public_key", sigv4_lua_public_key},
    {"last", sigv4_lua_last},     {"check_asymmetric", sigv4_lua_check_asymmetric},
    {NULL, NULL},
};

int luaopen_native_sigv4(lua_State *L);
int luaopen_native_sigv4(lua_State *L)
{
    luaL_newlibtable(L, functions);
    struct signer *g = lua_newuserdatauv(L, sizeof *g, 0);
    *g = (struct signer){0};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, signer_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    g->state = sigv4_new();
    if (g->state == NULL)
        return luaL_error(L, "out of memory for the signer");
    for (int i = 0; i < FIELDS; i++)
        lua_pushstring(L, field_names[i]);
    luaL_setfuncs(L, functions, 1 + FIELDS);
    return 1;
}
