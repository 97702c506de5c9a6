/* Layout: "DRMA", count, then for each service (sorted by name) the offset and
 * length of its name and of its model, all 32-bit little-endian. */
#include "model/archive.h"

#include "model/pack.h"

extern const uint8_t drlua_models[], drlua_models_end[];

bool archive_open(struct archive *a, const void *bytes, size_t size)
{
    *a = (struct archive){bytes, size, 0};
    if (size < 8 || memcmp(bytes, "DRMA", 4) != 0)
        return false;
    a->count = pack_u32(a->bytes + 4);
    if ((size - 8) / 16 >= a->count)
        return true;
    a->count = 0;
    return false;
}

struct archive archive_builtin(void)
{
    struct archive a;
    archive_open(&a, drlua_models, (size_t)(drlua_models_end - drlua_models));
    return a;
}

static bool part(const struct archive *a, const uint8_t *at, struct span *t)
{
    uint32_t offset = pack_u32(at), size = pack_u32(at + 4);
    if (offset > a->size || size > a->size - offset)
        return false;
    *t = (struct span){(const char *)a->bytes + offset, size};
    return true;
}

bool archive_entry(const struct archive *a, uint32_t i, struct span *name, struct span *model)
{
    if (i >= a->count)
        return false;
    const uint8_t *at = a->bytes + 8 + (size_t)i * 16;
    return part(a, at, name) && part(a, at + 8, model);
}

bool archive_find(const struct archive *a, struct span name, struct span *model)
{
    uint32_t low = 0, high = a->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct span there;
        if (!archive_entry(a, middle, &there, model))
            return false;
        size_t n = there.size < name.size ? there.size : name.size;
        int order = memcmp(there.data, name.data, n);
        if (order == 0)
            order = there.size < name.size ? -1 : there.size > name.size;
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
