/* Any fuzz target written in Lua: tests/fuzz/NAME.lua returns a function that is
 * given the bytes. It may raise errors of the stdlib's kinds; what must not happen
 * is seen by the sanitizers, or raised by the target itself as a text that begins
 * with "FUZZ". The target's name comes in FUZZ_TARGET. */
#include "loop/host.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer offers no place for a state of ours. */
static struct {
    struct host host;
    lua_State *L;
} fuzz;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, lua_tostring(fuzz.L, -1));
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("FUZZ_TARGET");
    fuzz.L = host_open(&fuzz.host, *argc, *argv, modules_preload);
    if (fuzz.L == NULL || name == NULL)
        abort();
    lua_getglobal(fuzz.L, "package");
    lua_pushliteral(fuzz.L, "stdlib/?.lua;stdlib/?/init.lua;tests/fuzz/?.lua;tests/?.lua");
    lua_setfield(fuzz.L, -2, "path");
    /* By its path: a module of the library may bear the same name. */
    lua_pushfstring(fuzz.L, "tests/fuzz/%s.lua", name);
    if (luaL_loadfile(fuzz.L, lua_tostring(fuzz.L, -1)) != LUA_OK || lua_pcall(fuzz.L, 0, 1, 0) != LUA_OK)
        die(name);
    luaL_checktype(fuzz.L, -1, LUA_TFUNCTION);
    lua_replace(fuzz.L, 1);
    lua_settop(fuzz.L, 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_pushvalue(fuzz.L, 1);
    lua_pushlstring(fuzz.L, (const char *)data, size);
    if (lua_pcall(fuzz.L, 1, 0, 0) != LUA_OK) {
        const char *text = lua_tostring(fuzz.L, -1);
        if (text != NULL && strstr(text, "FUZZ") != NULL)
            die("target");
    }
    lua_settop(fuzz.L, 1);
    return 0;
}
