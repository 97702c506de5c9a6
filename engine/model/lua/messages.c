/* The codec's methods of a model: messages to and from Lua tables. */
#include <stdlib.h>
#include <sys/random.h>

#include "model/lua/binding.h"

enum { MAX_HEADERS = 4096 };

struct call {
    struct codec c;
    struct operation *op;
    int scratch; /* its stack index */
};

/* Returns nil, message, kind. */
static int refuse(lua_State *L, const struct call *k, const char *kind)
{
    scratch_give(L, k->scratch);
    lua_pushnil(L);
    lua_pushstring(L, k->c.fault);
    lua_pushstring(L, kind);
    return 3;
}

static bool choose_protocol(lua_State *L, struct codec *c, int options)
{
    bool known = true;
    if (lua_istable(L, options) && lua_getfield(L, options, "protocol") == LUA_TSTRING) {
        struct span name = get_text(L, -1);
        known = false;
        for (int p = 0; p < PROTOCOLS; p++) {
            if (!text_is(name, protocol_name((enum protocol)p)))
                continue;
            known = c->m->offered & 1u << p;
            c->protocol = (enum protocol)p;
        }
        if (!known)
            codec_fault(c, "the service does not speak the protocol %.*s", (int)name.size,
                        name.data);
    }
    if (lua_istable(L, options))
        lua_pop(L, 1);
    return known;
}

/* Inputs and outputs are structures. */
static bool resolve_root(struct call *k, struct slot *root)
{
    if (root->shape_id == NO_SHAPE)
        return true;
    struct shape *s = slot_shape(k->c.m, root);
    if (s != NULL && s->type == STRUCTURE)
        return true;
    return codec_fault(&k->c, "%s", s ? "the service model is damaged: message" : k->c.m->fault);
}

/* Arguments: model, operation, message, options (may be absent). */
static bool begin(lua_State *L, struct call *k, bool server)
{
    struct model *m = luaL_checkudata(L, 1, "drlua.model");
    struct span name;
    name.data = luaL_checklstring(L, 2, &name.size);
    lua_settop(L, 4);
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_replace(L, 3);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    struct scratch *s = scratch_take(L);
    *k = (struct call){.c = {.L = L, .m = m, .s = s, .out = &s->body}};
    k->scratch = 5;
    k->c.protocol = m->protocol;
    k->c.server = server;
    buffer_clear(&s->body);
    s->node_count = 0; /* those of the last message point into it */
    lua_getiuservalue(L, 1, 2);
    k->c.names = 6;
    long number = model_find(m, name);
    if (number < 0)
        return codec_fault(&k->c, "%.*s has no operation %.*s", (int)m->service.size,
                           m->service.data, (int)name.size, name.data);
    k->op = model_operation(m, (uint32_t)number);
    if (k->op == NULL)
        return codec_fault(&k->c, "%s", m->fault);
    return resolve_root(k, &k->op->input) && resolve_root(k, &k->op->output) &&
           choose_protocol(L, &k->c, 4);
}

/* RFC 9562 version 4, for a caller that gives no token. */
static void push_random_token(lua_State *L)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char r[16] = {0};
    char text[37];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        luaL_error(L, "no random numbers to be had");
    r[6] = (unsigned char)((r[6] & 15) | 64);
    r[8] = (unsigned char)((r[8] & 63) | 128);
    size_t at = 0;
    for (size_t i = 0; i < sizeof r; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = hex[r[i] >> 4];
        text[at++] = hex[r[i] & 15];
    }
    lua_pushlstring(L, text, at);
}

static void prepare_token(lua_State *L, struct call *k)
{
    struct shape *s = k->op->input.shape;
    bool wanted = false;
    for (uint32_t i = 0; s != NULL && i < s->count; i++)
        wanted = wanted || (s->slots[i].traits & SLOT_TOKEN);
    if (!wanted)
        return;
    if (push_option(L, 4, "idempotency_token") != LUA_TSTRING) {
        lua_pop(L, 1);
        push_random_token(L);
    }
    k->c.token = lua_gettop(L);
}

/* Every fault of the message, under the name of the operation. */
static int refuse_faults(lua_State *L, struct call *k, int count)
{
    struct buffer *out = &k->c.s->extra;
    struct buffer *report = &k->c.s->body;
    buffer_clear(out);
    buffer_add_span(out, k->c.m->service);
    if (k->c.m->service.size > 0)
        buffer_add_char(out, '.');
    snake_name(out, k->op->name);
    add_str(out, count > 1 ? ":" : ": ");
    for (size_t i = 0; i < report->size; i++) {
        if (count > 1 && (i == 0 || report->data[i - 1] == '\n'))
            add_str(out, i ? "  " : "\n  ");
        buffer_add_char(out, report->data[i]);
    }
    lua_pushnil(L);
    push_text(L, buffer_span(out));
    lua_pushliteral(L, "invalid");
    scratch_give(L, k->scratch);
    return 3;
}

static int check(struct call *k, struct slot *root, bool complete)
{
    struct buffer *report = &k->c.s->body;
    if (root->shape != NULL)
        return validate(&k->c, root, 3, complete, report);
    buffer_clear(report);
    lua_pushnil(k->c.L);
    if (!lua_next(k->c.L, 3))
        return 0;
    lua_pop(k->c.L, 2);
    add_str(report, "it takes no input");
    return 1;
}

/* m:serialize(operation, input, options) -> request */
static int m_serialize(lua_State *L)
{
    struct call k;
    if (!begin(L, &k, false))
        return refuse(L, &k, "invalid");
    prepare_token(L, &k);
    int faults = check(&k, &k.op->input, true);
    if (faults > 0)
        return refuse_faults(L, &k, faults);
    if (!write_request(&k.c, k.op, 3, 4))
        return refuse(L, &k, "invalid");
    scratch_give(L, k.scratch);
    return 1;
}

/* m:validate(operation, input, options) -> true */
static int m_validate(lua_State *L)
{
    struct call k;
    if (!begin(L, &k, false))
        return refuse(L, &k, "invalid");
    prepare_token(L, &k);
    int faults = check(&k, &k.op->input, true);
    if (faults > 0)
        return refuse_faults(L, &k, faults);
    scratch_give(L, k.scratch);
    lua_pushboolean(L, 1);
    return 1;
}

static bool add_header(struct call *k, struct incoming *in, struct header h)
{
    struct scratch *s = k->c.s;
    if (in->header_count == s->header_room) {
        size_t room = s->header_room ? s->header_room * 2 : 32;
        struct header *p = room > MAX_HEADERS ? NULL : realloc(s->headers, room * sizeof *p);
        if (p == NULL)
            return codec_fault(&k->c, "too many headers");
        s->headers = p;
        s->header_room = room;
    }
    s->headers[in->header_count++] = h;
    return true;
}

/* The name and the value at these stack indices. */
static bool add_pair(struct call *k, struct incoming *in, int name, int value)
{
    lua_State *L = k->c.L;
    if (lua_type(L, name) != LUA_TSTRING || lua_type(L, value) != LUA_TSTRING)
        return codec_fault(&k->c, "headers must be strings");
    return add_header(k, in, (struct header){get_text(L, name), get_text(L, value)});
}

/* A header that comes in several lines is one with their values in a list; the joined
 * text stays on the Lua stack. */
static bool join_header(struct call *k, struct incoming *in, const struct header *h)
{
    lua_State *L = k->c.L;
    for (size_t i = 0; i < in->header_count; i++) {
        struct header *earlier = &k->c.s->headers[i];
        if (!text_caseless_eq(earlier->name, h->name))
            continue;
        luaL_checkstack(L, 4, "too many headers");
        push_text(L, earlier->value);
        lua_pushliteral(L, ", ");
        push_text(L, h->value);
        lua_concat(L, 3);
        earlier->value = get_text(L, -1);
        return true;
    }
    return false;
}

static bool split_headers(struct call *k, struct incoming *in, struct span block)
{
    struct header h;
    while (header_next(&block, &h))
        if (!join_header(k, in, &h) && !add_header(k, in, h))
            return false;
    return true;
}

/* A number counts as its digits. */
static void digits_of(lua_State *L, int headers)
{
    lua_pushvalue(L, -1);
    lua_tostring(L, -1);
    lua_remove(L, -2);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, headers);
}

static bool list_headers(struct call *k, struct incoming *in, int headers)
{
    lua_State *L = k->c.L;
    bool ok = true;
    lua_pushnil(L);
    while (ok && lua_next(L, headers)) {
        if (lua_type(L, -1) == LUA_TTABLE) {
            lua_rawgeti(L, -1, 1);
            lua_rawgeti(L, -2, 2);
            ok = add_pair(k, in, lua_gettop(L) - 1, lua_gettop(L));
            lua_pop(L, 3);
        } else {
            if (lua_isinteger(L, -1))
                digits_of(L, headers);
            ok = add_pair(k, in, lua_gettop(L) - 1, lua_gettop(L));
            lua_pop(L, 1);
        }
    }
    return ok;
}

/* Headers come as name -> value, as ordered pairs, or as the lines that they were on
 * the wire. Their texts stay alive in the caller's table. */
static bool collect_headers(struct call *k, struct incoming *in)
{
    lua_State *L = k->c.L;
    int type = lua_getfield(L, 3, "headers"), headers = lua_gettop(L);
    bool ok = type == LUA_TSTRING  ? split_headers(k, in, get_text(L, headers))
              : type == LUA_TTABLE ? list_headers(k, in, headers)
                                   : true;
    in->headers = k->c.s->headers;
    return ok;
}

static bool text_field(struct call *k, const char *name, struct span *t)
{
    lua_State *L = k->c.L;
    int type = lua_getfield(L, 3, name);
    *t = get_text(L, -1);
    lua_pop(L, 1); /* the message's table keeps it */
    if (type == LUA_TSTRING || type == LUA_TNIL)
        return true;
    return codec_fault(&k->c, "the message's %s must be a string", name);
}

static bool collect(struct call *k, struct incoming *in)
{
    lua_State *L = k->c.L;
    *in = (struct incoming){.method = {"POST", 4}, .target = {"/", 1}};
    lua_getfield(L, 3, "status");
    in->status = (int)get_integer(L, -1);
    lua_pop(L, 1);
    struct span method, target;
    if (!text_field(k, "method", &method) || !text_field(k, "target", &target) ||
        !text_field(k, "body", &in->body) || !collect_headers(k, in))
        return false;
    if (method.size > 0)
        in->method = method;
    if (target.size > 0)
        in->target = target;
    return true;
}

/* A response that cannot be read is a fault of the service or of the network. */
static int push_unreadable(lua_State *L, struct call *k, int status)
{
    scratch_give(L, k->scratch);
    lua_pushnil(L);
    lua_createtable(L, 0, 6);
    lua_pushliteral(L, "InvalidResponse");
    lua_setfield(L, -2, "code");
    lua_pushfstring(L, "the response cannot be read as AWS's: %s", k->c.fault);
    lua_setfield(L, -2, "message");
    lua_pushliteral(L, "server");
    lua_setfield(L, -2, "type");
    lua_pushliteral(L, "transient");
    lua_setfield(L, -2, "retryable");
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_newtable(L);
    lua_setfield(L, -2, "fields");
    return 2;
}

/* m:parse(operation, response) -> output, nil, request id; or nil, error */
static int m_parse(lua_State *L)
{
    struct call k;
    struct incoming in;
    bool is_error;
    if (!begin(L, &k, false) || !collect(&k, &in))
        return refuse(L, &k, "invalid");
    if (!read_response(&k.c, k.op, &in, &is_error))
        return push_unreadable(L, &k, in.status);
    int result = lua_gettop(L);
    if (is_error) {
        scratch_give(L, k.scratch);
        lua_pushnil(L);
        lua_pushvalue(L, result);
        return 2;
    }
    bool xml =
        (k.c.protocol == QUERY || k.c.protocol == EC2) && k.c.s->node_count > 0 && in.body.size > 0;
    struct span id = request_id_of(&k.c, &in, xml);
    lua_pushvalue(L, result);
    lua_pushnil(L);
    push_text(L, id);
    scratch_give(L, k.scratch);
    return 3;
}

/* m:parse_request(operation, request, options) -> input */
static int m_parse_request(lua_State *L)
{
    struct call k;
    struct incoming in;
    if (!begin(L, &k, true) || !collect(&k, &in))
        return refuse(L, &k, "invalid");
    if (!read_request(&k.c, k.op, &in))
        return refuse(L, &k, "invalid");
    int result = lua_gettop(L);
    scratch_give(L, k.scratch);
    lua_pushvalue(L, result);
    return 1;
}

/* m:serialize_response(operation, output, options) -> response */
static int m_serialize_response(lua_State *L)
{
    struct call k;
    if (!begin(L, &k, true))
        return refuse(L, &k, "invalid");
    int faults = check(&k, &k.op->output, false);
    if (faults > 0)
        return refuse_faults(L, &k, faults);
    if (!write_response(&k.c, k.op, 3, 4))
        return refuse(L, &k, "invalid");
    scratch_give(L, k.scratch);
    return 1;
}

/* m:serialize_error(operation, error, options) -> response */
static int m_serialize_error(lua_State *L)
{
    struct call k;
    if (!begin(L, &k, true))
        return refuse(L, &k, "invalid");
    if (!write_fault(&k.c, k.op, 3))
        return refuse(L, &k, "invalid");
    scratch_give(L, k.scratch);
    return 1;
}

/* m:route(method, target, headers, body) -> operation name, protocol; or nil */
static int m_route(lua_State *L)
{
    struct model *m = luaL_checkudata(L, 1, "drlua.model");
    struct call k = {.c = {.L = L, .m = m}};
    struct incoming in;
    lua_settop(L, 5);
    lua_createtable(L, 0, 4);
    static const char *const fields[] = {"method", "target", "headers", "body"};
    for (int i = 0; i < 4; i++) {
        lua_pushvalue(L, 2 + i);
        lua_setfield(L, 6, fields[i]);
    }
    lua_replace(L, 3);
    lua_settop(L, 4);
    k.c.s = scratch_take(L);
    k.c.out = &k.c.s->body;
    k.scratch = 5;
    lua_getiuservalue(L, 1, 2);
    k.c.names = 6;
    if (!collect(&k, &in))
        return refuse(L, &k, "invalid");
    enum protocol protocol = m->protocol;
    long number = find_route(&k.c, &in, &protocol);
    struct span name;
    if (number < 0 || !model_op_name(m, (uint32_t)number, &name)) {
        codec_fault(&k.c, "no operation of %.*s fits the request", (int)m->service.size,
                    m->service.data);
        return refuse(L, &k, "missing");
    }
    scratch_give(L, k.scratch);
    push_text(L, name);
    lua_pushstring(L, protocol_name(protocol));
    return 2;
}

const luaL_Reg model_messages[] = {
    {"serialize", m_serialize},
    {"validate", m_validate},
    {"parse", m_parse},
    {"parse_request", m_parse_request},
    {"serialize_response", m_serialize_response},
    {"serialize_error", m_serialize_error},
    {"route", m_route},
    {NULL, NULL},
};
