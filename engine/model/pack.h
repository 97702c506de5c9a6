/* Reading the compiled form: every step is checked against the end. */
#ifndef DRLUA_MODEL_PACK_H
#define DRLUA_MODEL_PACK_H

#include "model/model.h"

struct pack {
    const uint8_t *p, *end;
    bool bad;
};

static inline uint32_t pack_byte(struct pack *r)
{
    if (r->p >= r->end) {
        r->bad = true;
        return 0;
    }
    return *r->p++;
}

/* Base-128 number, low bits first, at most 32 bits. */
static inline uint32_t pack_number(struct pack *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint32_t byte = pack_byte(r);
        value |= (shift < 32 ? (byte & 127) << shift : 0);
        if (byte < 128)
            return value;
    }
    r->bad = true;
    return 0;
}

static inline struct span pack_bytes(struct pack *r, size_t n)
{
    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return (struct span){"", 0};
    }
    struct span t = {(const char *)r->p, n};
    r->p += n;
    return t;
}

/* The pool's text at `offset`: its length and its bytes. */
static inline struct span pool_text(const struct model *m, uint32_t offset, bool *bad)
{
    struct pack r = {m->strings.p, m->strings.end, false};
    if (offset >= (size_t)(r.end - r.p)) {
        *bad = true;
        return (struct span){"", 0};
    }
    r.p += offset;
    uint32_t n = pack_number(&r);
    struct span t = pack_bytes(&r, n);
    *bad = *bad || r.bad;
    return t;
}

static inline struct span pack_text(const struct model *m, struct pack *r)
{
    return pool_text(m, pack_number(r), &r->bad);
}

static inline uint32_t pack_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif
