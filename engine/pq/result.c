/* Results and errors of PostgreSQL as Lua values. */
#include "connection.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pg_type.dat; these numbers never change. */
enum {
    OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_OID = 26,
    OID_FLOAT4 = 700, OID_FLOAT8 = 701,
};

bool result_collect(PGconn *pg, PGresult **kept)
{
    while (!PQisBusy(pg)) {
        PGresult *result = PQgetResult(pg);
        if (!result)
            return true;
        ExecStatusType status = PQresultStatus(result);
        if (*kept && PQresultStatus(*kept) == PGRES_FATAL_ERROR) {
            PQclear(result);
            continue;
        }
        PQclear(*kept);
        *kept = result;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return true;
    }
    return false;
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

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea comes as \x and hexadecimal digits. */
static void push_bytes(lua_State *L, const char *text, size_t size)
{
    luaL_Buffer bytes;
    if (size < 2 || text[0] != '\\' || text[1] != 'x') {
        lua_pushlstring(L, text, size);
        return;
    }
    size_t count = (size - 2) / 2;
    char *out = luaL_buffinitsize(L, &bytes, count);
    for (size_t i = 0; i < count; i++)
        out[i] = (char)(digit(text[2 + 2 * i]) << 4 | (digit(text[3 + 2 * i]) & 15));
    luaL_pushresultsize(&bytes, count);
}

static void push_value(lua_State *L, const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    size_t size = (size_t)PQgetlength(result, row, column);
    if (PQgetisnull(result, row, column)) {
        lua_pushnil(L);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        lua_pushboolean(L, *text == 't');
        break;
    case OID_INT2: case OID_INT4: case OID_INT8: case OID_OID:
        lua_pushinteger(L, strtoll(text, NULL, 10));
        break;
    case OID_FLOAT4: case OID_FLOAT8:
        lua_pushnumber(L, strtod(text, NULL));
        break;
    case OID_BYTEA:
        push_bytes(L, text, size);
        break;
    default:
        lua_pushlstring(L, text, size);
    }
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

static void push_rows(lua_State *L, const PGresult *result)
{
    int rows = PQntuples(result), columns = PQnfields(result);
    lua_createtable(L, rows, 0);
    for (int row = 0; row < rows; row++) {
        lua_createtable(L, columns, 0);
        for (int i = 0; i < columns; i++) {
            push_value(L, result, row, i);
            lua_rawseti(L, -2, i + 1);
        }
        lua_rawseti(L, -2, row + 1);
    }
    lua_setfield(L, -2, "rows");
    lua_pushinteger(L, rows);
    lua_setfield(L, -2, "n");
}

int result_push(lua_State *L, const PGresult *result)
{
    const char *affected = result ? PQcmdTuples((PGresult *)result) : "";
    lua_createtable(L, 0, 6);
    push_columns(L, result);
    push_rows(L, result);
    lua_pushinteger(L, atoll(affected));
    lua_setfield(L, -2, "affected");
    lua_pushstring(L, result ? PQcmdStatus((PGresult *)result) : "");
    lua_setfield(L, -2, "command");
    return 1;
}
