/* Lua's memory: small blocks come from lists of freed ones of their size.
 *
 * Lua says a block's size when it frees it, and makes and frees many small ones of few
 * sizes, in the collector's bursts: malloc does that at several times the cost, in time
 * and (by its headers) in room. Small blocks go back to Lua only, never to the system. */
#ifndef DRLUA_POOL_H
#define DRLUA_POOL_H

#include <stddef.h>

enum { POOL_GRAIN = 16, POOL_LARGEST = 512 };

struct pool {
    void *free[POOL_LARGEST / POOL_GRAIN]; /* each block holds the next one */
    char *fresh;                           /* of the newest region: not yet handed out */
    size_t fresh_size;
    struct region *regions;
};

/* A lua_Alloc; `pool` is a zeroed struct pool at first. */
void *pool_alloc(void *pool, void *block, size_t old, size_t size);
/* Frees everything, when the state is closed. */
void pool_close(struct pool *);

#endif
