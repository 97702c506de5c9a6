/* native.process: programs as children, each in its own process group.
 *
 * Streams are pipes that never block us; the end of a child is seen by a pidfd. Once wait() has
 * reported its end the child is reaped and its pid is meaningless: until then a kill reaches the
 * whole group safely, even after the child itself has ended. Closing or collecting a process that
 * was not reaped kills its group and reaps it. The start itself is in spawn.c. */
#define _GNU_SOURCE
#include "process/process.h"
#include "base/argument.h"
#include "base/signals.h"
#include "loop/host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char PROCESS_META[] = "drlua.process";
static const double LOOK_SECONDS = 0.02; /* between polls, without a pidfd */
enum { READ_DEFAULT = 65536, READ_LIMIT = 16 << 20, REAP_MS = 2000 };

struct process *process_new(lua_State *L)
{
    struct process *process = lua_newuserdatauv(L, sizeof *process, 0);
    *process = (struct process){.pid = -1, .pidfd = -1, .fds = {-1, -1, -1}};
    luaL_setmetatable(L, PROCESS_META);
    return process;
}

static struct process *check_process(lua_State *L)
{
    return luaL_checkudata(L, 1, PROCESS_META);
}

static struct process *check_open(lua_State *L)
{
    struct process *process = check_process(L);
    if (process->closed)
        luaL_error(L, "process %d is closed", (int)process->pid);
    return process;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Takes the child's end, if it has come. */
static void reap(struct process *process)
{
    int status = 0;
    if (process->reaped)
        return;
    pid_t got = waitpid(process->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return;
    process->reaped = true;
    if (got > 0 && WIFSIGNALED(status))
        process->signal = WTERMSIG(status);
    else
        process->code = got > 0 ? WEXITSTATUS(status) : -1;
}

/* After a kill: short, except for a child stuck in the kernel, which is left to init. */
static void await_end(struct process *process)
{
    struct pollfd end = {.fd = process->pidfd, .events = POLLIN};
    int step = process->pidfd >= 0 ? REAP_MS : 1;
    for (int waited = 0; waited < REAP_MS && !process->reaped; waited += step) {
        poll(&end, 1, step);
        reap(process);
    }
}

void process_end(struct process *process)
{
    if (process->closed)
        return;
    process->closed = true;
    if (process->pid > 0 && !process->reaped) {
        kill(-process->pid, SIGKILL);
        await_end(process);
    }
    close_fd(&process->pidfd);
    for (int i = 0; i < 3; i++)
        close_fd(&process->fds[i]);
}

/* proc:close(): kills the group of a process that has not been reaped. */
static int process_close(lua_State *L)
{
    process_end(check_process(L));
    return 0;
}

static int process_tostring(lua_State *L)
{
    const struct process *process = check_process(L);
    lua_pushfstring(L, "process %d (%s)", (int)process->pid,
                    process->reaped ? "ended" : process->closed ? "closed" : "running");
    return 1;
}

/* Reading: the operation waits until there is something, push reads it. */
struct reading {
    struct op op;
    struct process *process;
    int stream; /* 1 or 2 */
    size_t max;
};

static bool reading_ask(struct op *op, struct turn *turn)
{
    const struct reading *reading = (struct reading *)op;
    int fd = reading->process->fds[reading->stream];
    if (fd >= 0)
        turn_fd(turn, op, fd, CURL_WAIT_POLLIN);
    return fd < 0;
}

static bool reading_step(struct op *op, struct turn *turn)
{
    const struct reading *reading = (struct reading *)op;
    return reading->process->fds[reading->stream] < 0 || turn_events(turn, op, 0);
}

static int reading_push(lua_State *L, struct op *op)
{
    const struct reading *reading = (struct reading *)op;
    int fd = reading->process->fds[reading->stream];
    luaL_Buffer data;
    if (fd < 0)
        return push_failure(L, "closed", "the process is closed");
    char *space = luaL_buffinitsize(L, &data, reading->max);
    ssize_t got = read(fd, space, reading->max);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return push_errno(L, errno, "read from process %d", (int)reading->process->pid);
    luaL_pushresultsize(&data, got > 0 ? (size_t)got : 0);
    return got == 0 ? push_failure(L, "closed", "end of file") : 1;
}

static void reading_drop(struct op *op)
{
    struct reading *reading = (struct reading *)op;
    if (reading->process && reading->process->readers[reading->stream - 1] == op)
        reading->process->readers[reading->stream - 1] = NULL;
}

static const struct op_kind reading_kind = {.name = "process read",
                                            .ask = reading_ask,
                                            .step = reading_step,
                                            .push = reading_push,
                                            .drop = reading_drop};

/* proc:read("stdout"|"stderr", max_bytes) => data, or nil, "end of file", "closed". */
static int process_read(lua_State *L)
{
    static const char *const names[] = {"stdout", "stderr", NULL};
    struct process *process = check_open(L);
    int stream = argument_option(L, 2, NULL, names) + 1;
    lua_Integer max = luaL_optinteger(L, 3, READ_DEFAULT);
    luaL_argcheck(L, max > 0 && max <= READ_LIMIT, 3, "1 to 16777216 bytes expected");
    luaL_argcheck(L, process->fds[stream] >= 0, 2, "not a pipe of this process");
    if (process->readers[stream - 1])
        return luaL_error(L, "%s is being read already", names[stream - 1]);
    struct reading *reading = (struct reading *)op_new(L, sizeof *reading, &reading_kind, 1);
    reading->process = process;
    reading->stream = stream;
    reading->max = (size_t)max;
    process->readers[stream - 1] = &reading->op;
    op_start(&reading->op);
    return 1;
}

struct writing {
    struct op op;
    struct process *process;
    int error;
    size_t size, done;
    char data[];
};

static bool writing_ask(struct op *op, struct turn *turn)
{
    const struct writing *writing = (struct writing *)op;
    int fd = writing->process->fds[0];
    if (fd >= 0)
        turn_fd(turn, op, fd, CURL_WAIT_POLLOUT);
    return fd < 0;
}

static bool writing_step(struct op *op, struct turn *turn)
{
    struct writing *writing = (struct writing *)op;
    (void)turn;
    while (writing->done < writing->size) {
        ssize_t put = write(writing->process->fds[0], writing->data + writing->done,
                            writing->size - writing->done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            writing->error = errno == EAGAIN ? 0 : errno;
            return errno != EAGAIN;
        }
        writing->done += (size_t)put;
    }
    return true;
}

static int writing_push(lua_State *L, struct op *op)
{
    const struct writing *writing = (struct writing *)op;
    if (writing->error == EBADF || writing->error == EPIPE)
        return push_failure(L, "closed", "process %d has stopped reading its input",
                            (int)writing->process->pid);
    if (writing->error)
        return push_errno(L, writing->error, "write to process %d", (int)writing->process->pid);
    lua_pushboolean(L, 1);
    return 1;
}

static void writing_drop(struct op *op)
{
    struct writing *writing = (struct writing *)op;
    if (writing->process && writing->process->writer == op)
        writing->process->writer = NULL;
}

static const struct op_kind writing_kind = {.name = "process write",
                                            .ask = writing_ask,
                                            .step = writing_step,
                                            .push = writing_push,
                                            .drop = writing_drop};

/* proc:write(data) => true, when the pipe has taken all of it. */
static int process_write(lua_State *L)
{
    struct process *process = check_open(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    if (process->fds[0] < 0)
        return luaL_error(L, "the standard input is no pipe, or closed");
    if (process->writer)
        return luaL_error(L, "the standard input is being written already");
    struct writing *writing =
        (struct writing *)op_new(L, sizeof *writing + size, &writing_kind, 1);
    writing->process = process;
    writing->size = size;
    memcpy(writing->data, data, size);
    process->writer = &writing->op;
    op_start(&writing->op);
    return 1;
}

static int process_close_stdin(lua_State *L)
{
    close_fd(&check_process(L)->fds[0]);
    return 0;
}

struct waiting {
    struct op op;
    struct process *process;
};

static bool waiting_ask(struct op *op, struct turn *turn)
{
    const struct process *process = ((struct waiting *)op)->process;
    if (process->reaped || process->closed)
        return true;
    if (process->pidfd >= 0)
        turn_fd(turn, op, process->pidfd, CURL_WAIT_POLLIN);
    else
        turn_deadline(turn, op, turn->now + LOOK_SECONDS);
    return false;
}

static bool waiting_step(struct op *op, struct turn *turn)
{
    struct process *process = ((struct waiting *)op)->process;
    (void)turn;
    if (!process->closed)
        reap(process);
    return process->reaped || process->closed;
}

static int waiting_push(lua_State *L, struct op *op)
{
    const struct process *process = ((struct waiting *)op)->process;
    if (!process->reaped)
        return push_failure(L, "closed", "process %d was closed", (int)process->pid);
    const char *name = process->signal ? signals_name(process->signal) : NULL;
    lua_createtable(L, 0, 1);
    if (name)
        lua_pushstring(L, name);
    else
        lua_pushinteger(L, process->signal ? process->signal : process->code);
    lua_setfield(L, -2, process->signal ? "signal" : "code");
    return 1;
}

static const struct op_kind waiting_kind = {
    .name = "process wait", .ask = waiting_ask, .step = waiting_step, .push = waiting_push};

/* proc:wait() => {code=} or {signal=} */
static int process_wait(lua_State *L)
{
    struct process *process = check_process(L);
    if (process->closed && !process->reaped)
        return push_failure(L, "closed", "process %d was closed", (int)process->pid);
    struct waiting *waiting = (struct waiting *)op_new(L, sizeof *waiting, &waiting_kind, 1);
    waiting->process = process;
    op_start(&waiting->op);
    if (process->reaped)
        op_finish(&waiting->op);
    return 1;
}

/* proc:kill("TERM") -> true: to the whole group. */
static int process_kill(lua_State *L)
{
    const struct process *process = check_process(L);
    const char *name = argument_text_or(L, 2, "TERM");
    int number = signals_number(name);
    luaL_argcheck(L, number, 2, "unknown signal");
    if (process->reaped || process->closed)
        return push_failure(L, "missing", "process %d has ended", (int)process->pid);
    if (kill(-process->pid, number))
        return push_errno(L, errno, "send %s to process %d", name, (int)process->pid);
    lua_pushboolean(L, 1);
    return 1;
}

static int process_index(lua_State *L)
{
    const struct process *process = check_process(L);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "pid") == 0)
        lua_pushinteger(L, process->pid);
    else
        lua_gettable(L, lua_upvalueindex(1));
    return 1;
}

static const luaL_Reg methods[] = {
    {"read", process_read},   {"write", process_write}, {"close_stdin", process_close_stdin},
    {"wait", process_wait},   {"kill", process_kill},   {"close", process_close},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", process_close},
    {"__close", process_close},
    {"__tostring", process_tostring},
    {NULL, NULL},
};

int luaopen_native_process(lua_State *L);
int luaopen_native_process(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", process_start}, {NULL, NULL}};
    luaL_newmetatable(L, PROCESS_META);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, process_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
