/* Reading JSON (RFC 8259) straight into Lua values, by shape or freely.
 *
 * One pass, no tree. Integers stay exact as long as 64 bits hold them. Members
 * that the model does not know are skipped. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "codec.h"

bool json_bad(struct codec *c, const struct json *in, const char *what) {
  return codec_fault(c, "invalid JSON at byte %zu: %s",
                     (size_t)(in->p - in->start) + 1, what);
}

char json_peek(struct json *in) {
  while (in->p < in->end && (*in->p == ' ' || *in->p == '\n' ||
                             *in->p == '\r' || *in->p == '\t'))
    in->p++;
  return in->p < in->end ? *in->p : 0;
}

static bool word(struct json *in, const char *w) {
  size_t n = strlen(w);
  if ((size_t)(in->end - in->p) < n || memcmp(in->p, w, n) != 0) return false;
  in->p += n;
  return true;
}

static int hex4(const char *p) {
  int v = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int d = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : -1;
    if (d < 0) return -1;
    v = v * 16 + d;
  }
  return v;
}

static void add_utf8(struct buffer *b, unsigned u) {
  if (u < 0x80) {
    buffer_add_char(b, (char)u);
  } else if (u < 0x800) {
    buffer_add_char(b, (char)(0xc0 | u >> 6));
    buffer_add_char(b, (char)(0x80 | (u & 63)));
  } else if (u < 0x10000) {
    buffer_add_char(b, (char)(0xe0 | u >> 12));
    buffer_add_char(b, (char)(0x80 | (u >> 6 & 63)));
    buffer_add_char(b, (char)(0x80 | (u & 63)));
  } else {
    buffer_add_char(b, (char)(0xf0 | u >> 18));
    buffer_add_char(b, (char)(0x80 | (u >> 12 & 63)));
    buffer_add_char(b, (char)(0x80 | (u >> 6 & 63)));
    buffer_add_char(b, (char)(0x80 | (u & 63)));
  }
}

/* \uXXXX, joining surrogate pairs; a lone surrogate becomes U+FFFD. */
static bool unicode_escape(struct json *in, struct buffer *b) {
  if (in->end - in->p < 4) return false;
  int u = hex4(in->p);
  if (u < 0) return false;
  in->p += 4;
  if (u >= 0xd800 && u < 0xdc00 && in->end - in->p >= 6 && in->p[0] == '\\' &&
      in->p[1] == 'u') {
    int low = hex4(in->p + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      in->p += 6;
      add_utf8(b, 0x10000u + ((unsigned)(u - 0xd800) << 10) +
                      (unsigned)(low - 0xdc00));
      return true;
    }
  }
  add_utf8(b, u >= 0xd800 && u < 0xe000 ? 0xfffd : (unsigned)u);
  return true;
}

static bool escape(struct json *in, struct buffer *b) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (in->p >= in->end) return false;
  char c = *in->p++;
  if (c == 'u') return unicode_escape(in, b);
  const char *at = c ? strchr(from, c) : NULL;
  if (at == NULL) return false;
  buffer_add_char(b, to[at - from]);
  return true;
}

/* The string at `in`, which stands on a quote. Valid until the next one. */
bool json_string(struct codec *c, struct json *in, struct span *t) {
  const char *start = ++in->p;
  while (in->p < in->end && *in->p != '"' && *in->p != '\\' &&
         (unsigned char)*in->p >= 0x20)
    in->p++;
  if (in->p < in->end && *in->p == '"') {
    *t = (struct span){start, (size_t)(in->p++ - start)};
    return true;
  }
  struct buffer *b = &c->s->text;
  buffer_clear(b);
  buffer_add(b, start, (size_t)(in->p - start));
  while (in->p < in->end && *in->p != '"') {
    const char *run = in->p;
    while (in->p < in->end && *in->p != '"' && *in->p != '\\') {
      if ((unsigned char)*in->p < 0x20) return json_bad(c, in, "control character");
      in->p++;
    }
    buffer_add(b, run, (size_t)(in->p - run));
    if (in->p < in->end && *in->p == '\\') {
      in->p++;
      if (!escape(in, b)) return json_bad(c, in, "bad escape");
    }
  }
  if (in->p >= in->end) return json_bad(c, in, "string without an end");
  in->p++;
  *t = (struct span){b->data ? b->data : "", b->size};
  return !b->failed || codec_fault(c, "out of memory");
}

/* Number at `in`: integer when it is written as one and fits. */
static bool number(struct codec *c, struct json *in, bool *integral,
                   long long *n, double *d) {
  char digits[64], *end;
  const char *start = in->p;
  bool whole = true;
  while (in->p < in->end &&
         ((*in->p >= '0' && *in->p <= '9') || *in->p == '-' || *in->p == '+' ||
          *in->p == '.' || *in->p == 'e' || *in->p == 'E')) {
    whole = whole && ((*in->p >= '0' && *in->p <= '9') || in->p == start);
    in->p++;
  }
  size_t length = (size_t)(in->p - start);
  if (length == 0 || *start == '+' || *start == '.')
    return json_bad(c, in, "value expected");
  if (length >= sizeof digits) return json_bad(c, in, "number too long");
  memcpy(digits, start, length);
  digits[length] = 0;
  if (whole) {
    errno = 0;
    *n = strtoll(digits, &end, 10);
    *integral = errno == 0 && *end == 0 && end != digits;
    if (*integral) return true;
  }
  *integral = false;
  *d = strtod(digits, &end);
  return *end == 0 || json_bad(c, in, "bad number");
}

bool json_end(struct codec *c, struct json *in) {
  return (json_peek(in) == 0 && in->p == in->end) ||
         json_bad(c, in, "more text after the value");
}

/* After a value inside `close`: true when another follows; *ok tells whether
 * the text was right. */
static bool more(struct codec *c, struct json *in, char close, bool *ok) {
  char next = json_peek(in);
  *ok = next == ',' || next == close || json_bad(c, in, "comma expected");
  if (*ok) in->p++;
  return *ok && next == ',';
}

static bool key(struct codec *c, struct json *in, struct span *name) {
  if (json_peek(in) != '"') return json_bad(c, in, "member name expected");
  if (!json_string(c, in, name)) return false;
  if (json_peek(in) != ':') return json_bad(c, in, "colon expected");
  in->p++;
  return true;
}

/* Opens { or [; false with *ok when it is empty (and then also closed). */
static bool open_with(struct json *in, char close) {
  in->p++;
  if (json_peek(in) != close) return true;
  in->p++;
  return false;
}

bool json_skip(struct codec *c, struct json *in) {
  struct span t;
  bool ok = true, integral;
  long long n;
  double d;
  char first = json_peek(in);
  if (first == '"') return json_string(c, in, &t);
  if (first == '{' || first == '[') {
    char close = first == '{' ? '}' : ']';
    if (!codec_enter(c)) return false;
    if (open_with(in, close)) do {
      ok = (first == '[' || key(c, in, &t)) && json_skip(c, in);
    } while (ok && more(c, in, close, &ok));
    codec_leave(c);
    return ok;
  }
  if (word(in, "null") || word(in, "true") || word(in, "false")) return true;
  return number(c, in, &integral, &n, &d);
}

static bool any_object(struct codec *c, struct json *in) {
  struct span name;
  bool ok = true;
  lua_newtable(c->L);
  if (open_with(in, '}')) do {
    if (!key(c, in, &name)) return false;
    push_text(c->L, name);
    if (!json_read_any(c, in)) return false;
    lua_rawset(c->L, -3);
  } while (more(c, in, '}', &ok));
  return ok;
}

static bool any_array(struct codec *c, struct json *in) {
  bool ok = true;
  lua_newtable(c->L);
  if (!open_with(in, ']')) {
    lua_rawgetp(c->L, LUA_REGISTRYINDEX, &json_array_key);
    lua_setmetatable(c->L, -2);
    return true;
  }
  lua_Integer i = 0;
  do {
    if (!json_read_any(c, in)) return false;
    lua_rawseti(c->L, -2, ++i);
  } while (more(c, in, ']', &ok));
  return ok;
}

bool json_read_any(struct codec *c, struct json *in) {
  struct span t;
  bool integral, ok;
  long long n = 0;
  double d = 0;
  char first = json_peek(in);
  if (first == '{' || first == '[') {
    if (!codec_enter(c)) return false;
    ok = first == '{' ? any_object(c, in) : any_array(c, in);
    codec_leave(c);
    return ok;
  }
  if (first == '"') {
    if (!json_string(c, in, &t)) return false;
    push_text(c->L, t);
    return true;
  }
  if (word(in, "null")) push_null(c->L);
  else if (word(in, "true")) lua_pushboolean(c->L, 1);
  else if (word(in, "false")) lua_pushboolean(c->L, 0);
  else if (!number(c, in, &integral, &n, &d)) return false;
  else if (integral) lua_pushinteger(c->L, n);
  else lua_pushnumber(c->L, d);
  return true;
}

static bool wrong(struct codec *c, const struct json *in,
                  const struct slot *slot, const char *wanted) {
  return codec_fault(c, "%.*s: %s expected at byte %zu of the JSON",
                     (int)slot->name.size, slot->name.data, wanted,
                     (size_t)(in->p - in->start) + 1);
}

/* Sets one member of the table on top; unknown ones and nulls are passed by. */
static bool member(struct codec *c, struct json *in, struct shape *s,
                   struct span name, uint32_t *hint, bool body) {
  struct slot *slot = shape_wire(c->m, s, name, hint);
  if (slot == NULL || (body && slot->location != IN_BODY))
    return json_skip(c, in);
  if (json_peek(in) == 'n' && word(in, "null")) return true;
  push_name(c, slot);
  if (!json_read(c, in, slot, false)) return false;
  lua_rawset(c->L, -3);
  return true;
}

static bool structure(struct codec *c, struct json *in, struct slot *slot,
                      struct shape *s, bool body) {
  struct span name;
  uint32_t hint = 0, count = 0;
  bool ok = true;
  if (s->traits & SHAPE_DOCUMENT) return json_read_any(c, in);
  if (json_peek(in) != '{') return wrong(c, in, slot, "an object");
  lua_createtable(c->L, 0, (int)s->fill);
  if (open_with(in, '}')) do {
    if (!key(c, in, &name) || !member(c, in, s, name, &hint, body)) return false;
    count++;
  } while (more(c, in, '}', &ok));
  s->fill = count < s->count ? count : s->count;
  return ok;
}

static bool list(struct codec *c, struct json *in, struct slot *slot,
                 struct shape *s) {
  bool ok = true;
  lua_Integer i = 0;
  if (json_peek(in) != '[') return wrong(c, in, slot, "an array");
  lua_newtable(c->L);
  if (open_with(in, ']')) do {
    if (json_peek(in) == 'n' && word(in, "null")) push_null(c->L);
    else if (!json_read(c, in, &s->slots[0], false)) return false;
    lua_rawseti(c->L, -2, ++i);
  } while (more(c, in, ']', &ok));
  return ok;
}

static bool map(struct codec *c, struct json *in, struct slot *slot,
                struct shape *s) {
  struct span name;
  bool ok = true;
  if (json_peek(in) != '{') return wrong(c, in, slot, "an object");
  lua_newtable(c->L);
  if (open_with(in, '}')) do {
    if (!key(c, in, &name)) return false;
    push_text(c->L, name);
    if (json_peek(in) == 'n' && word(in, "null")) {
      if (s->traits & SHAPE_SPARSE) push_null(c->L);
      else lua_pushnil(c->L);
    } else if (!json_read(c, in, &s->slots[1], false)) {
      return false;
    }
    lua_rawset(c->L, -3);
  } while (more(c, in, '}', &ok));
  return ok;
}

/* A number, true or false where the model has another scalar: services do
 * send strings for numbers, and the other way round. */
static bool scalar(struct codec *c, struct json *in, struct slot *slot,
                   struct shape *s) {
  struct span t;
  bool integral = false;
  long long n = 0;
  double d = 0;
  const char *start = in->p;
  if (*start == '"')
    return json_string(c, in, &t) && read_scalar(c, slot, s, t);
  if (word(in, "true") || word(in, "false")) {
    if (s->type != BOOLEAN && s->type != STRING)
      return wrong(c, in, slot, "another type");
    if (s->type == BOOLEAN) lua_pushboolean(c->L, *start == 't');
    else lua_pushlstring(c->L, start, (size_t)(in->p - start));
    return true;
  }
  if (!number(c, in, &integral, &n, &d)) return false;
  if (s->type == STRING) lua_pushlstring(c->L, start, (size_t)(in->p - start));
  else if (s->type == TIMESTAMP) push_seconds(c->L, integral ? (double)n : d);
  else if (s->type == FLOAT || s->type == DOUBLE)
    lua_pushnumber(c->L, integral ? (double)n : d);
  else if ((s->type == INTEGER || s->type == LONG) && integral)
    lua_pushinteger(c->L, n);
  else if ((s->type == INTEGER || s->type == LONG) && d == floor(d) &&
           fabs(d) < 9e18)
    lua_pushinteger(c->L, (lua_Integer)d);
  else
    return wrong(c, in, slot, "another type");
  return true;
}

bool json_read(struct codec *c, struct json *in, struct slot *slot, bool body) {
  struct shape *s = slot_shape(c->m, slot);
  if (s == NULL) return codec_fault(c, "%s", c->m->fault);
  if (s->type > MAP) {
    char first = json_peek(in);
    if (first == 0) return json_bad(c, in, "value expected");
    if (first == '{' || first == '[' || first == 'n')
      return wrong(c, in, slot, "a single value");
    return scalar(c, in, slot, s);
  }
  if (!codec_enter(c)) return false;
  bool ok = s->type == STRUCTURE ? structure(c, in, slot, s, body)
            : s->type == LIST    ? list(c, in, slot, s)
                                 : map(c, in, slot, s);
  codec_leave(c);
  return ok;
}
