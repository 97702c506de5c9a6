/* Checking an input before anything is sent: unknown members (with the nearest known name),
 * missing ones, wrong types, least lengths and values, unions. All faults are reported at once,
 * each with its path. */
#include <math.h>

#include "model/message/message.h"

enum { MAX_FAULTS = 20 };

struct check {
    struct codec *c;
    struct buffer *report, *path;
    bool complete;
    int faults;
};

static void check_value(struct check *k, struct slot *slot, int at);

size_t edit_distance(struct span a, struct span b, size_t limit)
{
    size_t row[64];
    if (a.size >= 64 || b.size >= 64)
        return limit + 1;
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t cost = (a.data[i - 1] | 32) != (b.data[j - 1] | 32);
            size_t best = diagonal + cost;
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.size];
}

struct span nearest_member(struct shape *s, struct span name)
{
    struct span nearest = {"", 0};
    size_t limit = name.size / 3 + 1, best = limit + 1;
    for (uint32_t i = 0; i < s->count; i++) {
        size_t d = edit_distance(name, s->slots[i].name, limit);
        if (d < best) {
            best = d;
            nearest = s->slots[i].name;
        }
    }
    return nearest;
}

/* Starts a line: "path: ". False when there are already too many. */
static bool begin(struct check *k)
{
    if (++k->faults > MAX_FAULTS)
        return false;
    if (k->report->size > 0)
        buffer_add_char(k->report, '\n');
    if (k->path->size > 0) {
        buffer_add_span(k->report, buffer_span(k->path));
        add_str(k->report, ": ");
    }
    return true;
}

static void quote(struct check *k, struct span t)
{
    buffer_add_char(k->report, '"');
    buffer_add_span(k->report, t);
    buffer_add_char(k->report, '"');
}

static void fault(struct check *k, const char *what)
{
    if (begin(k))
        add_str(k->report, what);
}

static void fault_type(struct check *k, const char *wanted, int at)
{
    if (!begin(k))
        return;
    add_str(k->report, wanted);
    add_str(k->report, " expected, got ");
    if (is_null(k->c->L, at))
        add_str(k->report, "null");
    else
        add_str(k->report, luaL_typename(k->c->L, at));
}

static void fault_unknown(struct check *k, struct shape *s, struct span name)
{
    struct span nearest = nearest_member(s, name);
    if (!begin(k))
        return;
    add_str(k->report, "unknown member ");
    quote(k, name);
    if (nearest.size > 0) {
        add_str(k->report, "; did you mean ");
        quote(k, nearest);
        add_str(k->report, "?");
    } else if (s->count == 0) {
        add_str(k->report, "; it has no members");
    } else {
        add_str(k->report, "; it has");
        for (uint32_t i = 0; i < s->count && i < 12; i++) {
            add_str(k->report, i ? ", " : " ");
            buffer_add_span(k->report, s->slots[i].name);
        }
        if (s->count > 12)
            add_str(k->report, ", ...");
    }
}

static size_t enter(struct check *k, struct span name)
{
    size_t before = k->path->size;
    if (before > 0)
        buffer_add_char(k->path, '.');
    buffer_add_span(k->path, name);
    return before;
}

static void find_unknown(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        bool null = is_null(L, -1);
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            fault(k, "a structure's keys are names, not numbers");
            lua_pop(L, 1);
            return;
        }
        struct span name = get_text(L, -1);
        if (shape_member(s, name) == NULL && !null)
            fault_unknown(k, s, name);
    }
}

static bool absent_needed(struct check *k, const struct slot *slot)
{
    if (!(slot->traits & SLOT_REQUIRED) || !k->complete)
        return false;
    return !(slot->traits & SLOT_TOKEN) || k->c->token == 0;
}

static void check_structure(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    uint32_t found = 0, keys = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        push_name(k->c, slot);
        int type = lua_rawget(L, at);
        if (type == LUA_TNIL || is_null(L, -1)) {
            if (absent_needed(k, slot) && begin(k)) {
                add_str(k->report, "missing required member ");
                quote(k, slot->name);
            }
        } else {
            size_t before = enter(k, slot->name);
            check_value(k, slot, lua_gettop(L));
            k->path->size = before;
            found++;
        }
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, at)) {
        keys += !is_null(L, -1);
        lua_pop(L, 1);
    }
    if (keys != found)
        find_unknown(k, s, at);
    if ((s->traits & (SHAPE_UNION | SHAPE_EVENT_STREAM)) && found != 1 && keys == found)
        fault(k, "exactly one member must be set");
}

static void too_short(struct check *k, size_t size, long long min)
{
    if (!begin(k))
        return;
    add_str(k->report, "its length is ");
    add_int(k->report, (long long)size);
    add_str(k->report, ", at least ");
    add_int(k->report, min);
    add_str(k->report, " is needed");
}

static void check_list(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    size_t n = lua_rawlen(L, at), keys = 0;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        keys++;
    }
    if (keys != n) {
        fault(k, "a list is expected, got a table with other keys");
        return;
    }
    if ((s->traits & SHAPE_MIN) && k->complete && (long long)n < s->min)
        too_short(k, n, s->min);
    for (size_t i = 1; i <= n; i++) {
        size_t before = k->path->size;
        buffer_add_char(k->path, '[');
        add_int(k->path, (long long)i);
        buffer_add_char(k->path, ']');
        lua_rawgeti(L, at, (lua_Integer)i);
        if (!is_null(L, -1))
            check_value(k, &s->slots[0], lua_gettop(L));
        lua_pop(L, 1);
        k->path->size = before;
    }
}

static void check_map(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            fault(k, "a map's keys are strings");
            lua_pop(L, 2);
            return;
        }
        size_t before = enter(k, get_text(L, -2));
        if (!is_null(L, -1))
            check_value(k, &s->slots[1], lua_gettop(L));
        k->path->size = before;
        lua_pop(L, 1);
    }
}

/* A string, or for streams also { file = path }. */
static void check_bytes(struct check *k, struct slot *slot, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    if (lua_type(L, at) == LUA_TTABLE && s->type == BLOB) {
        bool stream = (slot->traits & SLOT_STREAMING) || (s->traits & SHAPE_STREAMING);
        bool file = lua_getfield(L, at, "file") == LUA_TSTRING;
        lua_pop(L, 1);
        if (!stream || !file)
            fault(k, stream ? "a string or { file = path } is expected"
                            : "a string is expected, got table");
        return;
    }
    if (lua_type(L, at) != LUA_TSTRING) {
        fault_type(k, "a string", at);
        return;
    }
    size_t length;
    if (s->type == BLOB)
        return;
    if (!text_is_utf8(get_text(L, at), &length))
        fault(k, "text in UTF-8 is expected");
    else if ((s->traits & SHAPE_MIN) && k->complete && (long long)length < s->min)
        too_short(k, length, s->min);
}

static void check_number(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    bool real = s->type == FLOAT || s->type == DOUBLE;
    struct span t = get_text(L, at);
    int exact;
    if (real && (text_is(t, "NaN") || text_is(t, "Infinity") || text_is(t, "-Infinity")))
        return;
    if (lua_type(L, at) != LUA_TNUMBER) {
        fault_type(k, real ? "a number" : "an integer", at);
        return;
    }
    lua_tointegerx(L, at, &exact);
    if (!real && !exact) {
        fault(k, "an integer is expected, got a number with a fraction");
        return;
    }
    if ((s->traits & SHAPE_MIN) && k->complete && lua_tonumber(L, at) < (double)s->min &&
        begin(k)) {
        add_str(k->report, "it is below the least value ");
        add_int(k->report, s->min);
    }
}

static void check_time(struct check *k, int at)
{
    double seconds;
    lua_State *L = k->c->L;
    if (lua_type(L, at) == LUA_TNUMBER && isfinite(lua_tonumber(L, at)))
        return;
    if (lua_type(L, at) == LUA_TSTRING && parse_time(get_text(L, at), &seconds))
        return;
    fault(k, "a time is expected: seconds since the epoch or RFC 3339 text");
}

/* An event stream: a list of events, each with the one member that names it. */
static void check_events(struct check *k, struct shape *s, int at)
{
    lua_State *L = k->c->L;
    size_t n = lua_rawlen(L, at);
    for (size_t i = 1; i <= n; i++) {
        size_t before = k->path->size;
        buffer_add_char(k->path, '[');
        add_int(k->path, (long long)i);
        buffer_add_char(k->path, ']');
        if (lua_rawgeti(L, at, (lua_Integer)i) == LUA_TTABLE)
            check_structure(k, s, lua_gettop(L));
        else
            fault_type(k, "a table", lua_gettop(L));
        lua_pop(L, 1);
        k->path->size = before;
    }
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1))
            continue;
        fault(k, "a list of events is expected, { { NAME = { ... } }, ... }");
        lua_pop(L, 1);
        return;
    }
}

static void check_container(struct check *k, struct shape *s, int at)
{
    if (lua_type(k->c->L, at) != LUA_TTABLE) {
        fault_type(k, s->type == STRUCTURE ? "a table" : s->type == LIST ? "a list" : "a map", at);
        return;
    }
    if (!codec_enter(k->c)) {
        fault(k, "nested too deeply");
        return;
    }
    if (s->traits & SHAPE_EVENT_STREAM)
        check_events(k, s, at);
    else if (s->type == STRUCTURE)
        check_structure(k, s, at);
    else if (s->type == LIST)
        check_list(k, s, at);
    else
        check_map(k, s, at);
    codec_leave(k->c);
}

static void check_value(struct check *k, struct slot *slot, int at)
{
    struct shape *s = slot_shape(k->c->m, slot);
    if (k->faults > MAX_FAULTS)
        return;
    if (s == NULL) {
        fault(k, k->c->m->fault);
        return;
    }
    if ((s->traits & SHAPE_DOCUMENT) || (slot->traits & SLOT_JSON_VALUE))
        return;
    switch (s->type) {
    case STRING:
    case BLOB:
        check_bytes(k, slot, s, at);
        return;
    case BOOLEAN:
        if (lua_type(k->c->L, at) != LUA_TBOOLEAN)
            fault_type(k, "a boolean", at);
        return;
    case INTEGER:
    case LONG:
    case FLOAT:
    case DOUBLE:
        check_number(k, s, at);
        return;
    case TIMESTAMP:
        check_time(k, at);
        return;
    default:
        check_container(k, s, at);
    }
}

int validate(struct codec *c, struct slot *root, int at, bool complete, struct buffer *report)
{
    struct check k = {c, report, &c->s->path, complete, 0};
    buffer_clear(report);
    buffer_clear(k.path);
    c->depth = 0;
    if (!lua_checkstack(c->L, 20))
        return 1;
    check_value(&k, root, at);
    c->depth = 0;
    if (k.faults > MAX_FAULTS)
        add_str(report, "\n... and more");
    return k.faults;
}
