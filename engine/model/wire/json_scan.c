/* The grammar of JSON (RFC 8259), without values: what both readers use. */
#include "model/wire/json.h"

#include <errno.h>
#include <stdlib.h>

bool json_bad(struct codec *c, const struct json *in, const char *what)
{
    return codec_fault(c, "invalid JSON at byte %zu: %s", (size_t)(in->p - in->start) + 1, what);
}

char json_peek(struct json *in)
{
    while (in->p < in->end && (*in->p == ' ' || *in->p == '\n' || *in->p == '\r' || *in->p == '\t'))
        in->p++;
    return in->p < in->end ? *in->p : 0;
}

bool json_word(struct json *in, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(in->end - in->p) < n || memcmp(in->p, w, n) != 0)
        return false;
    in->p += n;
    return true;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static void add_utf8(struct buffer *b, unsigned u)
{
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
static bool unicode_escape(struct json *in, struct buffer *b)
{
    if (in->end - in->p < 4)
        return false;
    int u = hex4(in->p);
    if (u < 0)
        return false;
    in->p += 4;
    if (u >= 0xd800 && u < 0xdc00 && in->end - in->p >= 6 && in->p[0] == '\\' && in->p[1] == 'u') {
        int low = hex4(in->p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            in->p += 6;
            add_utf8(b, 0x10000u + ((unsigned)(u - 0xd800) << 10) + (unsigned)(low - 0xdc00));
            return true;
        }
    }
    add_utf8(b, u >= 0xd800 && u < 0xe000 ? 0xfffd : (unsigned)u);
    return true;
}

static bool escape(struct json *in, struct buffer *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (in->p >= in->end)
        return false;
    char c = *in->p++;
    if (c == 'u')
        return unicode_escape(in, b);
    const char *at = c ? strchr(from, c) : NULL;
    if (at == NULL)
        return false;
    buffer_add_char(b, to[at - from]);
    return true;
}

/* The string at `in`, which is at a quote. Valid until the next one. */
bool json_string(struct codec *c, struct json *in, struct span *t)
{
    const char *start = ++in->p;
    while (in->p < in->end && *in->p != '"' && *in->p != '\\' && (unsigned char)*in->p >= 0x20)
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
            if ((unsigned char)*in->p < 0x20)
                return json_bad(c, in, "control character");
            in->p++;
        }
        buffer_add(b, run, (size_t)(in->p - run));
        if (in->p < in->end && *in->p == '\\') {
            in->p++;
            if (!escape(in, b))
                return json_bad(c, in, "bad escape");
        }
    }
    if (in->p >= in->end)
        return json_bad(c, in, "string without an end");
    in->p++;
    *t = (struct span){b->data ? b->data : "", b->size};
    return !b->failed || codec_fault(c, "out of memory");
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Moves past the number at `in` as RFC 8259 writes it; *whole: neither fraction nor exponent. On
 * a fault `in` is at its place. */
static bool scan_number(struct codec *c, struct json *in, bool *whole)
{
    const char *first = in->p + (in->p < in->end && *in->p == '-');
    const char *p = skip_digits(first, in->end);
    *whole = true;
    if (p == first)
        return json_bad(c, in, "value expected");
    if (p - first > 1 && *first == '0')
        return json_bad(c, in, "number with a leading zero");
    in->p = p;
    if (p < in->end && *p == '.') {
        *whole = false;
        in->p = skip_digits(++p, in->end);
        if (in->p == p)
            return json_bad(c, in, "digits expected after the point");
        p = in->p;
    }
    if (p < in->end && (*p == 'e' || *p == 'E')) {
        *whole = false;
        p++;
        p += p < in->end && (*p == '+' || *p == '-');
        in->p = skip_digits(p, in->end);
        if (in->p == p)
            return json_bad(c, in, "digits expected in the exponent");
    }
    return true;
}

/* The value of the digits, which end with a zero byte. */
static void read_digits(const char *digits, bool whole, bool *integral, long long *n, double *d)
{
    errno = 0;
    *integral = false;
    if (whole) {
        *n = strtoll(digits, NULL, 10);
        *integral = errno == 0;
    }
    if (!*integral)
        *d = strtod(digits, NULL);
}

/* Number at `in`: integer when it is written as one and fits. */
bool json_number(struct codec *c, struct json *in, bool *integral, long long *n, double *d)
{
    char few[64], *digits = few;
    const char *start = in->p;
    bool whole;
    if (!scan_number(c, in, &whole))
        return false;
    size_t length = (size_t)(in->p - start);
    if (length >= sizeof few && !(digits = malloc(length + 1)))
        return codec_fault(c, "out of memory");
    memcpy(digits, start, length);
    digits[length] = 0;
    read_digits(digits, whole, integral, n, d);
    if (digits != few)
        free(digits);
    return true;
}

bool json_end(struct codec *c, struct json *in)
{
    return (json_peek(in) == 0 && in->p == in->end) || json_bad(c, in, "more text after the value");
}

/* After a value inside `close`: true when another follows; *ok: whether the text was right. */
bool json_more(struct codec *c, struct json *in, char close, bool *ok)
{
    char next = json_peek(in);
    *ok = next == ',' || next == close || json_bad(c, in, "comma expected");
    if (*ok)
        in->p++;
    return *ok && next == ',';
}

bool json_key(struct codec *c, struct json *in, struct span *name)
{
    if (json_peek(in) != '"')
        return json_bad(c, in, "member name expected");
    if (!json_string(c, in, name))
        return false;
    if (json_peek(in) != ':')
        return json_bad(c, in, "colon expected");
    in->p++;
    return true;
}

/* Opens { or [; false with *ok when it is empty (and then also closed). */
bool json_open(struct json *in, char close)
{
    in->p++;
    if (json_peek(in) != close)
        return true;
    in->p++;
    return false;
}

bool json_skip(struct codec *c, struct json *in)
{
    struct span t;
    bool ok = true, integral;
    long long n;
    double d;
    char first = json_peek(in);
    if (first == '"')
        return json_string(c, in, &t);
    if (first == '{' || first == '[') {
        char close = first == '{' ? '}' : ']';
        if (!codec_enter(c))
            return false;
        if (json_open(in, close))
            do {
                ok = (first == '[' || json_key(c, in, &t)) && json_skip(c, in);
            } while (ok && json_more(c, in, close, &ok));
        codec_leave(c);
        return ok;
    }
    if (json_word(in, "null") || json_word(in, "true") || json_word(in, "false"))
        return true;
    return json_number(c, in, &integral, &n, &d);
}
