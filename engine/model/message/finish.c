/* The last steps of a request, and checksums of responses: request compression (gzip),
 * Content-MD5 where the model demands a checksum and names none, and the flexible checksums of S3
 * and others in x-amz-checksum-* headers. */
#include <openssl/evp.h>
#include <stdio.h>
#include <zlib.h>

#include "crypto/checksum.h"
#include "model/message/message.h"
#include "model/wire/rest.h"

enum { COMPRESS_FROM = 10240, MAX_DIGEST = 64 };

enum algorithm { CRC32, CRC32C, CRC64NVME, SHA1, SHA256, MD5, ALGORITHMS };

static const char *const algorithm_names[] = {"crc32", "crc32c", "crc64nvme",
                                              "sha1",  "sha256", "md5"};

/* A checksum in the making. */
struct summing {
    enum algorithm algorithm;
    uint64_t crc;
    EVP_MD_CTX *digest;
    bool failed;
};

static void sum_start(struct summing *x, enum algorithm algorithm)
{
    const EVP_MD *md = algorithm == SHA1     ? EVP_sha1()
                       : algorithm == SHA256 ? EVP_sha256()
                       : algorithm == MD5    ? EVP_md5()
                                             : NULL;
    *x = (struct summing){.algorithm = algorithm};
    if (md == NULL)
        return;
    x->digest = EVP_MD_CTX_new();
    x->failed = x->digest == NULL || EVP_DigestInit_ex(x->digest, md, NULL) != 1;
}

static void sum_add(struct summing *x, const void *data, size_t n)
{
    if (n == 0 || x->failed)
        return;
    if (x->digest != NULL)
        x->failed = EVP_DigestUpdate(x->digest, data, n) != 1;
    else if (x->algorithm == CRC32)
        x->crc = checksum_crc32((uint32_t)x->crc, data, n);
    else if (x->algorithm == CRC32C)
        x->crc = checksum_crc32c((uint32_t)x->crc, data, n);
    else
        x->crc = checksum_crc64nvme(x->crc, data, n);
}

/* Writes the checksum's bytes; returns their number, 0 on failure. */
static size_t sum_end(struct summing *x, unsigned char out[MAX_DIGEST])
{
    unsigned n = 0;
    if (x->digest != NULL) {
        if (x->failed || EVP_DigestFinal_ex(x->digest, out, &n) != 1)
            n = 0;
        EVP_MD_CTX_free(x->digest);
        x->digest = NULL;
        return n;
    }
    n = x->algorithm == CRC64NVME ? 8 : 4;
    for (unsigned i = 0; i < n; i++)
        out[i] = (unsigned char)(x->crc >> (n - 1 - i) * 8);
    return n;
}

static bool sum_file(struct codec *c, struct summing *x, const char *path, long long offset,
                     long long length)
{
    static const size_t piece = 65536;
    struct buffer *room = &c->s->extra;
    buffer_clear(room);
    if (!buffer_reserve(room, piece))
        return codec_fault(c, "out of memory");
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseeko(f, offset, SEEK_SET) != 0) {
        if (f != NULL)
            fclose(f);
        return codec_fault(c, "cannot read %s", path);
    }
    while (length != 0) {
        size_t want = length > 0 && (unsigned long long)length < piece ? (size_t)length : piece;
        size_t n = fread(room->data, 1, want, f);
        sum_add(x, room->data, n);
        if (length > 0)
            length -= (long long)n;
        if (n < want)
            break;
    }
    bool ok = !ferror(f);
    fclose(f);
    return ok || codec_fault(c, "cannot read %s", path);
}

/* Sums the body at `at`: a string, or { file =, offset =, length = }. */
static bool sum_body(struct codec *c, struct summing *x, int at)
{
    lua_State *L = c->L;
    if (lua_type(L, at) == LUA_TSTRING) {
        struct span t = get_text(L, at);
        sum_add(x, t.data, t.size);
        return true;
    }
    lua_getfield(L, at, "file");
    lua_getfield(L, at, "offset");
    lua_getfield(L, at, "length");
    const char *path = lua_type(L, -3) == LUA_TSTRING ? lua_tostring(L, -3) : "";
    long long offset = lua_isnil(L, -2) ? 0 : get_integer(L, -2);
    long long length = lua_isnil(L, -1) ? -1 : get_integer(L, -1);
    bool ok = sum_file(c, x, path, offset, length);
    lua_pop(L, 3);
    return ok;
}

static bool find_algorithm(struct span name, enum algorithm *algorithm)
{
    for (int i = 0; i < ALGORITHMS; i++) {
        if (!text_caseless_eq(name, text_of(algorithm_names[i])))
            continue;
        *algorithm = (enum algorithm)i;
        return true;
    }
    return false;
}

static bool header_begins(struct codec *c, const char *prefix, bool whole)
{
    bool found = false;
    lua_pushnil(c->L);
    while (lua_next(c->L, c->headers)) {
        lua_pop(c->L, 1);
        struct span name = get_text(c->L, -1);
        found = found || (whole ? text_caseless_eq(name, text_of(prefix))
                                : text_caseless_prefix(name, text_of(prefix)));
    }
    return found;
}

static bool add_checksum(struct codec *c, struct span header, enum algorithm algorithm, int body)
{
    unsigned char sum[MAX_DIGEST];
    struct summing x;
    sum_start(&x, algorithm);
    bool ok = sum_body(c, &x, body);
    size_t n = sum_end(&x, sum);
    struct buffer *text = &c->s->extra;
    buffer_clear(text);
    add_base64(text, (struct span){(const char *)sum, n});
    if (!ok)
        return false;
    if (n == 0)
        return codec_fault(c, "the checksum could not be computed");
    set_header(c, header, buffer_span(text));
    return true;
}

static bool when_required(struct codec *c, int options)
{
    push_option(c->L, options, "checksum");
    bool only = text_is(get_text(c->L, -1), "when_required");
    lua_pop(c->L, 1);
    return only;
}

/* The checksum that the operation lets the caller choose; CRC-32 by default. */
static bool flexible_checksum(struct codec *c, struct operation *op, int input, int body,
                              int options)
{
    enum algorithm algorithm = CRC32;
    struct slot *slot = shape_member(op->input.shape, op->checksum_member);
    if (slot == NULL || header_begins(c, "x-amz-checksum-", false))
        return true;
    bool chosen = get_member(c, slot, input);
    if (chosen) {
        struct span name = get_text(c->L, -1);
        bool known = find_algorithm(name, &algorithm);
        if (!known)
            return codec_fault(c,
                               "%.*s: the checksum %.*s is not supported; supported "
                               "are CRC32, CRC32C, CRC64NVME, SHA1, SHA256",
                               (int)slot->name.size, slot->name.data, (int)name.size, name.data);
        lua_pop(c->L, 1);
    } else if (!(op->flags & OP_CHECKSUM_REQUIRED) && when_required(c, options)) {
        return true;
    }
    if (!chosen && slot->location == IN_HEADER)
        set_header(c, slot->wire, text_of("CRC32"));
    struct buffer *name = &c->s->text;
    buffer_clear(name);
    add_str(name, "x-amz-checksum-");
    add_str(name, algorithm_names[algorithm]);
    return add_checksum(c, buffer_span(name), algorithm, body);
}

static bool compress_body(struct codec *c, int body)
{
    struct span t = get_text(c->L, body);
    struct buffer *out = &c->s->extra;
    z_stream z = {0};
    buffer_clear(out);
    if (t.size > UINT32_MAX / 2 ||
        deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return codec_fault(c, "the body could not be compressed");
    size_t bound = deflateBound(&z, t.size);
    bool ok = buffer_reserve(out, bound);
    if (ok) {
        z.next_in = (Bytef *)t.data;
        z.avail_in = (uInt)t.size;
        z.next_out = (Bytef *)out->data;
        z.avail_out = (uInt)bound;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
        out->size = bound - z.avail_out;
    }
    deflateEnd(&z);
    if (!ok)
        return codec_fault(c, "the body could not be compressed");
    push_text(c->L, buffer_span(out));
    lua_replace(c->L, body);
    return true;
}

static bool compress_request(struct codec *c, int body, int options)
{
    lua_Integer least = COMPRESS_FROM;
    if (push_option(c->L, options, "compress_from_bytes") == LUA_TNUMBER)
        least = get_integer(c->L, -1);
    bool off = lua_isboolean(c->L, -1) && !lua_toboolean(c->L, -1);
    lua_pop(c->L, 1);
    if (off || lua_type(c->L, body) != LUA_TSTRING || (lua_Integer)lua_rawlen(c->L, body) < least)
        return true;
    if (!compress_body(c, body))
        return false;
    lua_getfield(c->L, c->headers, "Content-Encoding");
    if (lua_type(c->L, -1) == LUA_TSTRING)
        lua_pushliteral(c->L, ", gzip");
    else
        lua_pushliteral(c->L, "gzip");
    if (lua_type(c->L, -2) == LUA_TSTRING)
        lua_concat(c->L, 2);
    else
        lua_remove(c->L, -2);
    lua_setfield(c->L, c->headers, "Content-Encoding");
    return true;
}

bool finish_request(struct codec *c, struct operation *op, int input, int body, int options)
{
    if ((op->flags & OP_COMPRESSED) && !compress_request(c, body, options))
        return false;
    if (op->validation_member.size > 0 && !when_required(c, options)) {
        struct slot *slot = shape_member(op->input.shape, op->validation_member);
        bool given = slot && get_member(c, slot, input);
        if (given)
            lua_pop(c->L, 1);
        else if (slot)
            set_header(c, slot->wire, text_of("ENABLED"));
    }
    if (op->checksum_member.size > 0)
        return flexible_checksum(c, op, input, body, options);
    if ((op->flags & OP_CHECKSUM_REQUIRED) && !header_begins(c, "Content-MD5", true))
        return add_checksum(c, text_of("Content-MD5"), MD5, body);
    return true;
}

/* Sums of parts ("value-3") and of ranges say nothing about this body. */
bool check_response_checksum(struct codec *c, const struct incoming *in)
{
    for (size_t i = 0; i < in->header_count && in->status == 200; i++) {
        enum algorithm algorithm;
        unsigned char sum[MAX_DIGEST];
        struct span name = in->headers[i].name, prefix = text_of("x-amz-checksum-");
        struct span wanted = in->headers[i].value;
        if (!text_caseless_prefix(name, prefix))
            continue;
        name.data += prefix.size;
        name.size -= prefix.size;
        if (!find_algorithm(name, &algorithm) || memchr(wanted.data, '-', wanted.size))
            continue;
        struct summing x;
        sum_start(&x, algorithm);
        sum_add(&x, in->body.data, in->body.size);
        size_t n = sum_end(&x, sum);
        struct buffer *text = &c->s->extra;
        buffer_clear(text);
        add_base64(text, (struct span){(const char *)sum, n});
        if (n > 0 && !text_eq(buffer_span(text), wanted))
            return codec_fault(c,
                               "the %s checksum of the response's body is wrong: it "
                               "was damaged on its way",
                               algorithm_names[algorithm]);
    }
    return true;
}
