/* Reading JSON straight into Lua values, by shape or freely.
 *
 * One pass, no tree. Integers stay exact as long as 64 bits hold them. Members
 * that the model does not know are skipped. */
#include "model/wire/json.h"

#include <math.h>

static bool any_object(struct codec *c, struct json *in)
{
    struct span name;
    bool ok = true;
    lua_newtable(c->L);
    if (json_open(in, '}'))
        do {
            if (!json_key(c, in, &name))
                return false;
            push_text(c->L, name);
            if (!json_read_any(c, in))
                return false;
            lua_rawset(c->L, -3);
        } while (json_more(c, in, '}', &ok));
    return ok;
}

static bool any_array(struct codec *c, struct json *in)
{
    bool ok = true;
    lua_newtable(c->L);
    if (!json_open(in, ']')) {
        lua_rawgetp(c->L, LUA_REGISTRYINDEX, &json_array_key);
        lua_setmetatable(c->L, -2);
        return true;
    }
    lua_Integer i = 0;
    do {
        if (!json_read_any(c, in))
            return false;
        lua_rawseti(c->L, -2, ++i);
    } while (json_more(c, in, ']', &ok));
    return ok;
}

bool json_read_any(struct codec *c, struct json *in)
{
    struct span t;
    bool integral, ok;
    long long n = 0;
    double d = 0;
    char first = json_peek(in);
    if (first == '{' || first == '[') {
        if (!codec_enter(c))
            return false;
        ok = first == '{' ? any_object(c, in) : any_array(c, in);
        codec_leave(c);
        return ok;
    }
    if (first == '"') {
        if (!json_string(c, in, &t))
            return false;
        push_text(c->L, t);
        return true;
    }
    if (json_word(in, "null"))
        push_null(c->L);
    else if (json_word(in, "true"))
        lua_pushboolean(c->L, 1);
    else if (json_word(in, "false"))
        lua_pushboolean(c->L, 0);
    else if (!json_number(c, in, &integral, &n, &d))
        return false;
    else if (integral)
        lua_pushinteger(c->L, n);
    else
        lua_pushnumber(c->L, d);
    return true;
}

static bool wrong(struct codec *c, const struct json *in, const struct slot *slot,
                  const char *wanted)
{
    return codec_fault(c, "%.*s: %s expected at byte %zu of the JSON", (int)slot->name.size,
                       slot->name.data, wanted, (size_t)(in->p - in->start) + 1);
}

/* Sets one member of the table on top; unknown ones and nulls are skipped. */
static bool member(struct codec *c, struct json *in, struct shape *s, struct span name,
                   uint32_t *before, bool body)
{
    struct slot *slot = shape_wire(c->m, s, name, before);
    if (slot == NULL || (body && slot->location != IN_BODY))
        return json_skip(c, in);
    if (json_peek(in) == 'n' && json_word(in, "null"))
        return true;
    push_name(c, slot);
    if (!json_read(c, in, slot, false))
        return false;
    lua_rawset(c->L, -3);
    return true;
}

static bool structure(struct codec *c, struct json *in, struct slot *slot, struct shape *s,
                      bool body)
{
    struct span name;
    uint32_t before = 0, count = 0;
    bool ok = true;
    if (s->traits & SHAPE_DOCUMENT)
        return json_read_any(c, in);
    if (json_peek(in) != '{')
        return wrong(c, in, slot, "an object");
    lua_createtable(c->L, 0, (int)s->fill);
    if (json_open(in, '}'))
        do {
            if (!json_key(c, in, &name) || !member(c, in, s, name, &before, body))
                return false;
            count++;
        } while (json_more(c, in, '}', &ok));
    s->fill = count < s->count ? count : s->count;
    return ok;
}

static bool list(struct codec *c, struct json *in, struct slot *slot, struct shape *s)
{
    bool ok = true;
    lua_Integer i = 0;
    if (json_peek(in) != '[')
        return wrong(c, in, slot, "an array");
    lua_newtable(c->L);
    if (json_open(in, ']'))
        do {
            if (c->server && !(s->traits & SHAPE_SPARSE) && json_peek(in) == 'n')
                return wrong(c, in, slot, "a value and not null");
            if (json_peek(in) == 'n' && json_word(in, "null"))
                push_null(c->L);
            else if (!json_read(c, in, &s->slots[0], false))
                return false;
            lua_rawseti(c->L, -2, ++i);
        } while (json_more(c, in, ']', &ok));
    return ok;
}

static bool map(struct codec *c, struct json *in, struct slot *slot, struct shape *s)
{
    struct span name;
    bool ok = true;
    if (json_peek(in) != '{')
        return wrong(c, in, slot, "an object");
    lua_newtable(c->L);
    if (json_open(in, '}'))
        do {
            if (!json_key(c, in, &name))
                return false;
            push_text(c->L, name);
            if (c->server && !(s->traits & SHAPE_SPARSE) && json_peek(in) == 'n')
                return wrong(c, in, slot, "a value and not null");
            if (json_peek(in) == 'n' && json_word(in, "null")) {
                if (s->traits & SHAPE_SPARSE)
                    push_null(c->L);
                else
                    lua_pushnil(c->L);
            } else if (!json_read(c, in, &s->slots[1], false)) {
                return false;
            }
            lua_rawset(c->L, -3);
        } while (json_more(c, in, '}', &ok));
    return ok;
}

/* A number, true or false where the model has another scalar: services do
 * send strings for numbers, and the other way round. */
static bool scalar(struct codec *c, struct json *in, struct slot *slot, struct shape *s)
{
    struct span t;
    bool integral = false;
    long long n = 0;
    double d = 0;
    const char *start = in->p;
    if (*start == '"')
        return json_string(c, in, &t) && (!c->server || strict_string(c, slot, s, t)) &&
               read_scalar(c, slot, s, t);
    if (json_word(in, "true") || json_word(in, "false")) {
        if (s->type != BOOLEAN && (s->type != STRING || c->server))
            return wrong(c, in, slot, "another type");
        if (s->type == BOOLEAN)
            lua_pushboolean(c->L, *start == 't');
        else
            lua_pushlstring(c->L, start, (size_t)(in->p - start));
        return true;
    }
    if (!json_number(c, in, &integral, &n, &d))
        return false;
    if (c->server && !strict_number(c, slot, s, integral ? (double)n : d))
        return false;
    if (s->type == STRING)
        lua_pushlstring(c->L, start, (size_t)(in->p - start));
    else if (s->type == TIMESTAMP)
        push_seconds(c->L, integral ? (double)n : d);
    else if (s->type == FLOAT || s->type == DOUBLE)
        lua_pushnumber(c->L, integral ? (double)n : d);
    else if ((s->type == INTEGER || s->type == LONG) && integral)
        lua_pushinteger(c->L, n);
    else if ((s->type == INTEGER || s->type == LONG) && d == floor(d) && fabs(d) < 9e18)
        lua_pushinteger(c->L, (lua_Integer)d);
    else
        return wrong(c, in, slot, "another type");
    return true;
}

bool json_read(struct codec *c, struct json *in, struct slot *slot, bool body)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->type > MAP) {
        char first = json_peek(in);
        if (first == 0)
            return json_bad(c, in, "value expected");
        if (first == '{' || first == '[' || first == 'n')
            return wrong(c, in, slot, "a single value");
        return scalar(c, in, slot, s);
    }
    if (!codec_enter(c))
        return false;
    bool ok = s->type == STRUCTURE ? structure(c, in, slot, s, body)
              : s->type == LIST    ? list(c, in, slot, s)
                                   : map(c, in, slot, s);
    codec_leave(c);
    return ok;
}
