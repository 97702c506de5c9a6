/* The pieces of a canonical request: path, query, headers.
 *
 * Names and encoded pairs are built in buffers whose room is reserved before the
 * first of them, so the spans that point into them stay true while they are
 * sorted. There are few headers, mostly in order: insertion sort.
 */
#include "sigv4/state.h"

#include <stdlib.h>

#define MAX_HEADERS 1024

bool span_is(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

bool span_is_nocase(struct span a, struct span lower_case)
{
    if (a.size != lower_case.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower_case.data[i])
            return false;
    return true;
}

struct span uri_path(struct span uri)
{
    const char *end = uri.size > 0 ? memchr(uri.data, '?', uri.size) : NULL;
    return end != NULL ? (struct span){uri.data, (size_t)(end - uri.data)} : uri;
}

struct span uri_query(struct span uri)
{
    size_t path = uri_path(uri).size;
    if (path == uri.size)
        return (struct span){NULL, 0};
    return (struct span){uri.data + path + 1, uri.size - path - 1};
}

/* percent-encoding (RFC 3986, unreserved characters stay) */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

static void encode_byte(struct buffer *b, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    if (is_unreserved(c)) {
        buffer_add_char(b, (char)c);
    } else {
        char text[3] = {'%', digits[c >> 4], digits[c & 15]};
        buffer_add(b, text, sizeof text);
    }
}

void canonical_encode(struct buffer *b, struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        encode_byte(b, (unsigned char)text.data[i]);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at *i, taking %XX as one; moves *i past it. */
static unsigned char decoded_byte(struct span text, size_t *i)
{
    char c = text.data[(*i)++];
    if (c != '%' || text.size - *i < 2)
        return (unsigned char)c;
    int high = hex_digit(text.data[*i]), low = hex_digit(text.data[*i + 1]);
    if (high < 0 || low < 0)
        return (unsigned char)c;
    *i += 2;
    return (unsigned char)(high << 4 | low);
}

void canonical_decode(struct buffer *b, struct span text)
{
    for (size_t i = 0; i < text.size;)
        buffer_add_char(b, (char)decoded_byte(text, &i));
}

/* Encodes what is encoded already only as far as it is not: %2f becomes %2F, a
 * raw space %20. */
static void encode_once(struct buffer *b, struct span text)
{
    for (size_t i = 0; i < text.size;)
        encode_byte(b, decoded_byte(text, &i));
}

/* path */

static void encode_segment(struct buffer *b, struct span segment, bool double_encode)
{
    if (double_encode)
        canonical_encode(b, segment);
    else
        encode_once(b, segment);
}

/* Drops the last segment written since `start`, with its slash. */
static void pop_segment(struct buffer *b, size_t start)
{
    while (b->size > start && b->data[--b->size] != '/')
        ;
}

/* Without normalisation every segment is written unchanged, between its slashes; with it, empty
 * ones and "." vanish and ".." removes one. */
static void write_path(struct buffer *b, struct span path, bool normalize, bool double_encode)
{
    size_t start = b->size;
    if (path.size > 0 && path.data[0] == '/')
        path = (struct span){path.data + 1, path.size - 1};
    bool slash_at_end = path.size > 0 && path.data[path.size - 1] == '/';
    bool more = true;
    while (more) {
        const char *end = path.size > 0 ? memchr(path.data, '/', path.size) : NULL;
        struct span segment = {path.data, end != NULL ? (size_t)(end - path.data) : path.size};
        more = end != NULL;
        if (more)
            path = (struct span){end + 1, path.size - segment.size - 1};
        if (normalize && span_is(segment, SPAN("..")))
            pop_segment(b, start);
        else if (!normalize || (segment.size > 0 && !span_is(segment, SPAN(".")))) {
            buffer_add_char(b, '/');
            encode_segment(b, segment, double_encode);
        }
    }
    if (b->size == start || (normalize && slash_at_end))
        buffer_add_char(b, '/');
}

/* query */

bool canonical_query_begin(struct sigv4 *s, struct span query, size_t extra_pairs,
                           size_t extra_bytes)
{
    size_t pairs = extra_pairs + 1;
    for (size_t i = 0; i < query.size; i++)
        pairs += query.data[i] == '&';
    if (pairs > s->pair_capacity) {
        struct pair *grown = realloc(s->pairs, pairs * sizeof *grown);
        if (grown == NULL)
            return false;
        s->pairs = grown;
        s->pair_capacity = pairs;
    }
    s->pair_count = 0;
    buffer_clear(&s->query);
    return query.size < SIZE_MAX / 4 && buffer_reserve(&s->query, 3 * query.size + extra_bytes);
}

void canonical_query_add(struct sigv4 *s, struct span name, struct span value)
{
    struct buffer *b = &s->query;
    struct pair *pair = &s->pairs[s->pair_count++];
    size_t start = b->size;
    buffer_add_span(b, name);
    size_t middle = b->size;
    canonical_encode(b, value);
    pair->name = (struct span){b->data + start, middle - start};
    pair->value = (struct span){b->data + middle, b->size - middle};
}

static void query_pair(struct sigv4 *s, struct span text, struct span except)
{
    struct buffer *b = &s->query;
    const char *equals = memchr(text.data, '=', text.size);
    struct span name = {text.data, equals != NULL ? (size_t)(equals - text.data) : text.size};
    size_t start = b->size;
    encode_once(b, name);
    size_t middle = b->size;
    if (except.size > 0 && span_is((struct span){b->data + start, middle - start}, except)) {
        b->size = start;
        return;
    }
    if (equals != NULL)
        encode_once(b, (struct span){equals + 1, text.size - name.size - 1});
    struct pair *pair = &s->pairs[s->pair_count++];
    pair->name = (struct span){b->data + start, middle - start};
    pair->value = (struct span){b->data + middle, b->size - middle};
}

void canonical_query_split(struct sigv4 *s, struct span query, struct span except)
{
    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        size_t size = end != NULL ? (size_t)(end - query.data) : query.size;
        if (size > 0)
            query_pair(s, (struct span){query.data, size}, except);
        size += end != NULL;
        query = (struct span){query.data + size, query.size - size};
    }
}

static int compare_spans(struct span a, struct span b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int order = compare_spans(a->name, b->name);
    return order != 0 ? order : compare_spans(a->value, b->value);
}

static void write_query(struct sigv4 *s)
{
    if (s->pair_count > 1)
        qsort(s->pairs, s->pair_count, sizeof *s->pairs, compare_pairs);
    for (size_t i = 0; i < s->pair_count; i++) {
        if (i > 0)
            buffer_add_char(&s->canonical, '&');
        buffer_add_span(&s->canonical, s->pairs[i].name);
        buffer_add_char(&s->canonical, '=');
        buffer_add_span(&s->canonical, s->pairs[i].value);
    }
}

/* headers */

/* Proxies add, change or drop these on the way. */
bool canonical_is_unsigned(struct span name)
{
    switch (name.size) {
    case 6:
        return span_is(name, SPAN("expect"));
    case 7:
        return span_is(name, SPAN("upgrade"));
    case 10:
        return span_is(name, SPAN("user-agent")) || span_is(name, SPAN("connection"));
    case 13:
        return span_is(name, SPAN("authorization"));
    case 15:
        return span_is(name, SPAN("x-amzn-trace-id"));
    case 17:
        return span_is(name, SPAN("transfer-encoding"));
    default:
        return false;
    }
}

bool canonical_headers_begin(struct sigv4 *s, size_t count, size_t name_bytes)
{
    if (count > MAX_HEADERS)
        return false;
    if (count > s->header_capacity) {
        struct signed_header *grown = realloc(s->headers, count * sizeof *grown);
        if (grown == NULL)
            return false;
        s->headers = grown;
        s->header_capacity = count;
    }
    s->header_count = 0;
    buffer_clear(&s->names);
    return buffer_reserve(&s->names, name_bytes);
}

bool canonical_header(struct sigv4 *s, struct span name, struct span value)
{
    if (s->header_count == s->header_capacity || s->names.capacity - s->names.size < name.size)
        return false;
    char *start = s->names.data + s->names.size;
    for (size_t i = 0; i < name.size; i++)
        start[i] = lower(name.data[i]);
    s->names.size += name.size;
    s->headers[s->header_count++] = (struct signed_header){{start, name.size}, value};
    return true;
}

void canonical_headers_sort(struct sigv4 *s)
{
    struct signed_header *h = s->headers;
    for (size_t i = 1; i < s->header_count; i++) {
        struct signed_header moving = h[i];
        size_t at = i;
        for (; at > 0 && compare_spans(h[at - 1].name, moving.name) > 0; at--)
            h[at] = h[at - 1];
        h[at] = moving;
    }
    buffer_clear(&s->signed_names);
    for (size_t i = 0; i < s->header_count; i++) {
        if (i > 0 && span_is(h[i].name, h[i - 1].name))
            continue;
        if (i > 0)
            buffer_add_char(&s->signed_names, ';');
        buffer_add_span(&s->signed_names, h[i].name);
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether any byte is a space or a control character, eight at a time. */
static bool has_space(struct span value)
{
    size_t i = 0;
    for (; value.size - i >= 8; i += 8) {
        uint64_t x;
        memcpy(&x, value.data + i, sizeof x);
        if (((x - UINT64_C(0x2121212121212121)) & ~x & UINT64_C(0x8080808080808080)) != 0)
            return true;
    }
    for (; i < value.size; i++)
        if ((unsigned char)value.data[i] <= ' ')
            return true;
    return false;
}

/* A value without white space around it, and one space for each run inside. */
static void write_folded(struct buffer *b, struct span value)
{
    size_t i = 0;
    if (!has_space(value)) {
        buffer_add_span(b, value);
        return;
    }
    while (i < value.size && is_space(value.data[i]))
        i++;
    while (i < value.size) {
        size_t start = i;
        while (i < value.size && !is_space(value.data[i]))
            i++;
        buffer_add(b, value.data + start, i - start);
        while (i < value.size && is_space(value.data[i]))
            i++;
        if (i < value.size)
            buffer_add_char(b, ' ');
    }
}

static void write_headers(struct sigv4 *s)
{
    struct buffer *b = &s->canonical;
    for (size_t i = 0; i < s->header_count; i++) {
        const struct signed_header *h = &s->headers[i];
        if (i > 0 && span_is(h->name, h[-1].name)) {
            buffer_add_char(b, ',');
        } else {
            if (i > 0)
                buffer_add_char(b, '\n');
            buffer_add_span(b, h->name);
            buffer_add_char(b, ':');
        }
        write_folded(b, h->value);
    }
    buffer_add(b, "\n\n", 2);
}

void canonical_write(struct sigv4 *s, const struct sigv4_request *r, struct span hash)
{
    struct buffer *b = &s->canonical;
    buffer_clear(b);
    buffer_add_span(b, r->method);
    buffer_add_char(b, '\n');
    write_path(b, uri_path(r->uri), r->normalize_path, r->double_encode);
    buffer_add_char(b, '\n');
    write_query(s);
    buffer_add_char(b, '\n');
    write_headers(s);
    buffer_add_span(b, buffer_span(&s->signed_names));
    buffer_add_char(b, '\n');
    buffer_add_span(b, hash);
}
