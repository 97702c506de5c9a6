/* Reading event streams (application/vnd.amazon.eventstream): frames of a
 * prelude (total length, length of headers, its CRC-32), typed headers, a
 * payload and the CRC-32 of all before it. */
#include "crypto/checksum.h"
#include "model/message/message.h"
#include "model/wire/cbor.h"
#include "model/wire/json.h"
#include "model/wire/xml.h"

enum { PRELUDE = 12, TRAILER = 4, MAX_FRAME = 16 * 1024 * 1024 + 1024 };

struct frame {
    struct span headers, payload;
    struct span kind, event, exception, error_code, error_message, content_type;
};

static uint32_t be(const char *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static bool next_frame(struct codec *c, struct span *rest, struct frame *f)
{
    uint32_t total = rest->size >= PRELUDE + TRAILER ? be(rest->data, 4) : 0;
    uint32_t headers = total ? be(rest->data + 4, 4) : 0;
    *f = (struct frame){{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}};
    if (total < PRELUDE + TRAILER || total > rest->size || total > MAX_FRAME ||
        headers > total - PRELUDE - TRAILER)
        return codec_fault(c, "the event stream was cut or is damaged");
    if (checksum_crc32(0, rest->data, 8) != be(rest->data + 8, 4) ||
        checksum_crc32(0, rest->data, total - 4) != be(rest->data + total - 4, 4))
        return codec_fault(c, "the event stream is damaged: wrong checksum");
    f->headers = (struct span){rest->data + PRELUDE, headers};
    f->payload = (struct span){rest->data + PRELUDE + headers, total - headers - PRELUDE - TRAILER};
    rest->data += total;
    rest->size -= total;
    return true;
}

struct frame_header {
    struct span name, value;
    int type;
};

/* Types: 0 true, 1 false, 2 byte, 3 short, 4 int, 5 long, 6 bytes, 7 string,
 * 8 timestamp in milliseconds, 9 UUID. */
static bool next_header(struct span *rest, struct frame_header *h)
{
    static const uint8_t sizes[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    size_t name = rest->size > 0 ? (unsigned char)rest->data[0] : 0;
    if (rest->size < name + 2)
        return false;
    h->name = (struct span){rest->data + 1, name};
    h->type = (unsigned char)rest->data[1 + name];
    size_t at = name + 2, size;
    if (h->type > 9)
        return false;
    if (h->type == 6 || h->type == 7) {
        if (rest->size < at + 2)
            return false;
        size = be(rest->data + at, 2);
        at += 2;
    } else {
        size = sizes[h->type];
    }
    if (rest->size < at + size)
        return false;
    h->value = (struct span){rest->data + at, size};
    rest->data += at + size;
    rest->size -= at + size;
    return true;
}

static bool note_headers(struct codec *c, struct frame *f)
{
    struct span rest = f->headers;
    struct frame_header h;
    while (rest.size > 0) {
        if (!next_header(&rest, &h))
            return codec_fault(c, "the event stream is damaged: bad header");
        if (text_is(h.name, ":message-type"))
            f->kind = h.value;
        else if (text_is(h.name, ":event-type"))
            f->event = h.value;
        else if (text_is(h.name, ":exception-type"))
            f->exception = h.value;
        else if (text_is(h.name, ":error-code"))
            f->error_code = h.value;
        else if (text_is(h.name, ":error-message"))
            f->error_message = h.value;
    }
    return true;
}

static void push_header(lua_State *L, const struct frame_header *h)
{
    int64_t n = 0;
    for (size_t i = 0; i < h->value.size && i < 8; i++)
        n = (int64_t)((uint64_t)n << 8 | (unsigned char)h->value.data[i]);
    if (h->type == 2)
        n = (int8_t)n;
    if (h->type == 3)
        n = (int16_t)n;
    if (h->type == 4)
        n = (int32_t)n;
    if (h->type <= 1)
        lua_pushboolean(L, h->type == 0);
    else if (h->type <= 5)
        lua_pushinteger(L, n);
    else if (h->type == 8)
        push_seconds(L, (double)n / 1000.0);
    else
        push_text(L, h->value);
}

static void read_header_members(struct codec *c, struct shape *s, const struct frame *f, int into)
{
    struct span rest = f->headers;
    struct frame_header h;
    while (rest.size > 0 && next_header(&rest, &h)) {
        uint32_t before = 0;
        struct slot *slot = shape_wire(c->m, s, h.name, &before);
        if (slot == NULL || !(slot->traits & SLOT_EVENT_HEADER))
            continue;
        push_name(c, slot);
        push_header(c->L, &h);
        lua_rawset(c->L, into);
    }
}

/* A structure out of a payload in the service's format; leaves it. */
static bool read_structure(struct codec *c, struct slot *slot, struct span t)
{
    if (t.size == 0) {
        lua_newtable(c->L);
        return true;
    }
    if (c->protocol == CBOR) {
        const uint8_t *p = (const uint8_t *)t.data;
        struct cbor in = {p, p, p + t.size};
        return cbor_read(c, &in, slot);
    }
    if (c->protocol == REST_XML || c->protocol == QUERY || c->protocol == EC2)
        return xml_scan(c, t) && xml_read(c, slot, 0, false);
    struct json in = {t.data, t.data, t.data + t.size};
    return json_read(c, &in, slot, false);
}

static struct slot *payload_slot(struct shape *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slots[i].traits & SLOT_EVENT_PAYLOAD)
            return &s->slots[i];
    return NULL;
}

/* The members of one event; leaves their table. */
static bool read_event(struct codec *c, struct slot *slot, const struct frame *f)
{
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->type != STRUCTURE)
        return read_structure(c, slot, f->payload);
    struct slot *payload = payload_slot(s);
    bool ok = true;
    if (payload == NULL) {
        bool headers = false;
        for (uint32_t i = 0; i < s->count; i++)
            headers = headers || !(s->slots[i].traits & SLOT_EVENT_HEADER);
        if (headers)
            ok = read_structure(c, slot, f->payload);
        else
            lua_newtable(c->L);
    } else {
        struct shape *inner = slot_shape(c->m, payload);
        lua_newtable(c->L);
        push_name(c, payload);
        if (inner == NULL)
            return codec_fault(c, "%s", c->m->fault);
        if (inner->type == BLOB || inner->type == STRING)
            push_text(c->L, f->payload);
        else
            ok = read_structure(c, payload, f->payload);
        if (ok)
            lua_rawset(c->L, -3);
    }
    if (ok && lua_istable(c->L, -1))
        read_header_members(c, s, f, lua_gettop(c->L));
    return ok;
}

static bool add_event(struct codec *c, struct shape *stream, struct frame *f, int list)
{
    lua_State *L = c->L;
    uint32_t before = 0;
    struct span name = f->exception.size ? f->exception : f->event;
    if (text_is(f->kind, "error"))
        return codec_fault(c, "the event stream ended with the error %.*s: %.*s",
                           (int)f->error_code.size, f->error_code.data, (int)f->error_message.size,
                           f->error_message.data);
    struct slot *slot = shape_wire(c->m, stream, name, &before);
    if (slot == NULL)
        return true;
    lua_createtable(L, 0, 1);
    push_name(c, slot);
    if (!read_event(c, slot, f))
        return false;
    lua_rawset(L, -3);
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    return true;
}

static bool read_initial(struct codec *c, struct shape *s, const struct frame *f, int into)
{
    struct slot root = {.shape = s, .name = {"the response", 12}};
    if (!read_structure(c, &root, f->payload))
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

bool read_frames(struct codec *c, struct shape *stream, struct span body, struct shape *initial,
                 int into)
{
    struct frame f;
    lua_newtable(c->L);
    int list = lua_gettop(c->L);
    if (!codec_enter(c))
        return false;
    while (body.size > 0) {
        if (!next_frame(c, &body, &f) || !note_headers(c, &f))
            return false;
        bool first = text_is(f.event, "initial-response");
        if (first && initial != NULL) {
            if (!read_initial(c, initial, &f, into))
                return false;
        } else if (!first && !add_event(c, stream, &f, list)) {
            return false;
        }
        lua_settop(c->L, list);
    }
    codec_leave(c);
    return true;
}
