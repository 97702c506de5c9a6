/* native.gzip: whole strings to and from gzip (RFC 1952).
 *
 * decompress also takes zlib streams (RFC 1950) and several gzip members in a row, as gunzip
 * does, and never makes more than the limit it is given: a small response may unpack to
 * gigabytes. The z_stream lives in a userdata, so an error raised while Lua grows the result does
 * not leak it.
 */
#include "loop/op.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#define CHUNK 32768
#define DEFAULT_LIMIT (256LL * 1024 * 1024)

struct stream {
    z_stream z;
    int (*end)(z_streamp);
};

static int stream_gc(lua_State *L)
{
    struct stream *s = lua_touserdata(L, 1);
    if (s->end != NULL)
        s->end(&s->z);
    s->end = NULL;
    return 0;
}

static struct stream *stream_push(lua_State *L)
{
    struct stream *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return s;
}

/* Gives zlib the next piece of an input that may exceed its 32-bit counter. */
static void stream_feed(z_stream *z, const char **data, size_t *size)
{
    if (z->avail_in > 0 || *size == 0)
        return;
    uInt piece = *size < UINT_MAX ? (uInt)*size : UINT_MAX;
    z->next_in = (Bytef *)*data;
    z->avail_in = piece;
    *data += piece;
    *size -= piece;
}

/* gzip.compress(s [, level]) -> bytes; level 0 to 9, 6 by default. */
static int gzip_compress(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    lua_Integer level = luaL_optinteger(L, 2, 6);
    luaL_argcheck(L, level >= 0 && level <= 9, 2, "a level from 0 to 9");
    struct stream *s = stream_push(L);
    if (deflateInit2(&s->z, (int)level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return luaL_error(L, "out of memory for gzip");
    s->end = deflateEnd;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    int state;
    do {
        stream_feed(&s->z, &data, &size);
        s->z.next_out = (Bytef *)luaL_prepbuffsize(&b, CHUNK);
        s->z.avail_out = CHUNK;
        state = deflate(&s->z, size == 0 ? Z_FINISH : Z_NO_FLUSH);
        luaL_addsize(&b, CHUNK - s->z.avail_out);
    } while (state != Z_STREAM_END);
    luaL_pushresult(&b);
    return 1;
}

/* gzip.decompress(s [, max_bytes]) -> bytes, or nil, message, "corrupt" | "full". */
static int gzip_decompress(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    lua_Integer limit = luaL_optinteger(L, 2, DEFAULT_LIMIT);
    luaL_argcheck(L, limit >= 0, 2, "a limit is not negative");
    struct stream *s = stream_push(L);
    if (inflateInit2(&s->z, 15 + 32) != Z_OK)
        return luaL_error(L, "out of memory for gzip");
    s->end = inflateEnd;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    lua_Integer total = 0;
    for (;;) {
        stream_feed(&s->z, &data, &size);
        s->z.next_out = (Bytef *)luaL_prepbuffsize(&b, CHUNK);
        s->z.avail_out = CHUNK;
        int state = inflate(&s->z, Z_NO_FLUSH);
        luaL_addsize(&b, CHUNK - s->z.avail_out);
        total += CHUNK - s->z.avail_out;
        if (total > limit)
            return push_failure(L, "full", "the data unpack to more than %lld bytes",
                                (long long)limit);
        if (state == Z_STREAM_END) {
            if (s->z.avail_in == 0 && size == 0)
                break;
            state = inflateReset(&s->z);
        }
        if (state != Z_OK)
            return push_failure(L, "corrupt", "damaged gzip data: %s",
                                s->z.msg != NULL ? s->z.msg : "they end too early");
    }
    luaL_pushresult(&b);
    return 1;
}

static const luaL_Reg functions[] = {
    {"compress", gzip_compress}, {"decompress", gzip_decompress}, {NULL, NULL}};

int luaopen_native_gzip(lua_State *L);
int luaopen_native_gzip(lua_State *L)
{
    luaL_newlibtable(L, functions);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, stream_gc);
    lua_setfield(L, -2, "__gc");
    luaL_setfuncs(L, functions, 1);
    return 1;
}
