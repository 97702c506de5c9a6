/* native.model: compiled service models and the codec, for Lua.
 *
 * A model is a userdata with two user values: what keeps its bytes alive (a
 * string, or nil for the archive in the program) and a table of its members'
 * names, so that each name is made as a Lua string once.
 *
 * Every function keeps its own scratch (buffers, XML nodes) as an upvalue and
 * takes it out of there while it works: an error leaves it to the collector,
 * and a call from within a call (a finalizer) makes a new one. */
#include <expat.h>
#include <stdlib.h>
#include <zlib.h>

#include "model/lua/binding.h"
#include "model/archive.h"
#include "model/wire/cbor.h"
#include "model/wire/json.h"

#define MODEL "drlua.model"
#define SCRATCH "drlua.model.scratch"

enum { KEEP_ROOM = 1 << 20 };

static int scratch_gc(lua_State *L)
{
    struct scratch *s = lua_touserdata(L, 1);
    struct buffer *all[] = {&s->body, &s->text, &s->path, &s->extra, &s->xml_text};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_free(all[i]);
    free(s->nodes);
    free(s->form);
    free(s->headers);
    if (s->parser != NULL)
        XML_ParserFree(s->parser);
    *s = (struct scratch){0};
    return 0;
}

/* Takes the scratch of the running function, leaving it on the stack. */
struct scratch *scratch_take(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    struct scratch *s = lua_touserdata(L, -1);
    if (s == NULL) {
        lua_pop(L, 1);
        s = lua_newuserdatauv(L, sizeof *s, 0);
        *s = (struct scratch){0};
        luaL_setmetatable(L, SCRATCH);
    } else {
        lua_pushnil(L);
        lua_replace(L, lua_upvalueindex(1));
    }
    return s;
}

static void shrink(struct buffer *b)
{
    if (b->capacity > KEEP_ROOM || b->failed)
        buffer_free(b);
}

/* Gives the scratch at `at` back, without what only a large message needed. */
void scratch_give(lua_State *L, int at)
{
    struct scratch *s = lua_touserdata(L, at);
    struct buffer *all[] = {&s->body, &s->text, &s->path, &s->extra, &s->xml_text};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        shrink(all[i]);
    if (s->node_room > KEEP_ROOM / sizeof *s->nodes) {
        free(s->nodes);
        s->nodes = NULL;
        s->node_room = 0;
    }
    lua_pushvalue(L, at);
    lua_replace(L, lua_upvalueindex(1));
}

static int model_gc(lua_State *L)
{
    model_close(lua_touserdata(L, 1));
    return 0;
}

static int model_tostring(lua_State *L)
{
    struct model *m = check_model(L);
    lua_pushfstring(L, "model %s, %d operations",
                    lua_pushlstring(L, m->service.data, m->service.size), (int)m->op_count);
    return 1;
}

/* Makes a model of `bytes`; the value at `anchor` keeps them alive. */
static int push_model(lua_State *L, struct span bytes, int anchor)
{
    struct model *m = lua_newuserdatauv(L, sizeof *m, 2);
    *m = (struct model){0};
    luaL_setmetatable(L, MODEL);
    lua_pushvalue(L, anchor);
    lua_setiuservalue(L, -2, 1);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 2);
    if (model_open(m, bytes.data, bytes.size))
        return 1;
    return push_failed(L, m->fault, "corrupt");
}

/* model.load(bytes) -> m */
static int l_load(lua_State *L)
{
    struct span t;
    t.data = luaL_checklstring(L, 1, &t.size);
    return push_model(L, t, 1);
}

/* model.open(service) -> m, one for each service as long as it is in use. */
static int l_open(lua_State *L)
{
    struct span name, bytes;
    struct archive a = archive_builtin();
    name.data = luaL_checklstring(L, 1, &name.size);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    if (lua_gettable(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (!archive_find(&a, name, &bytes)) {
        lua_pushnil(L);
        lua_pushfstring(L,
                        a.count == 0 ? "no service models are built in (wanted: %s)"
                                     : "AWS has no service %s",
                        name.data);
        lua_pushliteral(L, "missing");
        return 3;
    }
    lua_pushnil(L);
    int n = push_model(L, bytes, lua_gettop(L));
    if (n != 1)
        return n;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_settable(L, lua_upvalueindex(1));
    return 1;
}

/* model.services() -> names, sorted */
static int l_services(lua_State *L)
{
    struct archive a = archive_builtin();
    struct span name, bytes;
    lua_createtable(L, (int)a.count, 0);
    for (uint32_t i = 0; i < a.count && archive_entry(&a, i, &name, &bytes); i++) {
        push_text(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* model.snake(name) -> the method's name */
static int l_snake(lua_State *L)
{
    struct span name;
    name.data = luaL_checklstring(L, 1, &name.size);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    buffer_clear(&s->text);
    snake_name(&s->text, name);
    push_text(L, buffer_span(&s->text));
    scratch_give(L, at);
    return 1;
}

/* model.crc32(bytes) -> integer */
static int l_crc32(lua_State *L)
{
    size_t n;
    const char *p = luaL_checklstring(L, 1, &n);
    lua_pushinteger(L, (lua_Integer)crc32_z(0, (const Bytef *)p, n));
    return 1;
}

/* Starts a codec without a model: for untyped values. */
void codec_loose(lua_State *L, struct codec *c, struct scratch *s)
{
    *c = (struct codec){.L = L, .s = s, .out = &s->body};
    buffer_clear(c->out);
}

/* model.cbor(value) -> bytes */
static int l_cbor(lua_State *L)
{
    struct codec c;
    luaL_checkany(L, 1);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    bool ok = cbor_write_any(&c, c.out, 1) && !c.out->failed;
    if (ok)
        push_text(L, buffer_span(c.out));
    scratch_give(L, at);
    return ok ? 1 : push_failed(L, c.fault, "invalid");
}

/* model.uncbor(bytes) -> value */
static int l_uncbor(lua_State *L)
{
    struct codec c;
    struct span t;
    t.data = luaL_checklstring(L, 1, &t.size);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    const uint8_t *p = (const uint8_t *)t.data;
    struct cbor in = {p, p, p + t.size};
    bool ok = cbor_read_any(&c, &in);
    scratch_give(L, at);
    return ok ? 1 : push_failed(L, c.fault, "corrupt");
}

/* model.pack(value, level) -> bytes: CBOR, its length before it, compressed; level
 * as zlib's, 9 by default. */
static int l_pack(lua_State *L)
{
    struct codec c;
    struct scratch *s;
    luaL_checkany(L, 1);
    lua_Integer level = luaL_optinteger(L, 2, 9);
    luaL_argcheck(L, level >= 0 && level <= 9, 2, "a level from 0 to 9");
    s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    bool ok = cbor_write_any(&c, c.out, 1) && !c.out->failed;
    uLongf room = compressBound((uLong)c.out->size);
    struct buffer *packed = &s->extra;
    buffer_clear(packed);
    ok = ok && c.out->size < PACKED_LIMIT && buffer_reserve(packed, room + 4) &&
         compress2((Bytef *)packed->data + 4, &room, (const Bytef *)c.out->data, (uLong)c.out->size,
                   (int)level) == Z_OK;
    if (ok) {
        for (int i = 0; i < 4; i++)
            packed->data[i] = (char)(c.out->size >> i * 8 & 0xff);
        lua_pushlstring(L, packed->data, room + 4);
    }
    scratch_give(L, at);
    return ok ? 1 : push_failed(L, c.fault[0] ? c.fault : "it could not be packed", "invalid");
}

/* model.unpack(bytes) -> the value that was packed */
static int l_unpack(lua_State *L)
{
    struct codec c;
    struct span t, plain = {"", 0};
    t.data = luaL_checklstring(L, 1, &t.size);
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    const uint8_t *p = (const uint8_t *)t.data;
    bool ok = unpack_part(&c, (struct part){p, p + t.size}, &plain) && read_packed(&c, plain);
    int value = lua_gettop(L);
    scratch_give(L, at);
    if (!ok)
        return push_failed(L, c.fault, "corrupt");
    lua_pushvalue(L, value);
    return 1;
}

static const luaL_Reg functions[] = {
    {"load", l_load}, {"services", l_services}, {"snake", l_snake}, {"crc32", l_crc32},
    {"cbor", l_cbor}, {"uncbor", l_uncbor},     {"pack", l_pack},   {"unpack", l_unpack},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", model_gc},
    {"__tostring", model_tostring},
    {NULL, NULL},
};

/* Each function gets its own upvalue, where its scratch rests. */
void set_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name != NULL; list++) {
        lua_pushnil(L);
        lua_pushcclosure(L, list->func, 1);
        lua_setfield(L, -2, list->name);
    }
}

static void make_metatables(lua_State *L)
{
    if (luaL_newmetatable(L, SCRATCH)) {
        lua_pushcfunction(L, scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    if (luaL_newmetatable(L, MODEL)) {
        luaL_setfuncs(L, metamethods, 0);
        lua_newtable(L);
        set_functions(L, model_queries);
        set_functions(L, model_descriptions);
        set_functions(L, model_messages);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &json_array_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_pushliteral(L, "array");
        lua_setfield(L, -2, "__name");
        lua_rawsetp(L, LUA_REGISTRYINDEX, &json_array_key);
    }
    lua_pop(L, 1);
}

void model_prepare(lua_State *L)
{
    make_metatables(L);
}

int luaopen_native_model(lua_State *L);
int luaopen_native_model(lua_State *L)
{
    make_metatables(L);
    lua_newtable(L);
    set_functions(L, functions);
    lua_newtable(L); /* models by service, while somebody holds them */
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, l_open, 1);
    lua_setfield(L, -2, "open");
    push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
