/* native.signal: signals as operations, by signalfd.
 *
 * A signal that is waited for is blocked for the process, so that it stays pending instead of
 * ending us. Once one has come it stays blocked until reset(): between this signal and the next
 * `next` there must be no moment in which it kills. A wait that is cancelled, or collected,
 * unblocks what nobody else waits for. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/signals.h"
#include "loop/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct asking {
    struct op op;
    sigset_t set;
    bool open;
    int fd, got; /* got: number of the signal that came, or 0 */
};

/* Counts the waits for a signal in the host, and blocks or unblocks it. */
static void hold(struct host *host, const sigset_t *set, int change, bool keep)
{
    sigset_t one;
    for (int number = 1; number < SIGNALS_END; number++) {
        if (!sigismember(set, number))
            continue;
        host->asked[number] = (unsigned char)(host->asked[number] + change);
        host->kept[number] |= keep;
        sigemptyset(&one);
        sigaddset(&one, number);
        bool block = host->asked[number] || host->kept[number];
        sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL);
    }
}

static bool asking_ask(struct op *op, struct turn *turn)
{
    turn_fd(turn, op, ((struct asking *)op)->fd, CURL_WAIT_POLLIN);
    return false;
}

static bool asking_step(struct op *op, struct turn *turn)
{
    struct asking *asking = (struct asking *)op;
    struct signalfd_siginfo info;
    (void)turn;
    if (read(asking->fd, &info, sizeof info) != sizeof info)
        return false; /* another wait was first */
    asking->got = (int)info.ssi_signo;
    hold(op->host, &asking->set, 0, true);
    return true;
}

static int asking_push(lua_State *L, struct op *op)
{
    lua_pushstring(L, signals_name(((struct asking *)op)->got));
    return 1;
}

static void asking_drop(struct op *op)
{
    struct asking *asking = (struct asking *)op;
    if (!asking->open)
        return;
    asking->open = false;
    close(asking->fd);
    hold(op->host, &asking->set, -1, false);
}

static const struct op_kind asking_kind = {.name = "signal",
                                           .ask = asking_ask,
                                           .step = asking_step,
                                           .push = asking_push,
                                           .drop = asking_drop};

static void read_names(lua_State *L, sigset_t *set)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 1);
    luaL_argcheck(L, count > 0, 1, "a list of signal names expected");
    sigemptyset(set);
    for (lua_Integer i = 1; i <= count; i++) {
        int type = lua_geti(L, 1, i);
        int number = type == LUA_TSTRING ? signals_number(stack_text(L, -1, "a signal")) : 0;
        if (number == 0 || number == SIGKILL || number == SIGSTOP)
            luaL_error(L, "signal \"%s\" cannot be waited for", luaL_tolstring(L, -1, NULL));
        sigaddset(set, number);
        lua_pop(L, 1);
    }
}

/* next{"INT", "TERM", ...} => name of the first that comes. */
static int signal_next(lua_State *L)
{
    sigset_t set;
    read_names(L, &set);
    struct asking *asking = (struct asking *)op_new(L, sizeof *asking, &asking_kind, 0);
    asking->set = set;
    asking->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (asking->fd < 0)
        return push_errno(L, errno, "wait for signals");
    asking->open = true;
    hold(asking->op.host, &set, 1, false);
    op_start(&asking->op);
    return 1;
}

/* reset(): signals that came and that nobody waits for act as usual again. */
static int signal_reset(lua_State *L)
{
    struct host *host = host_of(L);
    sigset_t all;
    sigfillset(&all);
    for (int number = 1; number < SIGNALS_END; number++) {
        if (!host->kept[number])
            sigdelset(&all, number);
        host->kept[number] = false;
    }
    hold(host, &all, 0, false);
    return 0;
}

int luaopen_native_signal(lua_State *L);
int luaopen_native_signal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"next", signal_next}, {"reset", signal_reset}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
