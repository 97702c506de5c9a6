/* See argument.h. */
#include "base/argument.h"

#include <lauxlib.h>
#include <string.h>

static const char ZERO_BYTE[] = "the text has a zero byte in it";

bool has_zero_byte(const char *text, size_t size) { return memchr(text, 0, size) != NULL; }

const char *argument_text(lua_State *L, int argument)
{
    size_t size;
    const char *text = luaL_checklstring(L, argument, &size);
    luaL_argcheck(L, !has_zero_byte(text, size), argument, ZERO_BYTE);
    return text;
}

const char *argument_text_or(lua_State *L, int argument, const char *fallback)
{
    return lua_isnoneornil(L, argument) ? fallback : argument_text(L, argument);
}

int argument_option(lua_State *L, int argument, const char *fallback, const char *const list[])
{
    if (!fallback || !lua_isnoneornil(L, argument))
        argument_text(L, argument);
    return luaL_checkoption(L, argument, fallback, list);
}

const char *stack_text(lua_State *L, int index, const char *what)
{
    size_t size = 0;
    const char *text = lua_tolstring(L, index, &size);
    if (text && has_zero_byte(text, size))
        luaL_error(L, "%s: %s", what, ZERO_BYTE);
    return text;
}
