/* native.embed: reads the files compiled into the binary. The standard library travels as source,
 * so that it can be read where it runs and a directory (DRLUA_STDLIB) can override any of it.
 * Next to it goes its compiled form, with line numbers: parsing the source would be a fifth of a
 * cold start. */
#include "embed.h"
#include "base/argument.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *key, const void *entry)
{
    return strcmp(key, ((const struct embedded *)entry)->name);
}

const struct embedded *embed_find(const char *name)
{
    return bsearch(name, embedded_files, embedded_count, sizeof *embedded_files, compare);
}

const struct embedded *embed_find_compiled(const char *name)
{
    return bsearch(name, compiled_files, compiled_count, sizeof *compiled_files, compare);
}

static int embed_read(lua_State *L)
{
    const struct embedded *file = embed_find(argument_text(L, 1));
    if (!file)
        return 0;
    lua_pushlstring(L, file->data, (size_t)(file->end - file->data));
    return 1;
}

static int embed_list(lua_State *L)
{
    size_t length;
    const char *prefix = luaL_optlstring(L, 1, "", &length);
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t i = 0; i < embedded_count; i++)
        if (strncmp(embedded_files[i].name, prefix, length) == 0) {
            lua_pushstring(L, embedded_files[i].name);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

static const luaL_Reg functions[] = {{"read", embed_read}, {"list", embed_list}, {NULL, NULL}};

int luaopen_native_embed(lua_State *L);
int luaopen_native_embed(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
