/* The rows of a result, as they come: PostgreSQL is read row by row, so that a limit ends
 * a result that would not fit, and libpq keeps none of it. */
#include "pq/connection.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* pg_type.dat; these numbers never change. */
enum {
    OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_OID = 26,
    OID_FLOAT4 = 700, OID_FLOAT8 = 701,
};

/* A value in the buffer: its size, then its bytes and a zero byte; NULL: this size alone. */
static const uint32_t NULL_SIZE = UINT32_MAX;

static void add_value(struct buffer *data, const PGresult *result, int column)
{
    uint32_t size = (uint32_t)PQgetlength(result, 0, column);
    bool null = PQgetisnull(result, 0, column);
    buffer_add(data, null ? &NULL_SIZE : &size, sizeof size);
    if (!null)
        buffer_add(data, PQgetvalue(result, 0, column), (size_t)size + 1);
}

void rows_add(struct rows *rows, const PGresult *result)
{
    if (rows->ended)
        buffer_clear(&rows->data);
    if (rows->ended)
        rows->count = 0;
    rows->ended = false;
    for (int i = 0; i < PQnfields(result); i++)
        add_value(&rows->data, result, i);
    rows->count++;
    rows->over = (rows->max_count && rows->count > rows->max_count) ||
                 (rows->max_bytes && rows->data.size > rows->max_bytes) || rows->data.failed;
}

void rows_end(struct rows *rows)
{
    if (rows->ended)
        rows->count = 0; /* of an earlier statement: this one had none */
    rows->ended = true;
}

void rows_free(struct rows *rows)
{
    buffer_free(&rows->data);
    rows->count = 0;
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

static void push_value(lua_State *L, Oid type, const char *text, size_t size)
{
    switch (type) {
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

/* Pushes the value at `at` and returns the place after it. */
static const char *push_next(lua_State *L, const char *at, Oid type)
{
    uint32_t size;
    memcpy(&size, at, sizeof size);
    at += sizeof size;
    if (size == NULL_SIZE) {
        lua_pushnil(L);
        return at;
    }
    push_value(L, type, at, size);
    return at + size + 1;
}

void rows_push(lua_State *L, const struct rows *rows, const PGresult *result)
{
    int columns = PQnfields(result);
    const char *at = rows->data.data;
    lua_createtable(L, (int)rows->count, 0);
    for (size_t row = 0; row < rows->count; row++) {
        lua_createtable(L, columns, 0);
        for (int i = 0; i < columns; i++) {
            at = push_next(L, at, PQftype(result, i));
            lua_rawseti(L, -2, i + 1);
        }
        lua_rawseti(L, -2, (lua_Integer)row + 1);
    }
    lua_setfield(L, -2, "rows");
    lua_pushinteger(L, (lua_Integer)rows->count);
    lua_setfield(L, -2, "n");
}
