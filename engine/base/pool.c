/* See pool.h. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { REGION_BYTES = 64 << 10 };

/* Sanitizers must see every block. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
static bool is_small(size_t size) { return size == 0; }
#else
static bool is_small(size_t size) { return size <= POOL_LARGEST; }
#endif

struct region {
    struct region *next;
    _Alignas(POOL_GRAIN) char bytes[];
};

static size_t class_of(size_t size) { return (size - 1) / POOL_GRAIN; }

static void put(struct pool *pool, void *block, size_t size)
{
    void **list = &pool->free[class_of(size)];
    *(void **)block = *list;
    *list = block;
}

static bool open_region(struct pool *pool)
{
    struct region *region = malloc(REGION_BYTES);
    if (!region)
        return false;
    region->next = pool->regions;
    pool->regions = region;
    if (pool->fresh_size > 0) /* less than was asked for just now, so small */
        put(pool, pool->fresh, pool->fresh_size);
    pool->fresh = region->bytes;
    pool->fresh_size = (REGION_BYTES - offsetof(struct region, bytes)) / POOL_GRAIN * POOL_GRAIN;
    return true;
}

static void *take(struct pool *pool, size_t size)
{
    void **list = &pool->free[class_of(size)];
    void *block = *list;
    if (block) {
        *list = *(void **)block;
        return block;
    }
    size = (class_of(size) + 1) * POOL_GRAIN;
    if (size > pool->fresh_size && !open_region(pool))
        return NULL;
    block = pool->fresh;
    pool->fresh += size;
    pool->fresh_size -= size;
    return block;
}

static void give_back(struct pool *pool, void *block, size_t size)
{
    if (!is_small(size))
        free(block);
    else if (block)
        put(pool, block, size);
}

void *pool_alloc(void *user, void *block, size_t old, size_t size)
{
    struct pool *pool = user;
    if (!block)
        old = 0; /* then it is the kind of object */
    if (size == 0) {
        give_back(pool, block, old);
        return NULL;
    }
    if (!is_small(old) && !is_small(size))
        return realloc(block, size);
    if (old > 0 && is_small(old) && is_small(size) && class_of(old) == class_of(size))
        return block;
    void *fresh = is_small(size) ? take(pool, size) : malloc(size);
    if (!fresh) /* to make a block smaller must not fail; a larger one does no harm */
        return size <= old ? block : NULL;
    if (old > 0) {
        memcpy(fresh, block, old < size ? old : size);
        give_back(pool, block, old);
    }
    return fresh;
}

void pool_close(struct pool *pool)
{
    while (pool->regions) {
        struct region *next = pool->regions->next;
        free(pool->regions);
        pool->regions = next;
    }
}
