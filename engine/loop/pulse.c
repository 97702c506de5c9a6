/* native.pulse: interrupts Lua code that computes without ever waiting.
 *
 * A timer counts the processor time of the thread, so an idle one is never disturbed and ordinary
 * code pays nothing. When it fires, the signal's handler sets a count hook on the coroutine that
 * runs (lua_sethook may be called from a handler, as lua.c does); the hook then calls a Lua
 * function at the next instruction, and removes itself. */
#define _GNU_SOURCE
#include "loop/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define BEAT SIGVTALRM
/* Code that is not to be interrupted is looked at again after so many instructions, and
 * so many times, before the next beat. */
#define AGAIN_INSTRUCTIONS 1000
#define TRIES 50

/* The handler can reach nothing but static data. */
static _Atomic(lua_State *) running;
static volatile sig_atomic_t tries;
static timer_t timer;
static bool started;
static const char KEY; /* of the function in the registry */

static void hook(lua_State *L, lua_Debug *ar)
{
    lua_sethook(L, NULL, 0, 0);
    if (!lua_getinfo(L, "S", ar) || !lua_checkstack(L, 4))
        return;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return;
    }
    lua_pushstring(L, ar->source);
    lua_call(L, 1, 1);
    bool taken = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!taken && --tries > 0)
        lua_sethook(L, hook, LUA_MASKCOUNT, AGAIN_INSTRUCTIONS);
}

static void beat(int number)
{
    (void)number;
    lua_State *L = atomic_load(&running);
    tries = TRIES;
    if (L)
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

static int start_timer(double seconds)
{
    struct sigaction action = {.sa_handler = beat, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = BEAT};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    event.sigev_notify_thread_id = gettid();
    sigemptyset(&set);
    sigaddset(&set, BEAT);
    if (sigaction(BEAT, &action, NULL) < 0 ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) < 0)
        return errno;
    started = true;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    struct itimerspec every = {0};
    every.it_interval.tv_sec = (time_t)seconds;
    every.it_interval.tv_nsec = (long)((seconds - (double)every.it_interval.tv_sec) * 1e9);
    every.it_value = every.it_interval;
    return timer_settime(timer, 0, &every, NULL) < 0 ? errno : 0;
}

/* start(seconds, fn): fn(source) is called in the coroutine that runs (see running) after each so
 * many seconds of processor time, source being that of the function under way. It returns true,
 * or false to be called again a little later. It may raise, which ends the computation, but not
 * yield. Only one start counts: a second replaces fn. => true; nil, message, kind. */
static int pulse_start(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0.001 && seconds <= 3600, 1, "seconds, 0.001 to 3600, expected");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
    int error = started ? 0 : start_timer(seconds);
    if (error)
        return push_errno(L, error, "start the timer of the pulse");
    lua_pushboolean(L, 1);
    return 1;
}

/* stop(): nothing is interrupted any more. */
static int pulse_stop(lua_State *L)
{
    if (started)
        timer_delete(timer);
    started = false;
    atomic_store(&running, NULL);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
    return 0;
}

/* running(coroutine or nil): which coroutine runs from here on, nil: none that may be
 * interrupted. Whoever resumes one says so before, and names the former one afterwards. */
static int pulse_running(lua_State *L)
{
    atomic_store(&running, lua_tothread(L, 1));
    return 0;
}

int luaopen_native_pulse(lua_State *L);
int luaopen_native_pulse(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", pulse_start},
                                         {"stop", pulse_stop},
                                         {"running", pulse_running},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
