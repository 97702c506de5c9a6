/* Opening a compiled model: header, checksum, sections, operations by name.
 *
 * Layout of the header, little-endian (see docs/models.md):
 *   0 "DRM1"  4 length  8 CRC-32 of all that follows  12 version
 *   16 sections, each offset and length: strings, shapes, shape index,
 *      operations, operation index, metadata, exceptions, waiters, paginators,
 *      endpoint rules, names, constraints
 *   112 shape count, operation count, exception count
 *   124 protocol, offered protocols, flags, 0
 *   128 pool offsets: service, API version, target prefix, JSON version, XML
 *       namespace */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "model/pack.h"

enum { HEADER_SIZE = 148, VERSION = 2, SECTIONS = 12 };

struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t data[];
};

bool model_fault(struct model *m, const char *what)
{
    snprintf(m->fault, sizeof m->fault, "%s", what);
    return false;
}

/* Memory that lives as long as the model; zeroed. */
void *model_alloc(struct model *m, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *c = m->arena;
    if (c == NULL || c->size - c->used < size) {
        size_t room = size > 4000 ? size : 4000;
        c = calloc(1, sizeof *c + room);
        if (c == NULL) {
            model_fault(m, "out of memory");
            return NULL;
        }
        c->size = room;
        c->next = m->arena;
        m->arena = c;
    }
    void *p = (char *)c->data + c->used;
    c->used += size;
    return p;
}

static bool open_sections(struct model *m)
{
    struct part *parts[SECTIONS] = {&m->strings,     &m->shape_bytes,   &m->shape_index,
                                    &m->op_bytes,    &m->op_index,      &m->meta,
                                    &m->exceptions,  &m->cold[WAITERS], &m->cold[PAGINATORS],
                                    &m->cold[RULES], &m->cold[NAMES],   &m->cold[CONSTRAINTS]};
    for (int i = 0; i < SECTIONS; i++) {
        uint32_t at = pack_u32(m->bytes + 16 + i * 8);
        uint32_t n = pack_u32(m->bytes + 20 + i * 8);
        if (at > m->length || n > m->length - at)
            return model_fault(m, "the service model is damaged: a section lies "
                                  "outside of it");
        *parts[i] = (struct part){m->bytes + at, m->bytes + at + n};
    }
    m->shape_count = pack_u32(m->bytes + 112);
    m->op_count = pack_u32(m->bytes + 116);
    m->exception_count = pack_u32(m->bytes + 120);
    if ((size_t)(m->op_index.end - m->op_index.p) / 4 < m->op_count ||
        (size_t)(m->shape_index.end - m->shape_index.p) / 4 < ((size_t)m->shape_count + 7) / 8 ||
        m->exception_count > (size_t)(m->exceptions.end - m->exceptions.p))
        return model_fault(m, "the service model is damaged: an index is short");
    return true;
}

static bool open_head(struct model *m)
{
    struct span *texts[] = {&m->service, &m->api_version, &m->target_prefix, &m->json_version,
                            &m->xml_namespace};
    bool bad = m->bytes[124] >= PROTOCOLS;
    m->protocol = bad ? QUERY : (enum protocol)m->bytes[124];
    m->offered = m->bytes[125];
    m->query_compatible = m->bytes[126] & 1;
    for (int i = 0; i < 5; i++)
        *texts[i] = pool_text(m, pack_u32(m->bytes + 128 + i * 4), &bad);
    if (bad)
        return model_fault(m, "the service model is damaged: bad header");
    return true;
}

bool model_open(struct model *m, const void *bytes, size_t length)
{
    *m = (struct model){.bytes = bytes, .length = length};
    if (length < HEADER_SIZE || memcmp(bytes, "DRM1", 4) != 0)
        return model_fault(m, "not a compiled service model");
    if (pack_u32(m->bytes + 12) != VERSION)
        return model_fault(m, "the service model was compiled for another version "
                              "of drlua");
    if (pack_u32(m->bytes + 4) != length)
        return model_fault(m, "the service model is damaged: it was cut");
    uint32_t crc = (uint32_t)crc32_z(0, m->bytes + 12, length - 12);
    if (crc != pack_u32(m->bytes + 8))
        return model_fault(m, "the service model is damaged: wrong checksum");
    if (!open_sections(m) || !open_head(m))
        return false;
    m->shapes = calloc((size_t)m->shape_count + 1, sizeof *m->shapes);
    m->ops = calloc((size_t)m->op_count + 1, sizeof *m->ops);
    if (m->shapes == NULL || m->ops == NULL) {
        model_close(m);
        return model_fault(m, "out of memory");
    }
    return true;
}

void model_close(struct model *m)
{
    while (m->arena != NULL) {
        struct chunk *next = m->arena->next;
        free(m->arena);
        m->arena = next;
    }
    free(m->shapes);
    free(m->ops);
    m->shapes = NULL;
    m->ops = NULL;
    m->routes = NULL;
    m->shape_count = m->op_count = 0;
}

bool model_op_name(struct model *m, uint32_t number, struct span *name)
{
    if (number >= m->op_count)
        return model_fault(m, "no such operation");
    uint32_t at = pack_u32(m->op_index.p + (size_t)number * 4);
    struct pack r = {m->op_bytes.p, m->op_bytes.end, false};
    if (at > (size_t)(r.end - r.p))
        return model_fault(m, "the service model is damaged: operation index");
    r.p += at;
    *name = pack_text(m, &r);
    return !r.bad || model_fault(m, "the service model is damaged: operation");
}

/* Operations are sorted by name, bytewise. */
long model_find(struct model *m, struct span name)
{
    uint32_t low = 0, high = m->op_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct span there;
        if (!model_op_name(m, middle, &there))
            return -1;
        size_t n = there.size < name.size ? there.size : name.size;
        int order = memcmp(there.data, name.data, n);
        if (order == 0)
            order = there.size < name.size ? -1 : there.size > name.size;
        if (order == 0)
            return (long)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *protocol_name(enum protocol p)
{
    static const char *const names[] = {"query",     "ec2",      "json",
                                        "rest-json", "rest-xml", "smithy-rpc-v2-cbor"};
    return names[p];
}
