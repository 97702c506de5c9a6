/* Reading CBOR (RFC 8949), by shape or freely: what Smithy's RPC v2 uses, with
 * definite and indefinite lengths, half floats and the epoch tag. */
#include <math.h>

#include "model/wire/cbor.h"
#include "model/wire/json.h"

enum { UINT, NEGATIVE, BYTES, TEXT, ARRAY, TABLE, TAG, SIMPLE };
enum { INDEFINITE = 31, BREAK = 0xff };

static bool bad(struct codec *c, const struct cbor *in, const char *what)
{
    return codec_fault(c, "invalid CBOR at byte %zu: %s", (size_t)(in->p - in->start) + 1, what);
}

/* Head of an item: its type, its short count, and the number that follows. */
static bool head(struct codec *c, struct cbor *in, int *major, int *info, uint64_t *n)
{
    if (in->p >= in->end)
        return bad(c, in, "cut off");
    *major = *in->p >> 5;
    *info = *in->p++ & 31;
    *n = (uint64_t)*info;
    if (*info < 24 || *info == INDEFINITE)
        return true;
    if (*info > 27)
        return bad(c, in, "unknown length");
    size_t bytes = (size_t)1 << (*info - 24);
    if ((size_t)(in->end - in->p) < bytes)
        return bad(c, in, "cut off");
    *n = 0;
    while (bytes-- > 0)
        *n = *n << 8 | *in->p++;
    return true;
}

static bool at_break(struct cbor *in)
{
    if (in->p >= in->end || *in->p != BREAK)
        return false;
    in->p++;
    return true;
}

/* The bytes of a string; chunks of an indefinite one are joined. */
static bool string(struct codec *c, struct cbor *in, int info, uint64_t n, struct span *t)
{
    struct buffer *b = &c->s->text;
    if (info != INDEFINITE) {
        if (n > (uint64_t)(in->end - in->p))
            return bad(c, in, "cut off");
        *t = (struct span){(const char *)in->p, (size_t)n};
        in->p += n;
        return true;
    }
    buffer_clear(b);
    while (!at_break(in)) {
        int major;
        if (!head(c, in, &major, &info, &n))
            return false;
        if ((major != TEXT && major != BYTES) || info == INDEFINITE)
            return bad(c, in, "a chunk of text expected");
        if (n > (uint64_t)(in->end - in->p))
            return bad(c, in, "cut off");
        buffer_add(b, (const char *)in->p, (size_t)n);
        in->p += n;
    }
    *t = (struct span){b->data ? b->data : "", b->size};
    return !b->failed || codec_fault(c, "out of memory");
}

static double half(unsigned h)
{
    unsigned exponent = h >> 10 & 31, mantissa = h & 1023;
    double v = exponent == 0    ? ldexp(mantissa, -24)
               : exponent != 31 ? ldexp(mantissa + 1024, (int)exponent - 25)
               : mantissa == 0  ? INFINITY
                                : NAN;
    return h & 0x8000 ? -v : v;
}

static double float_of(int info, uint64_t n)
{
    if (info == 25)
        return half((unsigned)n);
    if (info == 26) {
        uint32_t bits = (uint32_t)n;
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    double d;
    memcpy(&d, &n, sizeof d);
    return d;
}

static bool simple(struct codec *c, struct cbor *in, int info, uint64_t n)
{
    if (info == 20 || info == 21)
        lua_pushboolean(c->L, info == 21);
    else if (info == 22 || info == 23)
        push_null(c->L);
    else if (info >= 25 && info <= 27)
        lua_pushnumber(c->L, float_of(info, n));
    else
        return bad(c, in, "unknown simple value");
    return true;
}

static void push_number(lua_State *L, int major, uint64_t n)
{
    if (n <= INT64_MAX)
        lua_pushinteger(L, major == UINT ? (lua_Integer)n : -1 - (lua_Integer)n);
    else
        lua_pushnumber(L, major == UINT ? (double)n : -1.0 - (double)n);
}

/* Whether one more item of a container follows; counts *left down. */
static bool more(struct cbor *in, int info, uint64_t *left)
{
    if (info == INDEFINITE)
        return !at_break(in);
    return (*left)-- > 0;
}

static bool any_container(struct codec *c, struct cbor *in, int major, int info, uint64_t n)
{
    lua_Integer i = 0;
    lua_newtable(c->L);
    while (more(in, info, &n)) {
        if (major == TABLE) {
            if (!cbor_read_any(c, in))
                return false;
            if (lua_type(c->L, -1) != LUA_TSTRING)
                return bad(c, in, "text expected as key");
        }
        if (!cbor_read_any(c, in))
            return false;
        if (major == TABLE)
            lua_rawset(c->L, -3);
        else
            lua_rawseti(c->L, -2, ++i);
    }
    if (major == ARRAY && i == 0) {
        lua_rawgetp(c->L, LUA_REGISTRYINDEX, &json_array_key);
        lua_setmetatable(c->L, -2);
    }
    return true;
}

bool cbor_read_any(struct codec *c, struct cbor *in)
{
    int major, info;
    uint64_t n;
    struct span t;
    if (!head(c, in, &major, &info, &n))
        return false;
    if (info == INDEFINITE && (major <= NEGATIVE || major >= TAG))
        return bad(c, in, "unknown length");
    if (major <= NEGATIVE) {
        push_number(c->L, major, n);
        return true;
    }
    if (major == SIMPLE)
        return simple(c, in, info, n);
    if (major <= TEXT) {
        if (!string(c, in, info, n, &t))
            return false;
        push_text(c->L, t);
        return true;
    }
    if (!codec_enter(c))
        return false;
    bool ok = major == TAG ? cbor_read_any(c, in) : any_container(c, in, major, info, n);
    codec_leave(c);
    return ok;
}

/* Skips one item without making it. */
static bool pass(struct codec *c, struct cbor *in)
{
    int major, info;
    uint64_t n;
    struct span t;
    bool ok = true;
    if (!head(c, in, &major, &info, &n))
        return false;
    if (major == BYTES || major == TEXT)
        return string(c, in, info, n, &t);
    if (major <= NEGATIVE || major == SIMPLE)
        return info != INDEFINITE || bad(c, in, "unexpected break");
    if (major == TAG)
        n = 1, info = 0;
    if (!codec_enter(c))
        return false;
    while (ok && more(in, info, &n))
        ok = pass(c, in) && (major != TABLE || pass(c, in));
    codec_leave(c);
    return ok;
}

static bool is_nothing(const struct cbor *in)
{
    return in->p < in->end && (*in->p == 0xf6 || *in->p == 0xf7);
}

static bool wrong(struct codec *c, const struct slot *slot)
{
    return codec_fault(c, "%.*s: the CBOR has another type than the model", (int)slot->name.size,
                       slot->name.data);
}

static bool structure(struct codec *c, struct cbor *in, struct shape *s, int info, uint64_t n)
{
    uint32_t before = 0;
    lua_createtable(c->L, 0, (int)s->fill);
    while (more(in, info, &n)) {
        int major, key_info;
        uint64_t length;
        struct span name;
        if (!head(c, in, &major, &key_info, &length))
            return false;
        if (major != TEXT)
            return bad(c, in, "text expected as key");
        if (!string(c, in, key_info, length, &name))
            return false;
        struct slot *slot = shape_wire(c->m, s, name, &before);
        if (slot == NULL || is_nothing(in)) {
            if (!pass(c, in))
                return false;
            continue;
        }
        push_name(c, slot);
        if (!cbor_read(c, in, slot))
            return false;
        lua_rawset(c->L, -3);
    }
    return true;
}

static bool list(struct codec *c, struct cbor *in, struct shape *s, int info, uint64_t n)
{
    lua_Integer i = 0;
    lua_newtable(c->L);
    while (more(in, info, &n)) {
        if (is_nothing(in)) {
            if (c->server && !(s->traits & SHAPE_SPARSE))
                return bad(c, in, "null in a list without nulls");
            in->p++;
            push_null(c->L);
        } else if (!cbor_read(c, in, &s->slots[0])) {
            return false;
        }
        lua_rawseti(c->L, -2, ++i);
    }
    return true;
}

static bool map(struct codec *c, struct cbor *in, struct shape *s, int info, uint64_t n)
{
    lua_newtable(c->L);
    while (more(in, info, &n)) {
        if (!cbor_read(c, in, &s->slots[0]))
            return false;
        if (is_nothing(in)) {
            if (c->server && !(s->traits & SHAPE_SPARSE))
                return bad(c, in, "null in a map without nulls");
            in->p++;
            if (s->traits & SHAPE_SPARSE)
                push_null(c->L);
            else
                lua_pushnil(c->L);
        } else if (!cbor_read(c, in, &s->slots[1])) {
            return false;
        }
        if (lua_type(c->L, -2) != LUA_TSTRING)
            return bad(c, in, "text expected as key");
        lua_rawset(c->L, -3);
    }
    return true;
}

static bool container(struct codec *c, struct cbor *in, struct slot *slot, struct shape *s,
                      int major, int info, uint64_t n)
{
    bool ok;
    if (major != (s->type == LIST ? ARRAY : TABLE))
        return wrong(c, slot);
    if (!codec_enter(c))
        return false;
    if (s->type == STRUCTURE)
        ok = structure(c, in, s, info, n);
    else if (s->type == LIST)
        ok = list(c, in, s, info, n);
    else
        ok = map(c, in, s, info, n);
    codec_leave(c);
    return ok;
}

static bool number(struct codec *c, const struct slot *slot, struct shape *s, int major, int info,
                   uint64_t n)
{
    bool whole = major <= NEGATIVE;
    if (!whole && (major != SIMPLE || info < 25 || info > 27))
        return wrong(c, slot);
    if (whole)
        push_number(c->L, major, n);
    else
        lua_pushnumber(c->L, float_of(info, n));
    double d = lua_tonumber(c->L, -1);
    if (c->server && !strict_number(c, slot, s, d))
        return false;
    if (s->type == TIMESTAMP || s->type == INTEGER || s->type == LONG) {
        if (lua_isinteger(c->L, -1))
            return true;
        if (!isfinite(d) || (s->type != TIMESTAMP && d != floor(d)))
            return wrong(c, slot);
        lua_pop(c->L, 1);
        push_seconds(c->L, d);
    } else if (whole) {
        lua_pop(c->L, 1);
        lua_pushnumber(c->L, d);
    }
    return true;
}

bool cbor_read(struct codec *c, struct cbor *in, struct slot *slot)
{
    int major, info;
    uint64_t n;
    struct span t;
    struct shape *s = slot_shape(c->m, slot);
    if (s == NULL)
        return codec_fault(c, "%s", c->m->fault);
    if (s->traits & SHAPE_DOCUMENT)
        return cbor_read_any(c, in);
    do {
        if (!head(c, in, &major, &info, &n))
            return false;
    } while (major == TAG);
    if (s->type <= MAP)
        return container(c, in, slot, s, major, info, n);
    if (major == BYTES || major == TEXT) {
        if (!string(c, in, info, n, &t))
            return false;
        if (c->server && s->type != (major == BYTES ? BLOB : STRING))
            return wrong(c, slot);
        if (s->type == BLOB || s->type == STRING)
            push_text(c->L, t);
        else
            return read_scalar(c, slot, s, t);
        return true;
    }
    if (info == INDEFINITE)
        return bad(c, in, "unknown length");
    if (s->type == BOOLEAN) {
        if (major != SIMPLE || (info != 20 && info != 21))
            return wrong(c, slot);
        lua_pushboolean(c->L, info == 21);
        return true;
    }
    if (s->type == STRING || s->type == BLOB)
        return wrong(c, slot);
    return number(c, slot, s, major, info, n);
}
