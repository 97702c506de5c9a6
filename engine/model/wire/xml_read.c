/* From XML nodes to Lua values, by shape. */
#include "model/wire/xml.h"

static struct span local_name(struct span name)
{
    const char *colon = memchr(name.data, ':', name.size);
    if (colon == NULL)
        return name;
    size_t skip = (size_t)(colon - name.data) + 1;
    return (struct span){name.data + skip, name.size - skip};
}

static struct span full_name(struct codec *c, uint32_t node)
{
    struct xml_node *x = &c->s->nodes[node];
    const char *base = c->s->xml_source ? c->s->xml_source : c->s->xml_text.data;
    return (struct span){base + x->name, x->name_length};
}

struct span xml_name(struct codec *c, uint32_t node)
{
    struct span name = full_name(c, node);
    return c->s->xml_prefixed ? local_name(name) : name;
}

struct span xml_value(struct codec *c, uint32_t node)
{
    struct xml_node *x = &c->s->nodes[node];
    const char *base = c->s->xml_source;
    if (x->text_length == 0)
        return (struct span){"", 0};
    if (base == NULL || x->decoded)
        base = c->s->xml_text.data;
    return (struct span){base + x->text, x->text_length};
}

static uint32_t first_kid(struct codec *c, uint32_t node)
{
    return node + 1 + c->s->nodes[node].attributes;
}

uint32_t xml_child(struct codec *c, uint32_t node, const char *name)
{
    uint32_t end = c->s->nodes[node].next;
    for (uint32_t k = first_kid(c, node); k < end; k = c->s->nodes[k].next)
        if (text_is(xml_name(c, k), name))
            return k;
    return 0;
}

/* Pushes the table of a repeated (flattened) member, making it at first. */
static void repeated(struct codec *c, struct slot *slot, int into)
{
    push_name(c, slot);
    if (lua_rawget(c->L, into) == LUA_TTABLE)
        return;
    lua_pop(c->L, 1);
    lua_newtable(c->L);
    push_name(c, slot);
    lua_pushvalue(c->L, -2);
    lua_rawset(c->L, into);
}

/* <key/><value/> inside of `node`, set in the table on top. */
static bool entry(struct codec *c, struct shape *s, uint32_t node)
{
    struct slot *key = &s->slots[0], *value = &s->slots[1];
    struct span key_name = key->wire.size ? key->wire : text_of("key");
    struct span value_name = value->wire.size ? value->wire : text_of("value");
    uint32_t key_node = 0, value_node = 0, end = c->s->nodes[node].next;
    for (uint32_t k = first_kid(c, node); k < end; k = c->s->nodes[k].next) {
        if (text_eq(xml_name(c, k), key_name))
            key_node = k;
        else if (text_eq(xml_name(c, k), value_name))
            value_node = k;
    }
    if (key_node == 0 || value_node == 0)
        return true;
    push_text(c->L, xml_value(c, key_node));
    if (!xml_read(c, value, value_node, false))
        return false;
    lua_rawset(c->L, -3);
    return true;
}

static bool flattened(struct codec *c, struct slot *slot, struct shape *s, uint32_t node, int into)
{
    repeated(c, slot, into);
    if (s->type == MAP) {
        if (!entry(c, s, node))
            return false;
    } else {
        if (!xml_read(c, &s->slots[0], node, false))
            return false;
        lua_rawseti(c->L, -2, (lua_Integer)lua_rawlen(c->L, -2) + 1);
    }
    lua_pop(c->L, 1);
    return true;
}

static bool read_attributes(struct codec *c, struct shape *s, uint32_t node, int into)
{
    uint32_t end = first_kid(c, node);
    for (uint32_t k = node + 1; k < end; k++) {
        uint32_t before = 0;
        struct slot *slot = shape_wire(c->m, s, full_name(c, k), &before);
        if (slot == NULL || !(slot->traits & SLOT_ATTRIBUTE))
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        push_name(c, slot);
        if (!read_scalar(c, slot, inner, xml_value(c, k)))
            return false;
        lua_rawset(c->L, into);
    }
    return true;
}

static bool read_member(struct codec *c, struct slot *slot, uint32_t node, int into)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if ((slot->traits & SLOT_FLATTENED) && (s->type == LIST || s->type == MAP))
        return flattened(c, slot, s, node, into);
    push_name(c, slot);
    if (!xml_read(c, slot, node, false))
        return false;
    lua_rawset(c->L, into);
    return true;
}

/* A flattened list whose elements go by their own name (SimpleDB). */
static struct slot *by_element(struct codec *c, struct shape *s, struct span name)
{
    if (c->protocol != QUERY)
        return NULL;
    for (uint32_t i = 0; i < s->count; i++)
        if ((s->slots[i].traits & SLOT_FLATTENED) && text_eq(s->slots[i].form, name))
            return &s->slots[i];
    return NULL;
}

bool xml_read_members(struct codec *c, struct shape *s, uint32_t node, int into, bool body)
{
    uint32_t before = 0, end = c->s->nodes[node].next;
    if (c->s->nodes[node].attributes > 0 && !read_attributes(c, s, node, into))
        return false;
    for (uint32_t k = first_kid(c, node); k < end; k = c->s->nodes[k].next) {
        struct slot *slot = shape_wire(c->m, s, xml_name(c, k), &before);
        if (slot == NULL)
            slot = by_element(c, s, xml_name(c, k));
        if (slot == NULL || (body && slot->location != IN_BODY) || (slot->traits & SLOT_ATTRIBUTE))
            continue;
        if (!read_member(c, slot, k, into))
            return false;
    }
    return true;
}

static bool read_list(struct codec *c, struct shape *s, uint32_t node)
{
    uint32_t end = c->s->nodes[node].next;
    lua_Integer i = 0;
    lua_createtable(c->L, (int)c->s->nodes[node].kids, 0);
    for (uint32_t k = first_kid(c, node); k < end; k = c->s->nodes[k].next) {
        if (!xml_read(c, &s->slots[0], k, false))
            return false;
        lua_rawseti(c->L, -2, ++i);
    }
    return true;
}

static bool read_map(struct codec *c, struct shape *s, uint32_t node)
{
    uint32_t end = c->s->nodes[node].next;
    lua_createtable(c->L, 0, (int)c->s->nodes[node].kids);
    for (uint32_t k = first_kid(c, node); k < end; k = c->s->nodes[k].next)
        if (!entry(c, s, k))
            return false;
    return true;
}

bool xml_read(struct codec *c, struct slot *slot, uint32_t node, bool body)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->type > MAP)
        return read_scalar(c, slot, s, xml_value(c, node));
    if (!codec_enter(c))
        return false;
    bool ok;
    if (s->type == STRUCTURE) {
        lua_createtable(c->L, 0, (int)c->s->nodes[node].kids);
        ok = xml_read_members(c, s, node, lua_gettop(c->L), body);
    } else {
        ok = s->type == LIST ? read_list(c, s, node) : read_map(c, s, node);
    }
    codec_leave(c);
    return ok;
}
