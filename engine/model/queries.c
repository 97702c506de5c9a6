/* What Lua can ask a model: its metadata, operations, shapes, and the packed
 * parts (waiters, paginators, endpoint rules), decoded on first use. */
#include <zlib.h>

#include "binding.h"
#include "pack.h"

static struct model *check_model(lua_State *L) {
  return luaL_checkudata(L, 1, "drlua.model");
}

static int failed(lua_State *L, const char *why, const char *kind) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  lua_pushstring(L, kind);
  return 3;
}

/* Pushes a value kept in the model's table of names under `key`. */
static bool push_kept(lua_State *L, const char *key) {
  lua_getiuservalue(L, 1, 2);
  int type = lua_getfield(L, -1, key);
  lua_remove(L, -2);
  if (type == LUA_TNIL) lua_pop(L, 1);
  return type != LUA_TNIL;
}

static void keep(lua_State *L, const char *key) {
  lua_getiuservalue(L, 1, 2);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, key);
  lua_pop(L, 1);
}

static bool read_cbor(lua_State *L, struct codec *c, struct span t) {
  const uint8_t *p = (const uint8_t *)t.data;
  struct cbor in = {p, p, p + t.size};
  (void)L;
  return cbor_read_any(c, &in);
}

/* Unpacks into the scratch's buffer. */
static bool unpack(struct codec *c, struct part part, struct span *out) {
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

static int push_cold(lua_State *L, enum cold which, const char *key) {
  struct model *m = check_model(L);
  struct part part = m->cold[which];
  struct codec c;
  struct span t = {"", 0};
  if (push_kept(L, key)) return 1;
  if (part.p == part.end) {
    lua_newtable(L);
    return 1;
  }
  struct scratch *s = scratch_take(L);
  int at = lua_gettop(L);
  codec_loose(L, &c, s);
  bool ok = unpack(&c, part, &t) && read_cbor(L, &c, t);
  scratch_give(L, at);
  if (!ok) return failed(L, c.fault, "corrupt");
  keep(L, key);
  return 1;
}

static int m_waiters(lua_State *L) { return push_cold(L, WAITERS, "waiters"); }
static int m_paginators(lua_State *L) { return push_cold(L, PAGINATORS, "paginators"); }
static int m_rules(lua_State *L) { return push_cold(L, RULES, "endpoint_rules"); }

/* m:raw_metadata() -> the model's metadata as AWS writes it */
static int m_raw_metadata(lua_State *L) {
  struct model *m = check_model(L);
  struct codec c;
  if (push_kept(L, "raw_metadata")) return 1;
  struct scratch *s = scratch_take(L);
  int at = lua_gettop(L);
  codec_loose(L, &c, s);
  bool ok = read_cbor(L, &c, (struct span){(const char *)m->meta.p,
                                           (size_t)(m->meta.end - m->meta.p)});
  scratch_give(L, at);
  if (!ok || !lua_istable(L, -1)) return failed(L, c.fault, "corrupt");
  keep(L, "raw_metadata");
  return 1;
}

/* m:metadata() -> the same with names as Lua code writes them */
static int m_metadata(lua_State *L) {
  struct model *m = check_model(L);
  if (push_kept(L, "metadata")) return 1;
  int n = m_raw_metadata(L);
  if (n != 1) return n;
  int raw = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, raw)) {
    char copy[64];
    struct span key = get_text(L, -2);
    size_t out = 0;
    for (size_t i = 0; i < key.size && out + 2 < sizeof copy; i++) {
      char ch = key.data[i];
      if (ch >= 'A' && ch <= 'Z') copy[out++] = '_', ch = (char)(ch + 32);
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
static int m_operations(lua_State *L) {
  struct model *m = check_model(L);
  lua_createtable(L, (int)m->op_count, 0);
  for (uint32_t i = 0; i < m->op_count; i++) {
    struct span name;
    if (!model_op_name(m, i, &name)) return failed(L, m->fault, "corrupt");
    push_text(L, name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* m:find(method_name) -> operation name, or nil. The table of all names is made
 * at the first call. */
static int m_find(lua_State *L) {
  struct model *m = check_model(L);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  if (!push_kept(L, "methods")) {
    struct scratch *s = scratch_take(L);
    int at = lua_gettop(L);
    lua_createtable(L, 0, (int)m->op_count);
    for (uint32_t i = 0; i < m->op_count; i++) {
      struct span name;
      if (!model_op_name(m, i, &name)) break;
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

static void set_text(lua_State *L, const char *key, struct span t) {
  if (t.size == 0) return;
  push_text(L, t);
  lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, key);
}

static void set_errors(lua_State *L, struct model *m, struct operation *op) {
  struct pack r = {op->errors, op->errors_end, false};
  lua_createtable(L, (int)(op->error_count < 64 ? op->error_count : 64), 0);
  for (uint32_t i = 0; i < op->error_count && !r.bad; i++) {
    struct shape *s = model_shape(m, pack_number(&r));
    if (s == NULL) break;
    push_text(L, s->name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "errors");
}

static void set_input(lua_State *L, struct model *m, struct operation *op) {
  struct shape *s = op->input.shape_id == NO_SHAPE ? NULL : slot_shape(m, &op->input);
  lua_newtable(L);
  for (uint32_t i = 0, n = 0; s != NULL && i < s->count; i++) {
    if (!(s->slots[i].traits & SLOT_REQUIRED)) continue;
    push_text(L, s->slots[i].name);
    lua_rawseti(L, -2, (lua_Integer)++n);
  }
  lua_setfield(L, -2, "required");
  for (uint32_t i = 0; s != NULL && i < s->count; i++) {
    if (s->slots[i].traits & SLOT_TOKEN)
      set_text(L, "idempotency_token", s->slots[i].name);
    if (s->payload == &s->slots[i]) set_text(L, "payload", s->slots[i].name);
  }
}

static void set_output(lua_State *L, struct model *m, struct operation *op) {
  struct shape *s = op->output.shape_id == NO_SHAPE ? NULL : slot_shape(m, &op->output);
  struct shape *p = s && s->payload ? slot_shape(m, s->payload) : NULL;
  set_flag(L, "streaming_output",
           p != NULL && p->type == BLOB &&
               ((s->payload->traits & SLOT_STREAMING) || (p->traits & SHAPE_STREAMING)));
}

/* m:operation(name) -> what calling it takes, or nil */
static int m_operation(lua_State *L) {
  struct model *m = check_model(L);
  struct codec c;
  struct span name;
  name.data = luaL_checklstring(L, 2, &name.size);
  long number = model_find(m, name);
  struct operation *op = number < 0 ? NULL : model_operation(m, (uint32_t)number);
  if (op == NULL) return failed(L, "no such operation", "missing");
  struct scratch *s = scratch_take(L);
  int at = lua_gettop(L);
  codec_loose(L, &c, s);
  if (op->extra.size == 0) lua_newtable(L);
  else if (!read_cbor(L, &c, op->extra) || !lua_istable(L, -1))
    return failed(L, "the service model is damaged: operation", "corrupt");
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
  set_input(L, m, op);
  set_output(L, m, op);
  set_errors(L, m, op);
  if (op->input.shape_id != NO_SHAPE) {
    lua_pushinteger(L, (lua_Integer)op->input.shape_id);
    lua_setfield(L, -2, "input");
  }
  if (op->output.shape_id != NO_SHAPE) {
    lua_pushinteger(L, (lua_Integer)op->output.shape_id);
    lua_setfield(L, -2, "output");
  }
  scratch_give(L, at);
  return 1;
}

static const char *const type_names[] = {"structure", "list",    "map",     "string",
                                         "blob",      "boolean", "integer", "long",
                                         "float",     "double",  "timestamp"};

static bool set_member(lua_State *L, struct model *m, struct slot *slot) {
  static const char *const places[] = {NULL, "uri", "querystring", "header",
                                       "headers", "statusCode"};
  struct shape *s = slot_shape(m, slot);
  if (s == NULL) return false;
  lua_createtable(L, 0, 6);
  set_text(L, "name", slot->name);
  lua_pushinteger(L, (lua_Integer)slot->shape_id);
  lua_setfield(L, -2, "shape");
  lua_pushstring(L, type_names[s->type]);
  lua_setfield(L, -2, "type");
  set_flag(L, "required", slot->traits & SLOT_REQUIRED);
  if (slot->traits & SLOT_TOKEN) set_flag(L, "idempotency_token", true);
  if (slot->traits & SLOT_DEPRECATED) set_flag(L, "deprecated", true);
  if ((slot->traits & SLOT_STREAMING) || (s->traits & SHAPE_STREAMING))
    set_flag(L, "streaming", true);
  if (slot->location != IN_BODY) {
    lua_pushstring(L, places[slot->location]);
    lua_setfield(L, -2, "location");
  }
  return true;
}

static int push_shape(lua_State *L, struct model *m, uint32_t id) {
  struct shape *s = model_shape(m, id);
  if (s == NULL) return failed(L, m->fault, "corrupt");
  lua_createtable(L, 0, 6);
  lua_pushstring(L, type_names[s->type]);
  lua_setfield(L, -2, "type");
  set_text(L, "name", s->name);
  if (s->traits & SHAPE_UNION) set_flag(L, "union", true);
  if (s->traits & SHAPE_DOCUMENT) set_flag(L, "document", true);
  if (s->traits & SHAPE_EXCEPTION) set_flag(L, "exception", true);
  if (s->traits & SHAPE_EVENT_STREAM) set_flag(L, "event_stream", true);
  if (s->type <= MAP) {
    static const char *const single[] = {"member", "key", "value"};
    lua_createtable(L, (int)s->count, 0);
    for (uint32_t i = 0; i < s->count; i++) {
      if (!set_member(L, m, &s->slots[i])) return failed(L, m->fault, "corrupt");
      if (s->type == STRUCTURE) lua_rawseti(L, -2, (lua_Integer)i + 1);
      else lua_setfield(L, -3, single[s->type == LIST ? 0 : i + 1]);
    }
    if (s->type == STRUCTURE) lua_setfield(L, -2, "members");
    else lua_pop(L, 1);
  }
  return 1;
}

/* m:shape(name or number) -> its type and members, or nil */
static int m_shape(lua_State *L) {
  struct model *m = check_model(L);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    lua_Integer id = luaL_checkinteger(L, 2);
    if (id < 0 || id >= (lua_Integer)m->shape_count)
      return failed(L, "no such shape", "missing");
    return push_shape(L, m, (uint32_t)id);
  }
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  int n = push_cold(L, NAMES, "names");
  if (n != 1) return n;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNUMBER) return failed(L, "no such shape", "missing");
  lua_Integer id = lua_tointeger(L, -1);
  if (id < 0 || id >= (lua_Integer)m->shape_count)
    return failed(L, "the service model is damaged: names", "corrupt");
  return push_shape(L, m, (uint32_t)id);
}

const luaL_Reg model_queries[] = {
    {"metadata", m_metadata},     {"raw_metadata", m_raw_metadata},
    {"operations", m_operations}, {"operation", m_operation},
    {"find", m_find},             {"shape", m_shape},
    {"waiters", m_waiters},       {"paginators", m_paginators},
    {"endpoint_rules", m_rules},  {NULL, NULL},
};
