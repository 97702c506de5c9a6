/* The slow paths of buffer.h. */
#include "base/buffer.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>

bool buffer_grow(struct buffer *b, size_t extra)
{
    if (b->failed || extra > SIZE_MAX / 2 - b->size) {
        b->failed = true;
        return false;
    }
    size_t need = b->size + extra;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity < 128 ? 256 : b->capacity * 2;
    if (capacity < need)
        capacity = need;
    char *data = realloc(b->data, capacity);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_wipe(struct buffer *b)
{
    if (b->data != NULL)
        OPENSSL_cleanse(b->data, b->capacity);
    buffer_free(b);
}
