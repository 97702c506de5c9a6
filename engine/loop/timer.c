/* native.timer: an operation that is done after some seconds. */
#include "loop/host.h"

#include <lauxlib.h>
#include <math.h>

struct timer {
    struct op op;
    double at;
};

static bool timer_ask(struct op *op, struct turn *turn)
{
    turn_deadline(turn, op, ((struct timer *)op)->at);
    return false;
}

static bool timer_step(struct op *op, struct turn *turn)
{
    return turn->now >= ((struct timer *)op)->at;
}

static int timer_push(lua_State *L, struct op *op)
{
    (void)op;
    lua_pushboolean(L, 1);
    return 1;
}

static const struct op_kind timer_kind = {
    .name = "timer", .ask = timer_ask, .step = timer_step, .push = timer_push};

/* timer.after(seconds) => true. By the monotonic clock. */
static int timer_after(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && !isnan(seconds), 1, "seconds, not negative, expected");
    struct timer *timer = (struct timer *)op_new(L, sizeof *timer, &timer_kind, 0);
    timer->at = host_monotonic() + seconds;
    op_start(&timer->op);
    return 1;
}

static const luaL_Reg functions[] = {{"after", timer_after}, {NULL, NULL}};

int luaopen_native_timer(lua_State *L);
int luaopen_native_timer(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
