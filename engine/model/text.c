/* The small text forms that every protocol needs:
 * decimal numbers, base64, percent-encoding (RFC 3986). */
#include "model/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/encoding.h"

void add_int(struct buffer *b, long long value)
{
    char digits[24];
    size_t at = sizeof digits;
    unsigned long long u = value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (value < 0)
        digits[--at] = '-';
    buffer_add(b, digits + at, sizeof digits - at);
}

void add_double(struct buffer *b, double value)
{
    char digits[40];
    if (isnan(value)) {
        add_str(b, "NaN");
        return;
    }
    if (isinf(value)) {
        add_str(b, value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        add_int(b, (long long)value);
        add_str(b, ".0");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    add_str(b, digits);
}

void add_base64(struct buffer *b, struct span bytes)
{
    if (bytes.size > SIZE_MAX / 8 || !buffer_reserve(b, BASE64_ENCODED_SIZE(bytes.size))) {
        b->failed = true;
        return;
    }
    b->size += base64_encode(bytes.data, bytes.size, b->data + b->size);
}

bool add_unbase64(struct buffer *b, struct span text)
{
    size_t size = 0;
    if (!buffer_reserve(b, BASE64_DECODED_SIZE(text.size) + 1))
        return false;
    if (!base64_decode(text.data, text.size, (unsigned char *)b->data + b->size, &size))
        return false;
    b->size += size;
    return true;
}

static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void add_encoded(struct buffer *b, struct span text, char kept, char space)
{
    static const char hex[] = "0123456789ABCDEF";
    if (text.size > SIZE_MAX / 8 || !buffer_reserve(b, text.size * 3)) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (unreserved(c) || (kept && c == kept)) {
            b->data[b->size++] = (char)c;
        } else if (space && c == ' ') {
            b->data[b->size++] = space;
        } else {
            b->data[b->size++] = '%';
            b->data[b->size++] = hex[c >> 4];
            b->data[b->size++] = hex[c & 15];
        }
    }
}

void add_percent(struct buffer *b, struct span text, bool keep_slash)
{
    add_encoded(b, text, keep_slash ? '/' : 0, 0);
}

void add_form(struct buffer *b, struct span text) { add_encoded(b, text, 0, '+'); }

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_caseless_prefix(struct span a, struct span prefix)
{
    if (a.size < prefix.size)
        return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (lower(a.data[i]) != lower(prefix.data[i]))
            return false;
    return true;
}

bool text_caseless_eq(struct span a, struct span b)
{
    return a.size == b.size && text_caseless_prefix(a, b);
}

struct span text_trim(struct span t)
{
    while (t.size > 0 &&
           (t.data[0] == ' ' || t.data[0] == '\t' || t.data[0] == '\n' || t.data[0] == '\r'))
        t.data++, t.size--;
    while (t.size > 0 && (t.data[t.size - 1] == ' ' || t.data[t.size - 1] == '\t' ||
                          t.data[t.size - 1] == '\n' || t.data[t.size - 1] == '\r'))
        t.size--;
    return t;
}

size_t utf8_sequence(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || (size_t)(end - text) < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

bool text_is_utf8(struct span t, size_t *characters)
{
    const char *p = t.data, *end = t.data + t.size;
    for (*characters = 0; p < end; ++*characters) {
        size_t n = utf8_sequence(p, end);
        if (n == 0)
            return false;
        p += n;
    }
    return true;
}
