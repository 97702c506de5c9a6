/* Writing XML, by shape: requests of rest-xml, and the simulator's responses of query, ec2 and
 * rest-xml. */
#include "model/wire/xml.h"

void xml_escape(struct buffer *out, struct span t)
{
    const char *p = t.data, *end = t.data + t.size;
    while (p < end) {
        const char *run = p;
        while (p < end && *p != '<' && *p != '>' && *p != '&' && *p != '"' && *p != '\r' &&
               *p != '\n')
            p++;
        buffer_add(out, run, (size_t)(p - run));
        if (p == end)
            break;
        switch (*p++) {
        case '<':
            add_str(out, "&lt;");
            break;
        case '>':
            add_str(out, "&gt;");
            break;
        case '&':
            add_str(out, "&amp;");
            break;
        case '"':
            add_str(out, "&quot;");
            break;
        case '\r':
            add_str(out, "&#xD;");
            break;
        default:
            add_str(out, "&#xA;");
            break;
        }
    }
}

static void namespace_of(struct buffer *out, struct span uri, struct span prefix)
{
    if (uri.size == 0)
        return;
    add_str(out, " xmlns");
    if (prefix.size > 0) {
        buffer_add_char(out, ':');
        buffer_add_span(out, prefix);
    }
    add_str(out, "=\"");
    xml_escape(out, uri);
    buffer_add_char(out, '"');
}

void xml_open(struct buffer *out, struct span name, struct span ns_uri, struct span ns_prefix)
{
    buffer_add_char(out, '<');
    buffer_add_span(out, name);
    namespace_of(out, ns_uri, ns_prefix);
    buffer_add_char(out, '>');
}

void xml_close(struct buffer *out, struct span name)
{
    add_str(out, "</");
    buffer_add_span(out, name);
    buffer_add_char(out, '>');
}

static bool attributes(struct codec *c, struct shape *s, int at)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (!(slot->traits & SLOT_ATTRIBUTE) || !get_member(c, slot, at))
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        struct buffer *value = &c->s->text;
        buffer_clear(value);
        if (!write_scalar(c, value, slot, inner, lua_gettop(c->L), TIME_ISO8601))
            return false;
        lua_pop(c->L, 1);
        buffer_add_char(c->out, ' ');
        buffer_add_span(c->out, slot->wire);
        add_str(c->out, "=\"");
        xml_escape(c->out, (struct span){value->data ? value->data : "", value->size});
        buffer_add_char(c->out, '"');
    }
    return true;
}

static bool list(struct codec *c, struct slot *slot, struct shape *s, int at, struct span name)
{
    struct slot *element = &s->slots[0];
    bool flat = slot->traits & SLOT_FLATTENED;
    struct span item = flat                 ? name
                       : element->wire.size ? element->wire
                       : c->protocol == EC2 ? text_of("item")
                                            : text_of("member");
    size_t n = lua_rawlen(c->L, at);
    if (!flat)
        xml_open(c->out, name, slot->ns_uri, slot->ns_prefix);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!xml_write(c, element, lua_gettop(c->L), item))
            return false;
        lua_pop(c->L, 1);
    }
    if (!flat)
        xml_close(c->out, name);
    return true;
}

static bool map(struct codec *c, struct slot *slot, struct shape *s, int at, struct span name)
{
    struct slot *key = &s->slots[0], *value = &s->slots[1];
    struct span key_name = key->wire.size ? key->wire : text_of("key");
    struct span value_name = value->wire.size ? value->wire : text_of("value");
    bool flat = slot->traits & SLOT_FLATTENED;
    struct span wrapper = flat ? name : text_of("entry"), none = {"", 0};
    if (!flat)
        xml_open(c->out, name, slot->ns_uri, slot->ns_prefix);
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        int top = lua_gettop(c->L);
        xml_open(c->out, wrapper, none, none);
        if (!xml_write(c, key, top - 1, key_name))
            return false;
        if (!xml_write(c, value, top, value_name))
            return false;
        xml_close(c->out, wrapper);
        lua_pop(c->L, 1);
    }
    if (!flat)
        xml_close(c->out, name);
    return true;
}

static bool structure(struct codec *c, struct slot *slot, struct shape *s, int at, struct span name)
{
    buffer_add_char(c->out, '<');
    buffer_add_span(c->out, name);
    namespace_of(c->out, slot->ns_uri, slot->ns_prefix);
    if (!attributes(c, s, at))
        return false;
    buffer_add_char(c->out, '>');
    if (!xml_write_members(c, s, at, false))
        return false;
    xml_close(c->out, name);
    return true;
}

/* The members of the structure at `at`, without an element around them. */
bool xml_write_members(struct codec *c, struct shape *s, int at, bool body)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if ((slot->traits & SLOT_ATTRIBUTE) || (body && slot->location != IN_BODY))
            continue;
        if (!get_member(c, slot, at))
            continue;
        bool by_element = c->protocol == QUERY && (slot->traits & SLOT_FLATTENED);
        if (!xml_write(c, slot, lua_gettop(c->L), by_element ? slot->form : slot->wire))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

/* A message's root: its members that are bound elsewhere are left out. */
bool xml_write_root(struct codec *c, struct slot *root, struct shape *s, int at)
{
    if (!codec_enter(c))
        return false;
    buffer_add_char(c->out, '<');
    buffer_add_span(c->out, root->wire);
    namespace_of(c->out, root->ns_uri, root->ns_prefix);
    if (!attributes(c, s, at))
        return false;
    buffer_add_char(c->out, '>');
    if (!xml_write_members(c, s, at, true))
        return false;
    xml_close(c->out, root->wire);
    codec_leave(c);
    return true;
}

static bool scalar(struct codec *c, struct slot *slot, struct shape *s, int at, struct span name)
{
    xml_open(c->out, name, slot->ns_uri, slot->ns_prefix);
    if (s->type == STRING)
        xml_escape(c->out, get_text(c->L, at));
    else if (!write_scalar(c, c->out, slot, s, at, TIME_ISO8601))
        return false;
    xml_close(c->out, name);
    return true;
}

bool xml_write(struct codec *c, struct slot *slot, int at, struct span name)
{
    struct shape *s = slot_shape(c->m, slot);
    bool ok;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (is_null(c->L, at))
        return true;
    if (s->type > MAP)
        return scalar(c, slot, s, at, name);
    if (lua_type(c->L, at) != LUA_TTABLE)
        return codec_fault(c, "%.*s: a table is expected", (int)slot->name.size, slot->name.data);
    if (!codec_enter(c))
        return false;
    if (s->type == STRUCTURE)
        ok = structure(c, slot, s, at, name);
    else if (s->type == LIST)
        ok = list(c, slot, s, at, name);
    else
        ok = map(c, slot, s, at, name);
    codec_leave(c);
    return ok;
}
