/* A growing run of bytes.
 *
 * Additions never fail at once: when memory runs out the buffer is marked
 * `failed` and ignores the rest, so a builder of text checks once, at its end.
 * A zeroed struct is an empty buffer.
 */
#ifndef DRLUA_BUFFER_H
#define DRLUA_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes owned by somebody else. */
struct span {
    const char *data;
    size_t size;
};

#define SPAN(literal) ((struct span){literal, sizeof(literal) - 1})

struct buffer {
    char *data;
    size_t size, capacity;
    bool failed;
};

/* Makes room for `extra` more bytes; false (and failed) when there is none. */
bool buffer_grow(struct buffer *, size_t extra);
void buffer_free(struct buffer *);
/* The same for contents that must not stay in memory. */
void buffer_wipe(struct buffer *);

static inline bool buffer_reserve(struct buffer *b, size_t extra)
{
    return (!b->failed && b->capacity - b->size >= extra) || buffer_grow(b, extra);
}

static inline void buffer_clear(struct buffer *b)
{
    b->size = 0;
    b->failed = false;
}

static inline void buffer_add(struct buffer *b, const void *data, size_t size)
{
    if (size > 0 && buffer_reserve(b, size)) {
        memcpy(b->data + b->size, data, size);
        b->size += size;
    }
}

static inline void buffer_add_char(struct buffer *b, char c)
{
    if (buffer_reserve(b, 1))
        b->data[b->size++] = c;
}

static inline void buffer_add_span(struct buffer *b, struct span s)
{
    buffer_add(b, s.data, s.size);
}

static inline struct span buffer_span(const struct buffer *b)
{
    return (struct span){b->data, b->size};
}

#endif
