/* native.terminal: waiting until a descriptor can be read, so that a question at the
 * terminal does not stop the event loop. The line itself is read by io.read; a secret by
 * silent.c. */
#include "loop/host.h"
#include "loop/silent.h"

#include <lauxlib.h>

struct readable {
    struct op op;
    int fd;
};

static bool readable_ask(struct op *op, struct turn *turn)
{
    turn_fd(turn, op, ((struct readable *)op)->fd, CURL_WAIT_POLLIN);
    return false;
}

static bool readable_step(struct op *op, struct turn *turn)
{
    return turn_events(turn, op, 0) != 0;
}

static int readable_push(lua_State *L, struct op *op)
{
    (void)op;
    lua_pushboolean(L, 1);
    return 1;
}

static const struct op_kind readable_kind = {
    .name = "readable", .ask = readable_ask, .step = readable_step, .push = readable_push};

/* terminal.readable(fd) => true */
static int terminal_readable(lua_State *L)
{
    lua_Integer fd = luaL_checkinteger(L, 1);
    luaL_argcheck(L, fd >= 0 && fd < 1 << 20, 1, "a file descriptor expected");
    struct readable *readable =
        (struct readable *)op_new(L, sizeof *readable, &readable_kind, 0);
    readable->fd = (int)fd;
    op_start(&readable->op);
    return 1;
}

static const luaL_Reg functions[] = {
    {"readable", terminal_readable}, {"secret", silent_ask}, {NULL, NULL}};

int luaopen_native_terminal(lua_State *L);
int luaopen_native_terminal(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
