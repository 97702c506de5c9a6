/* native.chain: a hash chain over records, for logs that must show what they lost.
 *
 * A record is a table { seq, epoch (integers), time (number), kind, path, data (texts) }.
 * Its hash is SHA-256, in lower-case hex, over the hash of the record before it (64
 * digits) and its own fields: seq and epoch as 8-byte integers, time as an IEEE double,
 * each text after its length as an 8-byte integer; all big-endian. */
#include "crypto/digest.h"
#include "crypto/encoding.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { HEX_SIZE = 2 * SHA256_SIZE };

static void add_number(SHA256_CTX *c, uint64_t bits)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> (56 - 8 * i));
    SHA256_Update(c, bytes, sizeof bytes);
}

/* Each adds the field `name` of the table at `index`; false when it is of another type. */
static bool add_integer(lua_State *L, int index, const char *name, SHA256_CTX *c)
{
    lua_getfield(L, index, name);
    bool ok = lua_isinteger(L, -1);
    if (ok)
        add_number(c, (uint64_t)lua_tointeger(L, -1));
    lua_pop(L, 1);
    return ok;
}

static bool add_time(lua_State *L, int index, SHA256_CTX *c)
{
    uint64_t bits;
    lua_getfield(L, index, "time");
    bool ok = lua_type(L, -1) == LUA_TNUMBER;
    double time = lua_tonumber(L, -1);
    memcpy(&bits, &time, sizeof bits);
    if (ok)
        add_number(c, bits);
    lua_pop(L, 1);
    return ok;
}

static bool add_text(lua_State *L, int index, const char *name, SHA256_CTX *c)
{
    size_t size = 0;
    lua_getfield(L, index, name);
    bool ok = lua_type(L, -1) == LUA_TSTRING;
    const char *text = ok ? lua_tolstring(L, -1, &size) : NULL;
    if (ok) {
        add_number(c, size);
        SHA256_Update(c, text, size);
    }
    lua_pop(L, 1);
    return ok;
}

/* The hash of the record at `index` after `former`; false when it is no record. */
static bool hash_record(lua_State *L, int index, const char *former, char *out)
{
    unsigned char digest[SHA256_SIZE];
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, former, HEX_SIZE);
    bool ok = add_integer(L, index, "seq", &c) && add_integer(L, index, "epoch", &c) &&
              add_time(L, index, &c) && add_text(L, index, "kind", &c) &&
              add_text(L, index, "path", &c) && add_text(L, index, "data", &c);
    SHA256_Final(digest, &c);
    hex_encode(digest, sizeof digest, out);
    return ok;
}

static const char *check_former(lua_State *L, int argument)
{
    size_t size;
    const char *former = luaL_checklstring(L, argument, &size);
    luaL_argcheck(L, size == HEX_SIZE, argument, "a hash has 64 digits");
    return former;
}

/* hash(former, record) -> the record's hash. */
static int chain_hash(lua_State *L)
{
    char out[HEX_SIZE];
    const char *former = check_former(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!hash_record(L, 2, former, out))
        return luaL_argerror(L, 2, "seq, epoch, time, kind, path and data expected");
    lua_pushlstring(L, out, sizeof out);
    return 1;
}

/* Whether the record at `index` has this number, and its field `hash` follows `hash`,
 * which then becomes it. */
static bool follows(lua_State *L, int index, lua_Integer seq, char *hash)
{
    char expected[HEX_SIZE];
    size_t size = 0;
    if (!lua_istable(L, index) || !hash_record(L, index, hash, expected))
        return false;
    lua_getfield(L, index, "seq");
    bool ok = lua_tointeger(L, -1) == seq;
    lua_getfield(L, index, "hash");
    const char *given = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    ok = ok && size == HEX_SIZE && memcmp(given, expected, HEX_SIZE) == 0;
    lua_pop(L, 2);
    memcpy(hash, expected, HEX_SIZE);
    return ok;
}

/* fits(records, seq, hash) -> how many of the records, from the first on, follow the one
 * of that number and hash, and then each other. */
static int chain_fits(lua_State *L)
{
    char hash[HEX_SIZE];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer seq = luaL_checkinteger(L, 2), count = (lua_Integer)lua_rawlen(L, 1), n = 0;
    memcpy(hash, check_former(L, 3), HEX_SIZE);
    lua_settop(L, 3);
    while (n < count) {
        lua_rawgeti(L, 1, n + 1);
        bool ok = follows(L, 4, seq + n + 1, hash);
        lua_pop(L, 1);
        if (!ok)
            break;
        n++;
    }
    lua_pushinteger(L, n);
    return 1;
}

int luaopen_native_chain(lua_State *L);
int luaopen_native_chain(lua_State *L)
{
    static const luaL_Reg functions[] = {{"hash", chain_hash}, {"fits", chain_fits}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
