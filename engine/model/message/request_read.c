/* Requests, as the simulator reads them. */
#include "model/message/route.h"
#include "model/wire/cbor.h"
#include "model/wire/form.h"
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

static bool set_scalar(struct codec *c, struct slot *slot, struct span encoded, bool plus, int into)
{
    struct shape *s = slot_shape(c->m, slot);
    struct buffer *plain = &c->s->extra;
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    buffer_clear(plain);
    add_decoded(plain, encoded, plus);
    push_name(c, slot);
    if (!read_scalar(c, slot, s, buffer_span(plain)))
        return false;
    lua_rawset(c->L, into);
    return true;
}

static bool read_labels(struct codec *c, struct operation *op, struct shape *s, struct span path,
                        int into)
{
    struct match m;
    if (!match_path(op->uri, path, &m))
        return codec_fault(c, "the path does not fit the operation");
    for (int i = 0; i < m.count; i++)
        for (uint32_t k = 0; k < s->count; k++)
            if (s->slots[k].location == IN_URI && text_eq(s->slots[k].wire, m.labels[i].name) &&
                !set_scalar(c, &s->slots[k], m.labels[i].value, false, into))
                return false;
    return true;
}

/* A repeated query member: appended to its list. */
static bool add_element(struct codec *c, struct slot *slot, struct shape *s, struct span value,
                        int into)
{
    push_name(c, slot);
    if (lua_rawget(c->L, into) != LUA_TTABLE) {
        lua_pop(c->L, 1);
        lua_newtable(c->L);
        push_name(c, slot);
        lua_pushvalue(c->L, -2);
        lua_rawset(c->L, into);
    }
    struct buffer *plain = &c->s->extra;
    struct shape *inner = slot_shape(c->m, &s->slots[0]);
    buffer_clear(plain);
    add_decoded(plain, value, true);
    if (inner == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (!read_scalar(c, &s->slots[0], inner, buffer_span(plain)))
        return false;
    lua_rawseti(c->L, -2, (lua_Integer)lua_rawlen(c->L, -2) + 1);
    lua_pop(c->L, 1);
    return true;
}

static bool read_pair(struct codec *c, struct shape *s, struct span name, struct span value,
                      int into, bool *used)
{
    *used = false;
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->location != IN_QUERY)
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        if (inner->type == MAP || !text_eq(slot->wire, name))
            continue;
        *used = true;
        return inner->type == LIST ? add_element(c, slot, inner, value, into)
                                   : set_scalar(c, slot, value, true, into);
    }
    return true;
}

static void add_to_map(struct codec *c, struct slot *slot, struct shape *s, struct span name,
                       struct span value, int into)
{
    struct buffer *plain = &c->s->extra;
    struct shape *inner = slot_shape(c->m, &s->slots[1]);
    push_name(c, slot);
    if (lua_rawget(c->L, into) != LUA_TTABLE) {
        lua_pop(c->L, 1);
        lua_newtable(c->L);
        push_name(c, slot);
        lua_pushvalue(c->L, -2);
        lua_rawset(c->L, into);
    }
    buffer_clear(plain);
    add_decoded(plain, name, true);
    push_text(c->L, buffer_span(plain));
    buffer_clear(plain);
    add_decoded(plain, value, true);
    if (inner != NULL && inner->type == LIST) {
        lua_pushvalue(c->L, -1);
        if (lua_rawget(c->L, -3) != LUA_TTABLE) {
            lua_pop(c->L, 1);
            lua_newtable(c->L);
        }
        push_text(c->L, buffer_span(plain));
        lua_rawseti(c->L, -2, (lua_Integer)lua_rawlen(c->L, -2) + 1);
    } else {
        push_text(c->L, buffer_span(plain));
    }
    lua_rawset(c->L, -3);
    lua_pop(c->L, 1);
}

static bool read_query(struct codec *c, struct shape *s, struct span query, int into)
{
    struct span name, value;
    while (next_pair(&query, &name, &value)) {
        bool used;
        struct buffer *plain = &c->s->path;
        buffer_clear(plain);
        add_decoded(plain, name, true);
        if (!read_pair(c, s, buffer_span(plain), value, into, &used))
            return false;
        for (uint32_t i = 0; !used && i < s->count; i++) {
            struct shape *inner = slot_shape(c->m, &s->slots[i]);
            if (s->slots[i].location == IN_QUERY && inner && inner->type == MAP)
                add_to_map(c, &s->slots[i], inner, name, value, into);
        }
    }
    return true;
}

/* Of rest-xml, the root element: the payload's, else the input's. */
static bool check_request_root(struct codec *c, struct operation *op)
{
    struct slot *payload = op->input.shape->payload;
    if (c->protocol != REST_XML || c->s->node_count == 0)
        return true;
    struct span root = xml_name(c, 0);
    struct span wanted = payload ? rest_payload_name(payload, slot_shape(c->m, payload))
                                 : op->input_name;
    return wanted.size == 0 || text_eq(root, wanted) ||
           codec_fault(c, "the root element is <%.*s>, not <%.*s>", (int)root.size, root.data,
                       (int)wanted.size, wanted.data);
}

static bool read_rest(struct codec *c, struct operation *op, struct shape *s,
                      const struct incoming *in)
{
    struct span path, query;
    lua_newtable(c->L);
    int into = lua_gettop(c->L);
    split_target(in->target, &path, &query);
    c->place = TIME_ISO8601;
    bool ok = read_labels(c, op, s, path, into) && read_query(c, s, query, into);
    c->place = TIME_DEFAULT;
    return ok && rest_read_headers(c, s, in->headers, in->header_count, 0, into) &&
           rest_read_body(c, s, in->body, into) && check_request_root(c, op);
}

static bool read_form(struct codec *c, struct operation *op, const struct incoming *in)
{
    struct span path, query;
    split_target(in->target, &path, &query);
    return form_scan(c, in->body.size > 0 ? in->body : query) && form_read(c, &op->input, 0);
}

/* Leaves the input's table on the stack. */
bool read_request(struct codec *c, struct operation *op, const struct incoming *in)
{
    struct shape *s = op->input.shape;
    if (s == NULL) {
        lua_newtable(c->L);
        return true;
    }
    switch (c->protocol) {
    case QUERY:
    case EC2:
        return read_form(c, op, in);
    case REST_JSON:
    case REST_XML:
        return read_rest(c, op, s, in);
    default:
        break;
    }
    if (in->body.size == 0) {
        lua_newtable(c->L);
        return true;
    }
    if (c->protocol == CBOR) {
        const uint8_t *p = (const uint8_t *)in->body.data;
        struct cbor body = {p, p, p + in->body.size};
        return cbor_read(c, &body, &op->input);
    }
    struct json body = {in->body.data, in->body.data, in->body.data + in->body.size};
    return json_read(c, &body, &op->input, false) && json_end(c, &body);
}
