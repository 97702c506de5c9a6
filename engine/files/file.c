/* Whole files are read and written here, durably: a write returns when the bytes are on the disk.
 * An atomic write goes to a new file in the same directory, which then takes its name: a reader,
 * or a crash, sees the old contents or the new. */
#define _GNU_SOURCE
#include "files/file.h"
#include "base/argument.h"
#include "base/option.h"
#include "loop/host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor that a Lua error cannot leak. */
struct guard {
    int fd;
};
static const char GUARD_META[] = "drlua.fd";

static int guard_close(lua_State *L)
{
    struct guard *guard = lua_touserdata(L, 1);
    if (guard->fd >= 0)
        close(guard->fd);
    guard->fd = -1;
    return 0;
}

static struct guard *guard_new(lua_State *L)
{
    struct guard *guard = lua_newuserdatauv(L, sizeof *guard, 0);
    guard->fd = -1;
    if (luaL_newmetatable(L, GUARD_META)) {
        lua_pushcfunction(L, guard_close);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return guard;
}

static int guard_end(struct guard *guard)
{
    int fd = guard->fd;
    guard->fd = -1;
    return fd >= 0 ? close(fd) : 0;
}

int file_read(lua_State *L)
{
    const char *path = argument_text(L, 1);
    struct guard *guard = guard_new(L);
    struct stat st;
    guard->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (guard->fd < 0 || fstat(guard->fd, &st))
        return push_errno(L, errno, "read %s", path);
    luaL_Buffer contents;
    luaL_buffinit(L, &contents);
    /* The size is a hint: files in /proc claim to be empty, others grow. */
    size_t piece = st.st_size > 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : 4096;
    for (;;) {
        ssize_t got = read(guard->fd, luaL_prepbuffsize(&contents, piece), piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return push_errno(L, errno, "read %s", path);
        if (got == 0)
            break;
        luaL_addsize(&contents, (size_t)got);
        piece = (size_t)got < piece ? piece - (size_t)got : 16384;
    }
    guard_end(guard);
    luaL_pushresult(&contents);
    return 1;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            data += put;
            size -= (size_t)put;
        }
    }
    return true;
}

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return false;
    int failed = fsync(fd), error = errno;
    close(fd);
    errno = error;
    return !failed;
}

/* Syncs the directory that holds `path`, so that its name survives a crash. */
static bool sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    if (!slash)
        return sync_path(".", O_DIRECTORY);
    if (size == 0)
        return sync_path("/", O_DIRECTORY);
    if (size >= sizeof parent)
        return false;
    memcpy(parent, path, size);
    parent[size] = 0;
    return sync_path(parent, O_DIRECTORY);
}

static bool put(int fd, const char *data, size_t size, mode_t mode, bool set_mode)
{
    return (!set_mode || fchmod(fd, mode) == 0) && write_all(fd, data, size) && fsync(fd) == 0;
}

/* Returns 0 or an errno. */
static int write_atomic(const char *path, const char *data, size_t size, mode_t mode)
{
    char draft[PATH_MAX];
    int length = snprintf(draft, sizeof draft, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof draft)
        return ENAMETOOLONG;
    int fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0)
        return errno;
    bool ok = put(fd, data, size, mode, true);
    int error = errno;
    if (close(fd) && ok) {
        ok = false;
        error = errno;
    }
    if (ok && rename(draft, path) == 0)
        return sync_parent(path) ? 0 : errno;
    if (ok)
        error = errno;
    unlink(draft);
    return error;
}

static int write_plain(const char *path, const char *data, size_t size, mode_t mode, bool append)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC);
    int fd = open(path, flags, mode);
    if (fd < 0)
        return errno;
    bool ok = put(fd, data, size, mode, false);
    int error = errno;
    if (close(fd) && ok)
        return errno;
    return ok ? 0 : error;
}

/* A new file gets `mode` (default 0600); atomic (the default, unless append)
 * replaces the file by a new one of that mode. */
int file_write(lua_State *L)
{
    static const char *const known[] = {"mode", "atomic", "append", NULL};
    const char *path = argument_text(L, 1);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    option_check(L, 3, known);
    mode_t mode = (mode_t)option_integer(L, 3, "mode", 0600) & 07777;
    bool append = option_bool(L, 3, "append", false);
    bool atomic = option_bool(L, 3, "atomic", !append);
    luaL_argcheck(L, !(append && atomic), 3, "append and atomic exclude each other");
    int error = atomic ? write_atomic(path, data, size, mode)
                       : write_plain(path, data, size, mode, append);
    if (error)
        return push_errno(L, error, "write %s", path);
    lua_pushboolean(L, 1);
    return 1;
}

int file_overwrite(lua_State *L)
{
    const char *path = argument_text(L, 1);
    lua_Integer offset = luaL_checkinteger(L, 2);
    size_t size, done = 0;
    const char *data = luaL_checklstring(L, 3, &size);
    luaL_argcheck(L, offset >= 0, 2, "the offset is negative");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0;
    while (ok && done < size) {
        ssize_t put = pwrite(fd, data + done, size - done, (off_t)offset + (off_t)done);
        ok = put >= 0 || errno == EINTR;
        done += put > 0 ? (size_t)put : 0;
    }
    int error = ok ? 0 : errno;
    if (fd >= 0 && close(fd) && ok)
        error = errno;
    if (error)
        return push_errno(L, error, "write %s", path);
    lua_pushboolean(L, 1);
    return 1;
}

int file_sync(lua_State *L)
{
    const char *path = argument_text(L, 1);
    if (!sync_path(path, 0))
        return push_errno(L, errno, "sync %s", path);
    lua_pushboolean(L, 1);
    return 1;
}
