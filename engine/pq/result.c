/* Results and errors of PostgreSQL as Lua values. */
#include "pq/connection.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool result_collect(PGconn *pg, PGresult **kept, struct rows *rows)
{
    while (!rows->over && !PQisBusy(pg)) {
        PGresult *result = PQgetResult(pg);
        if (!result)
            return true;
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE)
            rows_add(rows, result);
        if (status == PGRES_SINGLE_TUPLE ||
            (*kept && PQresultStatus(*kept) == PGRES_FATAL_ERROR)) {
            PQclear(result);
            continue;
        }
        rows_end(rows);
        PQclear(*kept);
        *kept = result;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return true;
    }
    return rows->over;
}

void result_flatten(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        if (!isspace((unsigned char)*text))
            out[n++] = *text;
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = 0;
}

const char *result_kind(const char *sqlstate, const char *message)
{
    static const struct {
        const char *prefix, *kind;
    } table[] = {
        {"23505", "exists"},   {"42P04", "exists"},  {"42P07", "exists"},  {"42710", "exists"},
        {"42P06", "exists"},   {"42P01", "missing"}, {"42704", "missing"}, {"3D000", "missing"},
        {"3F000", "missing"},  {"42883", "missing"}, {"42703", "missing"}, {"42501", "denied"},
        {"28", "denied"},      {"53100", "full"},    {"25006", "readonly"}, {"53300", "busy"},
        {"55P03", "busy"},     {"55006", "busy"},    {"57P03", "busy"},    {"40", "busy"},
        {"57014", "cancelled"}, {"57P", "closed"},   {"08", "closed"},     {"58", "io"},
        {"XX001", "corrupt"},  {"XX002", "corrupt"},
    };
    if (strcmp(sqlstate, "57014") == 0 && strstr(message, "timeout"))
        return "timeout";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].kind;
    return "invalid";
}

static void set_field(lua_State *L, const PGresult *result, int code, const char *name)
{
    const char *text = PQresultErrorField(result, code);
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

int result_push_error(lua_State *L, const struct connection *connection, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    char text[1024];
    result_flatten(message ? message : PQresultErrorMessage(result), text, sizeof text);
    push_failure(L, sqlstate ? result_kind(sqlstate, text) : "closed", "%s: %s", connection->place,
                 text);
    lua_createtable(L, 0, 8);
    set_field(L, result, PG_DIAG_SQLSTATE, "sqlstate");
    set_field(L, result, PG_DIAG_MESSAGE_DETAIL, "detail");
    set_field(L, result, PG_DIAG_MESSAGE_HINT, "hint");
    set_field(L, result, PG_DIAG_SEVERITY_NONLOCALIZED, "severity");
    set_field(L, result, PG_DIAG_CONTEXT, "context");
    set_field(L, result, PG_DIAG_TABLE_NAME, "table");
    set_field(L, result, PG_DIAG_COLUMN_NAME, "column");
    set_field(L, result, PG_DIAG_CONSTRAINT_NAME, "constraint");
    if (position) {
        lua_pushinteger(L, atoi(position));
        lua_setfield(L, -2, "position");
    }
    return 4;
}

static void push_columns(lua_State *L, const PGresult *result)
{
    int columns = PQnfields(result);
    lua_createtable(L, columns, 0);
    lua_createtable(L, columns, 0);
    for (int i = 0; i < columns; i++) {
        lua_pushstring(L, PQfname(result, i));
        lua_rawseti(L, -3, i + 1);
        lua_pushinteger(L, (lua_Integer)PQftype(result, i));
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -3, "types");
    lua_setfield(L, -2, "columns");
}

int result_push(lua_State *L, const PGresult *result, const struct rows *rows)
{
    const char *affected = result ? PQcmdTuples((PGresult *)result) : "";
    lua_createtable(L, 0, 6);
    push_columns(L, result);
    rows_push(L, rows, result);
    lua_pushinteger(L, atoll(affected));
    lua_setfield(L, -2, "affected");
    lua_pushstring(L, result ? PQcmdStatus((PGresult *)result) : "");
    lua_setfield(L, -2, "command");
    return 1;
}
