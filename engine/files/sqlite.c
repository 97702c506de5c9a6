/* native.sqlite: SQLite databases in our own files (the journal, the state of a simulator). Calls
 * are short and local, so they run at once, not as operations.
 *
 * Statements are prepared once and kept by their text. Strings go in as TEXT and
 * come back byte for byte, zero bytes included; booleans become 0 and 1; nil and
 * json.null are NULL, and NULL columns are absent from a row. */
#include "base/argument.h"
#include "base/option.h"
#include "loop/host.h"

#include <lauxlib.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char DB_META[] = "drlua.sqlite";
enum { CACHE_LIMIT = 128 }; /* statements kept prepared */

struct database {
    sqlite3 *handle; /* NULL: closed */
    int cached;
};

static const char *kind_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY: case SQLITE_LOCKED: return "busy";
    case SQLITE_READONLY: return "readonly";
    case SQLITE_FULL: return "full";
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return "corrupt";
    case SQLITE_PERM: case SQLITE_AUTH: return "denied";
    case SQLITE_INTERRUPT: return "cancelled";
    case SQLITE_ERROR: case SQLITE_MISMATCH: case SQLITE_RANGE: case SQLITE_TOOBIG:
        return "invalid";
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ? "exists"
                                                                                       : "invalid";
    default: return "io";
    }
}

static int fail(lua_State *L, sqlite3 *handle)
{
    int code = sqlite3_extended_errcode(handle);
    return push_failure(L, kind_of(code), "%s", sqlite3_errmsg(handle));
}

static struct database *check_db(lua_State *L)
{
    struct database *db = luaL_checkudata(L, 1, DB_META);
    if (!db->handle)
        luaL_error(L, "the database is closed");
    return db;
}

static void finalize_all(struct database *db)
{
    sqlite3_stmt *statement;
    while ((statement = sqlite3_next_stmt(db->handle, NULL)))
        sqlite3_finalize(statement);
    db->cached = 0;
}

static void close_db(struct database *db)
{
    if (!db->handle)
        return;
    finalize_all(db);
    sqlite3_close_v2(db->handle);
    db->handle = NULL;
}

static int db_close(lua_State *L)
{
    close_db(luaL_checkudata(L, 1, DB_META));
    return 0;
}

static int db_tostring(lua_State *L)
{
    const struct database *db = luaL_checkudata(L, 1, DB_META);
    const char *path = db->handle ? sqlite3_db_filename(db->handle, "main") : NULL;
    lua_pushfstring(L, "database %s", db->handle ? path && *path ? path : "in memory" : "(closed)");
    return 1;
}

/* The statement of the SQL text at index 2, prepared now or before; NULL: failed. */
static sqlite3_stmt *statement_of(lua_State *L, struct database *db)
{
    size_t size;
    const char *sql = luaL_checklstring(L, 2, &size), *tail = NULL;
    luaL_argcheck(L, size < 1 << 30, 2, "the SQL text is too long");
    argument_text(L, 2);
    sqlite3_stmt *statement = NULL;
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TLIGHTUSERDATA)
        statement = lua_touserdata(L, -1);
    lua_pop(L, 2);
    if (statement) {
        sqlite3_reset(statement);
        return statement;
    }
    if (db->cached >= CACHE_LIMIT) {
        lua_newtable(L);
        lua_setiuservalue(L, 1, 1);
        finalize_all(db);
    }
    if (sqlite3_prepare_v3(db->handle, sql, (int)size + 1, SQLITE_PREPARE_PERSISTENT, &statement,
                           &tail) != SQLITE_OK)
        return NULL;
    if (!statement)
        luaL_argerror(L, 2, "no SQL statement in the text");
    if (tail[strspn(tail, " \t\r\n;")]) {
        sqlite3_finalize(statement);
        luaL_argerror(L, 2, "one SQL statement expected; use exec for several");
    }
    db->cached++;
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, statement);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return statement;
}

static void bind_value(lua_State *L, sqlite3_stmt *statement, int n, int index)
{
    size_t size;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TNIL: case LUA_TLIGHTUSERDATA:
        sqlite3_bind_null(statement, n);
        break;
    case LUA_TBOOLEAN:
        sqlite3_bind_int(statement, n, lua_toboolean(L, index));
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            sqlite3_bind_int64(statement, n, lua_tointeger(L, index));
        else
            sqlite3_bind_double(statement, n, lua_tonumber(L, index));
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        sqlite3_bind_text64(statement, n, text, size, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    default:
        luaL_error(L, "SQL parameter %d: a %s cannot be stored", n, luaL_typename(L, index));
    }
}

/* Binds the arguments from index 3: by position, or by name from one table. */
static void bind_all(lua_State *L, sqlite3_stmt *statement, int last)
{
    int wanted = sqlite3_bind_parameter_count(statement), given = last - 2;
    if (given == 1 && lua_istable(L, 3)) {
        for (int n = 1; n <= wanted; n++) {
            const char *name = sqlite3_bind_parameter_name(statement, n);
            if (!name)
                luaL_error(L, "SQL parameter %d has no name, yet values are given by name", n);
            lua_getfield(L, 3, name + 1);
            bind_value(L, statement, n, -1);
            lua_pop(L, 1);
        }
        return;
    }
    if (given != wanted)
        luaL_error(L, "the statement has %d parameters, %d values are given", wanted, given);
    for (int n = 1; n <= wanted; n++)
        bind_value(L, statement, n, n + 2);
}

static sqlite3_stmt *prepare(lua_State *L, struct database *db)
{
    int last = lua_gettop(L);
    sqlite3_stmt *statement = statement_of(L, db);
    if (statement)
        bind_all(L, statement, last);
    return statement;
}

/* db:run(sql, ...) -> number of rows changed. */
static int db_run(lua_State *L)
{
    struct database *db = check_db(L);
    sqlite3_stmt *statement = prepare(L, db);
    if (!statement)
        return fail(L, db->handle);
    int code, before = sqlite3_total_changes(db->handle);
    do {
        code = sqlite3_step(statement);
    } while (code == SQLITE_ROW);
    if (code != SQLITE_DONE) {
        int count = fail(L, db->handle);
        sqlite3_reset(statement);
        return count;
    }
    bool wrote = sqlite3_total_changes(db->handle) != before;
    lua_pushinteger(L, wrote ? sqlite3_changes(db->handle) : 0);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return 1;
}

static void push_column(lua_State *L, sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        lua_pushinteger(L, sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        lua_pushnumber(L, sqlite3_column_double(statement, column));
        break;
    case SQLITE_NULL:
        lua_pushnil(L);
        break;
    default: {
        const void *data = sqlite3_column_blob(statement, column);
        lua_pushlstring(L, data ? data : "", (size_t)sqlite3_column_bytes(statement, column));
    }
    }
}

/* Pushes the names of the columns, the first at the returned index. */
static int push_names(lua_State *L, sqlite3_stmt *statement, int columns)
{
    luaL_checkstack(L, columns + 4, "too many columns");
    int first = lua_gettop(L) + 1;
    for (int i = 0; i < columns; i++)
        lua_pushstring(L, sqlite3_column_name(statement, i));
    return first;
}

/* db:rows(sql, ...) -> {{column=value}...} */
static int db_rows(lua_State *L)
{
    struct database *db = check_db(L);
    sqlite3_stmt *statement = prepare(L, db);
    if (!statement)
        return fail(L, db->handle);
    int code = sqlite3_step(statement); /* may prepare it again when the schema has changed */
    int columns = sqlite3_column_count(statement);
    int first = push_names(L, statement, columns);
    lua_newtable(L);
    for (lua_Integer n = 1; code == SQLITE_ROW; n++, code = sqlite3_step(statement)) {
        lua_createtable(L, 0, columns);
        for (int i = 0; i < columns; i++) {
            lua_pushvalue(L, first + i);
            push_column(L, statement, i);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, -2, n);
    }
    int count = code == SQLITE_DONE ? 1 : fail(L, db->handle);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return count;
}

/* db:exec(sql) -> true. Any number of statements, without parameters. */
static int db_exec(lua_State *L)
{
    struct database *db = check_db(L);
    if (sqlite3_exec(db->handle, argument_text(L, 2), NULL, NULL, NULL) != SQLITE_OK)
        return fail(L, db->handle);
    lua_pushboolean(L, 1);
    return 1;
}

static int db_last_id(lua_State *L)
{
    lua_pushinteger(L, sqlite3_last_insert_rowid(check_db(L)->handle));
    return 1;
}

static void set_keep_wal(struct database *db, bool keep)
{
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, (int *)NULL);
}

/* db:keep_wal(keep): whether close() leaves the write-ahead log as it is, instead of
 * moving its contents into the database and removing it. */
static int db_keep_wal(lua_State *L)
{
    struct database *db = check_db(L);
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    set_keep_wal(db, lua_toboolean(L, 2));
    return 0;
}

/* Pushes the URI of a file that nobody writes: then SQLite creates no files next to it. */
static const char *push_immutable_uri(lua_State *L, const char *path)
{
    luaL_Buffer buffer;
    char escaped[4];
    luaL_buffinit(L, &buffer);
    luaL_addstring(&buffer, *path == '/' ? "file://" : "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path)) {
            snprintf(escaped, sizeof escaped, "%%%02X", (unsigned char)*path);
            luaL_addstring(&buffer, escaped);
        } else {
            luaL_addchar(&buffer, *path);
        }
    }
    luaL_addstring(&buffer, "?immutable=1");
    luaL_pushresult(&buffer);
    return lua_tostring(L, -1);
}

/* open(path, {readonly=, immutable=, keep_wal=, busy_timeout=seconds}) -> db. Made when
 * missing, unless read-only. immutable: read-only, and what its WAL holds is not seen.
 * keep_wal: see db:keep_wal.
 * ":memory:" is a database in memory. */
static int open_db(lua_State *L)
{
    static const char *const known[] = {"readonly", "immutable", "keep_wal", "busy_timeout", NULL};
    const char *path = argument_text(L, 1);
    option_check(L, 2, known);
    bool immutable = option_bool(L, 2, "immutable", false);
    bool readonly = option_bool(L, 2, "readonly", immutable);
    bool keep_wal = option_bool(L, 2, "keep_wal", false);
    double timeout = option_number(L, 2, "busy_timeout", 5);
    const char *name = immutable ? push_immutable_uri(L, path) : path;
    struct database *db = lua_newuserdatauv(L, sizeof *db, 1);
    memset(db, 0, sizeof *db);
    luaL_setmetatable(L, DB_META);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    int flags = readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    flags |= SQLITE_OPEN_NOMUTEX | (immutable ? SQLITE_OPEN_URI : 0);
    if (sqlite3_open_v2(name, &db->handle, flags, NULL) != SQLITE_OK) {
        int system = db->handle ? sqlite3_system_errno(db->handle) : 0;
        int count = system ? push_errno(L, system, "open the database %s", path)
                           : push_failure(L, "io", "open the database %s: %s", path,
                                          db->handle ? sqlite3_errmsg(db->handle)
                                                     : "out of memory");
        close_db(db);
        return count;
    }
    sqlite3_busy_timeout(db->handle, (int)(timeout * 1000));
    sqlite3_extended_result_codes(db->handle, 1);
    set_keep_wal(db, keep_wal);
    return 1;
}

static const luaL_Reg methods[] = {
    {"exec", db_exec},   {"run", db_run},         {"rows", db_rows},
    {"close", db_close}, {"last_id", db_last_id}, {"__gc", db_close},
    {"keep_wal", db_keep_wal}, {"__close", db_close}, {"__tostring", db_tostring}, {NULL, NULL},
};

int luaopen_native_sqlite(lua_State *L);
int luaopen_native_sqlite(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", open_db}, {NULL, NULL}};
    luaL_newmetatable(L, DB_META);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
