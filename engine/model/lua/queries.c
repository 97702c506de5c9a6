/* What Lua can ask a model: its metadata, its operations' names, and the packed
 * parts (waiters, paginators, endpoint rules), decoded on first use. */
#include <zlib.h>

#include "base/argument.h"
#include "model/lua/binding.h"
#include "model/pack.h"
#include "model/wire/cbor.h"

struct model *check_model(lua_State *L)
{
    return luaL_checkudata(L, 1, "drlua.model");
}

int push_failed(lua_State *L, const char *why, const char *kind)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushstring(L, kind);
    return 3;
}

/* Pushes a value kept in the model's table of names under `key`. */
static bool push_kept(lua_State *L, const char *key)
{
    lua_getiuservalue(L, 1, 2);
    int type = lua_getfield(L, -1, key);
    lua_remove(L, -2);
    if (type == LUA_TNIL)
        lua_pop(L, 1);
    return type != LUA_TNIL;
}

static void keep(lua_State *L, const char *key)
{
    lua_getiuservalue(L, 1, 2);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, key);
    lua_pop(L, 1);
}

bool read_packed(struct codec *c, struct span t)
{
    const uint8_t *p = (const uint8_t *)t.data;
    struct cbor in = {p, p, p + t.size};
    return cbor_read_any(c, &in);
}

/* Unpacks into the scratch's buffer. */
bool unpack_part(struct codec *c, struct part part, struct span *out)
{
    struct buffer *room = &c->s->extra;
    size_t size = (size_t)(part.end - part.p);
    uLongf length = size >= 4 ? pack_u32(part.p) : 0;
    buffer_clear(room);
    if (length == 0 || length > PACKED_LIMIT || !buffer_reserve(room, length) ||
        uncompress((Bytef *)room->data, &length, part.p + 4, (uLong)(size - 4)) != Z_OK ||
        length != pack_u32(part.p))
        return codec_fault(c, "the service model is damaged: a packed part");
    *out = (struct span){room->data, length};
    return true;
}

int push_packed(lua_State *L, enum cold which, const char *key)
{
    struct model *m = check_model(L);
    struct part part = m->cold[which];
    struct codec c;
    struct span t = {"", 0};
    if (push_kept(L, key))
        return 1;
    if (part.p == part.end) {
        lua_newtable(L);
        return 1;
    }
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    bool ok = unpack_part(&c, part, &t) && read_packed(&c, t);
    scratch_give(L, at);
    if (!ok || !lua_istable(L, -1))
        return push_failed(L, ok ? "the service model is damaged: a packed part" : c.fault,
                           "corrupt");
    keep(L, key);
    return 1;
}

static int m_waiters(lua_State *L)
{
    return push_packed(L, WAITERS, "waiters");
}
static int m_paginators(lua_State *L)
{
    return push_packed(L, PAGINATORS, "paginators");
}
static int m_rules(lua_State *L)
{
    return push_packed(L, RULES, "endpoint_rules");
}

static int m_constraints(lua_State *L)
{
    return push_packed(L, CONSTRAINTS, "constraints");
}

/* m:raw_metadata() -> the model's metadata as AWS writes it */
static int m_raw_metadata(lua_State *L)
{
    struct model *m = check_model(L);
    struct codec c;
    if (push_kept(L, "raw_metadata"))
        return 1;
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    bool ok =
        read_packed(&c, (struct span){(const char *)m->meta.p, (size_t)(m->meta.end - m->meta.p)});
    scratch_give(L, at);
    if (!ok || !lua_istable(L, -1))
        return push_failed(L, c.fault, "corrupt");
    keep(L, "raw_metadata");
    return 1;
}

/* m:metadata() -> the same with names as Lua code writes them */
static int m_metadata(lua_State *L)
{
    struct model *m = check_model(L);
    if (push_kept(L, "metadata"))
        return 1;
    int n = m_raw_metadata(L);
    if (n != 1)
        return n;
    int raw = lua_gettop(L);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, raw)) {
        char copy[64];
        struct span key = get_text(L, -2);
        size_t out = 0;
        for (size_t i = 0; i < key.size && out + 2 < sizeof copy; i++) {
            char ch = key.data[i];
            if (ch >= 'A' && ch <= 'Z')
                copy[out++] = '_', ch = (char)(ch + 32);
            copy[out++] = ch;
        }
        lua_pushlstring(L, copy, out);
        lua_insert(L, -2);
        lua_rawset(L, raw + 1);
    }
    lua_pushstring(L, protocol_name(m->protocol));
    lua_setfield(L, -2, "protocol");
    push_text(L, m->service);
    lua_setfield(L, -2, "service");
    keep(L, "metadata");
    return 1;
}

/* m:operations() -> names, sorted */
static int m_operations(lua_State *L)
{
    struct model *m = check_model(L);
    lua_createtable(L, (int)m->op_count, 0);
    for (uint32_t i = 0; i < m->op_count; i++) {
        struct span name;
        if (!model_op_name(m, i, &name))
            return push_failed(L, m->fault, "corrupt");
        push_text(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* m:find(name) -> the operation's name for either form of it, or nil. The table of all
 * methods is made at the first call that needs it. */
static int m_find(lua_State *L)
{
    struct model *m = check_model(L);
    struct span asked;
    asked.data = luaL_checklstring(L, 2, &asked.size);
    lua_settop(L, 2);
    if (model_find(m, asked) >= 0)
        return 1;
    if (!push_kept(L, "methods")) {
        struct scratch *s = scratch_take(L);
        int at = lua_gettop(L);
        lua_createtable(L, 0, (int)m->op_count);
        for (uint32_t i = 0; i < m->op_count; i++) {
            struct span name;
            if (!model_op_name(m, i, &name))
                break;
            buffer_clear(&s->text);
            snake_name(&s->text, name);
            push_text(L, buffer_span(&s->text));
            push_text(L, name);
            lua_rawset(L, -3);
        }
        scratch_give(L, at);
        keep(L, "methods");
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

const luaL_Reg model_queries[] = {
    {"metadata", m_metadata},
    {"raw_metadata", m_raw_metadata},
    {"operations", m_operations},
    {"find", m_find},
    {"waiters", m_waiters},
    {"paginators", m_paginators},
    {"endpoint_rules", m_rules},
    {"constraints", m_constraints},
    {NULL, NULL},
};
