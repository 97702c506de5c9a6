/* See connection.h. */
#include "pq/connection.h"

#include <lauxlib.h>
#include <string.h>

const char CONNECTION_META[] = "drlua.pq";
static const double DRAIN_SECONDS = 10;

void connection_close(struct connection *connection)
{
    if (connection->cancel)
        worker_release(connection->cancel);
    connection->cancel = NULL;
    if (connection->pg)
        PQfinish(connection->pg);
    connection->pg = NULL;
    connection->draining = false;
    connection->copy = COPY_NONE;
}

void connection_lose(struct connection *connection)
{
    if (!connection->pg)
        return;
    result_flatten(PQerrorMessage(connection->pg), connection->lost, sizeof connection->lost);
    if (!*connection->lost)
        strcpy(connection->lost, "the connection was lost");
    connection_close(connection);
}

struct cancel {
    struct worker worker;
    PGcancel *request;
};

static void run_cancel(struct worker *worker)
{
    char error[256];
    PQcancel(((struct cancel *)worker)->request, error, sizeof error);
}

static void clean_cancel(struct worker *worker)
{
    if (((struct cancel *)worker)->request)
        PQfreeCancel(((struct cancel *)worker)->request);
}

bool connection_cancel(struct connection *connection)
{
    struct cancel *cancel =
        (struct cancel *)worker_new(sizeof *cancel, run_cancel, clean_cancel);
    if (!cancel)
        return false;
    cancel->request = PQgetCancel(connection->pg);
    if (!cancel->request || !worker_start(&cancel->worker)) {
        worker_release(&cancel->worker);
        return false;
    }
    if (connection->cancel)
        worker_release(connection->cancel);
    connection->cancel = &cancel->worker;
    return true;
}

void connection_abandon(struct connection *connection)
{
    if (!connection->pg)
        return;
    connection->draining = true;
    connection->drain_until = host_monotonic() + DRAIN_SECONDS;
    connection->copy = COPY_NONE;
    if (!connection_cancel(connection))
        connection_close(connection);
}

void connection_settle(struct connection *connection)
{
    if (!connection->cancel || connection->draining || !connection->pg)
        return;
    connection->draining = true;
    connection->drain_until = host_monotonic() + DRAIN_SECONDS;
}

bool connection_ask_drain(struct connection *connection, struct op *op, struct turn *turn)
{
    turn_deadline(turn, op, connection->drain_until);
    turn_fd(turn, op, PQsocket(connection->pg), CURL_WAIT_POLLIN);
    if (connection->cancel && !worker_ended(connection->cancel))
        turn_fd(turn, op, connection->cancel->fd, CURL_WAIT_POLLIN);
    else
        return connection->cancel != NULL;
    return false;
}

/* Reads away one result of an abandoned statement. True: there may be more. */
static bool drain_result(PGconn *pg, const PGresult *result)
{
    char *row;
    int size;
    switch (PQresultStatus(result)) {
    case PGRES_COPY_IN:
        return PQputCopyEnd(pg, "cancelled") == 1;
    case PGRES_COPY_OUT:
        while ((size = PQgetCopyData(pg, &row, 1)) > 0)
            PQfreemem(row);
        return size != 0;
    default:
        return true;
    }
}

static bool drain_results(PGconn *pg)
{
    PGresult *result;
    while (!PQisBusy(pg)) {
        result = PQgetResult(pg);
        if (!result)
            return true;
        bool more = drain_result(pg, result);
        PQclear(result);
        if (!more)
            return false;
    }
    return false;
}

bool connection_drain(struct connection *connection, double now)
{
    if (!PQconsumeInput(connection->pg) || PQflush(connection->pg) < 0) {
        connection_lose(connection);
        return true;
    }
    bool empty = drain_results(connection->pg);
    if (connection->cancel && worker_ended(connection->cancel)) {
        worker_release(connection->cancel);
        connection->cancel = NULL;
    }
    if (PQstatus(connection->pg) == CONNECTION_BAD)
        connection_lose(connection);
    else if (empty && !connection->cancel)
        connection->draining = false;
    else if (now >= connection->drain_until) {
        connection_close(connection);
        strcpy(connection->lost, "a cancelled statement did not end");
    } else
        return false;
    return true;
}

int connection_push_closed(lua_State *L, const struct connection *connection)
{
    return push_failure(L, "closed", "%s: %s", connection->place,
                        *connection->lost ? connection->lost : "the connection is closed");
}

struct connection *connection_check_free(lua_State *L, enum copy_mode copy)
{
    struct connection *connection = luaL_checkudata(L, 1, CONNECTION_META);
    enum copy_mode now = connection->copy;
    bool fits = now == copy || (copy == COPY_OUT && now == COPY_OUT_ENDED);
    if (connection->current)
        luaL_error(L, "the connection is busy with another operation");
    if (connection->pg && !fits)
        luaL_error(L, copy == COPY_NONE ? "the connection is in the middle of a COPY"
                                        : "the connection is not in such a COPY");
    return connection;
}
