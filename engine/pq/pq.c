/* native.pq: PostgreSQL by libpq, never blocking. See connection.h. */
#include "pq/connection.h"

#include <lauxlib.h>
#include <string.h>

static struct connection *check(lua_State *L) { return luaL_checkudata(L, 1, CONNECTION_META); }

/* conn:cancel() -> true: the statement under way ends with an error; a COPY under
 * way is given up. Nothing under way: nothing done. */
static int pq_cancel(lua_State *L)
{
    struct connection *connection = check(L);
    if (!connection->pg)
        return connection_push_closed(L, connection);
    if (connection->copy != COPY_NONE && !connection->current)
        connection_abandon(connection);
    else if (connection->current && !connection_cancel(connection))
        return push_failure(L, "io", "%s: the cancel request could not be sent", connection->place);
    lua_pushboolean(L, 1);
    return 1;
}

/* conn:status() -> "idle" "busy" "transaction" "failed" "closed" */
static int pq_status(lua_State *L)
{
    static const char *const names[] = {[PQTRANS_IDLE] = "idle",
                                        [PQTRANS_ACTIVE] = "busy",
                                        [PQTRANS_INTRANS] = "transaction",
                                        [PQTRANS_INERROR] = "failed",
                                        [PQTRANS_UNKNOWN] = "closed"};
    const struct connection *connection = check(L);
    if (!connection->pg)
        lua_pushliteral(L, "closed");
    else if (connection->draining || connection->current)
        lua_pushliteral(L, "busy");
    else
        lua_pushstring(L, names[PQtransactionStatus(connection->pg)]);
    return 1;
}

/* conn:notices() -> {text...}: those since the last call. */
static int pq_notices(lua_State *L)
{
    struct connection *connection = check(L);
    const char *text = connection->notices.data;
    const char *end = text + connection->notices.size;
    lua_newtable(L);
    for (lua_Integer n = 1; text < end; n++, text += strlen(text) + 1) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, n);
    }
    buffer_clear(&connection->notices);
    connection->notice_count = 0;
    return 1;
}

/* conn:close(); an operation under way ends with kind "closed". */
static int pq_close(lua_State *L)
{
    struct connection *connection = check(L);
    connection_close(connection);
    return 0;
}

static int pq_gc(lua_State *L)
{
    struct connection *connection = check(L);
    connection_close(connection);
    buffer_free(&connection->notices);
    return 0;
}

static int pq_tostring(lua_State *L)
{
    const struct connection *connection = check(L);
    lua_pushfstring(L, "connection to %s%s", connection->place, connection->pg ? "" : " (closed)");
    return 1;
}

/* bytea(s) -> the text form of bytes, for a parameter of type bytea. */
static int pq_bytea(lua_State *L)
{
    static const char digits[] = "0123456789abcdef";
    size_t size;
    const unsigned char *bytes = (const unsigned char *)luaL_checklstring(L, 1, &size);
    luaL_Buffer text;
    luaL_buffinitsize(L, &text, 2 * size + 2);
    luaL_addstring(&text, "\\x");
    for (size_t i = 0; i < size; i++) {
        luaL_addchar(&text, digits[bytes[i] >> 4]);
        luaL_addchar(&text, digits[bytes[i] & 15]);
    }
    luaL_pushresult(&text);
    return 1;
}

int luaopen_native_pq(lua_State *L);
int luaopen_native_pq(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"exec", query_exec},
        {"prepare", query_prepare},
        {"exec_prepared", query_exec_prepared},
        {"copy_out", query_copy_out},
        {"copy_in", query_copy_in},
        {"copy_read", copy_read},
        {"copy_write", copy_write},
        {"copy_end", copy_end},
        {"cancel", pq_cancel},
        {"notices", pq_notices},
        {"status", pq_status},
        {"close", pq_close},
        {"__close", pq_close},
        {"__gc", pq_gc},
        {"__tostring", pq_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"connect", connect_start}, {"bytea", pq_bytea}, {NULL, NULL}};
    luaL_newmetatable(L, CONNECTION_META);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
