/* The client's requests. */
#include "model/message/message.h"
#include "model/wire/cbor.h"
#include "model/wire/form.h"
#include "model/wire/json.h"
#include "model/wire/rest.h"

int push_option(lua_State *L, int options, const char *name)
{
    if (options == 0 || !lua_istable(L, options)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    return lua_getfield(L, options, name);
}

static void header(struct codec *c, const char *name, const char *value)
{
    set_header(c, text_of(name), text_of(value));
}

static bool write_form(struct codec *c, struct operation *op, int input)
{
    header(c, "Content-Type", "application/x-www-form-urlencoded");
    add_str(c->out, "Action=");
    buffer_add_span(c->out, op->name);
    add_str(c->out, "&Version=");
    add_percent(c->out, c->m->api_version, false);
    buffer_clear(&c->s->path);
    return op->input.shape == NULL || form_write(c, &op->input, input);
}

static void query_compatible(struct codec *c)
{
    if (c->m->query_compatible)
        header(c, "x-amzn-query-mode", "true");
}

static bool write_json(struct codec *c, struct operation *op, int input)
{
    struct buffer *value = &c->s->text;
    buffer_clear(value);
    buffer_add_span(value, c->m->target_prefix);
    if (c->m->target_prefix.size > 0)
        buffer_add_char(value, '.');
    buffer_add_span(value, op->name);
    set_header(c, text_of("X-Amz-Target"), buffer_span(value));
    buffer_clear(value);
    add_str(value, "application/x-amz-json-");
    buffer_add_span(value, c->m->json_version);
    set_header(c, text_of("Content-Type"), buffer_span(value));
    query_compatible(c);
    if (op->input.shape != NULL)
        return json_write(c, &op->input, input, false);
    add_str(c->out, "{}");
    return true;
}

static bool event_stream_of(struct codec *c, struct slot *root)
{
    struct shape *s = root->shape;
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        struct shape *inner = slot_shape(c->m, &s->slots[i]);
        if (inner != NULL && (inner->traits & SHAPE_EVENT_STREAM))
            return true;
    }
    return false;
}

static bool write_cbor(struct codec *c, struct operation *op, int input)
{
    header(c, "smithy-protocol", "rpc-v2-cbor");
    header(c, "Accept",
           event_stream_of(c, &op->output) ? "application/vnd.amazon.eventstream"
                                           : "application/cbor");
    query_compatible(c);
    if (op->input.shape == NULL)
        return true;
    header(c, "Content-Type", "application/cbor");
    return cbor_write(c, &op->input, input);
}

static bool has_header(struct codec *c, const char *name)
{
    bool found = false;
    lua_pushnil(c->L);
    while (lua_next(c->L, c->headers)) {
        lua_pop(c->L, 1);
        found = found || text_caseless_eq(get_text(c->L, -1), text_of(name));
    }
    return found;
}

static void rest_content_type(struct codec *c, struct slot *payload, int value)
{
    const char *type = c->protocol == REST_JSON ? "application/json" : "application/xml";
    if (has_header(c, "Content-Type"))
        return;
    if (payload != NULL && payload->shape != NULL && payload->shape->type == STRING)
        type = "text/plain";
    else if (value != 0)
        type = "application/octet-stream";
    if (value != 0 || c->out->size > 0)
        header(c, "Content-Type", type);
}

static bool write_rest(struct codec *c, struct operation *op, int input, int *value)
{
    struct shape *s = op->input.shape;
    if (s == NULL)
        return true;
    if (is_event_stream(c, s->payload)) {
        header(c, "Content-Type", "application/vnd.amazon.eventstream");
        return rest_write_headers(c, s, input) && write_frames(c, s->payload, input);
    }
    if (!rest_write_headers(c, s, input) || !rest_write_body(c, &op->input, input, value))
        return false;
    rest_content_type(c, s->payload, *value);
    return true;
}

static bool is_host_text(struct span t)
{
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.'))
            return false;
    }
    return t.size > 0;
}

static bool host_label(struct codec *c, struct operation *op, struct span name, int input)
{
    static const char part[] = "it is a part of the host name";
    struct slot *slot = shape_member(op->input.shape, name);
    if (slot == NULL || !get_member(c, slot, input))
        return codec_fault(c, "missing required member \"%.*s\": %s", (int)name.size, name.data,
                           part);
    struct span label = get_text(c->L, -1);
    if (!is_host_text(label))
        return codec_fault(c, "%.*s must hold only letters, digits, hyphens and periods: %s",
                           (int)name.size, name.data, part);
    buffer_add_span(&c->s->extra, label);
    lua_pop(c->L, 1);
    return true;
}

/* Pushes the text before the endpoint's host, with its labels filled in. */
static bool host_prefix(struct codec *c, struct operation *op, int input)
{
    struct buffer *out = &c->s->extra;
    struct span t = op->host_prefix;
    buffer_clear(out);
    while (t.size > 0) {
        const char *open = memchr(t.data, '{', t.size);
        size_t literal = open ? (size_t)(open - t.data) : t.size;
        buffer_add(out, t.data, literal);
        if (open == NULL)
            break;
        const char *close = memchr(open, '}', t.size - literal);
        if (close == NULL)
            return codec_fault(c, "the model's host prefix is damaged");
        if (!host_label(c, op, (struct span){open + 1, (size_t)(close - open) - 1}, input))
            return false;
        t.size -= (size_t)(close + 1 - t.data);
        t.data = close + 1;
    }
    push_text(c->L, buffer_span(out));
    return true;
}

/* S3's rule set puts the bucket into the endpoint's host or path: the path of
 * the operation must then not repeat it. */
static struct span without_bucket(struct codec *c, struct span uri, int options)
{
    static const char bucket[] = "/{Bucket}";
    size_t n = sizeof bucket - 1;
    push_option(c->L, options, "omit_bucket");
    bool omit = lua_toboolean(c->L, -1);
    lua_pop(c->L, 1);
    if (!omit || uri.size < n || memcmp(uri.data, bucket, n) != 0)
        return uri;
    return (struct span){uri.data + n, uri.size - n};
}

static bool push_uri(struct codec *c, struct operation *op, int input, int options)
{
    struct buffer *body = c->out;
    bool ok = true;
    buffer_clear(&c->s->path);
    c->out = &c->s->path;
    if (c->protocol == REST_JSON || c->protocol == REST_XML) {
        struct operation plain = *op;
        plain.uri = without_bucket(c, op->uri, options);
        ok = rest_write_uri(c, &plain, input);
        if (ok && (c->out->size == 0 || c->out->data[0] != '/')) {
            struct buffer *whole = &c->s->extra;
            buffer_clear(whole);
            buffer_add_char(whole, '/');
            buffer_add_span(whole, buffer_span(c->out));
            c->out = whole;
        }
    } else if (c->protocol == CBOR) {
        add_str(c->out, "/service/");
        buffer_add_span(c->out, c->m->target_prefix);
        add_str(c->out, "/operation/");
        buffer_add_span(c->out, op->name);
    } else {
        add_str(c->out, "/");
    }
    if (ok)
        push_text(c->L, buffer_span(c->out));
    c->out = body;
    return ok;
}

static bool write_parts(struct codec *c, struct operation *op, int input, int *value)
{
    bool rest = c->protocol == REST_JSON || c->protocol == REST_XML;
    if (!rest && event_stream_of(c, &op->input)) /* no service of AWS has one */
        return codec_fault(c, "event streams are sent by REST protocols only");
    switch (c->protocol) {
    case QUERY:
    case EC2:
        return write_form(c, op, input);
    case JSON:
        return write_json(c, op, input);
    case CBOR:
        return write_cbor(c, op, input);
    default:
        return write_rest(c, op, input, value);
    }
}

bool write_request(struct codec *c, struct operation *op, int input, int options)
{
    lua_State *L = c->L;
    int value = 0;
    lua_createtable(L, 0, 6);
    int request = lua_gettop(L);
    lua_createtable(L, 0, 8);
    c->headers = lua_gettop(L);
    buffer_clear(c->out);
    if (!write_parts(c, op, input, &value))
        return false;
    if (value != 0)
        lua_pushvalue(L, value);
    else
        push_text(L, buffer_span(c->out));
    int body = lua_gettop(L);
    if (!finish_request(c, op, input, body, options))
        return false;
    lua_pushvalue(L, body);
    lua_setfield(L, request, "body");
    lua_pushvalue(L, c->headers);
    lua_setfield(L, request, "headers");
    if (!push_uri(c, op, input, options))
        return false;
    lua_setfield(L, request, "uri");
    push_text(L, op->method);
    lua_setfield(L, request, "method");
    if (op->input.shape != NULL && is_event_stream(c, op->input.shape->payload)) {
        lua_pushboolean(L, 1);
        lua_setfield(L, request, "event_stream");
    }
    if (op->host_prefix.size > 0) {
        if (!host_prefix(c, op, input))
            return false;
        lua_setfield(L, request, "host_prefix");
    }
    lua_settop(L, request);
    return !c->out->failed || codec_fault(c, "out of memory");
}
