/* The list of native modules. A new one needs its file in a folder of engine/, its name here, its
 * row in docs/architecture.md, its stub in docs/meta/native/, its test. */
#include "modules.h"

#include <lauxlib.h>
#include <lua-cjson.h>

#define MODULES(X) \
    X(chain) X(clock) X(crypto) X(embed) X(fs) X(gzip) X(http) X(json) X(loop) X(model) X(pq) \
    X(process) X(pulse) X(relay) X(server) X(signal) X(sigv4) X(sqlite) X(sys) X(terminal) X(timer)

#define DECLARE(name) int luaopen_native_##name(lua_State *L);
#define LIST(name) {"native." #name, luaopen_native_##name},

MODULES(DECLARE)

static const luaL_Reg modules[] = {MODULES(LIST){"cjson", luaopen_cjson}, {NULL, NULL}};

void modules_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    lua_pop(L, 1);
}
