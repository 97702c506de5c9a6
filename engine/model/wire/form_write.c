/* Writing requests of the query and ec2 protocols: the members of the input as
 * pairs `Path.To.Member=value` of a form. */
#include "model/wire/form.h"

static void add_pair(struct codec *c, struct span value)
{
    struct buffer *path = &c->s->path;
    buffer_add_char(c->out, '&');
    add_percent(c->out, buffer_span(path), false);
    buffer_add_char(c->out, '=');
    add_form(c->out, value);
}

/* Appends ".name" to the path; returns its length before. */
static size_t push_path(struct codec *c, struct span name)
{
    struct buffer *path = &c->s->path;
    size_t before = path->size;
    if (before > 0)
        buffer_add_char(path, '.');
    buffer_add_span(path, name);
    return before;
}

static size_t push_number(struct codec *c, size_t n)
{
    struct buffer *path = &c->s->path;
    size_t before = path->size;
    if (before > 0)
        buffer_add_char(path, '.');
    add_int(path, (long long)n);
    return before;
}

static void pop_path(struct codec *c, size_t before)
{
    if (before <= c->s->path.size)
        c->s->path.size = before;
}

static bool structure(struct codec *c, struct shape *s, int at)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (!get_member(c, slot, at))
            continue;
        size_t before = push_path(c, slot->form);
        if (!form_write(c, slot, lua_gettop(c->L)))
            return false;
        pop_path(c, before);
        lua_pop(c->L, 1);
    }
    return true;
}

static bool list(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    struct slot *element = &s->slots[0];
    size_t n = lua_rawlen(c->L, at), start = c->s->path.size;
    if (n == 0 && c->protocol == QUERY)
        add_pair(c, text_of(""));
    if (c->protocol == QUERY && !(slot->traits & SLOT_FLATTENED))
        push_path(c, element->wire.size ? element->wire : text_of("member"));
    for (size_t i = 1; i <= n; i++) {
        size_t before = push_number(c, i);
        lua_rawgeti(c->L, at, (lua_Integer)i);
        if (!form_write(c, element, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
        pop_path(c, before);
    }
    pop_path(c, start);
    return true;
}

static bool map_entry(struct codec *c, struct shape *s, int key_at, size_t i)
{
    struct slot *key = &s->slots[0], *value = &s->slots[1];
    size_t before = push_number(c, i);
    size_t entry = push_path(c, key->wire.size ? key->wire : text_of("key"));
    if (!form_write(c, key, key_at))
        return false;
    pop_path(c, entry);
    push_path(c, value->wire.size ? value->wire : text_of("value"));
    if (!form_write(c, value, key_at + 1))
        return false;
    pop_path(c, before);
    return true;
}

/* Entries are numbered, so they go by their keys: equal inputs, equal bodies. */
static bool map(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    lua_State *L = c->L;
    size_t start = c->s->path.size;
    if (!(slot->traits & SLOT_FLATTENED))
        push_path(c, text_of("entry"));
    push_sorted_keys(L, at);
    int keys = lua_gettop(L);
    size_t n = lua_rawlen(L, keys);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, keys, (lua_Integer)i);
        lua_pushvalue(L, -1);
        lua_rawget(L, at);
        if (!map_entry(c, s, lua_gettop(L) - 1, i))
            return false;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    pop_path(c, start);
    return true;
}

static bool scalar(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    struct buffer *value = &c->s->text;
    if (s->type == STRING) {
        add_pair(c, get_text(c->L, at));
        return true;
    }
    buffer_clear(value);
    if (!write_scalar(c, value, slot, s, at, TIME_ISO8601))
        return false;
    add_pair(c, buffer_span(value));
    return !value->failed || codec_fault(c, "out of memory");
}

bool form_write(struct codec *c, struct slot *slot, int at)
{
    struct shape *s = slot_shape(c->m, slot);
    bool ok;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (is_null(c->L, at))
        return true;
    if (s->type > MAP)
        return scalar(c, slot, s, at);
    if (lua_type(c->L, at) != LUA_TTABLE)
        return codec_fault(c, "%.*s: a table is expected", (int)slot->name.size, slot->name.data);
    if (!codec_enter(c))
        return false;
    if (s->type == STRUCTURE)
        ok = structure(c, s, at);
    else if (s->type == LIST)
        ok = list(c, slot, s, at);
    else
        ok = map(c, slot, s, at);
    codec_leave(c);
    return ok;
}
