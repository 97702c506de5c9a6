/* Scalars as text: what XML, forms, headers and URIs have in common. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/codec.h"

#include <lualib.h>

bool codec_fault(struct codec *c, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(c->fault, sizeof c->fault, format, list);
    va_end(list);
    return false;
}

bool codec_enter(struct codec *c)
{
    if (c->depth >= MAX_DEPTH)
        return codec_fault(c, "nested too deeply");
    if (!lua_checkstack(c->L, 12))
        return codec_fault(c, "nested too deeply");
    c->depth++;
    return true;
}

void push_sorted_keys(lua_State *L, int at)
{
    lua_Integer n = 0;
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, ++n);
    }
    if (n < 2)
        return;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_TABLIBNAME);
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, -4);
    lua_call(L, 1, 0);
    lua_pop(L, 2);
}

/* Numbers; NaN and the infinities may come as text. */
double get_double(lua_State *L, int at)
{
    if (lua_type(L, at) == LUA_TNUMBER)
        return lua_tonumber(L, at);
    struct span t = get_text(L, at);
    if (text_is(t, "NaN"))
        return NAN;
    if (text_is(t, "Infinity"))
        return INFINITY;
    if (text_is(t, "-Infinity"))
        return -INFINITY;
    return 0;
}

long long get_integer(lua_State *L, int at)
{
    int exact;
    lua_Integer n = lua_tointegerx(L, at, &exact);
    return exact ? n : 0;
}

bool write_scalar(struct codec *c, struct buffer *out, const struct slot *slot, struct shape *s,
                  int at, enum time_format otherwise)
{
    switch (s->type) {
    case STRING:
        buffer_add_span(out, get_text(c->L, at));
        return true;
    case BLOB: {
        struct span t = get_text(c->L, at);
        add_base64(out, t);
        return true;
    }
    case BOOLEAN:
        add_str(out, lua_toboolean(c->L, at) ? "true" : "false");
        return true;
    case INTEGER:
    case LONG:
        add_int(out, get_integer(c->L, at));
        return true;
    case FLOAT:
    case DOUBLE:
        if (lua_isinteger(c->L, at))
            add_int(out, lua_tointeger(c->L, at));
        else
            add_double(out, get_double(c->L, at));
        return true;
    case TIMESTAMP:
        if (write_time(out, c->L, at, slot_time(c, slot, s, otherwise)))
            return true;
        return codec_fault(c, "%.*s is not a time", (int)slot->name.size, slot->name.data);
    default:
        return codec_fault(c, "%.*s cannot stand where text is needed", (int)slot->name.size,
                           slot->name.data);
    }
}

static bool bad_text(struct codec *c, const struct slot *slot, struct span t, const char *wanted)
{
    /* A part of a text may be a part of a secret, which nobody recognizes any more. */
    if (t.size > 60)
        return codec_fault(c, "%.*s: a text of %zu bytes is not %s", (int)slot->name.size,
                           slot->name.data, t.size, wanted);
    return codec_fault(c, "%.*s: \"%.*s\" is not %s", (int)slot->name.size, slot->name.data,
                       (int)t.size, t.data, wanted);
}

static bool read_integer(struct codec *c, const struct slot *slot, struct span t)
{
    char digits[32], *end;
    t = text_trim(t);
    if (t.size == 0 || t.size >= sizeof digits)
        return bad_text(c, slot, t, "an integer");
    memcpy(digits, t.data, t.size);
    digits[t.size] = 0;
    errno = 0;
    long long n = strtoll(digits, &end, 10);
    if (*end != 0 || errno == ERANGE)
        return bad_text(c, slot, t, "an integer");
    lua_pushinteger(c->L, n);
    return true;
}

static bool read_double(struct codec *c, const struct slot *slot, struct span t)
{
    char digits[64], *end;
    t = text_trim(t);
    if (t.size == 0 || t.size >= sizeof digits)
        return bad_text(c, slot, t, "a number");
    memcpy(digits, t.data, t.size);
    digits[t.size] = 0;
    double d = strtod(digits, &end); /* NaN, Infinity and -Infinity too */
    if (*end != 0)
        return bad_text(c, slot, t, "a number");
    lua_pushnumber(c->L, d);
    return true;
}

static bool read_blob(struct codec *c, const struct slot *slot, struct span t)
{
    struct buffer *b = &c->s->text;
    buffer_clear(b);
    if (!add_unbase64(b, t))
        return bad_text(c, slot, t, "base64");
    lua_pushlstring(c->L, b->size ? b->data : "", b->size);
    return true;
}

bool read_scalar(struct codec *c, const struct slot *slot, struct shape *s, struct span t)
{
    if (t.data == NULL) /* of an empty buffer */
        t = (struct span){"", 0};
    if (c->server)
        return strict_scalar(c, slot, s, t);
    switch (s->type) {
    case STRING:
        push_text(c->L, t);
        return true;
    case BLOB:
        return read_blob(c, slot, t);
    case BOOLEAN:
        t = text_trim(t);
        lua_pushboolean(c->L, text_caseless_eq(t, text_of("true")) || text_is(t, "1"));
        return true;
    case INTEGER:
    case LONG:
        return read_integer(c, slot, t);
    case FLOAT:
    case DOUBLE:
        return read_double(c, slot, t);
    case TIMESTAMP:
        return read_time(c->L, t) || bad_text(c, slot, t, "a time");
    default:
        return bad_text(c, slot, t, "what the model says");
    }
}
