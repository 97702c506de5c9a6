/* See option.h. */
#include "base/option.h"
#include "base/argument.h"

#include <lauxlib.h>
#include <string.h>

static bool is_known(const char *name, const char *const known[])
{
    for (; *known; known++)
        if (**known == *name && strcmp(*known, name) == 0)
            return true;
    return false;
}

static void refuse(lua_State *L, const char *name, const char *const known[])
{
    luaL_Buffer list;
    luaL_buffinit(L, &list);
    for (size_t i = 0; known[i]; i++) {
        if (i)
            luaL_addstring(&list, ", ");
        luaL_addstring(&list, known[i]);
    }
    luaL_pushresult(&list);
    luaL_error(L, "unknown option \"%s\" (known: %s)", name, lua_tostring(L, -1));
}

void option_check(lua_State *L, int index, const char *const known[])
{
    if (lua_isnoneornil(L, index))
        return;
    index = lua_absindex(L, index);
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        size_t size = 0;
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
        if (!name || has_zero_byte(name, size) || !is_known(name, known))
            refuse(L, name ? name : luaL_tolstring(L, -1, NULL), known);
    }
}

/* Pushes the option; returns its type. A missing table has no options. */
static int get(lua_State *L, int index, const char *name)
{
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    return lua_getfield(L, index, name);
}

static void wrong(lua_State *L, const char *name, const char *expected)
{
    luaL_error(L, "option \"%s\": %s expected, got %s", name, expected, luaL_typename(L, -1));
}

const char *option_bytes(lua_State *L, int index, const char *name, size_t *size)
{
    int type = get(L, index, name);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        wrong(L, name, "a string");
    const char *text = type == LUA_TNIL ? NULL : lua_tolstring(L, -1, size);
    lua_pop(L, 1);
    return text;
}

const char *option_string(lua_State *L, int index, const char *name, const char *fallback)
{
    size_t size = 0;
    const char *text = option_bytes(L, index, name, &size);
    if (text && has_zero_byte(text, size))
        luaL_error(L, "option \"%s\": the text has a zero byte in it", name);
    return text ? text : fallback;
}

double option_number(lua_State *L, int index, const char *name, double fallback)
{
    int type = get(L, index, name);
    if (type != LUA_TNIL && type != LUA_TNUMBER)
        wrong(L, name, "a number");
    double value = type == LUA_TNIL ? fallback : lua_tonumber(L, -1);
    if (value != value)
        luaL_error(L, "option \"%s\": not a number", name);
    lua_pop(L, 1);
    return value;
}

lua_Integer option_integer(lua_State *L, int index, const char *name, lua_Integer fallback)
{
    int type = get(L, index, name), whole = 1;
    lua_Integer value = fallback;
    if (type != LUA_TNIL)
        value = lua_tointegerx(L, -1, &whole);
    if ((type != LUA_TNIL && type != LUA_TNUMBER) || !whole)
        wrong(L, name, "an integer");
    lua_pop(L, 1);
    return value;
}

bool option_bool(lua_State *L, int index, const char *name, bool fallback)
{
    int type = get(L, index, name);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        wrong(L, name, "true or false");
    bool value = type == LUA_TNIL ? fallback : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

bool option_table(lua_State *L, int index, const char *name)
{
    int type = get(L, index, name);
    if (type == LUA_TTABLE)
        return true;
    if (type != LUA_TNIL)
        wrong(L, name, "a table");
    lua_pop(L, 1);
    return false;
}
