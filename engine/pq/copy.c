/* The data of a COPY. Rows that have come are handed out together, up to about 64
 * KiB; written data is done when the kernel has taken it. */
#include "base/argument.h"
#include "pq/connection.h"

#include <lauxlib.h>
#include <string.h>

enum { READ_BYTES = 65536 };

struct copying {
    struct op op;
    struct connection *connection;
    const char *data; /* kept by Lua: of a write, or the error text of an end */
    size_t size;
    bool put, ended, flushing, taken;
    struct buffer rows;
    struct rows none; /* a COPY ends without any */
    PGresult *result;
};

static bool copying_ask(struct op *op, struct turn *turn)
{
    const struct copying *copying = (struct copying *)op;
    if (!copying->connection->pg)
        return true;
    turn_fd(turn, op, PQsocket(copying->connection->pg),
            (short)(CURL_WAIT_POLLIN | (copying->flushing ? CURL_WAIT_POLLOUT : 0)));
    return !copying->put && !copying->flushing;
}

static bool end(struct copying *copying)
{
    copying->ended = true;
    if (PQstatus(copying->connection->pg) == CONNECTION_BAD)
        connection_lose(copying->connection);
    return true;
}

static bool has_ended(struct copying *copying)
{
    return result_collect(copying->connection->pg, &copying->result, &copying->none);
}

/* The whole COPY has ended, with its last result. */
static bool end_copy(struct copying *copying)
{
    copying->connection->copy = COPY_NONE;
    return end(copying);
}

/* Takes the rows that are there. Returns what PQgetCopyData said last. */
static int take_rows(struct copying *copying)
{
    char *row;
    int size = 0;
    while (copying->rows.size < READ_BYTES &&
           (size = PQgetCopyData(copying->connection->pg, &row, 1)) > 0) {
        buffer_add(&copying->rows, row, (size_t)size);
        PQfreemem(row);
    }
    return copying->rows.size >= READ_BYTES ? 1 : size;
}

static bool read_step(struct op *op, struct turn *turn)
{
    struct copying *copying = (struct copying *)op;
    struct connection *connection = copying->connection;
    (void)turn;
    if (!connection->pg)
        return true;
    copying->put = true;
    if (!PQconsumeInput(connection->pg))
        return end(copying);
    if (connection->copy == COPY_OUT) {
        int size = take_rows(copying);
        if (size < 0)
            connection->copy = COPY_OUT_ENDED;
        if (copying->rows.size > 0) /* the next read reports an end */
            return copying->ended = true;
        if (size == 0)
            return false;
    }
    return has_ended(copying) ? end_copy(copying) : false;
}

static int push_end(lua_State *L, struct copying *copying)
{
    struct connection *connection = copying->connection;
    if (copying->result && PQresultStatus(copying->result) == PGRES_FATAL_ERROR) {
        int count = result_push_error(L, connection, copying->result);
        if (!connection->pg) {
            lua_pushliteral(L, "closed");
            lua_replace(L, -3);
        }
        return count;
    }
    return connection->pg ? 0 : connection_push_closed(L, connection);
}

static int read_push(lua_State *L, struct op *op)
{
    struct copying *copying = (struct copying *)op;
    copying->taken = true;
    if (copying->rows.failed)
        return luaL_error(L, "out of memory");
    if (copying->rows.size > 0) {
        lua_pushlstring(L, copying->rows.data, copying->rows.size);
        return 1;
    }
    int count = push_end(L, copying);
    return count ? count : push_failure(L, "closed", "end of copy");
}

/* True when all is sent, or cannot be. */
static bool flush(struct copying *copying)
{
    PGconn *pg = copying->connection->pg;
    int left = PQconsumeInput(pg) ? PQflush(pg) : -1;
    copying->flushing = left == 1;
    return left <= 0;
}

static bool write_step(struct op *op, struct turn *turn)
{
    struct copying *copying = (struct copying *)op;
    (void)turn;
    if (!copying->connection->pg)
        return true;
    if (!copying->put) {
        int taken = PQputCopyData(copying->connection->pg, copying->data, (int)copying->size);
        copying->put = taken != 0;
        copying->flushing = true;
        if (taken < 0)
            return end(copying);
    }
    return copying->put && flush(copying) ? end(copying) : false;
}

static int write_push(lua_State *L, struct op *op)
{
    const struct copying *copying = (struct copying *)op;
    if (!copying->connection->pg)
        return connection_push_closed(L, copying->connection);
    lua_pushboolean(L, 1);
    return 1;
}

static bool end_step(struct op *op, struct turn *turn)
{
    struct copying *copying = (struct copying *)op;
    PGconn *pg = copying->connection->pg;
    (void)turn;
    if (!pg)
        return true;
    if (!copying->put) {
        int taken = PQputCopyEnd(pg, copying->data);
        copying->put = taken != 0;
        if (taken < 0)
            return end(copying);
    }
    flush(copying);
    return copying->put && has_ended(copying) ? end_copy(copying) : false;
}

static int end_push(lua_State *L, struct op *op)
{
    struct copying *copying = (struct copying *)op;
    int count = push_end(L, copying);
    return count ? count : result_push(L, copying->result, &copying->none);
}

static void copying_drop(struct op *op)
{
    struct copying *copying = (struct copying *)op;
    if (!copying->connection)
        return;
    if (copying->connection->current == op)
        copying->connection->current = NULL;
    /* Rows that were read and never handed out would be missing: given up, too. */
    if (!copying->ended || (copying->rows.size > 0 && !copying->taken))
        connection_abandon(copying->connection);
    PQclear(copying->result);
    copying->result = NULL;
    buffer_free(&copying->rows);
    rows_free(&copying->none);
}

static const struct op_kind read_kind = {.name = "pq copy_read",
                                         .ask = copying_ask,
                                         .step = read_step,
                                         .push = read_push,
                                         .drop = copying_drop};
static const struct op_kind write_kind = {.name = "pq copy_write",
                                          .ask = copying_ask,
                                          .step = write_step,
                                          .push = write_push,
                                          .drop = copying_drop};
static const struct op_kind end_kind = {.name = "pq copy_end",
                                        .ask = copying_ask,
                                        .step = end_step,
                                        .push = end_push,
                                        .drop = copying_drop};

/* Keeps the connection (argument 1) and the text (argument 2). */
static int start(lua_State *L, const struct op_kind *kind, struct connection *connection,
                 const char *data, size_t size)
{
    if (!connection->pg)
        return connection_push_closed(L, connection);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    struct copying *copying = (struct copying *)op_new(L, sizeof *copying, kind, -1);
    copying->connection = connection;
    copying->data = data;
    copying->size = size;
    connection->current = &copying->op;
    op_start(&copying->op);
    return 1;
}

/* conn:copy_read() => data, or nil, message, "closed" at the end. */
int copy_read(lua_State *L)
{
    lua_settop(L, 2);
    return start(L, &read_kind, connection_check_free(L, COPY_OUT), NULL, 0);
}

/* conn:copy_write(data) => true */
int copy_write(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, size < 1 << 30, 2, "write it in smaller pieces");
    return start(L, &write_kind, connection_check_free(L, COPY_IN), data, size);
}

/* conn:copy_end(error_text?) => result; with a text the COPY fails with it. */
int copy_end(lua_State *L)
{
    lua_settop(L, 2);
    return start(L, &end_kind, connection_check_free(L, COPY_IN), argument_text_or(L, 2, NULL), 0);
}
