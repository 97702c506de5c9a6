/* The operation as Lua sees it: done, result, cancel, and its end by the collector. op.h
 * describes ownership. */
#include "loop/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char OP_META[] = "drlua.op";
static const char *const state_names[] = {"new", "pending", "done", "taken"};

static void unlink_op(struct op *op)
{
    struct host *host = op->host;
    if (op->prev)
        op->prev->next = op->next;
    else if (host->pending == op)
        host->pending = op->next;
    else if (host->ready == op)
        host->ready = op->next;
    if (op->next)
        op->next->prev = op->prev;
    if (host->ready_tail == op)
        host->ready_tail = op->prev;
    op->next = op->prev = NULL;
}

static void link_pending(struct op *op)
{
    struct host *host = op->host;
    op->state = OP_PENDING;
    op->linked = true;
    op->prev = NULL;
    op->next = host->pending;
    if (host->pending)
        host->pending->prev = op;
    host->pending = op;
    if (!op->internal)
        host->pending_count++;
}

static void leave_lists(struct op *op)
{
    if (!op->linked)
        return;
    op->linked = false;
    if (!op->internal)
        op->host->pending_count--;
    unlink_op(op);
}

static void drop_once(struct op *op)
{
    if (op->dropped)
        return;
    op->dropped = true;
    leave_lists(op);
    op->state = OP_TAKEN;
    if (op->kind->drop)
        op->kind->drop(op);
}

struct op *op_new(lua_State *L, size_t size, const struct op_kind *kind, int parent)
{
    if (parent)
        parent = lua_absindex(L, parent);
    struct op *op = lua_newuserdatauv(L, size, 1);
    memset(op, 0, size);
    op->kind = kind;
    op->host = host_of(L);
    op->deadline = HUGE_VAL;
    luaL_setmetatable(L, OP_META);
    if (parent) {
        lua_pushvalue(L, parent);
        lua_setiuservalue(L, -2, 1);
    }
    /* So that the loop can hand the finished operation back: weak, by address. */
    lua_rawgetp(L, LUA_REGISTRYINDEX, OP_META);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, op);
    lua_pop(L, 1);
    return op;
}

void op_start(struct op *op) { link_pending(op); }

void op_finish(struct op *op)
{
    if (op->state != OP_PENDING)
        return;
    struct host *host = op->host;
    unlink_op(op);
    op->state = OP_DONE;
    op->prev = host->ready_tail;
    if (host->ready_tail)
        host->ready_tail->next = op;
    else
        host->ready = op;
    host->ready_tail = op;
}

void op_reported(struct op *op) { leave_lists(op); }

void op_attach(struct host *host, struct op *op, const struct op_kind *kind)
{
    op->kind = kind;
    op->host = host;
    op->internal = true;
    op->deadline = HUGE_VAL;
    link_pending(op);
}

void op_detach(struct op *op)
{
    leave_lists(op);
    op->state = OP_TAKEN;
}

int op_push_cancelled(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "cancelled");
    lua_pushliteral(L, "cancelled");
    return 3;
}

int push_failure(lua_State *L, const char *kind, const char *format, ...)
{
    va_list arguments;
    char text[1024];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lua_pushnil(L);
    lua_pushstring(L, text);
    lua_pushstring(L, kind);
    return 3;
}

static const char *errno_kind(int error)
{
    switch (error) {
    case ENOENT: case ENOTDIR: case ESRCH: return "missing";
    case EEXIST: case ENOTEMPTY: return "exists";
    case EACCES: case EPERM: return "denied";
    case ENOSPC: case EDQUOT: return "full";
    case EROFS: return "readonly";
    case EAGAIN: case EBUSY: case EADDRINUSE: case ETXTBSY: return "busy";
    case ECONNREFUSED: return "refused";
    case ECONNRESET: case EPIPE: return "reset";
    case ETIMEDOUT: return "timeout";
    case EINVAL: return "invalid";
    default: return "io";
    }
}

int push_errno(lua_State *L, int error, const char *format, ...)
{
    va_list arguments;
    char text[1024];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", text, strerror(error));
    lua_pushstring(L, errno_kind(error));
    return 3;
}

static struct op *check_op(lua_State *L) { return luaL_checkudata(L, 1, OP_META); }

static int op_done(lua_State *L)
{
    lua_pushboolean(L, check_op(L)->state == OP_DONE);
    return 1;
}

static int op_result(lua_State *L)
{
    struct op *op = check_op(L);
    if (op->cancelled)
        return op_push_cancelled(L);
    if (op->state != OP_DONE)
        return luaL_error(L, "%s operation is %s: result() is given once, when done",
                          op->kind->name, state_names[op->state]);
    leave_lists(op);
    op->state = OP_TAKEN;
    lua_settop(L, 1);
    int count = op->kind->push(L, op);
    drop_once(op);
    return count;
}

static int op_cancel(lua_State *L)
{
    struct op *op = check_op(L);
    if (op->state == OP_TAKEN)
        return 0;
    op->cancelled = true;
    drop_once(op);
    return 0;
}

static int op_gc(lua_State *L)
{
    drop_once(check_op(L));
    return 0;
}

static int op_tostring(lua_State *L)
{
    struct op *op = check_op(L);
    lua_pushfstring(L, "operation %s (%s)", op->kind->name,
                    op->cancelled ? "cancelled" : state_names[op->state]);
    return 1;
}

static const luaL_Reg methods[] = {
    {"done", op_done},      {"result", op_result},       {"cancel", op_cancel},
    {"__gc", op_gc},        {"__tostring", op_tostring}, {"__close", op_gc},
    {NULL, NULL},
};

void op_register(lua_State *L)
{
    luaL_newmetatable(L, OP_META);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, OP_META);
}

void op_push(lua_State *L, struct op *op)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, OP_META);
    lua_rawgetp(L, -1, op);
    lua_remove(L, -2);
}
