/* Errors that services return, in every form they come in:
 *   <ErrorResponse><Error>..., <Response><Errors><Error>..., <Error>... (S3)
 *   {"__type": "namespace#Code:uri", "message": ...}, code, x-amzn-errortype
 *   CBOR with __type, x-amzn-query-error: "Code;Sender"
 * and none at all: then the status is the code. */
#include "model/message/message.h"
#include "model/wire/cbor.h"
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

struct fault {
    struct span code, message, type, request_id;
    struct span shape_code; /* by which the model knows it, if not by its code */
};

static struct span clean_code(struct span code)
{
    const char *colon = memchr(code.data, ':', code.size);
    if (colon)
        code.size = (size_t)(colon - code.data);
    for (size_t i = code.size; i > 0; i--) {
        if (code.data[i - 1] != '#')
            continue;
        code.data += i;
        code.size -= i;
        break;
    }
    return code;
}

static const char *reason(int status)
{
    switch (status) {
    case 301:
        return "Moved Permanently";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 416:
        return "Range Not Satisfiable";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "";
    }
}

/* The string field `name` of the table on top, or an empty text. The table
 * keeps the string alive. */
static struct span field(lua_State *L, const char *name)
{
    struct span t = {"", 0};
    lua_getfield(L, -1, name);
    if (lua_type(L, -1) == LUA_TSTRING)
        t = get_text(L, -1);
    lua_pop(L, 1);
    return t;
}

static struct span first_field(lua_State *L, const char *a, const char *b, const char *d)
{
    struct span t = field(L, a);
    if (t.size == 0)
        t = field(L, b);
    return t.size == 0 && d ? field(L, d) : t;
}

/* x-amzn-query-error: the code of the former query protocol, and the fault's
 * side. */
static void query_error(struct fault *f, const struct incoming *in)
{
    struct span h = header_value(in, "x-amzn-query-error");
    const char *semicolon = h.data ? memchr(h.data, ';', h.size) : NULL;
    if (semicolon == NULL || semicolon == h.data)
        return;
    f->shape_code = f->code;
    f->code = (struct span){h.data, (size_t)(semicolon - h.data)};
    f->type = (struct span){semicolon + 1, h.size - f->code.size - 1};
}

/* Reads the untyped body, left on the stack: a table, or nil when unreadable. */
static void read_loose(struct codec *c, const struct incoming *in)
{
    int top = lua_gettop(c->L);
    bool ok;
    if (c->protocol == CBOR) {
        const uint8_t *p = (const uint8_t *)in->body.data;
        struct cbor body = {p, p, p + in->body.size};
        ok = in->body.size > 0 && cbor_read_any(c, &body);
    } else {
        struct json body = {in->body.data, in->body.data, in->body.data + in->body.size};
        ok = in->body.size > 0 && json_read_any(c, &body) && json_end(c, &body);
    }
    if (ok && lua_istable(c->L, -1))
        return;
    lua_settop(c->L, top);
    lua_pushnil(c->L);
}

static void fault_of_table(struct codec *c, struct fault *f, const struct incoming *in)
{
    struct span header = header_value(in, "x-amzn-errortype");
    if (lua_istable(c->L, -1)) {
        f->code = first_field(c->L, "__type", "code", "Code");
        f->message = first_field(c->L, "message", "Message", "errorMessage");
    }
    if (header.data != NULL)
        f->code = header;
    f->code = clean_code(f->code);
    query_error(f, in);
}

static uint32_t error_node(struct codec *c)
{
    uint32_t errors = xml_child(c, 0, "Errors");
    uint32_t node = xml_child(c, errors, "Error");
    return node;
}

static void fault_of_xml(struct codec *c, struct fault *f, uint32_t node)
{
    static const char *const messages[] = {"Message", "message"};
    uint32_t child = xml_child(c, node, "Code");
    if (child)
        f->code = clean_code(xml_value(c, child));
    for (int i = 0; i < 2 && f->message.size == 0; i++)
        if ((child = xml_child(c, node, messages[i])) != 0)
            f->message = xml_value(c, child);
    if ((child = xml_child(c, node, "Type")) != 0)
        f->type = xml_value(c, child);
}

/* Route 53 refuses a batch of changes with a root named as the error itself, and a list of
 * messages: <InvalidChangeBatch><Messages><Message>... They are joined in the scratch's
 * text. */
static void fault_of_root(struct codec *c, struct fault *f)
{
    struct buffer *joined = &c->s->text;
    struct span root = xml_name(c, 0);
    uint32_t list = xml_child(c, 0, "Messages");
    if (model_exception(c->m, root) == NULL)
        return;
    f->code = root;
    if (list == 0)
        list = xml_child(c, 0, "messages");
    buffer_clear(joined);
    for (uint32_t at = list + 1 + c->s->nodes[list].attributes;
         list != 0 && at < c->s->nodes[list].next; at = c->s->nodes[at].next) {
        if (joined->size > 0)
            add_str(joined, " ");
        buffer_add_span(joined, xml_value(c, at));
    }
    if (!joined->failed && joined->size > 0)
        f->message = buffer_span(joined);
}

/* The modeled members, set in the table on top. A body that does not fit is no
 * reason to lose the error itself. */
static void read_fields(struct codec *c, struct shape *s, const struct incoming *in, bool xml,
                        uint32_t node)
{
    int into = lua_gettop(c->L);
    bool ok = true;
    if (c->protocol == REST_JSON || c->protocol == REST_XML)
        ok = rest_read_headers(c, s, in->headers, in->header_count, in->status, into);
    if (ok && xml) {
        xml_read_members(c, s, node, into, true);
    } else if (ok && c->protocol == CBOR && in->body.size > 0) {
        struct slot root = {.shape = s, .name = {"error", 5}};
        const uint8_t *p = (const uint8_t *)in->body.data;
        struct cbor body = {p, p, p + in->body.size};
        if (cbor_read(c, &body, &root))
            lua_replace(c->L, into);
    } else if (ok && in->body.size > 0) {
        rest_read_body(c, s, in->body, into);
    }
    lua_settop(c->L, into);
}

static void set_text(lua_State *L, int into, const char *name, struct span t)
{
    push_text(L, t);
    lua_setfield(L, into, name);
}

static const char *side(const struct fault *f, const struct shape *s, int status)
{
    if (text_is(f->type, "Sender"))
        return "client";
    if (text_is(f->type, "Receiver") || text_is(f->type, "Server"))
        return "server";
    if (s != NULL && (s->traits & SHAPE_SENDER_FAULT))
        return "client";
    return status >= 500 || status < 300 ? "server" : "client";
}

static void push_fault(struct codec *c, struct fault *f, const struct incoming *in, bool xml,
                       uint32_t node)
{
    lua_State *L = c->L;
    lua_createtable(L, 0, 8);
    int into = lua_gettop(L);
    if (f->code.size == 0) {
        lua_pushfstring(L, "%d", in->status);
        lua_setfield(L, into, "code");
        if (f->message.size == 0)
            f->message = text_of(reason(in->status));
    } else {
        set_text(L, into, "code", f->code);
    }
    set_text(L, into, "message", f->message);
    if (f->request_id.size > 0)
        set_text(L, into, "request_id", f->request_id);
    lua_pushinteger(L, in->status);
    lua_setfield(L, into, "status");
    struct shape *s = NULL;
    if (f->shape_code.size > 0)
        s = model_exception(c->m, f->shape_code);
    if (s == NULL && f->code.size > 0)
        s = model_exception(c->m, f->code);
    lua_pushboolean(L, s != NULL);
    lua_setfield(L, into, "modeled");
    lua_pushstring(L, side(f, s, in->status));
    lua_setfield(L, into, "type");
    if (s != NULL && (s->traits & (SHAPE_RETRYABLE | SHAPE_THROTTLING))) {
        lua_pushstring(L, s->traits & SHAPE_THROTTLING ? "throttling" : "transient");
        lua_setfield(L, into, "retryable");
    }
    lua_newtable(L);
    if (s != NULL)
        read_fields(c, s, in, xml, node);
    lua_setfield(L, into, "fields");
}

bool read_fault(struct codec *c, struct operation *op, const struct incoming *in)
{
    struct fault f = {{"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
    bool xml = c->protocol == QUERY || c->protocol == EC2 || c->protocol == REST_XML;
    uint32_t node = 0;
    (void)op;
    if (xml) {
        xml = text_trim(in->body).size > 0 && xml_scan(c, in->body);
        if (xml) {
            node = xml_child(c, 0, "Error");
            if (node == 0 && xml_child(c, 0, "Errors") != 0)
                node = error_node(c);
            fault_of_xml(c, &f, node);
            if (node == 0 && f.code.size == 0)
                fault_of_root(c, &f);
        } else {
            struct span header = header_value(in, "x-amzn-errortype");
            if (header.data != NULL)
                f.code = clean_code(header);
        }
        lua_pushnil(c->L);
    } else {
        read_loose(c, in);
        fault_of_table(c, &f, in);
    }
    f.request_id = request_id_of(c, in, xml);
    push_fault(c, &f, in, xml, node);
    c->fault[0] = 0;
    return true;
}
