#include "loop/host.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct host *host_of(lua_State *L) { return *(struct host **)lua_getextraspace(L); }

double host_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double host_asleep(void)
{
    struct timespec boot, awake;
    clock_gettime(CLOCK_MONOTONIC, &awake);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)(boot.tv_sec - awake.tv_sec) + (double)(boot.tv_nsec - awake.tv_nsec) / 1e9;
}

/* Only errors before main's protected call arrive here. */
static int panic(lua_State *L)
{
    fprintf(stderr, "drlua: cannot start: %s\n", lua_tostring(L, -1));
    return 0;
}

lua_State *host_open(struct host *host, int argc, char **argv, void (*preload)(lua_State *))
{
    memset(host, 0, sizeof *host);
    host->argc = argc;
    host->argv = argv;
    lua_State *L = lua_newstate(pool_alloc, &host->pool);
    if (!L)
        return NULL;
    lua_atpanic(L, panic);
    /* Coroutines copy the extra space of the main state when they are made. */
    *(struct host **)lua_getextraspace(L) = host;
    luaL_openlibs(L);
    op_register(L);
    preload(L);
    return L;
}

/* The state goes first: its finalizers still use the host. */
void host_close(struct host *host, lua_State *L)
{
    lua_close(L);
    if (host->close_all)
        host->close_all(host);
    pool_close(&host->pool);
    free(host->turn.fds);
}
