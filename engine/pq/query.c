/* Statements: sent at once when nothing is left to drain, else by the first step after the drain.
 * The texts belong to a Lua table that the operation keeps; the arrays of parameters lie behind
 * the operation. */
#include "base/argument.h"
#include "base/option.h"
#include "pq/connection.h"

#include <float.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>

enum what { WHAT_SIMPLE, WHAT_PARAMS, WHAT_PREPARE, WHAT_PREPARED };
enum { PARAMETER_LIMIT = 65535, OID_BOOL = 16, OID_INT8 = 20, OID_INT4 = 23,
       OID_FLOAT8 = 701 };

struct parameter_arrays {
    const char **values;
    Oid *types;
    int *lengths;
};

struct query {
    struct op op;
    struct connection *connection;
    enum what what;
    enum copy_mode copy; /* the mode that the statement is to begin */
    const char *sql, *name;
    int count;
    struct parameter_arrays p;
    bool looked, sent, ended, flushing, taken;
    PGresult *result;
    struct rows rows;
    double timeout, until; /* until: HUGE_VAL for none */
    bool late;
};

static bool query_ask(struct op *op, struct turn *turn)
{
    struct query *query = (struct query *)op;
    struct connection *connection = query->connection;
    bool first = !query->looked;
    query->looked = true;
    if (!connection->pg)
        return true;
    turn_deadline(turn, op, query->until);
    if (connection->draining)
        return connection_ask_drain(connection, op, turn) || first;
    turn_fd(turn, op, PQsocket(connection->pg),
            (short)(CURL_WAIT_POLLIN | (query->flushing ? CURL_WAIT_POLLOUT : 0)));
    return !query->sent;
}

static bool send_statement(struct query *query)
{
    PGconn *pg = query->connection->pg;
    const struct parameter_arrays *p = &query->p;
    switch (query->what) {
    case WHAT_SIMPLE:
        return PQsendQuery(pg, query->sql);
    case WHAT_PARAMS:
        return PQsendQueryParams(pg, query->sql, query->count, p->types, p->values, p->lengths,
                                 NULL, 0);
    case WHAT_PREPARE:
        return PQsendPrepare(pg, query->name, query->sql, 0, NULL);
    default:
        return PQsendQueryPrepared(pg, query->name, query->count, p->values, p->lengths,
                                   NULL, 0);
    }
}

static bool send_query(struct query *query)
{
    query->sent = true;
    if (!send_statement(query))
        return false;
    PQsetSingleRowMode(query->connection->pg); /* a PREPARE refuses: it has no rows */
    return true;
}

/* Returns true when the connection was lost. */
static bool pump(struct query *query)
{
    struct connection *connection = query->connection;
    int flushed = PQconsumeInput(connection->pg) ? PQflush(connection->pg) : -1;
    query->flushing = flushed == 1;
    return flushed < 0;
}

static bool query_step(struct op *op, struct turn *turn)
{
    struct query *query = (struct query *)op;
    struct connection *connection = query->connection;
    if (!connection->pg)
        return true;
    query->late = turn->now >= query->until;
    if (connection->draining && !connection_drain(connection, turn->now))
        return query->late;
    if (!connection->pg)
        return true;
    bool lost = !query->sent ? !send_query(query) : false;
    lost = pump(query) || lost;
    query->ended = result_collect(connection->pg, &query->result, &query->rows) || lost;
    if (query->ended && PQstatus(connection->pg) == CONNECTION_BAD)
        connection_lose(connection);
    return query->ended || query->late;
}

/* The statement was ended by a limit of the caller; what it still sends is read away. */
static int push_limit(lua_State *L, struct query *query)
{
    struct connection *connection = query->connection;
    const struct rows *rows = &query->rows;
    if (query->sent)
        connection_abandon(connection);
    if (!rows->over)
        return push_failure(L, "timeout", "%s: no response within %g s", connection->place,
                            query->timeout);
    if (rows->data.failed)
        return push_failure(L, "full", "%s: the result does not fit into memory",
                            connection->place);
    if (rows->max_count && rows->count > rows->max_count)
        return push_failure(L, "full", "%s: the result has more than %zu rows", connection->place,
                            rows->max_count);
    return push_failure(L, "full", "%s: the result has more than %zu bytes", connection->place,
                        rows->max_bytes);
}

static int push_copy(lua_State *L, struct query *query)
{
    enum copy_mode began = PQresultStatus(query->result) == PGRES_COPY_IN ? COPY_IN : COPY_OUT;
    if (began != query->copy) {
        connection_abandon(query->connection);
        return push_failure(L, "invalid", "a COPY %s STDIN or STDOUT goes by copy_in and copy_out",
                            began == COPY_IN ? "FROM" : "TO");
    }
    query->connection->copy = began;
    lua_pushboolean(L, 1);
    return 1;
}

static int query_push(lua_State *L, struct op *op)
{
    struct query *query = (struct query *)op;
    struct connection *connection = query->connection;
    query->taken = true;
    if (connection->pg && (query->rows.over || (query->late && !query->ended)))
        return push_limit(L, query);
    if (!query->result && connection->pg)
        return push_failure(L, "invalid", "%s: %s", connection->place,
                            PQerrorMessage(connection->pg));
    if (!query->result)
        return connection_push_closed(L, connection);
    switch (PQresultStatus(query->result)) {
    case PGRES_COPY_IN: case PGRES_COPY_OUT: case PGRES_COPY_BOTH:
        return push_copy(L, query);
    case PGRES_FATAL_ERROR: case PGRES_BAD_RESPONSE: {
        int count = result_push_error(L, connection, query->result);
        if (!connection->pg) {
            lua_pushliteral(L, "closed");
            lua_replace(L, -3);
        }
        return count;
    }
    default:
        if (query->copy != COPY_NONE)
            return push_failure(L, "invalid", "the statement is no COPY %s",
                                query->copy == COPY_IN ? "FROM STDIN" : "TO STDOUT");
        if (query->what != WHAT_PREPARE)
            return result_push(L, query->result, &query->rows);
        lua_pushboolean(L, 1);
        return 1;
    }
}

/* Given up while it runs, or when it has begun a COPY that was not reported. */
static bool is_abandoned(const struct query *query)
{
    ExecStatusType status = PQresultStatus(query->result);
    return query->sent && !query->taken &&
           (!query->ended || query->rows.over || status == PGRES_COPY_IN ||
            status == PGRES_COPY_OUT);
}

static void query_drop(struct op *op)
{
    struct query *query = (struct query *)op;
    if (!query->connection)
        return;
    if (query->connection->current == op)
        query->connection->current = NULL;
    if (is_abandoned(query))
        connection_abandon(query->connection);
    PQclear(query->result);
    query->result = NULL;
    rows_free(&query->rows);
}

static const struct op_kind query_kind = {.name = "pq query",
                                          .ask = query_ask,
                                          .step = query_step,
                                          .push = query_push,
                                          .drop = query_drop};

/* Writes the value on top of the stack as text, kept in the table at `keep`. */
static void set_parameter(lua_State *L, struct query *query, int i, int keep)
{
    size_t size = 0;
    char number[64];
    Oid type = 0;
    switch (lua_type(L, -1)) {
    case LUA_TNIL: case LUA_TLIGHTUSERDATA:
        return; /* NULL */
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, -1) ? "t" : "f");
        type = OID_BOOL;
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) {
            lua_Integer value = lua_tointeger(L, -1);
            type = value >= INT32_MIN && value <= INT32_MAX ? OID_INT4 : OID_INT8;
            snprintf(number, sizeof number, "%lld", (long long)value);
        } else {
            type = OID_FLOAT8;
            snprintf(number, sizeof number, "%.17g", lua_tonumber(L, -1));
        }
        lua_pushstring(L, number);
        break;
    case LUA_TSTRING:
        lua_pushvalue(L, -1);
        break;
    default:
        luaL_error(L, "parameter %d: a %s cannot be sent", i + 1, luaL_typename(L, -1));
    }
    const char *text = lua_tolstring(L, -1, &size);
    if (has_zero_byte(text, size))
        luaL_error(L, "parameter %d: PostgreSQL takes no text with a zero byte in it; "
                      "give bytes as sql.bytes(text)", i + 1);
    query->p.values[i] = text;
    query->p.lengths[i] = (int)size;
    query->p.types[i] = type;
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
}

static int parameter_count(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_Integer count = lua_getfield(L, index, "n") == LUA_TNUMBER ? lua_tointeger(L, -1)
                                                                   : luaL_len(L, index);
    lua_pop(L, 1);
    luaL_argcheck(L, count >= 0 && count <= PARAMETER_LIMIT, index, "too many parameters");
    return (int)count;
}

/* Cuts the arrays out of the memory behind the operation. */
static void place_arrays(struct query *query, int count)
{
    size_t n = (size_t)count;
    query->count = count;
    query->p.values = (const char **)(query + 1);
    query->p.types = (Oid *)(query->p.values + n);
    query->p.lengths = (int *)(query->p.types + n);
}

/* Reads {timeout=, max_rows=, max_bytes=} at the stack index, or 0 for none. */
static void read_limits(lua_State *L, struct query *query, int index)
{
    static const char *const known[] = {"timeout", "max_rows", "max_bytes", NULL};
    query->until = HUGE_VAL;
    if (!index)
        return;
    option_check(L, index, known);
    query->timeout = option_number(L, index, "timeout", 0);
    lua_Integer rows = option_integer(L, index, "max_rows", 0);
    lua_Integer bytes = option_integer(L, index, "max_bytes", 0);
    if (query->timeout > 0)
        query->until = host_monotonic() + query->timeout;
    query->rows.max_count = rows > 0 ? (size_t)rows : 0;
    query->rows.max_bytes = bytes > 0 ? (size_t)bytes : 0;
}

/* Makes and starts a statement. Arguments: connection, first text, then what the
 * caller says: `sql`, `params` and `limits` are stack indices or 0. */
static int start(lua_State *L, enum what what, enum copy_mode copy, int name, int sql, int params,
                 int limits)
{
    struct connection *connection = connection_check_free(L, COPY_NONE);
    const char *name_text = name ? argument_text(L, name) : NULL;
    const char *sql_text = sql ? argument_text(L, sql) : NULL;
    int count = params ? parameter_count(L, params) : 0;
    if (!connection->pg)
        return connection_push_closed(L, connection);
    lua_createtable(L, 4, 0);
    int keep = lua_gettop(L);
    for (int i = 1; i < keep && i <= 3; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, keep, i);
    }
    size_t each = sizeof(char *) + sizeof(Oid) + sizeof(int);
    struct query *query =
        (struct query *)op_new(L, sizeof *query + (size_t)count * each, &query_kind, keep);
    query->what = what;
    query->copy = copy;
    query->sql = sql_text;
    query->name = name_text;
    read_limits(L, query, limits);
    place_arrays(query, count);
    for (int i = 0; i < count; i++) {
        lua_geti(L, params, i + 1);
        set_parameter(L, query, i, keep);
        lua_pop(L, 1);
    }
    query->connection = connection;
    connection->current = &query->op;
    connection_settle(connection);
    op_start(&query->op);
    return 1;
}

/* conn:exec(sql, params?, limits?) => result. Without parameters the text may hold several
 * statements; the result is that of the last. limits: {timeout=, max_rows=, max_bytes=};
 * beyond one the statement is cancelled, kind "timeout" or "full". */
int query_exec(lua_State *L)
{
    bool bare = lua_isnoneornil(L, 3);
    lua_settop(L, 4);
    return start(L, bare ? WHAT_SIMPLE : WHAT_PARAMS, COPY_NONE, 0, 2, bare ? 0 : 3, 4);
}

/* conn:prepare(name, sql) => true */
int query_prepare(lua_State *L)
{
    lua_settop(L, 3);
    return start(L, WHAT_PREPARE, COPY_NONE, 2, 3, 0, 0);
}

/* conn:exec_prepared(name, params?) => result */
int query_exec_prepared(lua_State *L)
{
    lua_settop(L, 3);
    return start(L, WHAT_PREPARED, COPY_NONE, 2, 0, 3, 0);
}

/* conn:copy_out(sql, limits?) => true: then copy_read until it ends. One statement only:
 * it is counted as a read. */
int query_copy_out(lua_State *L)
{
    lua_settop(L, 3);
    return start(L, WHAT_PARAMS, COPY_OUT, 0, 2, 0, 3);
}

/* conn:copy_in(sql) => true: then copy_write, and copy_end. */
int query_copy_in(lua_State *L)
{
    lua_settop(L, 2);
    return start(L, WHAT_SIMPLE, COPY_IN, 0, 2, 0, 0);
}
