/* native.fs: files and directories by path: what they are, making, moving and removing them, and
 * locks. Contents are read and written in file.c. Local disks respond at once, so nothing here is
 * an operation. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/option.h"
#include "files/file.h"
#include "loop/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char LOCK_META[] = "drlua.lock";

static int succeed(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

static const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "link";
    case S_IFSOCK: return "socket";
    case S_IFIFO: return "fifo";
    default: return "device";
    }
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static int push_stat(lua_State *L, int failed, const struct stat *st, const char *path)
{
    if (failed)
        return push_errno(L, errno, "%s", path);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, type_name(st->st_mode));
    lua_setfield(L, -2, "type");
    set_integer(L, "size", st->st_size);
    set_integer(L, "mode", st->st_mode & 07777);
    set_integer(L, "uid", st->st_uid);
    set_integer(L, "gid", st->st_gid);
    set_integer(L, "dev", (lua_Integer)st->st_dev);
    set_integer(L, "ino", (lua_Integer)st->st_ino);
    lua_pushnumber(L, (double)st->st_mtim.tv_sec + (double)st->st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    return 1;
}

/* stat(path) -> {type=, size=, mode=, mtime=, uid=, gid=, dev=, ino=}; follows links. */
static int fs_stat(lua_State *L)
{
    struct stat st;
    const char *path = argument_text(L, 1);
    return push_stat(L, stat(path, &st), &st, path);
}

/* lstat(path): the same of a symbolic link itself. */
static int fs_lstat(lua_State *L)
{
    struct stat st;
    const char *path = argument_text(L, 1);
    return push_stat(L, lstat(path, &st), &st, path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Reads a directory's names; false with errno set. Lua is not touched, so that
 * nothing leaks when it raises. */
static bool read_names(DIR *dir, char ***names, size_t *count)
{
    size_t capacity = 0;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            char **grown = reallocarray(*names, capacity, sizeof *grown);
            if (!grown)
                return false;
            *names = grown;
        }
        if (!((*names)[*count] = strdup(entry->d_name)))
            return false;
        ++*count;
    }
    return errno == 0;
}

struct names {
    char **list;
    size_t count;
};

static int push_names(lua_State *L)
{
    const struct names *names = lua_touserdata(L, 1);
    lua_createtable(L, (int)names->count, 0);
    for (size_t i = 0; i < names->count; i++) {
        lua_pushstring(L, names->list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* list(path) -> names, sorted, without "." and "..". */
static int fs_list(lua_State *L)
{
    const char *path = argument_text(L, 1);
    struct names names = {0};
    DIR *dir = opendir(path);
    bool ok = dir && read_names(dir, &names.list, &names.count);
    int error = errno;
    if (dir)
        closedir(dir);
    if (!ok) {
        free_names(names.list, names.count);
        return push_errno(L, error, "list %s", path);
    }
    if (names.count)
        qsort(names.list, names.count, sizeof *names.list, by_name);
    lua_pushcfunction(L, push_names);
    lua_pushlightuserdata(L, &names);
    int status = lua_pcall(L, 1, 1, 0);
    free_names(names.list, names.count);
    return status == LUA_OK ? 1 : lua_error(L);
}

/* mkdir(path, mode = 0700) */
static int fs_mkdir(lua_State *L)
{
    const char *path = argument_text(L, 1);
    if (mkdir(path, (mode_t)luaL_optinteger(L, 2, 0700)))
        return push_errno(L, errno, "make the directory %s", path);
    return succeed(L);
}

/* remove(path): a file or an empty directory. */
static int fs_remove(lua_State *L)
{
    const char *path = argument_text(L, 1);
    if (remove(path))
        return push_errno(L, errno, "remove %s", path);
    return succeed(L);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)walk;
    int failed = type == FTW_DP ? rmdir(path) : unlink(path);
    return failed && errno != ENOENT ? errno : 0;
}

/* remove_tree(path): a directory with all it holds; symbolic links are removed, not followed. A
 * path that does not exist is not an error. */
static int fs_remove_tree(lua_State *L)
{
    const char *path = argument_text(L, 1);
    int error = nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
    if (error < 0)
        error = errno;
    if (error && error != ENOENT)
        return push_errno(L, error, "remove %s", path);
    return succeed(L);
}

static int fs_rename(lua_State *L)
{
    const char *from = argument_text(L, 1), *to = argument_text(L, 2);
    if (rename(from, to))
        return push_errno(L, errno, "rename %s to %s", from, to);
    return succeed(L);
}

/* symlink(target, path) */
static int fs_symlink(lua_State *L)
{
    const char *target = argument_text(L, 1), *path = argument_text(L, 2);
    if (symlink(target, path))
        return push_errno(L, errno, "link %s", path);
    return succeed(L);
}

static int fs_readlink(lua_State *L)
{
    const char *path = argument_text(L, 1);
    char target[PATH_MAX];
    ssize_t size = readlink(path, target, sizeof target);
    if (size < 0)
        return push_errno(L, errno, "read the link %s", path);
    lua_pushlstring(L, target, (size_t)size);
    return 1;
}

static int fs_chmod(lua_State *L)
{
    const char *path = argument_text(L, 1);
    if (chmod(path, (mode_t)luaL_checkinteger(L, 2)))
        return push_errno(L, errno, "set the mode of %s", path);
    return succeed(L);
}

/* chown(path, uid, gid); of a symbolic link itself. */
static int fs_chown(lua_State *L)
{
    const char *path = argument_text(L, 1);
    if (lchown(path, (uid_t)luaL_checkinteger(L, 2), (gid_t)luaL_checkinteger(L, 3)))
        return push_errno(L, errno, "set the owner of %s", path);
    return succeed(L);
}

static int fs_realpath(lua_State *L)
{
    const char *path = argument_text(L, 1);
    char resolved[PATH_MAX];
    if (!realpath(path, resolved))
        return push_errno(L, errno, "%s", path);
    lua_pushstring(L, resolved);
    return 1;
}

/* tempdir(prefix) -> path of a new directory, mode 0700, in $TMPDIR or /tmp. */
static int fs_tempdir(lua_State *L)
{
    const char *prefix = argument_text_or(L, 1, "drlua."), *base = getenv("TMPDIR");
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%sXXXXXX", base && *base ? base : "/tmp", prefix);
    if (size < 0 || (size_t)size >= sizeof path)
        return push_errno(L, ENAMETOOLONG, "make a temporary directory");
    if (!mkdtemp(path))
        return push_errno(L, errno, "make the temporary directory %s", path);
    lua_pushstring(L, path);
    return 1;
}

/* statfs(path) -> {free=, total=} in bytes; free: to an unprivileged user. */
static int fs_statfs(lua_State *L)
{
    const char *path = argument_text(L, 1);
    struct statvfs st;
    if (statvfs(path, &st))
        return push_errno(L, errno, "%s", path);
    lua_createtable(L, 0, 2);
    set_integer(L, "free", (lua_Integer)(st.f_bavail * st.f_frsize));
    set_integer(L, "total", (lua_Integer)(st.f_blocks * st.f_frsize));
    return 1;
}

static int push_matches(lua_State *L)
{
    const glob_t *found = lua_touserdata(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < found->gl_pathc; i++) {
        lua_pushstring(L, found->gl_pathv[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* glob(pattern) -> paths, sorted; none is an empty list. */
static int fs_glob(lua_State *L)
{
    const char *pattern = argument_text(L, 1);
    glob_t found = {0};
    int code = glob(pattern, 0, NULL, &found);
    if (code && code != GLOB_NOMATCH) {
        globfree(&found);
        return push_failure(L, "io", "look for %s: %s", pattern,
                            code == GLOB_NOSPACE ? "out of memory" : "a directory cannot be read");
    }
    lua_pushcfunction(L, push_matches);
    lua_pushlightuserdata(L, &found);
    int status = lua_pcall(L, 1, 1, 0);
    globfree(&found);
    return status == LUA_OK ? 1 : lua_error(L);
}

/* True when `path` still names the file that is open as `fd`. */
static bool names_file(const char *path, int fd)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Opens and locks `path`; a descriptor, or -1 with errno set. A file that was removed or replaced
 * between the two would exclude nobody: then it is tried again. */
static int lock_file(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
        int error = errno;
        if (locked && names_file(path, fd))
            return fd;
        close(fd);
        errno = error;
        if (!locked)
            return -1;
    }
}

/* lock(path) -> lock, or nil, message, "busy" when another holds it. The file is
 * made when missing and stays; the lock ends with close() or with the process. */
static int fs_lock(lua_State *L)
{
    const char *path = argument_text(L, 1);
    int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
    *fd = -1;
    luaL_setmetatable(L, LOCK_META);
    *fd = lock_file(path);
    if (*fd < 0)
        return push_errno(L, errno, "lock %s", path);
    return 1;
}

/* lock:holds(path) -> true while it is open and `path` names the locked file: a file that was
 * removed or replaced excludes nobody. */
static int lock_holds(lua_State *L)
{
    const int *fd = luaL_checkudata(L, 1, LOCK_META);
    const char *path = argument_text(L, 2);
    lua_pushboolean(L, *fd >= 0 && names_file(path, *fd));
    return 1;
}

static int lock_close(lua_State *L)
{
    int *fd = luaL_checkudata(L, 1, LOCK_META);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return 0;
}

static int lock_tostring(lua_State *L)
{
    const int *fd = luaL_checkudata(L, 1, LOCK_META);
    lua_pushfstring(L, "lock (%s)", *fd < 0 ? "closed" : "held");
    return 1;
}

static void make_lock_meta(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"close", lock_close},   {"__gc", lock_close}, {"__close", lock_close},
        {"__tostring", lock_tostring}, {"holds", lock_holds}, {NULL, NULL},
    };
    luaL_newmetatable(L, LOCK_META);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"stat", fs_stat},         {"lstat", fs_lstat},     {"list", fs_list},
    {"mkdir", fs_mkdir},       {"remove", fs_remove},   {"remove_tree", fs_remove_tree},
    {"rename", fs_rename},     {"symlink", fs_symlink}, {"readlink", fs_readlink},
    {"chmod", fs_chmod},       {"chown", fs_chown},     {"realpath", fs_realpath},
    {"tempdir", fs_tempdir},   {"statfs", fs_statfs},   {"glob", fs_glob},
    {"lock", fs_lock},         {"read", file_read},     {"write", file_write},
    {"sync", file_sync},       {"overwrite", file_overwrite}, {NULL, NULL},
};

int luaopen_native_fs(lua_State *L);
int luaopen_native_fs(lua_State *L)
{
    make_lock_meta(L);
    luaL_newlib(L, functions);
    return 1;
}
