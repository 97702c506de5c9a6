/* Scalars of requests, as services read them: one form a type and place. A client reads
 * what services send in many forms (scalar.c); a service refuses all but its own, and a
 * simulator that did not would let a rehearsal pass with what AWS refuses. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/codec.h"

static bool refuse(struct codec *c, const struct slot *slot, struct span t, const char *wanted)
{
    /* A part of a text may be a part of a secret, which nobody recognizes any more. */
    if (t.size > 60)
        return codec_fault(c, "%.*s: a text of %zu bytes is not %s", (int)slot->name.size,
                           slot->name.data, t.size, wanted);
    return codec_fault(c, "%.*s: \"%.*s\" is not %s", (int)slot->name.size, slot->name.data,
                       (int)t.size, t.data, wanted);
}

/* Digits at `*i`, moved on; how many there were. */
static size_t digits(struct span t, size_t *i)
{
    size_t from = *i;
    while (*i < t.size && t.data[*i] >= '0' && t.data[*i] <= '9')
        ++*i;
    return *i - from;
}

static bool is_integer(struct span t)
{
    size_t i = t.size > 0 && t.data[0] == '-';
    return digits(t, &i) > 0 && i == t.size;
}

/* "-1.5e10", as JSON and XML have it. */
static bool is_decimal(struct span t)
{
    size_t i = t.size > 0 && (t.data[0] == '-' || t.data[0] == '+');
    size_t whole = digits(t, &i), part = 0;
    if (i < t.size && t.data[i] == '.') {
        i++;
        part = digits(t, &i);
    }
    if (whole + part == 0)
        return false;
    if (i < t.size && (t.data[i] == 'e' || t.data[i] == 'E')) {
        i++;
        if (i < t.size && (t.data[i] == '-' || t.data[i] == '+'))
            i++;
        if (digits(t, &i) == 0)
            return false;
    }
    return i == t.size;
}

static bool fits(struct codec *c, const struct slot *slot, const struct shape *s, double n)
{
    if (s->type != INTEGER || (n >= INT32_MIN && n <= INT32_MAX))
        return true;
    return codec_fault(c, "%.*s: %.0f does not fit 32 bits", (int)slot->name.size, slot->name.data,
                       n);
}

static bool read_integer(struct codec *c, const struct slot *slot, const struct shape *s,
                         struct span t)
{
    char copy[32];
    if (!is_integer(t) || t.size >= sizeof copy)
        return refuse(c, slot, t, "an integer");
    memcpy(copy, t.data, t.size);
    copy[t.size] = 0;
    errno = 0;
    long long n = strtoll(copy, NULL, 10);
    if (errno == ERANGE)
        return refuse(c, slot, t, "an integer of 64 bits");
    if (!fits(c, slot, s, (double)n))
        return false;
    lua_pushinteger(c->L, n);
    return true;
}

static bool is_special(struct span t)
{
    return text_is(t, "NaN") || text_is(t, "Infinity") || text_is(t, "-Infinity");
}

static bool read_double(struct codec *c, const struct slot *slot, struct span t)
{
    char copy[64];
    if ((!is_decimal(t) && !is_special(t)) || t.size >= sizeof copy)
        return refuse(c, slot, t, "a number");
    memcpy(copy, t.data, t.size);
    copy[t.size] = 0;
    lua_pushnumber(c->L, strtod(copy, NULL));
    return true;
}

/* Query and EC2 take either case; the other protocols what they write. */
static bool read_boolean(struct codec *c, const struct slot *slot, struct span t)
{
    bool loose = c->protocol == QUERY || c->protocol == EC2;
    bool yes = text_is(t, "true") || (loose && text_caseless_eq(t, text_of("true")));
    if (!yes && !text_is(t, "false") && !(loose && text_caseless_eq(t, text_of("false"))))
        return refuse(c, slot, t, "true or false");
    lua_pushboolean(c->L, yes);
    return true;
}

static bool read_blob(struct codec *c, const struct slot *slot, struct span t)
{
    struct buffer *b = &c->s->text;
    buffer_clear(b);
    if (t.size % 4 != 0 || !add_unbase64(b, t))
        return refuse(c, slot, t, "base64");
    lua_pushlstring(c->L, b->size ? b->data : "", b->size);
    return true;
}

static enum time_format time_of(const struct codec *c, const struct slot *slot,
                                const struct shape *s)
{
    bool json = c->protocol == JSON || c->protocol == REST_JSON || c->protocol == CBOR;
    enum time_format usual = c->place != TIME_DEFAULT ? c->place
                             : json                   ? TIME_UNIX
                                                      : TIME_ISO8601;
    return slot_time(c, slot, s, usual);
}

static bool read_timestamp(struct codec *c, const struct slot *slot, const struct shape *s,
                           struct span t)
{
    enum time_format format = time_of(c, slot, s);
    bool starts_with_digit = t.size > 0 && t.data[0] >= '0' && t.data[0] <= '9';
    bool formed = format == TIME_UNIX      ? is_decimal(t)
                  : format == TIME_ISO8601 ? starts_with_digit && !is_decimal(t)
                                           : t.size > 0 && !starts_with_digit && !is_decimal(t);
    if (formed && read_time(c->L, t))
        return true;
    return refuse(c, slot, t,
                  format == TIME_UNIX      ? "a time in seconds since the epoch"
                  : format == TIME_ISO8601 ? "a time (2020-01-31T10:00:00Z)"
                                           : "a time (Fri, 31 Jan 2020 10:00:00 GMT)");
}

/* Whether a number in JSON or CBOR may stand here. */
bool strict_number(struct codec *c, const struct slot *slot, const struct shape *s, double n)
{
    bool number = s->type == INTEGER || s->type == LONG || s->type == FLOAT || s->type == DOUBLE;
    if (number || (s->type == TIMESTAMP && time_of(c, slot, s) == TIME_UNIX))
        return fits(c, slot, s, n);
    return codec_fault(c, "%.*s: a number cannot stand here", (int)slot->name.size,
                       slot->name.data);
}

/* Whether a string in JSON or CBOR may stand here. */
bool strict_string(struct codec *c, const struct slot *slot, const struct shape *s, struct span t)
{
    if (s->type == STRING || s->type == BLOB ||
        (s->type == TIMESTAMP && time_of(c, slot, s) != TIME_UNIX) ||
        ((s->type == FLOAT || s->type == DOUBLE) && is_special(t)))
        return true;
    return codec_fault(c, "%.*s: a string cannot stand here", (int)slot->name.size,
                       slot->name.data);
}

bool strict_scalar(struct codec *c, const struct slot *slot, struct shape *s, struct span t)
{
    if (s->type != STRING && c->protocol != JSON && c->protocol != REST_JSON)
        t = text_trim(t);
    switch (s->type) {
    case BLOB:
        return read_blob(c, slot, t);
    case BOOLEAN:
        return read_boolean(c, slot, t);
    case INTEGER:
    case LONG:
        return read_integer(c, slot, s, t);
    case FLOAT:
    case DOUBLE:
        return read_double(c, slot, t);
    case TIMESTAMP:
        return read_timestamp(c, slot, s, t);
    default:
        push_text(c->L, t);
        return s->type == STRING || refuse(c, slot, t, "what the model says");
    }
}
