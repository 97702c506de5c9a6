/* process.start: turns the table of options into arguments, environment and
 * streams of a new process. Lua may raise only until the first descriptor is
 * opened; from there on nothing does. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/option.h"
#include "base/signals.h"
#include "loop/host.h"
#include "process/process.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum stream_kind { STREAM_NULL, STREAM_PIPE, STREAM_INHERIT, STREAM_STDOUT, STREAM_FILE };

struct stream {
    enum stream_kind kind;
    const char *path; /* of STREAM_FILE */
};

struct launch {
    struct spawn spawn;
    struct stream streams[3];
    int anchor; /* stack index of a table that keeps our strings */
};

static const char *const stream_names[] = {"stdin", "stdout", "stderr"};

/* Keeps the string on top of the stack alive until start returns; pops it. */
static char *anchor(lua_State *L, struct launch *launch)
{
    luaL_tolstring(L, -1, NULL);
    const char *text = stack_text(L, -1, "an argument of the program");
    lua_rawseti(L, launch->anchor, (lua_Integer)lua_rawlen(L, launch->anchor) + 1);
    lua_pop(L, 1);
    return (char *)text;
}

static void read_argv(lua_State *L, struct launch *launch)
{
    if (!option_table(L, 1, "argv") || luaL_len(L, -1) < 1)
        luaL_error(L, "option \"argv\": a list with the program and its arguments expected");
    lua_Integer count = luaL_len(L, -1);
    char **argv = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *argv, 0);
    for (lua_Integer i = 0; i < count; i++) {
        int type = lua_geti(L, -2, i + 1);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            luaL_error(L, "argv[%d]: a string expected, got %s", (int)i + 1, luaL_typename(L, -1));
        argv[i] = anchor(L, launch);
    }
    argv[count] = NULL;
    launch->spawn.argv = argv; /* the userdata stays on the stack */
}

static bool overridden(lua_State *L, int env, const char *entry)
{
    const char *equals = strchr(entry, '=');
    if (!env || !equals)
        return false;
    lua_pushlstring(L, entry, (size_t)(equals - entry));
    bool found = lua_gettable(L, env) != LUA_TNIL;
    lua_pop(L, 1);
    return found;
}

/* Appends NAME=VALUE for every entry of the table `env`; false removes a name. */
static size_t add_env(lua_State *L, struct launch *launch, int env, char **envp, size_t count)
{
    lua_pushnil(L);
    while (env && lua_next(L, env)) {
        if (lua_type(L, -2) != LUA_TSTRING ||
            strchr(stack_text(L, -2, "a variable's name"), '='))
            luaL_error(L, "option \"env\": \"%s\" is no name of a variable",
                       luaL_tolstring(L, -2, NULL));
        int type = lua_type(L, -1);
        if (type == LUA_TSTRING || type == LUA_TNUMBER) {
            luaL_tolstring(L, -1, NULL);
            const char *value = stack_text(L, -1, "a variable's value");
            lua_pushfstring(L, "%s=%s", lua_tostring(L, -3), value);
            lua_remove(L, -2);
            envp[count++] = anchor(L, launch);
        } else if (type != LUA_TBOOLEAN || lua_toboolean(L, -1)) {
            luaL_error(L, "option \"env\": %s: a string or false expected, got %s",
                       lua_tostring(L, -2), luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
    return count;
}

/* Our own environment, unless clear_env, with the entries of `env` over it. */
static void read_env(lua_State *L, struct launch *launch)
{
    bool clear = option_bool(L, 1, "clear_env", false);
    int env = option_table(L, 1, "env") ? lua_gettop(L) : 0;
    size_t capacity = 1, count = 0;
    for (char **entry = environ; !clear && *entry; entry++)
        capacity++;
    lua_pushnil(L);
    while (env && lua_next(L, env)) {
        lua_pop(L, 1);
        capacity++;
    }
    if (!env)
        lua_pop(L, 1);
    char **envp = lua_newuserdatauv(L, capacity * sizeof *envp, 0);
    for (char **entry = environ; !clear && *entry; entry++)
        if (!overridden(L, env, *entry))
            envp[count++] = *entry;
    count = add_env(L, launch, env, envp, count);
    envp[count] = NULL;
    launch->spawn.envp = envp;
}

static void read_stream(lua_State *L, struct launch *launch, int i)
{
    static const char *const kinds[] = {"null", "pipe", "inherit", "stdout"};
    static const char *const known[] = {"file", NULL};
    struct stream *stream = &launch->streams[i];
    const char *name = stream_names[i];
    stream->kind = i == 0 ? STREAM_NULL : STREAM_PIPE;
    int type = lua_getfield(L, 1, name);
    if (type == LUA_TTABLE) {
        option_check(L, -1, known);
        stream->kind = STREAM_FILE;
        stream->path = option_string(L, -1, "file", NULL);
        if (!stream->path)
            luaL_error(L, "option \"%s\": {file=PATH} expected", name);
    } else if (type != LUA_TNIL) {
        const char *word = type == LUA_TSTRING ? stack_text(L, -1, name) : "";
        int k = 0;
        while (k < 4 && strcmp(word, kinds[k]) != 0)
            k++;
        if (k == 4 || (k == STREAM_STDOUT && i != 2))
            luaL_error(L,
                       "option \"%s\": \"null\", \"pipe\", \"inherit\"%s or {file=PATH} "
                       "expected",
                       name, i == 2 ? ", \"stdout\"" : "");
        stream->kind = (enum stream_kind)k;
    }
    lua_pop(L, 1);
}

static void read_user(lua_State *L, struct spawn *spawn)
{
    static const char *const known[] = {"uid", "gid", NULL};
    if (!option_table(L, 1, "user"))
        return;
    option_check(L, -1, known);
    lua_Integer uid = option_integer(L, -1, "uid", -1), gid = option_integer(L, -1, "gid", -1);
    if (uid < 0 || gid < 0)
        luaL_error(L, "option \"user\": {uid=, gid=} expected");
    spawn->change_user = true;
    spawn->uid = (uid_t)uid;
    spawn->gid = (gid_t)gid;
    lua_pop(L, 1);
}

static void read_death_signal(lua_State *L, struct spawn *spawn)
{
    int type = lua_getfield(L, 1, "die_with_parent");
    if (type == LUA_TSTRING)
        spawn->death_signal = signals_number(stack_text(L, -1, "die_with_parent"));
    else if (type == LUA_TBOOLEAN)
        spawn->death_signal = lua_toboolean(L, -1) ? SIGKILL : 0;
    if (type != LUA_TNIL && (type == LUA_TBOOLEAN ? 0 : !spawn->death_signal))
        luaL_error(L, "option \"die_with_parent\": true, false or the name of a signal expected");
    lua_pop(L, 1);
}

static bool is_program(const char *path)
{
    struct stat st;
    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Finds the program in the PATH that it will itself see. False: not there. */
static bool find_program(lua_State *L, struct launch *launch)
{
    const char *name = launch->spawn.argv[0], *search = "/usr/local/bin:/usr/bin:/bin";
    launch->spawn.path = name;
    if (strchr(name, '/'))
        return true;
    for (char **entry = launch->spawn.envp; *entry; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            search = *entry + 5;
    for (;;) {
        char path[PATH_MAX];
        size_t size = strcspn(search, ":");
        int length = snprintf(path, sizeof path, "%.*s/%s", (int)size, search, name);
        if (size > 0 && length > 0 && (size_t)length < sizeof path && is_program(path)) {
            lua_pushstring(L, path);
            launch->spawn.path = anchor(L, launch);
            return true;
        }
        if (!search[size])
            return false;
        search += size + 1;
    }
}

/* Opens stream i. ours and its: descriptors to keep and to hand over. Returns 0
 * or an errno. */
static int open_stream(const struct stream *stream, int i, int *ours, int *its)
{
    int pair[2];
    switch (stream->kind) {
    case STREAM_INHERIT:
        return 0;
    case STREAM_PIPE:
        if (pipe2(pair, O_CLOEXEC))
            return errno;
        *ours = pair[i == 0];
        *its = pair[i != 0];
        return fcntl(*ours, F_SETFL, O_NONBLOCK) ? errno : 0;
    case STREAM_FILE:
        *its = i == 0 ? open(stream->path, O_RDONLY | O_CLOEXEC)
                      : open(stream->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        return *its < 0 ? errno : 0;
    default:
        *its = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
        return *its < 0 ? errno : 0;
    }
}

static int open_streams(struct launch *launch, struct process *process, int its[3], int *failed)
{
    for (int i = 0; i < 3; i++) {
        *failed = i;
        int error = 0;
        if (launch->streams[i].kind != STREAM_STDOUT)
            error = open_stream(&launch->streams[i], i, &process->fds[i], &its[i]);
        if (error)
            return error;
        launch->spawn.fds[i] = its[i] >= 0 ? its[i] : i;
        if (launch->streams[i].kind == STREAM_STDOUT)
            launch->spawn.fds[i] = launch->spawn.fds[1];
    }
    return 0;
}

/* Starts it; spawn.step reports a failure. Without a pidfd (an old kernel, a sandbox that forbids
 * it) its end is polled. */
static void start_process(struct launch *launch, struct process *process)
{
    process->pid = spawn_start(&launch->spawn);
    if (process->pid > 0)
        process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
}

static int push_start_error(lua_State *L, const struct spawn *spawn)
{
    if (spawn->cwd && strcmp(spawn->step, "enter the directory") == 0)
        return push_errno(L, spawn->error, "start %s: enter the directory %s", spawn->argv[0],
                          spawn->cwd);
    return push_errno(L, spawn->error, "start %s: %s", spawn->argv[0], spawn->step);
}

static void read_options(lua_State *L, struct launch *launch)
{
    static const char *const known[] = {"argv", "env", "clear_env", "cwd", "stdin", "stdout",
                                        "stderr", "die_with_parent", "user", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    option_check(L, 1, known);
    lua_newtable(L);
    launch->anchor = lua_gettop(L);
    read_argv(L, launch);
    read_env(L, launch);
    for (int i = 0; i < 3; i++)
        read_stream(L, launch, i);
    read_user(L, &launch->spawn);
    read_death_signal(L, &launch->spawn);
    launch->spawn.cwd = option_string(L, 1, "cwd", NULL);
}

int process_start(lua_State *L)
{
    struct launch launch = {.anchor = 0};
    int its[3] = {-1, -1, -1}, failed = 0;
    lua_settop(L, 1);
    read_options(L, &launch);
    if (!find_program(L, &launch))
        return push_failure(L, "missing", "no program \"%s\" in PATH", launch.spawn.argv[0]);
    struct process *process = process_new(L);
    int error = open_streams(&launch, process, its, &failed);
    if (!error)
        start_process(&launch, process);
    for (int i = 0; i < 3; i++)
        if (its[i] >= 0)
            close(its[i]);
    if (error || launch.spawn.step)
        process_end(process);
    if (error)
        return push_errno(L, error, "start %s: open its %s", launch.spawn.argv[0],
                          stream_names[failed]);
    if (launch.spawn.step)
        return push_start_error(L, &launch.spawn);
    return 1;
}
