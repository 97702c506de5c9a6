/* drlua: opens the host, finds the standard library (compiled in, or in the
 * directory DRLUA_STDLIB), and hands the command line to cli/main.lua, whose
 * result is the exit code. */
#include "base/argument.h"
#include "embed.h"
#include "loop/host.h"
#include "modules.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Secrets live in this process: no core file, no ptrace by others. The leak
 * checker of the sanitized build needs ptrace. */
static void keep_private(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (!SANITIZED)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* A process may be started with standard descriptors closed: then a file opened later would be
 * used as the output. Writing to such an output fails, as it would have, so that it can be
 * reported. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int how = fd == STDOUT_FILENO ? O_RDONLY : O_RDWR;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", how) < 0)
            return;
    }
}

static int load_chunk(lua_State *L, const struct embedded *file, const char *mode)
{
    lua_pushfstring(L, "@%s", file->name);
    int status = luaL_loadbufferx(L, file->data, (size_t)(file->end - file->data),
                                  lua_tostring(L, -1), mode);
    lua_remove(L, -2);
    return status;
}

/* Code compiled by another version of Lua is refused: then the source is loaded. */
static int load_embedded(lua_State *L, const char *name)
{
    const struct embedded *compiled = embed_find_compiled(name), *file = embed_find(name);
    if (!file)
        return LUA_ERRFILE;
    if (compiled) {
        int status = load_chunk(L, compiled, "b");
        if (status == LUA_OK)
            return status;
        lua_pop(L, 1);
    }
    return load_chunk(L, file, "t");
}

/* package.searchers: finds stdlib/NAME.lua or stdlib/NAME/init.lua in the binary. */
static int searcher(lua_State *L)
{
    const char *module = argument_text(L, 1);
    static const char *const patterns[] = {"stdlib/%s.lua", "stdlib/%s/init.lua"};
    const char *path = luaL_gsub(L, module, ".", "/");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        lua_pushfstring(L, patterns[i], path);
        const char *name = lua_tostring(L, -1);
        int status = load_embedded(L, name);
        if (status == LUA_OK) {
            lua_pushstring(L, name);
            return 2;
        }
        if (status != LUA_ERRFILE)
            return lua_error(L);
    }
    lua_pushfstring(L, "no file 'stdlib/%s.lua' in drlua", path);
    return 1;
}

/* Modules come from the binary; from DRLUA_STDLIB before it, when that is set.
 * The system's Lua paths are not searched: a stray file must not become code. */
static void set_paths(lua_State *L)
{
    const char *directory = getenv("DRLUA_STDLIB");
    lua_getglobal(L, "package");
    if (directory && *directory)
        lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", directory, directory);
    else
        lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_getfield(L, -1, "searchers");
    lua_pushcfunction(L, searcher);
    lua_rawseti(L, -2, 3);
    lua_pushnil(L);
    lua_rawseti(L, -2, 4);
    lua_pop(L, 2);
}

static int traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);
    luaL_traceback(L, L, message ? message : luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* Arguments: none. Result: the exit code of cli/main.lua. */
static int run(lua_State *L)
{
    struct host *host = host_of(L);
    set_paths(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cli.main");
    lua_call(L, 1, 1);
    lua_createtable(L, host->argc, 0);
    for (int i = 0; i < host->argc; i++) {
        lua_pushstring(L, host->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

int main(int argc, char **argv)
{
    struct host host;
    keep_private();
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* our parent may have ignored it */
    lua_State *L = host_open(&host, argc, argv, modules_preload);
    if (!L) {
        fputs("drlua: out of memory at start\n", stderr);
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    int code = EXIT_FAILURE;
    if (lua_pcall(L, 0, 1, 1) == LUA_OK)
        code = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "drlua: internal error: %s\n", lua_tostring(L, -1));
    host_close(&host, L);
    return code;
}
