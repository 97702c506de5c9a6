/* One table of all native modules. A new one: its file in engine/, a line in
 * each of the two lists here, its row in docs/architecture.md, its test. */
#include "modules.h"

#include <lauxlib.h>
#include <lua-cjson.h>

int luaopen_native_clock(lua_State *L);
int luaopen_native_crypto(lua_State *L);
int luaopen_native_embed(lua_State *L);
int luaopen_native_fs(lua_State *L);
int luaopen_native_gzip(lua_State *L);
int luaopen_native_http(lua_State *L);
int luaopen_native_json(lua_State *L);
int luaopen_native_loop(lua_State *L);
int luaopen_native_model(lua_State *L);
int luaopen_native_pq(lua_State *L);
int luaopen_native_process(lua_State *L);
int luaopen_native_relay(lua_State *L);
int luaopen_native_server(lua_State *L);
int luaopen_native_signal(lua_State *L);
int luaopen_native_sigv4(lua_State *L);
int luaopen_native_sqlite(lua_State *L);
int luaopen_native_sys(lua_State *L);
int luaopen_native_terminal(lua_State *L);
int luaopen_native_timer(lua_State *L);
int luaopen_native_xml(lua_State *L);

static const luaL_Reg modules[] = {
    {"native.clock", luaopen_native_clock},
    {"native.crypto", luaopen_native_crypto},
    {"native.embed", luaopen_native_embed},
    {"native.fs", luaopen_native_fs},
    {"native.gzip", luaopen_native_gzip},
    {"native.http", luaopen_native_http},
    {"native.json", luaopen_native_json},
    {"native.loop", luaopen_native_loop},
    {"native.model", luaopen_native_model},
    {"native.pq", luaopen_native_pq},
    {"native.process", luaopen_native_process},
    {"native.relay", luaopen_native_relay},
    {"native.server", luaopen_native_server},
    {"native.signal", luaopen_native_signal},
    {"native.sigv4", luaopen_native_sigv4},
    {"native.sqlite", luaopen_native_sqlite},
    {"native.sys", luaopen_native_sys},
    {"native.terminal", luaopen_native_terminal},
    {"native.timer", luaopen_native_timer},
    {"native.xml", luaopen_native_xml},
    {"cjson", luaopen_cjson},
    {NULL, NULL},
};

void modules_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    lua_pop(L, 1);
}
