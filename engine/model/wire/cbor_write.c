/* Writing CBOR (RFC 8949), by shape or freely, with definite lengths. */
#include <math.h>

#include "model/wire/cbor.h"
#include "model/wire/json.h"

enum { UINT, NEGATIVE, BYTES, TEXT, ARRAY, TABLE, TAG, SIMPLE };

static void raw(struct buffer *out, uint64_t bits, int bytes)
{
    while (bytes-- > 0)
        buffer_add_char(out, (char)(bits >> bytes * 8 & 0xff));
}

static void head(struct buffer *out, int major, uint64_t n)
{
    int info = n < 24 ? (int)n : n < 0x100 ? 24 : n < 0x10000 ? 25 : n < 0x100000000 ? 26 : 27;
    buffer_add_char(out, (char)(major << 5 | info));
    if (info >= 24)
        raw(out, n, 1 << (info - 24));
}

static void put_integer(struct buffer *out, long long n)
{
    if (n >= 0)
        head(out, UINT, (uint64_t)n);
    else
        head(out, NEGATIVE, (uint64_t)(-1 - n));
}

static void put_double(struct buffer *out, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    buffer_add_char(out, (char)(SIMPLE << 5 | 27));
    raw(out, bits, 8);
}

static void put_float(struct buffer *out, double d)
{
    float f = (float)d;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    buffer_add_char(out, (char)(SIMPLE << 5 | 26));
    raw(out, bits, 4);
}

static void put_text(struct buffer *out, int major, struct span t)
{
    head(out, major, t.size);
    buffer_add_span(out, t);
}

static uint64_t count_keys(lua_State *L, int at)
{
    uint64_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        n++;
    }
    return n;
}

static bool any_table(struct codec *c, struct buffer *out, int at)
{
    uint64_t n = lua_rawlen(c->L, at);
    bool array = n > 0;
    if (!array && lua_getmetatable(c->L, at)) {
        lua_rawgetp(c->L, LUA_REGISTRYINDEX, &json_array_key);
        array = lua_rawequal(c->L, -1, -2);
        lua_pop(c->L, 2);
    }
    head(out, array ? ARRAY : TABLE, array ? n : count_keys(c->L, at));
    for (uint64_t i = 1; array && i <= n; i++) {
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!cbor_write_any(c, out, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    if (array)
        return true;
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        if (lua_type(c->L, -2) != LUA_TSTRING)
            return codec_fault(c, "an object's keys must be strings");
        put_text(out, TEXT, get_text(c->L, -2));
        if (!cbor_write_any(c, out, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

bool cbor_write_any(struct codec *c, struct buffer *out, int at)
{
    bool ok = true;
    switch (lua_type(c->L, at)) {
    case LUA_TSTRING:
        put_text(out, TEXT, get_text(c->L, at));
        return true;
    case LUA_TNUMBER:
        if (lua_isinteger(c->L, at))
            put_integer(out, lua_tointeger(c->L, at));
        else
            put_double(out, lua_tonumber(c->L, at));
        return true;
    case LUA_TBOOLEAN:
        buffer_add_char(out, (char)(SIMPLE << 5 | (lua_toboolean(c->L, at) ? 21 : 20)));
        return true;
    case LUA_TTABLE:
        if (!codec_enter(c))
            return false;
        ok = any_table(c, out, at);
        codec_leave(c);
        return ok;
    case LUA_TLIGHTUSERDATA:
    case LUA_TNIL:
        buffer_add_char(out, (char)(SIMPLE << 5 | 22));
        return true;
    default:
        return codec_fault(c, "a %s has no CBOR", luaL_typename(c->L, at));
    }
}

static bool structure(struct codec *c, struct shape *s, int at)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (!get_member(c, &s->slots[i], at))
            continue;
        lua_pop(c->L, 1);
        n++;
    }
    head(c->out, TABLE, n);
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (!get_member(c, slot, at))
            continue;
        put_text(c->out, TEXT, slot->wire);
        if (!cbor_write(c, slot, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

static bool list(struct codec *c, struct shape *s, int at)
{
    size_t n = lua_rawlen(c->L, at);
    head(c->out, ARRAY, n);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!cbor_write(c, &s->slots[0], lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

static bool map(struct codec *c, struct shape *s, int at)
{
    head(c->out, TABLE, count_keys(c->L, at));
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        put_text(c->out, TEXT, get_text(c->L, -2));
        if (!cbor_write(c, &s->slots[1], lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

static bool put_time(struct codec *c, const struct slot *slot, int at)
{
    double seconds = 0;
    if (lua_type(c->L, at) == LUA_TNUMBER)
        seconds = lua_tonumber(c->L, at);
    else if (!parse_time(get_text(c->L, at), &seconds))
        return codec_fault(c, "%.*s is not a time", (int)slot->name.size, slot->name.data);
    buffer_add_char(c->out, (char)(TAG << 5 | 1));
    if (seconds == floor(seconds) && fabs(seconds) < 9e15)
        put_integer(c->out, (long long)seconds);
    else
        put_double(c->out, seconds);
    return true;
}

static bool container(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    bool ok;
    if (lua_type(c->L, at) != LUA_TTABLE)
        return codec_fault(c, "%.*s: a table is expected", (int)slot->name.size, slot->name.data);
    if (!codec_enter(c))
        return false;
    if (s->type == STRUCTURE)
        ok = structure(c, s, at);
    else if (s->type == LIST)
        ok = list(c, s, at);
    else
        ok = map(c, s, at);
    codec_leave(c);
    return ok;
}

bool cbor_write(struct codec *c, struct slot *slot, int at)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if ((s->traits & SHAPE_DOCUMENT) || is_null(c->L, at))
        return cbor_write_any(c, c->out, at);
    switch (s->type) {
    case STRUCTURE:
    case LIST:
    case MAP:
        return container(c, slot, s, at);
    case STRING:
    case BLOB:
        put_text(c->out, s->type == BLOB ? BYTES : TEXT, get_text(c->L, at));
        return true;
    case BOOLEAN:
        buffer_add_char(c->out, (char)(SIMPLE << 5 | (lua_toboolean(c->L, at) ? 21 : 20)));
        return true;
    case INTEGER:
    case LONG:
        put_integer(c->out, get_integer(c->L, at));
        return true;
    case TIMESTAMP:
        return put_time(c, slot, at);
    case FLOAT:
        put_float(c->out, get_double(c->L, at));
        return true;
    default:
        put_double(c->out, get_double(c->L, at));
        return true;
    }
}
