/* Operations and shapes as Lua tables: for callers that choose by them, for
 * documentation and for messages. */
#include "base/argument.h"
#include "model/lua/binding.h"
#include "model/pack.h"

static void set_text(lua_State *L, const char *key, struct span t)
{
    if (t.size == 0)
        return;
    push_text(L, t);
    lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

static void set_errors(lua_State *L, struct model *m, struct operation *op)
{
    struct pack r = {op->errors, op->errors_end, false};
    lua_createtable(L, (int)(op->error_count < 64 ? op->error_count : 64), 0);
    for (uint32_t i = 0; i < op->error_count && !r.bad; i++) {
        struct shape *s = model_shape(m, pack_number(&r));
        if (s == NULL)
            break;
        push_text(L, s->name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "errors");
}

static void set_input(lua_State *L, struct model *m, struct operation *op)
{
    struct shape *s = op->input.shape_id == NO_SHAPE ? NULL : slot_shape(m, &op->input);
    lua_newtable(L);
    for (uint32_t i = 0, n = 0; s != NULL && i < s->count; i++) {
        if (!(s->slots[i].traits & SLOT_REQUIRED))
            continue;
        push_text(L, s->slots[i].name);
        lua_rawseti(L, -2, (lua_Integer)++n);
    }
    lua_setfield(L, -2, "required");
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        if (s->slots[i].traits & SLOT_TOKEN)
            set_text(L, "idempotency_token", s->slots[i].name);
        if (s->payload == &s->slots[i])
            set_text(L, "payload", s->slots[i].name);
    }
}

static void set_output(lua_State *L, struct model *m, struct operation *op)
{
    struct shape *s = op->output.shape_id == NO_SHAPE ? NULL : slot_shape(m, &op->output);
    struct shape *p = s && s->payload ? slot_shape(m, s->payload) : NULL;
    set_flag(L, "streaming_output",
             p != NULL && p->type == BLOB &&
                 ((s->payload->traits & SLOT_STREAMING) || (p->traits & SHAPE_STREAMING)));
}

static void set_shape_id(lua_State *L, const char *key, const struct slot *root)
{
    if (root->shape_id == NO_SHAPE)
        return;
    lua_pushinteger(L, (lua_Integer)root->shape_id);
    lua_setfield(L, -2, key);
}

static void set_operation(lua_State *L, struct model *m, struct operation *op)
{
    set_text(L, "name", op->name);
    set_text(L, "method", op->method);
    set_text(L, "uri", op->uri);
    set_text(L, "host_prefix", op->host_prefix);
    set_flag(L, "readonly", op->flags & OP_READONLY);
    set_flag(L, "idempotent", op->flags & OP_IDEMPOTENT);
    set_flag(L, "unsigned_payload", op->flags & OP_UNSIGNED);
    set_flag(L, "deprecated", op->flags & OP_DEPRECATED);
    lua_pushinteger(L, op->status);
    lua_setfield(L, -2, "status");
    set_shape_id(L, "input", &op->input);
    set_shape_id(L, "output", &op->output);
    set_input(L, m, op);
    set_output(L, m, op);
    set_errors(L, m, op);
}

/* m:operation(name) -> what calling it takes, or nil */
static int m_operation(lua_State *L)
{
    struct model *m = check_model(L);
    struct codec c;
    struct span name;
    name.data = luaL_checklstring(L, 2, &name.size);
    long number = model_find(m, name);
    struct operation *op = number < 0 ? NULL : model_operation(m, (uint32_t)number);
    if (op == NULL)
        return push_failed(L, "no such operation", "missing");
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    codec_loose(L, &c, s);
    if (op->extra.size == 0)
        lua_newtable(L);
    else if (!read_packed(&c, op->extra) || !lua_istable(L, -1))
        return push_failed(L, "the service model is damaged: operation", "corrupt");
    set_operation(L, m, op);
    scratch_give(L, at);
    return 1;
}

static const char *const type_names[] = {"structure", "list",    "map",      "string",
                                         "blob",      "boolean", "integer",  "long",
                                         "float",     "double",  "timestamp"};

static bool set_member(lua_State *L, struct model *m, struct slot *slot)
{
    static const char *const places[] = {NULL,     "uri",     "querystring",
                                         "header", "headers", "statusCode"};
    struct shape *s = slot_shape(m, slot);
    if (s == NULL)
        return false;
    lua_createtable(L, 0, 6);
    set_text(L, "name", slot->name);
    lua_pushinteger(L, (lua_Integer)slot->shape_id);
    lua_setfield(L, -2, "shape");
    lua_pushstring(L, type_names[s->type]);
    lua_setfield(L, -2, "type");
    set_flag(L, "required", slot->traits & SLOT_REQUIRED);
    if (slot->traits & SLOT_TOKEN)
        set_flag(L, "idempotency_token", true);
    if (slot->traits & SLOT_DEPRECATED)
        set_flag(L, "deprecated", true);
    if ((slot->traits & SLOT_STREAMING) || (s->traits & SHAPE_STREAMING))
        set_flag(L, "streaming", true);
    if (slot->location != IN_BODY) {
        lua_pushstring(L, places[slot->location]);
        lua_setfield(L, -2, "location");
    }
    return true;
}

/* A structure's `members`, or the single `member`, `key` and `value`. */
static bool set_members(lua_State *L, struct model *m, struct shape *s)
{
    static const char *const single[] = {"member", "key", "value"};
    lua_createtable(L, (int)s->count, 0);
    for (uint32_t i = 0; i < s->count; i++) {
        if (!set_member(L, m, &s->slots[i]))
            return false;
        if (s->type == STRUCTURE)
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        else
            lua_setfield(L, -3, single[s->type == LIST ? 0 : i + 1]);
    }
    if (s->type == STRUCTURE)
        lua_setfield(L, -2, "members");
    else
        lua_pop(L, 1);
    return true;
}

static int push_shape(lua_State *L, struct model *m, uint32_t id)
{
    static const struct {
        uint32_t trait;
        const char *key;
    } flags[] = {{SHAPE_UNION, "union"},
                 {SHAPE_DOCUMENT, "document"},
                 {SHAPE_EXCEPTION, "exception"},
                 {SHAPE_EVENT_STREAM, "event_stream"},
                 {SHAPE_SENSITIVE, "sensitive"}};
    struct shape *s = model_shape(m, id);
    if (s == NULL)
        return push_failed(L, m->fault, "corrupt");
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type_names[s->type]);
    lua_setfield(L, -2, "type");
    set_text(L, "name", s->name);
    if (s->traits & SHAPE_MIN) {
        lua_pushinteger(L, s->min);
        lua_setfield(L, -2, "min");
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (s->traits & flags[i].trait)
            set_flag(L, flags[i].key, true);
    if (s->type <= MAP && !set_members(L, m, s))
        return push_failed(L, m->fault, "corrupt");
    return 1;
}

/* m:shape(name or number) -> its type and members, or nil */
static int m_shape(lua_State *L)
{
    struct model *m = check_model(L);
    if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer id = luaL_checkinteger(L, 2);
        if (id < 0 || id >= (lua_Integer)m->shape_count)
            return push_failed(L, "no such shape", "missing");
        return push_shape(L, m, (uint32_t)id);
    }
    argument_text(L, 2);
    lua_settop(L, 2);
    int n = push_packed(L, NAMES, "names");
    if (n != 1)
        return n;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNUMBER)
        return push_failed(L, "no such shape", "missing");
    lua_Integer id = lua_tointeger(L, -1);
    if (id < 0 || id >= (lua_Integer)m->shape_count)
        return push_failed(L, "the service model is damaged: names", "corrupt");
    return push_shape(L, m, (uint32_t)id);
}

const luaL_Reg model_descriptions[] = {
    {"operation", m_operation},
    {"shape", m_shape},
    {NULL, NULL},
};
