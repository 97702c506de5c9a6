/* Which operation a request asks for (the simulator's side).
 *
 * RPC protocols name it. REST operations are distinguished by method, path, the constant part of
 * the query, and then by the required headers and query members, which is what separates S3's
 * PutObject from its UploadPart. */
#include "model/message/route.h"
#include "model/wire/form.h"

#include <stdlib.h>

void split_target(struct span target, struct span *path, struct span *query)
{
    const char *mark = target.size ? memchr(target.data, '?', target.size) : NULL;
    *path = target;
    *query = (struct span){"", 0};
    if (mark == NULL)
        return;
    path->size = (size_t)(mark - target.data);
    *query = (struct span){mark + 1, target.size - path->size - 1};
}

bool next_pair(struct span *query, struct span *name, struct span *value)
{
    while (query->size > 0) {
        const char *amp = memchr(query->data, '&', query->size);
        size_t n = amp ? (size_t)(amp - query->data) : query->size;
        const char *equals = n ? memchr(query->data, '=', n) : NULL;
        *name = (struct span){query->data, equals ? (size_t)(equals - query->data) : n};
        *value = (struct span){"", 0};
        if (equals)
            *value = (struct span){equals + 1, n - name->size - 1};
        query->data += amp ? n + 1 : n;
        query->size -= amp ? n + 1 : n;
        if (name->size > 0)
            return true;
    }
    return false;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void add_decoded(struct buffer *out, struct span t, bool plus)
{
    for (size_t i = 0; i < t.size; i++) {
        char c = t.data[i];
        if (c == '%' && i + 2 < t.size && hex(t.data[i + 1]) >= 0 && hex(t.data[i + 2]) >= 0) {
            c = (char)(hex(t.data[i + 1]) * 16 + hex(t.data[i + 2]));
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        buffer_add_char(out, c);
    }
}

/* The next part between slashes; a trailing slash is a last empty part. */
static bool next_part(struct span *rest, struct span *part)
{
    if (rest->size == 0 || rest->data[0] != '/')
        return false;
    const char *p = rest->data + 1, *end = rest->data + rest->size;
    const char *slash = p < end ? memchr(p, '/', (size_t)(end - p)) : NULL;
    *part = (struct span){p, (size_t)((slash ? slash : end) - p)};
    rest->data = slash ? slash : end;
    rest->size = (size_t)(end - rest->data);
    return true;
}

static bool add_match(struct match *m, struct span name, struct span value)
{
    if (m->count == MAX_LABELS || value.size == 0)
        return false;
    m->labels[m->count++] = (struct label){name, value};
    return true;
}

static bool match_part(struct span want, struct span part, struct match *m)
{
    const char *open = want.size ? memchr(want.data, '{', want.size) : NULL;
    if (open == NULL) {
        m->literals++;
        return text_eq(want, part);
    }
    size_t head = (size_t)(open - want.data);
    const char *close = memchr(open, '}', want.size - head);
    if (close == NULL)
        return false;
    size_t tail = want.size - (size_t)(close + 1 - want.data);
    if (part.size < head + tail || memcmp(part.data, want.data, head) != 0 ||
        memcmp(part.data + part.size - tail, close + 1, tail) != 0)
        return false;
    return add_match(m, (struct span){open + 1, (size_t)(close - open) - 1},
                     (struct span){part.data + head, part.size - head - tail});
}

bool match_path(struct span uri, struct span path, struct match *m)
{
    struct span rest, query, want, part;
    m->count = m->literals = 0;
    split_target(uri, &rest, &query);
    while (next_part(&rest, &want)) {
        /* A slash at the template's end may be missing: clients that are made from Smithy
         * models do not send the one that botocore's have. */
        if (want.size == 0 && rest.size == 0 && path.size == 0)
            return true;
        if (want.size > 3 && want.data[0] == '{' && want.data[want.size - 2] == '+') {
            if (path.size < 2)
                return false;
            struct span name = {want.data + 1, want.size - 3};
            size_t take = path.size;
            if (rest.size > 0) { /* a constant tail after a greedy label */
                if (take <= rest.size ||
                    memcmp(path.data + take - rest.size, rest.data, rest.size) != 0)
                    return false;
                take -= rest.size;
            }
            return add_match(m, name, (struct span){path.data + 1, take - 1});
        }
        if (!next_part(&path, &part) || !match_part(want, part, m))
            return false;
    }
    return path.size == 0 || text_is(path, "/");
}

static bool query_has(struct span query, struct span name, struct span *value)
{
    struct span found;
    while (next_pair(&query, &found, value))
        if (text_eq(found, name))
            return true;
    return false;
}

/* The constant part of the template's query must be in the request's. */
static int score_constants(struct span uri, struct span query)
{
    struct span path, want, name, value, got;
    int score = 0;
    split_target(uri, &path, &want);
    while (next_pair(&want, &name, &value)) {
        if (!query_has(query, name, &got) || (value.size > 0 && !text_eq(value, got)))
            return -1;
        score += 1000;
    }
    return score;
}

static int score_members(struct codec *c, struct operation *op, const struct incoming *in,
                         struct span query)
{
    struct shape *s = op->input.shape_id == NO_SHAPE ? NULL : slot_shape(c->m, &op->input);
    int score = 0;
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        struct slot *slot = &s->slots[i];
        struct span value;
        bool there = false;
        if (slot->location == IN_QUERY) {
            there = query_has(query, slot->wire, &value);
        } else if (slot->location == IN_HEADER) {
            for (size_t h = 0; h < in->header_count; h++)
                there = there || text_caseless_eq(in->headers[h].name, slot->wire);
        } else {
            continue;
        }
        if (!there && (slot->traits & SLOT_REQUIRED))
            return -1;
        if (there)
            score += (slot->traits & SLOT_REQUIRED) ? 10 : 1;
    }
    return score;
}

static int score_route(struct codec *c, struct operation *op, const struct incoming *in,
                       struct span path, struct span query)
{
    struct match m;
    if (!text_eq(op->method, in->method) || !match_path(op->uri, path, &m))
        return -1;
    int constants = score_constants(op->uri, query);
    if (constants < 0)
        return -1;
    int members = score_members(c, op, in, query);
    if (members < 0)
        return -1;
    return 1 + constants + members + m.literals * 100;
}

static long find_rest(struct codec *c, const struct incoming *in)
{
    struct span path, query;
    int best = 0;
    long found = -1;
    split_target(in->target, &path, &query);
    for (uint32_t i = 0; i < c->m->op_count; i++) {
        struct operation *op = model_operation(c->m, i);
        if (op == NULL)
            continue;
        int score = score_route(c, op, in, path, query);
        if (score <= best)
            continue;
        best = score;
        found = (long)i;
    }
    return found;
}

static long find_cbor(struct codec *c, const struct incoming *in)
{
    static const char mark[] = "/operation/";
    struct span path, query;
    split_target(in->target, &path, &query);
    for (size_t i = path.size; i >= sizeof mark - 1; i--) {
        const char *p = path.data + i - (sizeof mark - 1);
        if (memcmp(p, mark, sizeof mark - 1) != 0)
            continue;
        return model_find(c->m, (struct span){path.data + i, path.size - i});
    }
    return -1;
}

long find_route(struct codec *c, const struct incoming *in, enum protocol *protocol)
{
    struct span target = header_value(in, "x-amz-target"), action, version;
    struct span smithy = header_value(in, "smithy-protocol");
    unsigned offered = c->m->offered | 1u << c->m->protocol;
    if (smithy.data != NULL && (offered & 1u << CBOR)) {
        *protocol = CBOR;
        return find_cbor(c, in);
    }
    if (target.data != NULL && (offered & 1u << JSON)) {
        *protocol = JSON;
        for (size_t i = target.size; i > 0; i--)
            if (target.data[i - 1] == '.')
                return model_find(c->m, (struct span){target.data + i, target.size - i});
        return model_find(c->m, target);
    }
    *protocol = offered & 1u << REST_XML ? REST_XML : REST_JSON;
    if (offered & (1u << REST_XML | 1u << REST_JSON))
        return find_rest(c, in);
    *protocol = offered & 1u << EC2 ? EC2 : QUERY;
    if (!(offered & (1u << EC2 | 1u << QUERY)))
        return -1;
    struct span path, query;
    split_target(in->target, &path, &query);
    if (!form_scan(c, in->body.size > 0 ? in->body : query))
        return -1;
    /* An operation is one of a version of the API; the models have the newest. */
    if (form_value(c, "Version", &version) && !text_eq(version, c->m->api_version))
        return -1;
    return form_value(c, "Action", &action) ? model_find(c->m, action) : -1;
}
