/* Writing JSON, by shape or freely. Numbers keep every digit; text is written
 * as the UTF-8 it is. */
#include <math.h>

#include "model/wire/json.h"

/* The key of the metatable that marks a Lua table as an array. */
const char json_array_key = 0;

void json_write_string(struct buffer *out, struct span t)
{
    static const char hex[] = "0123456789abcdef";
    const char *p = t.data, *end = t.data + t.size;
    buffer_add_char(out, '"');
    while (p < end) {
        const char *run = p;
        while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
            p++;
        buffer_add(out, run, (size_t)(p - run));
        if (p == end)
            break;
        unsigned char c = (unsigned char)*p++;
        buffer_add_char(out, '\\');
        if (c == '"' || c == '\\')
            buffer_add_char(out, (char)c);
        else if (c == '\n')
            buffer_add_char(out, 'n');
        else if (c == '\r')
            buffer_add_char(out, 'r');
        else if (c == '\t')
            buffer_add_char(out, 't');
        else {
            add_str(out, "u00");
            buffer_add_char(out, hex[c >> 4]);
            buffer_add_char(out, hex[c & 15]);
        }
    }
    buffer_add_char(out, '"');
}

bool json_is_array(lua_State *L, int at)
{
    if (lua_rawlen(L, at) > 0)
        return true;
    if (!lua_getmetatable(L, at))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &json_array_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool any_list(struct codec *c, struct buffer *out, int at)
{
    size_t n = lua_rawlen(c->L, at);
    buffer_add_char(out, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            buffer_add_char(out, ',');
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!json_write_any(c, out, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    buffer_add_char(out, ']');
    return true;
}

static bool any_object(struct codec *c, struct buffer *out, int at)
{
    bool first = true;
    buffer_add_char(out, '{');
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        if (lua_type(c->L, -2) != LUA_TSTRING)
            return codec_fault(c, "an object's keys must be strings");
        if (!first)
            buffer_add_char(out, ',');
        first = false;
        json_write_string(out, get_text(c->L, -2));
        buffer_add_char(out, ':');
        if (!json_write_any(c, out, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    buffer_add_char(out, '}');
    return true;
}

static bool any_number(struct codec *c, struct buffer *out, int at)
{
    double d = lua_tonumber(c->L, at);
    if (lua_isinteger(c->L, at))
        add_int(out, lua_tointeger(c->L, at));
    else if (isfinite(d))
        add_double(out, d);
    else
        return codec_fault(c, "JSON has no %s", isnan(d) ? "NaN" : "infinity");
    return true;
}

bool json_write_any(struct codec *c, struct buffer *out, int at)
{
    switch (lua_type(c->L, at)) {
    case LUA_TSTRING:
        json_write_string(out, get_text(c->L, at));
        return true;
    case LUA_TNUMBER:
        return any_number(c, out, at);
    case LUA_TBOOLEAN:
        add_str(out, lua_toboolean(c->L, at) ? "true" : "false");
        return true;
    case LUA_TLIGHTUSERDATA:
        add_str(out, "null");
        return is_null(c->L, at) || codec_fault(c, "a pointer has no JSON");
    case LUA_TNIL:
        add_str(out, "null");
        return true;
    case LUA_TTABLE: {
        if (!codec_enter(c))
            return false;
        bool ok = json_is_array(c->L, at) ? any_list(c, out, at) : any_object(c, out, at);
        codec_leave(c);
        return ok;
    }
    default:
        return codec_fault(c, "a %s has no JSON", luaL_typename(c->L, at));
    }
}

static bool structure(struct codec *c, struct shape *s, int at, bool body)
{
    bool first = true;
    buffer_add_char(c->out, '{');
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (body && slot->location != IN_BODY)
            continue;
        if (!get_member(c, slot, at))
            continue;
        if (!first)
            buffer_add_char(c->out, ',');
        first = false;
        json_write_string(c->out, slot->wire);
        buffer_add_char(c->out, ':');
        if (!json_write(c, slot, lua_gettop(c->L), false))
            return false;
        lua_pop(c->L, 1);
    }
    buffer_add_char(c->out, '}');
    return true;
}

static bool list(struct codec *c, struct shape *s, int at)
{
    size_t n = lua_rawlen(c->L, at);
    buffer_add_char(c->out, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            buffer_add_char(c->out, ',');
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!json_write(c, &s->slots[0], lua_gettop(c->L), false))
            return false;
        lua_pop(c->L, 1);
    }
    buffer_add_char(c->out, ']');
    return true;
}

static bool map(struct codec *c, struct shape *s, int at)
{
    bool first = true;
    buffer_add_char(c->out, '{');
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        if (!first)
            buffer_add_char(c->out, ',');
        first = false;
        json_write_string(c->out, get_text(c->L, -2));
        buffer_add_char(c->out, ':');
        if (!json_write(c, &s->slots[1], lua_gettop(c->L), false))
            return false;
        lua_pop(c->L, 1);
    }
    buffer_add_char(c->out, '}');
    return true;
}

static bool scalar(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    bool quoted = s->type == STRING || s->type == BLOB;
    if (s->type == STRING) {
        json_write_string(c->out, get_text(c->L, at));
        return true;
    }
    if (s->type == TIMESTAMP)
        quoted = slot_time(c, slot, s, TIME_UNIX) != TIME_UNIX;
    if (s->type == FLOAT || s->type == DOUBLE)
        quoted = !isfinite(get_double(c->L, at));
    if (quoted)
        buffer_add_char(c->out, '"');
    if (!write_scalar(c, c->out, slot, s, at, TIME_UNIX))
        return false;
    if (quoted)
        buffer_add_char(c->out, '"');
    return true;
}

bool json_write(struct codec *c, struct slot *slot, int at, bool body)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (is_null(c->L, at)) {
        add_str(c->out, "null");
        return true;
    }
    if (s->type > MAP)
        return scalar(c, slot, s, at);
    if (s->traits & SHAPE_DOCUMENT)
        return json_write_any(c, c->out, at);
    if (lua_type(c->L, at) != LUA_TTABLE)
        return codec_fault(c, "%.*s: a table is expected", (int)slot->name.size, slot->name.data);
    if (!codec_enter(c))
        return false;
    bool ok = s->type == STRUCTURE ? structure(c, s, at, body)
              : s->type == LIST    ? list(c, s, at)
                                   : map(c, s, at);
    codec_leave(c);
    return ok;
}
