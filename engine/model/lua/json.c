/* native.json: JSON with exact 64-bit integers, null, and empty arrays. */
#include "model/lua/binding.h"
#include "model/wire/json.h"

static int failed(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushliteral(L, "invalid");
    return 3;
}

/* json.decode(text) -> value */
static int l_decode(lua_State *L)
{
    struct codec c;
    struct span t;
    t.data = luaL_checklstring(L, 1, &t.size);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    struct json in = {t.data, t.data, t.data + t.size};
    bool ok = json_read_any(&c, &in) && json_end(&c, &in);
    int value = lua_gettop(L);
    scratch_give(L, at);
    if (!ok)
        return failed(L, c.fault);
    lua_pushvalue(L, value);
    return 1;
}

struct style {
    int indent;
    bool sort;
};

static bool write_styled(struct codec *c, const struct style *style, int at, int level);

static void new_line(struct codec *c, const struct style *style, int level)
{
    if (style->indent == 0)
        return;
    buffer_add_char(c->out, '\n');
    for (int i = 0; i < style->indent * level; i++)
        buffer_add_char(c->out, ' ');
}

static bool only_text_keys(lua_State *L, int at)
{
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            continue;
        lua_pop(L, 1);
        return false;
    }
    return true;
}

static bool styled_object(struct codec *c, const struct style *style, int at, int level)
{
    lua_State *L = c->L;
    if (!only_text_keys(L, at))
        return codec_fault(c, "an object's keys must be strings");
    push_sorted_keys(L, at);
    int keys = lua_gettop(L);
    size_t n = lua_rawlen(L, keys);
    buffer_add_char(c->out, '{');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            buffer_add_char(c->out, ',');
        new_line(c, style, level + 1);
        lua_rawgeti(L, keys, (lua_Integer)i);
        json_write_string(c->out, get_text(L, -1));
        add_str(c->out, style->indent ? ": " : ":");
        lua_rawget(L, at);
        if (!write_styled(c, style, lua_gettop(L), level + 1))
            return false;
        lua_pop(L, 1);
    }
    if (n > 0)
        new_line(c, style, level);
    buffer_add_char(c->out, '}');
    lua_pop(L, 1);
    return true;
}

static bool styled_array(struct codec *c, const struct style *style, int at, int level)
{
    size_t n = lua_rawlen(c->L, at);
    buffer_add_char(c->out, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            buffer_add_char(c->out, ',');
        new_line(c, style, level + 1);
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!write_styled(c, style, lua_gettop(c->L), level + 1))
            return false;
        lua_pop(c->L, 1);
    }
    if (n > 0)
        new_line(c, style, level);
    buffer_add_char(c->out, ']');
    return true;
}

static bool write_styled(struct codec *c, const struct style *style, int at, int level)
{
    if (lua_type(c->L, at) != LUA_TTABLE)
        return json_write_any(c, c->out, at);
    bool array = json_is_array(c->L, at);
    if (!codec_enter(c))
        return false;
    bool ok = array ? styled_array(c, style, at, level) : styled_object(c, style, at, level);
    codec_leave(c);
    return ok;
}

static struct style read_style(lua_State *L)
{
    struct style style = {0, false};
    if (lua_isnoneornil(L, 2))
        return style;
    luaL_checktype(L, 2, LUA_TTABLE);
    int type = lua_getfield(L, 2, "indent");
    if (type == LUA_TNUMBER)
        style.indent = (int)get_integer(L, -1);
    else if (lua_toboolean(L, -1))
        style.indent = 2;
    lua_getfield(L, 2, "sort");
    style.sort = lua_toboolean(L, -1);
    luaL_argcheck(L, style.indent >= 0 && style.indent <= 16, 2, "indent must be from 0 to 16");
    lua_pop(L, 2);
    return style;
}

/* json.encode(value, {indent = 2, sort = true}) -> text */
static int l_encode(lua_State *L)
{
    struct codec c;
    luaL_checkany(L, 1);
    struct style style = read_style(L);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    bool ok = style.indent == 0 && !style.sort ? json_write_any(&c, c.out, 1)
                                               : write_styled(&c, &style, 1, 0);
    if (ok && c.out->failed)
        ok = codec_fault(&c, "out of memory");
    if (ok)
        push_text(L, buffer_span(c.out));
    int value = lua_gettop(L);
    scratch_give(L, at);
    if (!ok)
        return failed(L, c.fault);
    lua_pushvalue(L, value);
    return 1;
}

/* json.array(table) -> the same table, written as an array even when empty */
static int l_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &json_array_key);
    lua_setmetatable(L, 1);
    return 1;
}

/* json.is_array(value) -> whether it would be written as an array */
static int l_is_array(lua_State *L)
{
    lua_pushboolean(L, lua_istable(L, 1) && json_is_array(L, 1));
    return 1;
}

static const luaL_Reg functions[] = {
    {"decode", l_decode},     {"encode", l_encode}, {"array", l_array},
    {"is_array", l_is_array}, {NULL, NULL},
};

int luaopen_native_json(lua_State *L);
int luaopen_native_json(lua_State *L)
{
    model_prepare(L);
    lua_newtable(L);
    set_functions(L, functions);
    push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
