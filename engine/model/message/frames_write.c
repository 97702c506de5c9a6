/* Writing event streams: a list of events, each a table with the one member that names it,
 * as the frames that frames.c reads. */
#include "crypto/checksum.h"
#include "model/message/message.h"
#include "model/wire/json.h"
#include "model/wire/xml.h"

enum { PRELUDE = 12, OF_INT = 4, OF_LONG = 5, OF_BYTES = 6, OF_STRING = 7, OF_TIME = 8 };

static void add_be(struct buffer *out, uint64_t n, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buffer_add_char(out, (char)(n >> i * 8 & 0xff));
}

static void put_be(char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(n >> (3 - i) * 8 & 0xff);
}

static bool begin_header(struct codec *c, struct span name, int type)
{
    if (name.size > 255)
        return codec_fault(c, "the name of an event's header is too long");
    buffer_add_char(c->out, (char)name.size);
    buffer_add_span(c->out, name);
    buffer_add_char(c->out, (char)type);
    return true;
}

static bool add_text(struct codec *c, struct span name, int type, struct span value)
{
    if (value.size > 32767)
        return codec_fault(c, "%.*s: the header of an event holds 32767 bytes at most",
                           (int)name.size, name.data);
    if (!begin_header(c, name, type))
        return false;
    add_be(c->out, value.size, 2);
    buffer_add_span(c->out, value);
    return true;
}

static bool add_words(struct codec *c, const char *name, struct span value)
{
    return add_text(c, text_of(name), OF_STRING, value);
}

static bool add_number(struct codec *c, struct span name, int type, int64_t n, int bytes)
{
    if (!begin_header(c, name, type))
        return false;
    add_be(c->out, (uint64_t)n, bytes);
    return true;
}

static bool add_time(struct codec *c, struct slot *slot, int at)
{
    double seconds = 0;
    if (lua_type(c->L, at) == LUA_TNUMBER)
        seconds = lua_tonumber(c->L, at);
    else if (!parse_time(get_text(c->L, at), &seconds))
        return codec_fault(c, "%.*s is not a time", (int)slot->name.size, slot->name.data);
    if (!(seconds > -1e13 && seconds < 1e13))
        return codec_fault(c, "%.*s is out of range", (int)slot->name.size, slot->name.data);
    return add_number(c, slot->wire, OF_TIME, (int64_t)(seconds * 1000), 8);
}

/* A member that goes as a header, its value at `at`. */
static bool add_header(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    switch (s->type) {
    case BOOLEAN: /* the type is the value */
        return begin_header(c, slot->wire, lua_toboolean(c->L, at) ? 0 : 1);
    case INTEGER:
        return add_number(c, slot->wire, OF_INT, get_integer(c->L, at), 4);
    case LONG:
        return add_number(c, slot->wire, OF_LONG, get_integer(c->L, at), 8);
    case TIMESTAMP:
        return add_time(c, slot, at);
    case BLOB:
    case STRING:
        return add_text(c, slot->wire, s->type == BLOB ? OF_BYTES : OF_STRING,
                        get_text(c->L, at));
    default:
        return codec_fault(c, "%.*s cannot be the header of an event", (int)slot->name.size,
                           slot->name.data);
    }
}

static bool add_headers(struct codec *c, struct shape *s, int event)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        if (!(slot->traits & SLOT_EVENT_HEADER) || !get_member(c, slot, event))
            continue;
        struct shape *inner = slot_shape(c->m, slot);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        if (!add_header(c, slot, inner, lua_gettop(c->L)))
            return false;
        lua_pop(c->L, 1);
    }
    return true;
}

static struct slot *payload_of(struct shape *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slots[i].traits & SLOT_EVENT_PAYLOAD)
            return &s->slots[i];
    return NULL;
}

static bool has_members(const struct shape *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!(s->slots[i].traits & SLOT_EVENT_HEADER))
            return true;
    return false;
}

static const char *content_type(struct codec *c, struct shape *s)
{
    struct slot *slot = payload_of(s);
    struct shape *inner = slot ? slot_shape(c->m, slot) : s;
    if (inner != NULL && inner->type == BLOB)
        return "application/octet-stream";
    if (inner != NULL && inner->type == STRING)
        return "text/plain";
    return c->protocol == REST_XML ? "application/xml" : "application/json";
}

static bool write_value(struct codec *c, struct slot *slot, struct shape *s, int at)
{
    if (c->protocol != REST_XML)
        return json_write(c, slot, at, false);
    return xml_write(c, slot, at, s->name.size > 0 ? s->name : slot->wire);
}

static bool write_payload(struct codec *c, struct slot *event_slot, struct shape *s, int event)
{
    struct slot *slot = payload_of(s);
    if (slot == NULL)
        return !has_members(s) || write_value(c, event_slot, s, event);
    if (!get_member(c, slot, event))
        return true;
    struct shape *inner = slot_shape(c->m, slot);
    if (inner == NULL)
        return codec_fault(c, "%s", c->m->fault);
    int at = lua_gettop(c->L);
    bool ok = true;
    if (inner->type == BLOB || inner->type == STRING)
        buffer_add_span(c->out, get_text(c->L, at));
    else
        ok = write_value(c, slot, inner, at);
    lua_pop(c->L, 1);
    return ok;
}

/* The lengths and checksums of the frame that begins at `start`. */
static bool seal(struct codec *c, size_t start, size_t headers)
{
    struct buffer *out = c->out;
    if (out->failed)
        return codec_fault(c, "out of memory");
    size_t total = out->size - start + 4;
    if (total > 16 * 1024 * 1024)
        return codec_fault(c, "an event holds 16 MiB at most");
    char *frame = out->data + start;
    put_be(frame, (uint32_t)total);
    put_be(frame + 4, (uint32_t)headers);
    put_be(frame + 8, checksum_crc32(0, frame, 8));
    add_be(out, checksum_crc32(0, frame, total - 4), 4);
    return true;
}

static bool write_frame(struct codec *c, struct slot *slot, int event)
{
    struct shape *s = slot_shape(c->m, slot);
    size_t start = c->out->size;
    if (s == NULL || s->type != STRUCTURE)
        return codec_fault(c, "%s", s ? "the service model is damaged: event" : c->m->fault);
    for (int i = 0; i < PRELUDE; i++)
        buffer_add_char(c->out, 0);
    bool typed = payload_of(s) != NULL || has_members(s);
    if (!add_words(c, ":message-type", text_of("event")) ||
        !add_words(c, ":event-type", slot->wire) ||
        (typed && !add_words(c, ":content-type", text_of(content_type(c, s)))) ||
        !add_headers(c, s, event))
        return false;
    size_t headers = c->out->size - start - PRELUDE;
    return write_payload(c, slot, s, event) && seal(c, start, headers);
}

static bool write_event(struct codec *c, struct shape *stream, int event)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        if (!get_member(c, &stream->slots[i], event))
            continue;
        if (!lua_istable(c->L, -1))
            return codec_fault(c, "an event is a table");
        bool ok = write_frame(c, &stream->slots[i], lua_gettop(c->L));
        lua_pop(c->L, 1);
        return ok;
    }
    return codec_fault(c, "an event names none of the stream's kinds");
}

bool is_event_stream(struct codec *c, struct slot *payload)
{
    struct shape *s = payload ? slot_shape(c->m, payload) : NULL;
    return s != NULL && (s->traits & SHAPE_EVENT_STREAM);
}

bool write_frames(struct codec *c, struct slot *payload, int message)
{
    lua_State *L = c->L;
    struct shape *stream = slot_shape(c->m, payload);
    if (!get_member(c, payload, message))
        return true;
    int list = lua_gettop(L);
    if (!lua_istable(L, list))
        return codec_fault(c, "%.*s: a list of events is expected", (int)payload->name.size,
                           payload->name.data);
    if (!codec_enter(c))
        return false;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
        if (lua_rawgeti(L, list, i) != LUA_TTABLE)
            return codec_fault(c, "an event is a table");
        if (!write_event(c, stream, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    }
    codec_leave(c);
    lua_pop(L, 1);
    return true;
}
