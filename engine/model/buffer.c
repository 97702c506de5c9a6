/* Growable buffers, and the small text forms that every protocol needs:
 * decimal numbers, base64 (RFC 4648 section 4), percent-encoding (RFC 3986). */
#include "buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool buf_grow(struct buf *b, size_t extra) {
  if (b->failed || extra > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
    b->failed = true;
    return false;
  }
  size_t want = b->cap ? b->cap * 2 : 256;
  while (want < b->n + extra) want *= 2;
  char *p = realloc(b->p, want);
  if (p == NULL) {
    b->failed = true;
    return false;
  }
  b->p = p;
  b->cap = want;
  return true;
}

void buf_free(struct buf *b) {
  free(b->p);
  *b = (struct buf){0};
}

void buf_int(struct buf *b, long long value) {
  char digits[24];
  size_t at = sizeof digits;
  unsigned long long u =
      value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
  do {
    digits[--at] = (char)('0' + u % 10);
    u /= 10;
  } while (u > 0);
  if (value < 0) digits[--at] = '-';
  buf_add(b, digits + at, sizeof digits - at);
}

/* The shortest decimal text that reads back as the same double. */
void buf_double(struct buf *b, double value) {
  char digits[40];
  if (isnan(value)) {
    buf_str(b, "NaN");
    return;
  }
  if (isinf(value)) {
    buf_str(b, value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  if (value == floor(value) && fabs(value) < 1e15) {
    buf_int(b, (long long)value);
    buf_str(b, ".0");
    return;
  }
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (strtod(digits, NULL) == value) break;
  }
  buf_str(b, digits);
}

void buf_base64(struct buf *b, const char *p, size_t n) {
  static const char set[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *s = (const unsigned char *)p;
  if (n > SIZE_MAX / 8 || !buf_reserve(b, (n + 2) / 3 * 4)) {
    b->failed = true;
    return;
  }
  char *out = b->p + b->n;
  for (size_t i = 0; i < n; i += 3) {
    unsigned v = (unsigned)s[i] << 16;
    if (i + 1 < n) v |= (unsigned)s[i + 1] << 8;
    if (i + 2 < n) v |= s[i + 2];
    *out++ = set[v >> 18];
    *out++ = set[v >> 12 & 63];
    *out++ = i + 1 < n ? set[v >> 6 & 63] : '=';
    *out++ = i + 2 < n ? set[v & 63] : '=';
  }
  b->n = (size_t)(out - b->p);
}

static int base64_digit(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

bool buf_unbase64(struct buf *b, const char *p, size_t n) {
  unsigned bits = 0, held = 0;
  size_t padding = 0;
  if (!buf_reserve(b, n)) return false;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c == '=') {
      padding++;
      continue;
    }
    int digit = base64_digit(c);
    if (digit < 0 || padding > 0) return false;
    bits = (bits << 6 | (unsigned)digit) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      b->p[b->n++] = (char)(bits >> held & 0xff);
    }
  }
  return padding <= 2 && held != 6;
}

static bool unreserved(unsigned char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
}

void buf_percent(struct buf *b, const char *p, size_t n, bool keep_slash) {
  static const char hex[] = "0123456789ABCDEF";
  if (n > SIZE_MAX / 8 || !buf_reserve(b, n * 3)) {
    b->failed = true;
    return;
  }
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (unreserved(c) || (keep_slash && c == '/')) {
      b->p[b->n++] = (char)c;
    } else {
      b->p[b->n++] = '%';
      b->p[b->n++] = hex[c >> 4];
      b->p[b->n++] = hex[c & 15];
    }
  }
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_caseless_prefix(struct text a, struct text prefix) {
  if (a.n < prefix.n) return false;
  for (size_t i = 0; i < prefix.n; i++)
    if (lower(a.p[i]) != lower(prefix.p[i])) return false;
  return true;
}

bool text_caseless_eq(struct text a, struct text b) {
  return a.n == b.n && text_caseless_prefix(a, b);
}

struct text text_trim(struct text t) {
  while (t.n > 0 && (t.p[0] == ' ' || t.p[0] == '\t' || t.p[0] == '\n' ||
                     t.p[0] == '\r'))
    t.p++, t.n--;
  while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t' ||
                     t.p[t.n - 1] == '\n' || t.p[t.n - 1] == '\r'))
    t.n--;
  return t;
}
