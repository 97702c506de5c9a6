/* Whether what came back with status 200 is a response of the service.
 *
 * Proxies, captive portals and half-configured gateways also say 200. What they send has none of
 * the output's members, and read without care it would be an output without any: a change that
 * was never made would count as made. So a web page is refused everywhere, a missing body where
 * the output has members in it, and XML whose elements are another operation's. JSON has no name
 * of its operation; there an empty body is refused unless the response has AWS's request id and
 * nothing in it is required, since some services leave out an object without members. */
#include "model/message/message.h"
#include "model/wire/xml.h"

static bool starts_caseless(struct span t, const char *with)
{
    struct span prefix = text_of(with);
    return t.size >= prefix.size && text_caseless_prefix(t, prefix);
}

/* What follows the first `end` in the text, trimmed. */
static struct span after(struct span t, const char *end)
{
    size_t n = strlen(end);
    for (size_t i = 0; i + n <= t.size; i++)
        if (memcmp(t.data + i, end, n) == 0)
            return text_trim((struct span){t.data + i + n, t.size - i - n});
    return (struct span){"", 0};
}

static bool is_web_page(struct span body)
{
    struct span t = text_trim(body);
    if (starts_caseless(t, "\xef\xbb\xbf"))
        t = text_trim((struct span){t.data + 3, t.size - 3});
    for (;;) {
        if (starts_caseless(t, "<!--"))
            t = after(t, "-->");
        else if (starts_caseless(t, "<?xml"))
            t = after(t, "?>");
        else
            return starts_caseless(t, "<!doctype html") || starts_caseless(t, "<html");
    }
}

static bool has_request_id(const struct incoming *in)
{
    static const char *const names[] = {"x-amzn-requestid", "x-amz-request-id",
                                        "x-amzn-request-id", "x-amz-id-2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (header_value(in, names[i]).data != NULL)
            return true;
    return false;
}

/* Members that the body should hold, and whether one of them is required. */
static uint32_t members_in_body(const struct shape *s, bool *required)
{
    uint32_t n = 0;
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        if (s->slots[i].location != IN_BODY)
            continue;
        n++;
        *required = *required || (s->slots[i].traits & SLOT_REQUIRED);
    }
    return n;
}

static bool is_raw(struct codec *c, const struct shape *s)
{
    struct shape *payload = s && s->payload ? slot_shape(c->m, s->payload) : NULL;
    return payload != NULL && (payload->type == BLOB || payload->type == STRING ||
                               (payload->traits & (SHAPE_DOCUMENT | SHAPE_EVENT_STREAM)));
}

bool check_body(struct codec *c, struct operation *op, const struct incoming *in)
{
    struct shape *s = op->output.shape;
    bool required = false;
    bool xml = c->protocol == QUERY || c->protocol == EC2 || c->protocol == REST_XML;
    if (is_raw(c, s))
        return true;
    if (is_web_page(in->body))
        return codec_fault(c, "it is a web page");
    if (text_trim(in->body).size > 0 || members_in_body(s, &required) == 0)
        return true;
    if (in->status == op->status && op->status != 200)
        return true; /* 204 by the model */
    if (!required && has_request_id(in) && (!xml || (s != NULL && s->payload != NULL)))
        return true;
    return codec_fault(c, "it is empty");
}

/* Whether the name is the operation's with `suffix`. */
static bool is_named(struct span name, const struct operation *op, const char *suffix)
{
    size_t n = op->name.size;
    return name.size >= n && memcmp(name.data, op->name.data, n) == 0 &&
           text_is((struct span){name.data + n, name.size - n}, suffix);
}

static bool wrong_root(struct codec *c, struct operation *op)
{
    struct span root = xml_name(c, 0);
    return codec_fault(c, "its root is <%.*s>, which is not a response of %.*s", (int)root.size,
                       root.data, (int)op->name.size, op->name.data);
}

/* Of another operation, or an error. */
static bool is_response_of_another(struct codec *c)
{
    static const char suffix[] = "Response";
    struct span root = xml_name(c, 0);
    size_t n = sizeof suffix - 1;
    if (text_is(root, "ErrorResponse") || xml_child(c, 0, "Errors") != 0)
        return true;
    if (root.size <= n || memcmp(root.data + root.size - n, suffix, n) != 0)
        return false;
    return model_find(c->m, (struct span){root.data, root.size - n}) >= 0;
}

/* Query and EC2: `result` is the element with the members, or 0 when there is none. */
bool check_rpc_root(struct codec *c, struct operation *op, uint32_t result)
{
    struct shape *s = op->output.shape;
    bool named = is_named(xml_name(c, 0), op, "Response");
    if (s == NULL)
        return named || !is_response_of_another(c) || wrong_root(c, op);
    if (c->protocol == QUERY && s != NULL && (op->flags & OP_RESULT_WRAPPER) &&
        (s->count > 0 || !named))
        return result != 0 || wrong_root(c, op);
    return named || wrong_root(c, op);
}

/* S3 is also spoken by stores that name the root otherwise. */
static bool has_known_child(struct codec *c, struct shape *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        char name[64];
        struct span wire = s->slots[i].wire;
        if (s->slots[i].location != IN_BODY || wire.size == 0 || wire.size >= sizeof name)
            continue;
        memcpy(name, wire.data, wire.size);
        name[wire.size] = 0;
        if (xml_child(c, 0, name) != 0)
            return true;
    }
    return false;
}

/* rest-xml, after the body was scanned. */
bool check_rest_root(struct codec *c, struct operation *op)
{
    static const char *const suffixes[] = {"Response", "Result", "Output"};
    struct shape *s = op->output.shape;
    struct span root = xml_name(c, 0);
    struct slot *payload = s->payload;
    if (payload != NULL && (text_eq(root, payload->wire) || text_eq(root, payload->name) ||
                            text_eq(root, slot_shape(c->m, payload)->name)))
        return true;
    if (payload == NULL && text_eq(root, s->name))
        return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (is_named(root, op, suffixes[i]))
            return true;
    if (text_is(c->m->service, "s3") && has_known_child(c, payload ? slot_shape(c->m, payload) : s))
        return true;
    return wrong_root(c, op);
}
