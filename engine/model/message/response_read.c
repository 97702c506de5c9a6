/* Responses, as a client reads them. */
#include "model/message/message.h"
#include "model/wire/cbor.h"
#include "model/wire/json.h"
#include "model/wire/rest.h"
#include "model/wire/xml.h"

struct span header_value(const struct incoming *in, const char *name)
{
    struct span wanted = text_of(name);
    for (size_t i = 0; i < in->header_count; i++)
        if (text_caseless_eq(in->headers[i].name, wanted))
            return in->headers[i].value;
    return (struct span){NULL, 0};
}

/* The id that AWS gave the request: a header, or in the XML just scanned. */
struct span request_id_of(struct codec *c, const struct incoming *in, bool xml)
{
    static const char *const names[] = {"x-amzn-requestid", "x-amz-request-id",
                                        "x-amzn-request-id"};
    for (size_t i = 0; i < 3; i++) {
        struct span id = header_value(in, names[i]);
        if (id.data != NULL)
            return id;
    }
    if (!xml)
        return (struct span){"", 0};
    static const char *const tags[] = {"RequestId", "requestId", "RequestID"};
    uint32_t metadata = xml_child(c, 0, "ResponseMetadata");
    for (size_t i = 0; i < 3; i++) {
        uint32_t node = xml_child(c, 0, tags[i]);
        if (node == 0 && metadata != 0)
            node = xml_child(c, metadata, tags[i]);
        if (node == 0 && xml_child(c, 0, "Error") != 0)
            node = xml_child(c, xml_child(c, 0, "Error"), tags[i]);
        if (node != 0)
            return xml_value(c, node);
    }
    return (struct span){"", 0};
}

static bool read_xml_rpc(struct codec *c, struct operation *op, const struct incoming *in,
                         struct shape *s)
{
    uint32_t start = 0;
    if (text_trim(in->body).size == 0)
        return true;
    if (!xml_scan(c, in->body))
        return s == NULL; /* nothing is expected of it */
    if (c->protocol == QUERY && s != NULL) {
        struct buffer *name = &c->s->text;
        buffer_clear(name);
        buffer_add_span(name, op->name);
        add_str(name, "Result");
        buffer_add_char(name, 0);
        if (name->failed)
            return codec_fault(c, "out of memory");
        start = xml_child(c, 0, name->data);
    }
    if (!check_rpc_root(c, op, start))
        return false;
    if (s == NULL)
        return true;
    return xml_read_members(c, s, start, lua_gettop(c->L), false);
}

static struct shape *stream_of(struct codec *c, struct shape *s, struct slot **slot)
{
    if (s == NULL || s->stream == 1)
        return NULL;
    for (uint32_t i = 0; s->stream == 0 && i < s->count; i++) {
        struct shape *inner = slot_shape(c->m, &s->slots[i]);
        if (inner != NULL && (inner->traits & SHAPE_EVENT_STREAM))
            s->stream = i + 2;
    }
    if (s->stream == 0)
        s->stream = 1;
    if (s->stream == 1)
        return NULL;
    *slot = &s->slots[s->stream - 2];
    return slot_shape(c->m, *slot);
}

static bool read_stream(struct codec *c, struct slot *slot, struct shape *stream, struct shape *s,
                        const struct incoming *in)
{
    int into = lua_gettop(c->L);
    push_name(c, slot);
    if (!read_frames(c, stream, in->body, s, into))
        return false;
    lua_rawset(c->L, into);
    return true;
}

static bool read_rpc(struct codec *c, struct operation *op, struct shape *s,
                     const struct incoming *in)
{
    if (text_trim(in->body).size == 0 || s == NULL)
        return true;
    lua_pop(c->L, 1);
    if (c->protocol == CBOR) {
        const uint8_t *p = (const uint8_t *)in->body.data;
        struct cbor body = {p, p, p + in->body.size};
        return cbor_read(c, &body, &op->output);
    }
    struct json body = {in->body.data, in->body.data, in->body.data + in->body.size};
    return json_read(c, &body, &op->output, false) && json_end(c, &body);
}

static bool read_output(struct codec *c, struct operation *op, const struct incoming *in)
{
    struct shape *s = op->output.shape;
    struct slot *slot = NULL;
    struct shape *stream = stream_of(c, s, &slot);
    lua_createtable(c->L, 0, s ? (int)(s->count < 8 ? s->count : 8) : 0);
    int into = lua_gettop(c->L);
    if (stream == NULL && !check_body(c, op, in))
        return false;
    if (c->protocol == QUERY || c->protocol == EC2)
        return read_xml_rpc(c, op, in, s);
    if (c->protocol == JSON || c->protocol == CBOR)
        return stream ? read_stream(c, slot, stream, s, in) : read_rpc(c, op, s, in);
    if (s == NULL)
        return true;
    if (!rest_read_headers(c, s, in->headers, in->header_count, in->status, into))
        return false;
    if (stream)
        return read_stream(c, slot, stream, NULL, in);
    if (!rest_read_body(c, s, in->body, into))
        return false;
    return c->protocol != REST_XML || c->s->node_count == 0 || check_rest_root(c, op);
}

/* An error in a response with status 200: S3 does so when a long copy fails. */
static bool hidden_error(struct codec *c, const struct incoming *in)
{
    if (c->protocol != REST_XML || in->body.size == 0 || in->body.size > 16384)
        return false;
    struct span start = text_trim(in->body);
    if (start.size < 6 || start.data[0] != '<')
        return false;
    if (start.data[1] == '?') {
        const char *end = memchr(start.data, '>', start.size);
        if (end == NULL)
            return false;
        start.size -= (size_t)(end + 1 - start.data);
        start.data = end + 1;
        start = text_trim(start);
    }
    if (start.size < 7 || memcmp(start.data, "<Error>", 7) != 0)
        return false;
    return xml_scan(c, in->body) && xml_child(c, 0, "Code") != 0 && xml_child(c, 0, "Message") != 0;
}

bool read_response(struct codec *c, struct operation *op, const struct incoming *in, bool *is_error)
{
    struct shape *s = op->output.shape;
    bool payload = s && s->payload && slot_shape(c->m, s->payload) &&
                   (s->payload->shape->type == BLOB || s->payload->shape->type == STRING);
    *is_error = in->status >= 300 || (!payload && hidden_error(c, in));
    if (*is_error)
        return read_fault(c, op, in);
    if (payload && !check_response_checksum(c, in))
        return false;
    return read_output(c, op, in);
}
