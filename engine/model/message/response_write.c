/* Responses and errors, as the simulator writes them. */
#include "model/message/message.h"
#include "model/wire/cbor.h"
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

static const struct span nothing = {"", 0};

static void header(struct codec *c, const char *name, const char *value)
{
    set_header(c, text_of(name), text_of(value));
}

/* The option or field `name` as text on the stack (popped by settop). */
static struct span option_text(struct codec *c, int options, const char *name)
{
    push_option(c->L, options, name);
    return get_text(c->L, -1);
}

static void element(struct buffer *out, const char *name, struct span value)
{
    xml_open(out, text_of(name), nothing, nothing);
    xml_escape(out, value);
    xml_close(out, text_of(name));
}

static void suffixed(struct buffer *out, struct span name, const char *suffix)
{
    buffer_clear(out);
    buffer_add_span(out, name);
    add_str(out, suffix);
}

static bool members(struct codec *c, struct shape *s, int at, bool body)
{
    if (s == NULL)
        return true;
    if (!codec_enter(c))
        return false;
    bool ok = xml_write_members(c, s, at, body);
    codec_leave(c);
    return ok;
}

static bool write_query(struct codec *c, struct operation *op, int output, struct span id)
{
    struct buffer *name = &c->s->extra, *result = &c->s->path;
    suffixed(name, op->name, "Response");
    suffixed(result, op->name, "Result");
    xml_open(c->out, buffer_span(name), c->m->xml_namespace, nothing);
    bool wrapped = op->flags & OP_RESULT_WRAPPER;
    if (wrapped)
        xml_open(c->out, buffer_span(result), nothing, nothing);
    if (!members(c, op->output.shape, output, false))
        return false;
    if (wrapped)
        xml_close(c->out, buffer_span(result));
    add_str(c->out, "<ResponseMetadata>");
    element(c->out, "RequestId", id);
    add_str(c->out, "</ResponseMetadata>");
    xml_close(c->out, buffer_span(name));
    header(c, "Content-Type", "text/xml");
    return true;
}

static bool write_ec2(struct codec *c, struct operation *op, int output, struct span id)
{
    struct buffer *name = &c->s->extra;
    suffixed(name, op->name, "Response");
    xml_open(c->out, buffer_span(name), c->m->xml_namespace, nothing);
    element(c->out, "requestId", id);
    if (!members(c, op->output.shape, output, false))
        return false;
    xml_close(c->out, buffer_span(name));
    header(c, "Content-Type", "text/xml;charset=UTF-8");
    return true;
}

static bool write_rest(struct codec *c, struct operation *op, int output, int *value)
{
    struct buffer *name = &c->s->path;
    struct shape *s = op->output.shape;
    if (s == NULL)
        return true;
    struct slot root = op->output;
    suffixed(name, op->name, "Result");
    root.wire = s->name.size > 0 ? s->name : buffer_span(name);
    root.ns_uri = c->m->xml_namespace;
    if (is_event_stream(c, s->payload)) {
        header(c, "Content-Type", "application/vnd.amazon.eventstream");
        return rest_write_headers(c, s, output) && write_frames(c, s->payload, output);
    }
    if (!rest_write_headers(c, s, output) || !rest_write_body(c, &root, output, value))
        return false;
    lua_getfield(c->L, c->headers, "Content-Type");
    bool typed = !lua_isnil(c->L, -1);
    lua_pop(c->L, 1);
    if (*value == 0 && c->out->size > 0 && !typed)
        header(c, "Content-Type",
               c->protocol == REST_JSON ? "application/json" : "application/xml");
    return true;
}

static bool write_rpc(struct codec *c, struct slot *root, int output)
{
    if (c->protocol == CBOR) {
        header(c, "smithy-protocol", "rpc-v2-cbor");
        header(c, "Content-Type", "application/cbor");
        if (root->shape != NULL)
            return cbor_write(c, root, output);
        buffer_add_char(c->out, (char)0xa0);
        return true;
    }
    struct buffer *type = &c->s->text;
    suffixed(type, text_of("application/x-amz-json-"), "");
    buffer_add_span(type, c->m->json_version);
    set_header(c, text_of("Content-Type"), buffer_span(type));
    if (root->shape != NULL)
        return json_write(c, root, output, false);
    add_str(c->out, "{}");
    return true;
}

static int status_of(struct codec *c, struct operation *op, int output)
{
    struct shape *s = op->output.shape;
    int status = op->status ? op->status : 200;
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        if (s->slots[i].location != IN_STATUS)
            continue;
        if (!get_member(c, &s->slots[i], output))
            continue;
        status = (int)get_integer(c->L, -1);
        lua_pop(c->L, 1);
    }
    return status;
}

/* Turns the table of headers into the ordered list that the server sends. */
static void list_headers(lua_State *L, int headers)
{
    lua_Integer n = 0;
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, headers)) {
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, -3);
        lua_rawseti(L, -2, 1);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -3, ++n);
    }
}

static bool push_response(struct codec *c, int status, int value)
{
    lua_State *L = c->L;
    if (c->out->failed)
        return codec_fault(c, "out of memory");
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    if (value != 0)
        lua_pushvalue(L, value);
    else
        push_text(L, buffer_span(c->out));
    lua_setfield(L, -2, "body");
    list_headers(L, c->headers);
    lua_setfield(L, -2, "headers");
    return true;
}

static void start(struct codec *c)
{
    lua_newtable(c->L);
    c->headers = lua_gettop(c->L);
    buffer_clear(c->out);
}

static const char *id_header(const struct codec *c)
{
    return c->protocol == REST_XML ? "x-amz-request-id" : "x-amzn-RequestId";
}

bool write_response(struct codec *c, struct operation *op, int output, int options)
{
    int value = 0;
    bool ok;
    start(c);
    struct span id = option_text(c, options, "request_id");
    if (id.size > 0)
        set_header(c, text_of(id_header(c)), id);
    switch (c->protocol) {
    case QUERY:
        ok = write_query(c, op, output, id);
        break;
    case EC2:
        ok = write_ec2(c, op, output, id);
        break;
    case REST_JSON:
    case REST_XML:
        ok = write_rest(c, op, output, &value);
        break;
    default:
        ok = write_rpc(c, &op->output, output);
    }
    return ok && push_response(c, status_of(c, op, output), value);
}

struct fault {
    struct span code, message, id;
    struct shape *shape;
    bool server;
    int fields;
};

static bool write_xml_fault(struct codec *c, const struct fault *f)
{
    bool bare = c->protocol == REST_XML && text_is(c->m->service, "s3");
    bool ec2 = c->protocol == EC2;
    struct span outer = text_of(ec2 ? "Response" : "ErrorResponse");
    header(c, "Content-Type", c->protocol == REST_XML ? "application/xml" : "text/xml");
    add_str(c->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    if (!bare)
        xml_open(c->out, outer, ec2 ? nothing : c->m->xml_namespace, nothing);
    add_str(c->out, ec2 ? "<Errors><Error>" : "<Error>");
    if (!ec2 && !bare)
        element(c->out, "Type", text_of(f->server ? "Receiver" : "Sender"));
    element(c->out, "Code", f->code);
    element(c->out, "Message", f->message);
    if (!members(c, f->fields ? f->shape : NULL, f->fields, true))
        return false;
    if (bare)
        element(c->out, "RequestId", f->id);
    add_str(c->out, ec2 ? "</Error></Errors>" : "</Error>");
    if (bare)
        return true;
    element(c->out, ec2 ? "RequestID" : "RequestId", f->id);
    xml_close(c->out, outer);
    return true;
}

/* JSON and CBOR: the error's fields, its message and its type in one object,
 * made as a Lua table and written freely or by the shape. */
static bool write_object_fault(struct codec *c, const struct fault *f)
{
    struct span type = f->shape ? f->shape->name : f->code;
    struct slot root = {.shape = f->shape};
    if (c->m->query_compatible) {
        struct buffer *both = &c->s->extra;
        suffixed(both, f->code, f->server ? ";Receiver" : ";Sender");
        set_header(c, text_of("x-amzn-query-error"), buffer_span(both));
    }
    if (c->protocol == REST_JSON) {
        header(c, "Content-Type", "application/json");
        set_header(c, text_of("x-amzn-errortype"), type);
    } else {
        root.shape = NULL;
        if (!write_rpc(c, &root, 0))
            return false;
        buffer_clear(c->out);
    }
    lua_newtable(c->L);
    int body = lua_gettop(c->L);
    push_text(c->L, type);
    lua_setfield(c->L, body, "__type");
    struct slot *message = f->shape ? shape_member(f->shape, text_of("Message")) : NULL;
    push_text(c->L, f->message);
    lua_setfield(c->L, body, message ? "Message" : "message");
    for (uint32_t i = 0; f->fields && f->shape && i < f->shape->count; i++) {
        struct slot *slot = &f->shape->slots[i];
        if (slot->location != IN_BODY || !get_member(c, slot, f->fields))
            continue;
        push_text(c->L, slot->wire);
        lua_insert(c->L, -2);
        lua_rawset(c->L, body);
    }
    return c->protocol == CBOR ? cbor_write_any(c, c->out, body) : json_write_any(c, c->out, body);
}

static int fault_status(struct codec *c, int table, struct fault *f)
{
    int status = f->shape ? f->shape->error_status : 0;
    struct span type = option_text(c, table, "type");
    if (push_option(c->L, table, "status") == LUA_TNUMBER)
        status = (int)get_integer(c->L, -1);
    if (status == 0)
        status = text_is(type, "server") ? 500 : 400;
    f->server = type.size > 0 ? text_is(type, "server") : status >= 500;
    return status;
}

bool write_fault(struct codec *c, struct operation *op, int table)
{
    struct fault f = {nothing, nothing, nothing, NULL, false, 0};
    (void)op;
    start(c);
    f.code = option_text(c, table, "code");
    f.message = option_text(c, table, "message");
    f.id = option_text(c, table, "request_id");
    if (push_option(c->L, table, "fields") == LUA_TTABLE)
        f.fields = lua_gettop(c->L);
    if (f.code.size > 0)
        f.shape = model_exception(c->m, f.code);
    if (f.shape != NULL && f.shape->error_code.size > 0 &&
        (c->protocol == QUERY || c->protocol == EC2 || c->m->query_compatible))
        f.code = f.shape->error_code;
    int status = fault_status(c, table, &f);
    if (f.id.size > 0)
        set_header(c, text_of(id_header(c)), f.id);
    if (f.fields && f.shape && (c->protocol == REST_JSON || c->protocol == REST_XML) &&
        !rest_write_headers(c, f.shape, f.fields))
        return false;
    bool xml = c->protocol == QUERY || c->protocol == EC2 || c->protocol == REST_XML;
    if (!(xml ? write_xml_fault(c, &f) : write_object_fault(c, &f)))
        return false;
    return push_response(c, status, 0);
}
