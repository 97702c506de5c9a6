/* Reading requests of the query and ec2 protocols (the simulator's side): the
 * pairs become a tree by the dots of their names, the tree is read by shape.
 * Lists go by their numbers, since some clients sort pairs as text. */
#include <stdlib.h>

#include "model/wire/form.h"

enum { MAX_FORM_NODES = 200000, MAX_FORM_DEPTH = 100 };

static uint32_t add_node(struct codec *c, struct span name)
{
    struct scratch *s = c->s;
    if (s->form_count == s->form_room) {
        size_t room = s->form_room ? s->form_room * 2 : 256;
        struct form_node *p = room > MAX_FORM_NODES * 2 ? NULL : realloc(s->form, room * sizeof *p);
        if (p == NULL)
            return 0;
        s->form = p;
        s->form_room = room;
    }
    s->form[s->form_count] = (struct form_node){.name = name, .value = {"", 0}};
    return (uint32_t)s->form_count++;
}

static uint32_t find_kid(struct codec *c, uint32_t node, struct span name)
{
    struct form_node *form = c->s->form;
    uint32_t last = form[node].last_kid;
    if (last != 0 && text_eq(form[last].name, name))
        return last;
    for (uint32_t k = form[node].kid; k != 0; k = form[k].sibling)
        if (text_eq(form[k].name, name))
            return k;
    return 0;
}

static uint32_t make_kid(struct codec *c, uint32_t node, struct span name)
{
    uint32_t kid = find_kid(c, node, name);
    if (kid != 0)
        return kid;
    kid = add_node(c, name);
    if (kid == 0)
        return 0;
    struct form_node *form = c->s->form;
    if (form[node].last_kid != 0)
        form[form[node].last_kid].sibling = kid;
    else
        form[node].kid = kid;
    form[node].last_kid = kid;
    return kid;
}

static bool add_path(struct codec *c, struct span name, struct span value)
{
    uint32_t node = 0;
    int depth = 0;
    while (name.size > 0) {
        const char *dot = memchr(name.data, '.', name.size);
        size_t n = dot ? (size_t)(dot - name.data) : name.size;
        node = make_kid(c, node, (struct span){name.data, n});
        if (node == 0 || ++depth > MAX_FORM_DEPTH)
            return codec_fault(c, "the form is too large");
        name.data += dot ? n + 1 : n;
        name.size -= dot ? n + 1 : n;
    }
    c->s->form[node].value = value;
    c->s->form[node].has_value = true;
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes into `out`, which has room: the result is never longer. */
static struct span unescape(struct buffer *out, struct span t)
{
    char *start = out->data + out->size;
    for (size_t i = 0; i < t.size; i++) {
        char ch = t.data[i];
        if (ch == '%' && i + 2 < t.size && hex(t.data[i + 1]) >= 0 && hex(t.data[i + 2]) >= 0) {
            ch = (char)(hex(t.data[i + 1]) * 16 + hex(t.data[i + 2]));
            i += 2;
        } else if (ch == '+') {
            ch = ' ';
        }
        out->data[out->size++] = ch;
    }
    return (struct span){start, (size_t)(out->data + out->size - start)};
}

bool form_scan(struct codec *c, struct span body)
{
    struct buffer *plain = &c->s->extra;
    buffer_clear(plain);
    c->s->form_count = 0;
    if (!buffer_reserve(plain, body.size + 1) ||
        (add_node(c, text_of("")) == 0 && c->s->form_count == 0))
        return codec_fault(c, "out of memory");
    while (body.size > 0) {
        const char *amp = memchr(body.data, '&', body.size);
        size_t n = amp ? (size_t)(amp - body.data) : body.size;
        const char *equals = memchr(body.data, '=', n);
        size_t name_n = equals ? (size_t)(equals - body.data) : n;
        struct span name = unescape(plain, (struct span){body.data, name_n});
        struct span value = {"", 0};
        if (equals)
            value = unescape(plain, (struct span){equals + 1, n - name_n - 1});
        if (name.size > 0 && !add_path(c, name, value))
            return false;
        body.data += amp ? n + 1 : n;
        body.size -= amp ? n + 1 : n;
    }
    return true;
}

bool form_value(struct codec *c, const char *name, struct span *value)
{
    uint32_t node = find_kid(c, 0, text_of(name));
    if (node == 0 || !c->s->form[node].has_value)
        return false;
    *value = c->s->form[node].value;
    return true;
}

static bool structure(struct codec *c, struct shape *s, uint32_t node)
{
    lua_newtable(c->L);
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t kid = find_kid(c, node, s->slots[i].form);
        if (kid == 0)
            continue;
        push_name(c, &s->slots[i]);
        if (!form_read(c, &s->slots[i], kid))
            return false;
        lua_rawset(c->L, -3);
    }
    return true;
}

static lua_Integer number_of(struct span t)
{
    lua_Integer n = 0;
    if (t.size == 0 || t.size > 6)
        return 0;
    for (size_t i = 0; i < t.size; i++) {
        if (t.data[i] < '0' || t.data[i] > '9')
            return 0;
        n = n * 10 + (t.data[i] - '0');
    }
    return n;
}

static lua_Integer count_kids(struct codec *c, uint32_t node)
{
    lua_Integer n = 0;
    for (uint32_t k = c->s->form[node].kid; k != 0; k = c->s->form[k].sibling)
        n++;
    return n;
}

/* The node whose kids are numbered: below `name`, or `node` itself where a
 * client leaves the element's name out. */
static uint32_t numbered(struct codec *c, uint32_t node, bool flat, struct span name)
{
    uint32_t kid = flat ? 0 : find_kid(c, node, name);
    return kid ? kid : node;
}

static bool list(struct codec *c, struct slot *slot, struct shape *s, uint32_t node)
{
    struct slot *element = &s->slots[0];
    bool flat = c->protocol == EC2 || (slot->traits & SLOT_FLATTENED);
    node = numbered(c, node, flat, element->wire.size ? element->wire : text_of("member"));
    lua_Integer count = count_kids(c, node), base = 1;
    lua_createtable(c->L, (int)count, 0);
    if (count > 0 && number_of(c->s->form[c->s->form[node].kid].name) == 0 &&
        text_is(c->s->form[c->s->form[node].kid].name, "0"))
        base = 0;
    for (uint32_t k = c->s->form[node].kid; k != 0; k = c->s->form[k].sibling) {
        lua_Integer i = number_of(c->s->form[k].name) - base + 1;
        if (i < 1 || i > count)
            return codec_fault(c, "%.*s: its elements are not numbered from 1",
                               (int)slot->name.size, slot->name.data);
        if (!form_read(c, element, k))
            return false;
        lua_rawseti(c->L, -2, i);
    }
    return true;
}

static bool map(struct codec *c, struct slot *slot, struct shape *s, uint32_t node)
{
    struct slot *key = &s->slots[0], *value = &s->slots[1];
    struct span key_name = key->wire.size ? key->wire : text_of("key");
    struct span value_name = value->wire.size ? value->wire : text_of("value");
    node = numbered(c, node, slot->traits & SLOT_FLATTENED, text_of("entry"));
    lua_newtable(c->L);
    for (uint32_t k = c->s->form[node].kid; k != 0; k = c->s->form[k].sibling) {
        uint32_t key_node = find_kid(c, k, key_name);
        uint32_t value_node = find_kid(c, k, value_name);
        if (key_node == 0 || value_node == 0)
            continue;
        push_text(c->L, c->s->form[key_node].value);
        if (!form_read(c, value, value_node))
            return false;
        lua_rawset(c->L, -3);
    }
    return true;
}

bool form_read(struct codec *c, struct slot *slot, uint32_t node)
{
    struct shape *s = slot_shape(c->m, slot);
    bool ok;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->type > MAP)
        return read_scalar(c, slot, s, c->s->form[node].value);
    if (!codec_enter(c))
        return false;
    if (s->type == STRUCTURE)
        ok = structure(c, s, node);
    else if (s->type == LIST)
        ok = list(c, slot, s, node);
    else
        ok = map(c, slot, s, node);
    codec_leave(c);
    return ok;
}
