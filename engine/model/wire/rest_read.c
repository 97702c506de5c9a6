/* REST bindings, incoming: status, headers, payloads. */
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

static const struct header *find_header(const struct header *headers, size_t count,
                                        struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (text_caseless_eq(headers[i].name, name))
            return &headers[i];
    return NULL;
}

/* The next element of a header list: an unquoted run, or a quoted string (RFC 9110 section
 * 5.6.1). HTTP dates contain a comma. */
static bool next_item(struct span *rest, struct buffer *item, bool dates)
{
    *rest = text_trim(*rest);
    if (rest->size == 0)
        return false;
    size_t i = 0;
    buffer_clear(item);
    if (rest->data[0] == '"') {
        for (i = 1; i < rest->size && rest->data[i] != '"'; i++) {
            if (rest->data[i] == '\\' && i + 1 < rest->size)
                i++;
            buffer_add_char(item, rest->data[i]);
        }
        while (i < rest->size && rest->data[i] != ',')
            i++;
    } else {
        bool comma = false;
        for (; i < rest->size; i++) {
            if (rest->data[i] == ',' && (!dates || comma))
                break;
            comma = comma || rest->data[i] == ',';
        }
        buffer_add_span(item, text_trim((struct span){rest->data, i}));
    }
    if (i < rest->size)
        i++;
    rest->data += i;
    rest->size -= i;
    return true;
}

static bool read_list(struct codec *c, struct shape *s, struct span value)
{
    struct slot *element = &s->slots[0];
    struct shape *inner = slot_shape(c->m, element);
    struct buffer *item = &c->s->extra;
    lua_Integer n = 0;
    if (inner == NULL)
        return codec_fault(c, "%s", c->m->fault);
    bool dates =
        inner->type == TIMESTAMP && slot_time(c, element, inner, TIME_RFC822) == TIME_RFC822;
    lua_newtable(c->L);
    while (next_item(&value, item, dates)) {
        if (!read_scalar(c, element, inner, buffer_span(item)))
            return false;
        lua_rawseti(c->L, -2, ++n);
    }
    return true;
}

static bool read_json_header(struct codec *c, struct slot *slot, struct span value)
{
    struct buffer *json = &c->s->extra;
    buffer_clear(json);
    if (!add_unbase64(json, value))
        return codec_fault(c, "%.*s: its header is not base64", (int)slot->name.size,
                           slot->name.data);
    struct json in = {json->data, json->data, json->data + json->size};
    if (!json_read_any(c, &in) || !json_end(c, &in))
        return false;
    if (!lua_istable(c->L, -1)) { /* no object, no array: handed on as the text it is */
        lua_pop(c->L, 1);
        push_text(c->L, buffer_span(json));
    }
    return true;
}

static bool read_header(struct codec *c, struct slot *slot, struct shape *s, struct span value)
{
    push_name(c, slot);
    bool ok;
    c->place = TIME_RFC822;
    if (slot->traits & SLOT_JSON_VALUE)
        ok = read_json_header(c, slot, value);
    else if (s->type == LIST)
        ok = read_list(c, s, value);
    else
        ok = read_scalar(c, slot, s, value);
    c->place = TIME_DEFAULT;
    return ok;
}

static void read_header_map(struct codec *c, struct slot *slot, const struct header *headers,
                            size_t count, int into)
{
    struct span prefix = slot->wire;
    if (!(slot->traits & (SLOT_WIRE | SLOT_WIRE_LOWER)))
        prefix.size = 0;
    push_name(c, slot);
    lua_newtable(c->L);
    for (size_t i = 0; i < count; i++) {
        struct span name = headers[i].name;
        if (!text_caseless_prefix(name, prefix))
            continue;
        push_text(c->L, (struct span){name.data + prefix.size, name.size - prefix.size});
        push_text(c->L, headers[i].value);
        lua_rawset(c->L, -3);
    }
    lua_rawset(c->L, into);
}

/* Members bound to the status and to headers. */
bool rest_read_headers(struct codec *c, struct shape *s, const struct header *headers, size_t count,
                       int status, int into)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->location == IN_STATUS) {
            push_name(c, slot);
            lua_pushinteger(c->L, status);
            lua_rawset(c->L, into);
        } else if (slot->location == IN_HEADERS) {
            read_header_map(c, slot, headers, count, into);
        } else if (slot->location == IN_HEADER) {
            const struct header *h = find_header(headers, count, slot->wire);
            struct shape *inner = slot_shape(c->m, slot);
            if (inner == NULL)
                return codec_fault(c, "%s", c->m->fault);
            if (h == NULL)
                continue;
            int top = lua_gettop(c->L);
            if (read_header(c, slot, inner, h->value))
                lua_rawset(c->L, into);
            else if (inner->type == TIMESTAMP && !c->server)
                lua_settop(c->L, top); /* S3's Expires is what the uploader wrote */
            else
                return false;
        }
    }
    return true;
}

static bool read_payload(struct codec *c, struct slot *slot, struct span body, int into)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->type == BLOB || s->type == STRING) {
        if (body.size == 0 && !(slot->traits & SLOT_STREAMING) && !(s->traits & SHAPE_STREAMING))
            return true;
        push_name(c, slot);
        push_text(c->L, body);
        lua_rawset(c->L, into);
        return true;
    }
    if (text_trim(body).size == 0)
        return true;
    push_name(c, slot);
    if (c->protocol != REST_XML) {
        struct json in = {body.data, body.data, body.data + body.size};
        if (json_peek(&in) == 'n') {
            lua_pop(c->L, 1);
            return true;
        }
        if (!json_read(c, &in, slot, false) || !json_end(c, &in))
            return false;
    } else if (!xml_scan(c, body) || !xml_read(c, slot, 0, false)) {
        return false;
    }
    lua_rawset(c->L, into);
    return true;
}

/* S3's GetBucketLocation returns the member's element as the root. */
static bool read_unwrapped(struct codec *c, struct shape *s, int into, bool *done)
{
    struct slot *slot = s->count == 1 ? &s->slots[0] : NULL;
    *done = slot != NULL && text_eq(slot->wire, xml_name(c, 0)) && c->s->nodes[0].kids == 0;
    if (!*done || c->s->nodes[0].text_length == 0)
        return true;
    push_name(c, slot);
    if (!xml_read(c, slot, 0, false))
        return false;
    lua_rawset(c->L, into);
    return true;
}

static bool read_json_members(struct codec *c, struct shape *s, struct span body, int into)
{
    struct slot root = {.shape = s, .name = {"the response", 12}};
    struct json in = {body.data, body.data, body.data + body.size};
    if (!json_read(c, &in, &root, true) || !json_end(c, &in))
        return false;
    if (!lua_istable(c->L, -1))
        return codec_fault(c, "an object is expected");
    lua_pushnil(c->L);
    while (lua_next(c->L, -2)) {
        lua_pushvalue(c->L, -2);
        lua_insert(c->L, -2);
        lua_rawset(c->L, into);
    }
    lua_pop(c->L, 1);
    return true;
}

/* Members of the body, set in the table at `into`. */
bool rest_read_body(struct codec *c, struct shape *s, struct span body, int into)
{
    bool done = false;
    if (s->payload != NULL)
        return read_payload(c, s->payload, body, into);
    if (text_trim(body).size == 0)
        return true;
    bool wanted = false;
    for (uint32_t i = 0; i < s->count; i++)
        wanted = wanted || s->slots[i].location == IN_BODY;
    if (!wanted)
        return true;
    if (c->protocol != REST_XML)
        return read_json_members(c, s, body, into);
    if (!xml_scan(c, body) || !read_unwrapped(c, s, into, &done))
        return false;
    return done || xml_read_members(c, s, 0, into, true);
}
