/* native.sys: the process, its user and its terminal. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/signals.h"
#include "loop/host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int sys_getenv(lua_State *L)
{
    lua_pushstring(L, getenv(argument_text(L, 1)));
    return 1;
}

/* The memory that a process was given its environment in is what /proc shows of it, to the end: a
 * variable that is removed is wiped there. */
static void wipe_variable(const char *name)
{
    size_t size = strlen(name);
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            explicit_bzero(*entry + size + 1, strlen(*entry + size + 1));
}

/* setenv(name, value or nil) */
static int sys_setenv(lua_State *L)
{
    const char *name = argument_text(L, 1);
    const char *value = argument_text_or(L, 2, NULL);
    if (!value)
        wipe_variable(name);
    int failed = value ? setenv(name, value, 1) : unsetenv(name);
    if (failed)
        return push_errno(L, errno, "set %s", name);
    lua_pushboolean(L, 1);
    return 1;
}

static int sys_environ(lua_State *L)
{
    lua_newtable(L);
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals)
            continue;
        lua_pushlstring(L, *entry, (size_t)(equals - *entry));
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

static int sys_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int sys_ppid(lua_State *L)
{
    lua_pushinteger(L, getppid());
    return 1;
}

static int sys_uid(lua_State *L)
{
    lua_pushinteger(L, geteuid());
    return 1;
}

static int sys_hostname(lua_State *L)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1))
        return push_errno(L, errno, "read the host name");
    lua_pushstring(L, name);
    return 1;
}

static int sys_cpus(lua_State *L)
{
    lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
    return 1;
}

/* user(name or uid?) -> {name, uid, gid, home}; without argument the one we are. */
static int sys_user(lua_State *L)
{
    const struct passwd *entry;
    if (lua_type(L, 1) == LUA_TSTRING)
        entry = getpwnam(argument_text(L, 1));
    else
        entry = getpwuid((uid_t)luaL_optinteger(L, 1, geteuid()));
    if (!entry)
        return push_failure(L, "missing", "no user %s", luaL_tolstring(L, 1, NULL));
    lua_newtable(L);
    lua_pushstring(L, entry->pw_name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, entry->pw_uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, entry->pw_gid);
    lua_setfield(L, -2, "gid");
    lua_pushstring(L, entry->pw_dir);
    lua_setfield(L, -2, "home");
    return 1;
}

/* kill(pid, "TERM") ; a negative pid means the group. */
static int sys_kill(lua_State *L)
{
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    const char *name = argument_text_or(L, 2, "TERM");
    int number = signals_number(name);
    luaL_argcheck(L, number, 2, "unknown signal");
    if (kill(pid, number))
        return push_errno(L, errno, "send %s to process %d", name, (int)pid);
    lua_pushboolean(L, 1);
    return 1;
}

/* Reads field `index` (from 3) of /proc/PID/stat, which follow the name in brackets. */
static bool proc_field(pid_t pid, int index, char *out, size_t size)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *field = strrchr(text, ')');
    for (int i = 2; field && i < index; i++) {
        field = strchr(field + 1, ' ');
    }
    if (!field)
        return false;
    snprintf(out, size, "%.*s", (int)strcspn(field + 1, " "), field + 1);
    return true;
}

/* alive(pid): exists and is no zombie. */
static int sys_alive(lua_State *L)
{
    char state[8] = "";
    bool known = proc_field((pid_t)luaL_checkinteger(L, 1), 3, state, sizeof state);
    lua_pushboolean(L, known && *state != 'Z' && *state != 'X');
    return 1;
}

/* start_time(pid) -> clock ticks since boot as text, or nil: with the pid it identifies one
 * process, where the pid alone may be reused. */
static int sys_start_time(lua_State *L)
{
    char ticks[32];
    if (!proc_field((pid_t)luaL_checkinteger(L, 1), 22, ticks, sizeof ticks))
        return push_failure(L, "missing", "no process %d", (int)lua_tointeger(L, 1));
    lua_pushstring(L, ticks);
    return 1;
}

static int sys_exe(lua_State *L)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return push_errno(L, errno, "find the program's own path");
    lua_pushlstring(L, path, (size_t)length);
    return 1;
}

static int sys_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* flush() -> true: all that was printed is written; else nil, message, kind. */
static int sys_flush(lua_State *L)
{
    if (fflush(stdout))
        return push_errno(L, errno, "the output could not be written");
    if (ferror(stdout))
        return push_failure(L, "io", "the output could not be written");
    lua_pushboolean(L, 1);
    return 1;
}

/* winsize(fd) -> columns, rows; nil when fd is no terminal. */
static int sys_winsize(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) || size.ws_col == 0)
        return push_failure(L, "invalid", "not a terminal");
    lua_pushinteger(L, size.ws_col);
    lua_pushinteger(L, size.ws_row);
    return 2;
}

static int sys_umask(lua_State *L)
{
    lua_pushinteger(L, umask((mode_t)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"getenv", sys_getenv},     {"setenv", sys_setenv},
    {"environ", sys_environ},   {"pid", sys_pid},
    {"ppid", sys_ppid},         {"uid", sys_uid},
    {"hostname", sys_hostname}, {"cpus", sys_cpus},
    {"user", sys_user},         {"kill", sys_kill},
    {"alive", sys_alive},       {"start_time", sys_start_time},
    {"exe", sys_exe},           {"isatty", sys_isatty},
    {"winsize", sys_winsize},   {"umask", sys_umask},
    {"flush", sys_flush},
    {NULL, NULL},
};

int luaopen_native_sys(lua_State *L);
int luaopen_native_sys(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
