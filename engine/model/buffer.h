/* A growable byte buffer and a piece of foreign text.
 *
 * A failed allocation is remembered in the buffer (`failed`), later writes do
 * nothing, and the owner asks once at the end: a serializer stays readable and
 * never writes out of bounds. Buffers live in a Lua userdata (see scratch.h),
 * so that a Lua error cannot leak them. */
#ifndef DRLUA_MODEL_BUFFER_H
#define DRLUA_MODEL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
  const char *p;
  size_t n;
};

struct buf {
  char *p;
  size_t n, cap;
  bool failed;
};

bool buf_grow(struct buf *b, size_t extra);
void buf_free(struct buf *b);
void buf_int(struct buf *b, long long value);
void buf_double(struct buf *b, double value);
void buf_base64(struct buf *b, const char *p, size_t n);
/* Appends the decoded bytes; false when the text is not base64. */
bool buf_unbase64(struct buf *b, const char *p, size_t n);
void buf_percent(struct buf *b, const char *p, size_t n, bool keep_slash);

/* Room for `extra` more bytes; false when memory is short. */
static inline bool buf_reserve(struct buf *b, size_t extra) {
  return (!b->failed && b->cap - b->n >= extra) || buf_grow(b, extra);
}

static inline void buf_add(struct buf *b, const char *p, size_t n) {
  if (n > 0 && buf_reserve(b, n)) {
    memcpy(b->p + b->n, p, n);
    b->n += n;
  }
}

static inline void buf_char(struct buf *b, char c) {
  if (buf_reserve(b, 1)) b->p[b->n++] = c;
}

static inline void buf_text(struct buf *b, struct text t) {
  buf_add(b, t.p, t.n);
}

static inline void buf_str(struct buf *b, const char *s) {
  buf_add(b, s, strlen(s));
}

static inline void buf_reset(struct buf *b) {
  b->n = 0;
  b->failed = false;
}

static inline struct text text_of(const char *s) {
  return (struct text){s, strlen(s)};
}

static inline bool text_eq(struct text a, struct text b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool text_is(struct text a, const char *s) {
  return text_eq(a, text_of(s));
}

bool text_caseless_eq(struct text a, struct text b);
bool text_caseless_prefix(struct text a, struct text prefix);
struct text text_trim(struct text t);

#endif
