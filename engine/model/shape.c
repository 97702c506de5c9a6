/* Decoding shapes and operations of a compiled model on first use. */
#include <stdlib.h>

#include "model/model.h"
#include "model/pack.h"

enum { MAX_MEMBERS = 20000 };

static const char damaged_shape[] = "the service model is damaged: shape";

static struct span lower_first(struct model *m, struct span name)
{
    char *copy = model_alloc(m, name.size + 1);
    if (copy == NULL || name.size == 0)
        return name;
    memcpy(copy, name.data, name.size);
    if (copy[0] >= 'A' && copy[0] <= 'Z')
        copy[0] = (char)(copy[0] + 32);
    return (struct span){copy, name.size};
}

/* EC2 requests use the wire name with a capital first letter. */
static struct span upper_first(struct model *m, struct span name)
{
    char *copy;
    if (name.size == 0 || name.data[0] < 'a' || name.data[0] > 'z')
        return name;
    copy = model_alloc(m, name.size + 1);
    if (copy == NULL)
        return name;
    memcpy(copy, name.data, name.size);
    copy[0] = (char)(copy[0] - 32);
    return (struct span){copy, name.size};
}

static void decode_slot(struct model *m, struct pack *r, struct slot *slot)
{
    slot->shape_id = pack_number(r);
    slot->traits = pack_number(r);
    slot->wire = slot->name;
    if (slot->traits & SLOT_WIRE_LOWER)
        slot->wire = lower_first(m, slot->name);
    if (slot->traits & SLOT_WIRE)
        slot->wire = pack_text(m, r);
    slot->form = slot->wire;
    if (m->protocol == EC2)
        slot->form = upper_first(m, slot->wire);
    if (slot->traits & SLOT_FORM)
        slot->form = pack_text(m, r);
    if (slot->traits & SLOT_LOCATION)
        slot->location = (uint8_t)pack_byte(r);
    if (slot->traits & SLOT_NAMESPACE) {
        slot->ns_uri = pack_text(m, r);
        slot->ns_prefix = pack_text(m, r);
    }
    if (slot->traits & SLOT_TIME)
        slot->time_format = (uint8_t)pack_byte(r);
    if (slot->shape_id >= m->shape_count || slot->location > IN_STATUS ||
        slot->time_format > TIME_UNIX)
        r->bad = true;
}

static uint32_t hash_text(struct span t)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < t.size; i++)
        h = (h ^ (unsigned char)t.data[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Two members of one name would make every walk over a value exponential. */
static bool distinct_names(const struct shape *s)
{
    uint32_t size = 8;
    while (size < s->count * 2)
        size *= 2;
    uint16_t *seen = calloc(size, sizeof *seen);
    bool distinct = seen != NULL;
    for (uint32_t i = 0; i < s->count && distinct; i++) {
        uint32_t at = hash_text(s->slots[i].name) & (size - 1);
        for (; seen[at] != 0 && distinct; at = (at + 1) & (size - 1))
            distinct = !text_eq(s->slots[seen[at] - 1].name, s->slots[i].name);
        seen[at] = (uint16_t)(i + 1);
    }
    free(seen);
    return distinct;
}

static void decode_slots(struct model *m, struct pack *r, struct shape *s)
{
    s->count = s->type == LIST ? 1 : s->type == MAP ? 2 : pack_number(r);
    if (s->count > MAX_MEMBERS || s->count > (size_t)(r->end - r->p)) {
        r->bad = true;
        return;
    }
    s->slots = model_alloc(m, s->count * sizeof *s->slots);
    if (s->slots == NULL) {
        r->bad = true;
        return;
    }
    for (uint32_t i = 0; i < s->count && !r->bad; i++) {
        if (s->type == STRUCTURE)
            s->slots[i].name = pack_text(m, r);
        s->slots[i].ref = ++m->next_ref;
        s->slots[i].follower = (uint16_t)(i + 1);
        decode_slot(m, r, &s->slots[i]);
    }
    if (s->type == STRUCTURE && s->count > 1 && !r->bad && !distinct_names(s))
        r->bad = true;
}

static void decode_shape(struct model *m, struct pack *r, struct shape *s)
{
    uint32_t payload = 0;
    s->type = (uint8_t)pack_byte(r);
    s->traits = pack_number(r);
    if (s->type >= SHAPE_TYPES || ((s->traits & SHAPE_DOCUMENT) && s->type != STRUCTURE))
        r->bad = true;
    if (s->traits & SHAPE_MIN) {
        uint32_t zigzag = pack_number(r);
        s->min = (long long)(zigzag >> 1) ^ -(long long)(zigzag & 1);
    }
    if (s->traits & (SHAPE_EXCEPTION | SHAPE_NAMED))
        s->name = pack_text(m, r);
    if (s->traits & SHAPE_EXCEPTION) {
        s->error_code = pack_text(m, r);
        s->error_status = (int)(pack_number(r) % 1000);
    }
    if (s->traits & SHAPE_PAYLOAD)
        payload = pack_number(r);
    if (s->type <= MAP)
        decode_slots(m, r, s);
    if (!r->bad && (s->traits & SHAPE_PAYLOAD) && s->type == STRUCTURE) {
        if (payload < s->count)
            s->payload = &s->slots[payload];
        else
            r->bad = true;
    }
}

/* Shapes are in blocks of eight, each with its length before it. */
struct shape *model_shape(struct model *m, uint32_t id)
{
    if (id >= m->shape_count) {
        model_fault(m, damaged_shape);
        return NULL;
    }
    if (m->shapes[id] != NULL)
        return m->shapes[id];
    struct pack r = {m->shape_bytes.p, m->shape_bytes.end, false};
    uint32_t at = pack_u32(m->shape_index.p + (size_t)(id / 8) * 4);
    if (at > (size_t)(r.end - r.p))
        r.bad = true;
    else
        r.p += at;
    for (uint32_t skip = id % 8; skip > 0 && !r.bad; skip--)
        pack_bytes(&r, pack_number(&r));
    struct span record = pack_bytes(&r, pack_number(&r));
    struct shape *s = r.bad ? NULL : model_alloc(m, sizeof *s);
    if (s != NULL) {
        struct pack inner = {(const uint8_t *)record.data,
                             (const uint8_t *)record.data + record.size, false};
        s->id = id;
        decode_shape(m, &inner, s);
        r.bad = inner.bad;
    }
    if (s == NULL || r.bad) {
        model_fault(m, damaged_shape);
        return NULL;
    }
    return m->shapes[id] = s;
}

static bool index_shape(struct model *m, struct shape *s)
{
    uint32_t size = 8;
    while (size < s->count * 2)
        size *= 2;
    s->index = model_alloc(m, size * sizeof *s->index);
    if (s->index == NULL)
        return false;
    s->mask = size - 1;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t at = hash_text(s->slots[i].wire) & s->mask;
        while (s->index[at] != 0)
            at = (at + 1) & s->mask;
        s->index[at] = (uint16_t)(i + 1);
    }
    return true;
}

/* Messages have their members in an order of their own, the same every time: a slot remembers
 * which one followed it. */
struct slot *shape_wire(struct model *m, struct shape *s, struct span wire, uint32_t *before)
{
    uint16_t *next = *before ? &s->slots[*before - 1].follower : &s->first;
    if (*next < s->count && text_eq(s->slots[*next].wire, wire)) {
        *before = *next + 1u;
        return &s->slots[*next];
    }
    if (s->index == NULL && !index_shape(m, s))
        return NULL;
    uint32_t at = hash_text(wire) & s->mask;
    for (; s->index[at] != 0; at = (at + 1) & s->mask) {
        uint16_t found = (uint16_t)(s->index[at] - 1);
        if (!text_eq(s->slots[found].wire, wire))
            continue;
        *next = found;
        *before = found + 1u;
        return &s->slots[found];
    }
    return NULL;
}

struct slot *shape_member(struct shape *s, struct span name)
{
    for (uint32_t i = 0; s != NULL && i < s->count; i++)
        if (text_eq(s->slots[i].name, name))
            return &s->slots[i];
    return NULL;
}

static void decode_root(struct pack *r, struct slot *slot, struct model *m)
{
    uint32_t id = pack_number(r);
    slot->shape_id = id == 0 ? NO_SHAPE : id - 1;
    slot->ref = 0;
    if (id > m->shape_count)
        r->bad = true;
}

static void decode_operation(struct model *m, struct pack *r, struct operation *op)
{
    op->name = pack_text(m, r);
    op->method = pack_text(m, r);
    op->uri = pack_text(m, r);
    op->flags = pack_number(r);
    op->status = (int)(pack_number(r) % 1000);
    decode_root(r, &op->input, m);
    decode_root(r, &op->output, m);
    if (op->flags & OP_HOST_PREFIX)
        op->host_prefix = pack_text(m, r);
    if (op->flags & OP_INPUT_NAME) {
        op->input_name = pack_text(m, r);
        op->input_ns_uri = pack_text(m, r);
        op->input_ns_prefix = pack_text(m, r);
    }
    if (op->flags & OP_CHECKSUM) {
        op->checksum_member = pack_text(m, r);
        op->validation_member = pack_text(m, r);
    }
    op->input.wire = op->input.form = op->input_name;
    op->input.ns_uri = op->input_ns_uri;
    op->input.ns_prefix = op->input_ns_prefix;
    if (op->flags & OP_EXTRA)
        op->extra = pack_bytes(r, pack_number(r));
    op->error_count = pack_number(r);
    op->errors = r->p;
    op->errors_end = r->end;
    if (op->error_count > (size_t)(r->end - r->p))
        r->bad = true;
}

struct operation *model_operation(struct model *m, uint32_t number)
{
    struct span name;
    if (!model_op_name(m, number, &name))
        return NULL;
    if (m->ops[number] != NULL)
        return m->ops[number];
    struct operation *op = model_alloc(m, sizeof *op);
    if (op == NULL)
        return NULL;
    struct pack r = {m->op_bytes.p + pack_u32(m->op_index.p + (size_t)number * 4), m->op_bytes.end,
                     false};
    decode_operation(m, &r, op);
    if (r.bad) {
        model_fault(m, "the service model is damaged: operation");
        return NULL;
    }
    return m->ops[number] = op;
}

struct shape *model_exception(struct model *m, struct span code)
{
    struct pack r = {m->exceptions.p, m->exceptions.end, false};
    struct shape *by_code = NULL;
    for (uint32_t i = 0; i < m->exception_count; i++) {
        uint32_t id = pack_number(&r);
        struct shape *s = r.bad ? NULL : model_shape(m, id);
        if (s == NULL)
            return NULL;
        if (text_eq(s->error_code, code))
            return s;
        if (text_eq(s->name, code))
            by_code = s;
    }
    return by_code;
}
