/* REST bindings, outgoing: URI labels, query pairs, headers and payloads (rest-json and rest-xml;
 * requests of a client, responses of the simulator). */
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

static const struct span nothing = {"", 0};

void set_header(struct codec *c, struct span name, struct span value)
{
    push_text(c->L, name);
    push_text(c->L, value);
    lua_rawset(c->L, c->headers);
}

/* A hostile model may bind anything anywhere. */
static bool is_table(struct codec *c, const struct slot *slot, int at)
{
    return lua_istable(c->L, at) || codec_fault(c, "%.*s: a table is expected",
                                                (int)slot->name.size, slot->name.data);
}

static struct slot *label_slot(struct shape *s, struct span label)
{
    for (uint32_t i = 0; s != NULL && i < s->count; i++)
        if (s->slots[i].location == IN_URI && text_eq(s->slots[i].wire, label))
            return &s->slots[i];
    return NULL;
}

/* The value of a label, percent-encoded; an empty one would change the path. */
static bool add_label(struct codec *c, struct operation *op, struct span label, int input)
{
    struct buffer *value = &c->s->text;
    bool greedy = label.size > 0 && label.data[label.size - 1] == '+';
    if (greedy)
        label.size--;
    struct shape *s = op->input.shape;
    struct slot *slot = label_slot(s, label);
    struct shape *inner = slot ? slot_shape(c->m, slot) : NULL;
    if (inner == NULL)
        return codec_fault(c, "the model has no member for {%.*s}", (int)label.size, label.data);
    buffer_clear(value);
    if (get_member(c, slot, input)) {
        if (!write_scalar(c, value, slot, inner, lua_gettop(c->L), TIME_ISO8601))
            return false;
        lua_pop(c->L, 1);
    }
    if (value->size == 0)
        return codec_fault(c, "%.*s must not be empty: it is a part of the path",
                           (int)slot->name.size, slot->name.data);
    add_percent(c->out, buffer_span(value), greedy);
    return true;
}

static bool add_path(struct codec *c, struct operation *op, struct span path, int input)
{
    while (path.size > 0) {
        const char *open = memchr(path.data, '{', path.size);
        size_t literal = open ? (size_t)(open - path.data) : path.size;
        buffer_add(c->out, path.data, literal);
        path.data += literal;
        path.size -= literal;
        if (open == NULL)
            break;
        const char *close = memchr(path.data, '}', path.size);
        if (close == NULL)
            return codec_fault(c, "the model's URI is damaged");
        struct span label = {path.data + 1, (size_t)(close - path.data) - 1};
        if (!add_label(c, op, label, input))
            return false;
        path.size -= (size_t)(close + 1 - path.data);
        path.data = close + 1;
    }
    return true;
}

static void add_pair(struct codec *c, char *mark, struct span name, struct span value)
{
    buffer_add_char(c->out, *mark);
    *mark = '&';
    add_percent(c->out, name, false);
    buffer_add_char(c->out, '=');
    add_percent(c->out, value, false);
}

static bool add_query_value(struct codec *c, char *mark, struct slot *slot, struct span name,
                            int at)
{
    struct shape *s = slot_shape(c->m, slot);
    struct buffer *value = &c->s->text;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (is_null(c->L, at))
        return true;
    if (s->type == LIST) {
        if (!is_table(c, slot, at))
            return false;
        size_t n = lua_rawlen(c->L, at);
        for (size_t i = 1; i <= n; i++) {
            lua_rawgeti(c->L, at, (lua_Integer)i);
            if (!codec_enter(c) || !add_query_value(c, mark, &s->slots[0], name, lua_gettop(c->L)))
                return false;
            codec_leave(c);
            lua_pop(c->L, 1);
        }
        return true;
    }
    buffer_clear(value);
    if (!write_scalar(c, value, slot, s, at, TIME_ISO8601))
        return false;
    add_pair(c, mark, name, buffer_span(value));
    return true;
}

/* A map bound to the query: members bound by name come first. */
static bool add_query_map(struct codec *c, char *mark, struct shape *owner, struct shape *s, int at)
{
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        struct span name = get_text(c->L, -2);
        bool taken = false;
        for (uint32_t i = 0; i < owner->count; i++)
            taken = taken ||
                    (owner->slots[i].location == IN_QUERY && text_eq(owner->slots[i].wire, name) &&
                     slot_shape(c->m, &owner->slots[i]) != s);
        if (!taken && !add_query_value(c, mark, &s->slots[1], name, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

static bool add_query(struct codec *c, struct shape *s, int input, char *mark, bool maps)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->location != IN_QUERY)
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        if ((inner->type == MAP) != maps || !get_member(c, slot, input))
            continue;
        int top = lua_gettop(c->L);
        if (maps && !is_table(c, slot, top))
            return false;
        bool ok = maps ? add_query_map(c, mark, s, inner, top)
                       : add_query_value(c, mark, slot, slot->wire, top);
        if (!ok)
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

/* Path and query into c->out. */
bool rest_write_uri(struct codec *c, struct operation *op, int input)
{
    struct shape *s = op->input.shape;
    const char *question = memchr(op->uri.data, '?', op->uri.size);
    struct span path = op->uri;
    char mark = '?';
    if (question)
        path.size = (size_t)(question - path.data);
    if (!add_path(c, op, path, input))
        return false;
    if (question) {
        buffer_add(c->out, question, op->uri.size - path.size);
        mark = '&';
    }
    return s == NULL ||
           (add_query(c, s, input, &mark, false) && add_query(c, s, input, &mark, true));
}

/* One element of a header list: quoted where commas would split it. */
static void add_header_item(struct buffer *out, struct span t)
{
    if (memchr(t.data, ',', t.size) == NULL && memchr(t.data, '"', t.size) == NULL) {
        buffer_add_span(out, t);
        return;
    }
    buffer_add_char(out, '"');
    for (size_t i = 0; i < t.size; i++) {
        if (t.data[i] == '"' || t.data[i] == '\\')
            buffer_add_char(out, '\\');
        buffer_add_char(out, t.data[i]);
    }
    buffer_add_char(out, '"');
}

/* HTTP takes a space after the comma or none. Gateways that speak S3 are stricter: they
 * compare the text between the commas. */
static bool add_header_list(struct codec *c, struct buffer *out, struct shape *s, int at)
{
    const char *comma = text_is(c->m->service, "s3") ? "," : ", ";
    struct slot *element = &s->slots[0];
    struct shape *inner = slot_shape(c->m, element);
    size_t n = lua_rawlen(c->L, at);
    bool first = true;
    if (inner == NULL)
        return codec_fault(c, "%s", c->m->fault);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(c->L, at, (lua_Integer)i);
        int top = lua_gettop(c->L);
        if (!is_null(c->L, top)) {
            if (!first)
                add_str(out, comma);
            first = false;
            if (inner->type == STRING)
                add_header_item(out, get_text(c->L, top));
            else if (!write_scalar(c, out, element, inner, top, TIME_RFC822))
                return false;
        }
        lua_pop(c->L, 1);
    }
    return true;
}

/* A table is written as JSON; a string is taken for JSON already. */
static bool add_json_header(struct codec *c, struct buffer *out, int at)
{
    struct buffer *json = &c->s->extra;
    buffer_clear(json);
    if (lua_type(c->L, at) == LUA_TSTRING)
        buffer_add_span(json, get_text(c->L, at));
    else if (!json_write_any(c, json, at))
        return false;
    add_base64(out, buffer_span(json));
    return !json->failed || codec_fault(c, "out of memory");
}

/* What would end the header, or its name. */
static bool breaks_header(struct span t, const char *marks)
{
    for (; *marks != 0; marks++)
        if (t.size > 0 && memchr(t.data, *marks, t.size) != NULL)
            return true;
    return false;
}

static bool add_header(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    struct buffer *value = &c->s->text;
    bool ok;
    buffer_clear(value);
    if (s->type == LIST) {
        ok = is_table(c, slot, at) && add_header_list(c, value, s, at);
    } else if (slot->traits & SLOT_JSON_VALUE) {
        ok = add_json_header(c, value, at);
    } else {
        ok = write_scalar(c, value, slot, s, at, TIME_RFC822);
    }
    struct span t = buffer_span(value);
    if (ok && breaks_header(t, "\r\n"))
        return codec_fault(c, "%.*s must not hold a line break: it is sent as a header",
                           (int)slot->name.size, slot->name.data);
    if (ok)
        set_header(c, slot->wire, t);
    return ok;
}

static bool add_header_map(struct codec *c, struct slot *slot, int at)
{
    struct buffer *name = &c->s->text;
    if (!is_table(c, slot, at))
        return false;
    lua_pushnil(c->L);
    while (lua_next(c->L, at)) {
        struct span value = get_text(c->L, -1), key = get_text(c->L, -2);
        if (breaks_header(value, "\r\n") || breaks_header(key, "\r\n: "))
            return codec_fault(c, "%.*s cannot be sent as headers", (int)slot->name.size,
                               slot->name.data);
        buffer_clear(name);
        buffer_add_span(name, slot->traits & (SLOT_WIRE | SLOT_WIRE_LOWER) || slot->wire.size == 0
                                  ? slot->wire
                                  : nothing);
        buffer_add_span(name, key);
        set_header(c, buffer_span(name), value);
        lua_pop(c->L, 1);
    }
    return true;
}

bool rest_write_headers(struct codec *c, struct shape *s, int at)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->location != IN_HEADER && slot->location != IN_HEADERS)
            continue;
        if (!get_member(c, slot, at))
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        int top = lua_gettop(c->L);
        bool ok = slot->location == IN_HEADERS ? add_header_map(c, slot, top)
                                               : add_header(c, slot, inner, top);
        if (!ok)
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

struct span rest_payload_name(struct slot *slot, struct shape *s)
{
    if (slot->traits & (SLOT_WIRE | SLOT_WIRE_LOWER) || s->name.size == 0)
        return slot->wire;
    return s->name;
}

static bool write_payload(struct codec *c, struct slot *slot, int at, int *value)
{
    struct shape *s = slot_shape(c->m, slot);
    bool json = c->protocol == REST_JSON;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (!get_member(c, slot, at)) {
        if (json && !c->server && s->type == STRUCTURE &&
            !(s->traits & (SHAPE_DOCUMENT | SHAPE_UNION)))
            add_str(c->out, "{}");
        return true;
    }
    int top = lua_gettop(c->L);
    if (s->type == BLOB || s->type == STRING) {
        *value = top; /* stays on the stack for the caller */
        return true;
    }
    bool ok = json ? json_write(c, slot, top, false)
                   : xml_write(c, slot, top, rest_payload_name(slot, s));
    lua_pop(c->L, 1);
    return ok;
}

static bool body_members(struct shape *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slots[i].location == IN_BODY)
            return true;
    return false;
}

static bool has_body_values(struct codec *c, struct shape *s, int at)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->slots[i].location != IN_BODY || !get_member(c, &s->slots[i], at))
            continue;
        lua_pop(c->L, 1);
        return true;
    }
    return false;
}

bool rest_write_body(struct codec *c, struct slot *root, int at, int *value)
{
    struct shape *s = slot_shape(c->m, root);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->payload != NULL)
        return write_payload(c, s->payload, at, value);
    if (!body_members(s))
        return true;
    if (c->protocol == REST_JSON)
        return json_write(c, root, at, true);
    if (!c->server && !has_body_values(c, s, at))
        return true;
    if (c->server)
        buffer_add_span(c->out, text_of("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    return xml_write_root(c, root, s, at);
}
