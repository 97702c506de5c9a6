/* See header.h. */
#include "base/header.h"

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static struct span trim(const char *start, const char *end)
{
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    return (struct span){start, (size_t)(end - start)};
}

bool header_next(struct span *block, struct header *out)
{
    while (block->size > 0) {
        const char *line = block->data, *end = line + block->size;
        const char *stop = memchr(line, '\n', block->size);
        const char *next = stop ? stop + 1 : end;
        const char *colon = memchr(line, ':', (size_t)(next - line));
        *block = (struct span){next, (size_t)(end - next)};
        if (!colon)
            continue;
        out->name = (struct span){line, (size_t)(colon - line)};
        out->value = trim(colon + 1, next);
        return true;
    }
    return false;
}
