/* native.crypto: digests, HMAC, checksums, encodings, random bytes.
 *
 * Digests run through OpenSSL's EVP interface with algorithms fetched once and kept, with one
 * reusable context, in a userdata that all functions share: a fetch costs more than hashing a
 * kilobyte. A hasher (for streams and files) is a userdata that owns its own context. Digests
 * come back as raw bytes; checksums as integers from the plain functions, and as big-endian bytes
 * from a hasher or hash_file, the form that AWS's checksum headers use (base64 of it).
 */
#include "base/argument.h"
#include "crypto/checksum.h"
#include "crypto/digest.h"
#include "crypto/ecdsa.h"
#include "crypto/encoding.h"
#include "crypto/seal.h"
#include "loop/op.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASHER "drlua.hasher"
#define READ_SIZE (256 * 1024)

enum {
    OF_SHA256,
    OF_SHA1,
    OF_MD5,
    OF_SHA512,
    DIGESTS,
    OF_CRC32 = DIGESTS,
    OF_CRC32C,
    OF_CRC64NVME
};
static const char *const names[] = {"sha256", "sha1",   "md5",       "sha512",
                                    "crc32",  "crc32c", "crc64nvme", NULL};
static const char *const evp_names[DIGESTS] = {"SHA256", "SHA1", "MD5", "SHA512"};

struct crypto {
    EVP_MD *md[DIGESTS]; /* fetched by first use */
    EVP_MD_CTX *context;
};

struct hasher {
    int algorithm;
    EVP_MD_CTX *context; /* of digests; NULL when finished */
    uint64_t crc;
    bool finished;
};

static int crypto_gc(lua_State *L)
{
    struct crypto *c = lua_touserdata(L, 1);
    EVP_MD_CTX_free(c->context);
    for (int i = 0; i < DIGESTS; i++)
        EVP_MD_free(c->md[i]);
    memset(c, 0, sizeof *c);
    return 0;
}

/* The fetched algorithm; raises when this OpenSSL does not offer it. */
static const EVP_MD *crypto_md(lua_State *L, struct crypto *c, int algorithm)
{
    if (c->md[algorithm] == NULL)
        c->md[algorithm] = EVP_MD_fetch(NULL, evp_names[algorithm], NULL);
    if (c->md[algorithm] == NULL)
        luaL_error(L, "this system's OpenSSL offers no %s", evp_names[algorithm]);
    return c->md[algorithm];
}

static int crypto_digest(lua_State *L, int algorithm)
{
    struct crypto *c = lua_touserdata(L, lua_upvalueindex(1));
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    const EVP_MD *md = crypto_md(L, c, algorithm);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (EVP_DigestInit_ex2(c->context, md, NULL) != 1 ||
        EVP_DigestUpdate(c->context, data, size) != 1 ||
        EVP_DigestFinal_ex(c->context, out, &length) != 1)
        return luaL_error(L, "OpenSSL failed to compute %s", evp_names[algorithm]);
    lua_pushlstring(L, (const char *)out, length);
    OPENSSL_cleanse(out, sizeof out);
    return 1;
}

static int crypto_sha256(lua_State *L)
{
    return crypto_digest(L, OF_SHA256);
}

static int crypto_sha1(lua_State *L)
{
    return crypto_digest(L, OF_SHA1);
}

static int crypto_md5(lua_State *L)
{
    return crypto_digest(L, OF_MD5);
}

static int crypto_sha512(lua_State *L)
{
    return crypto_digest(L, OF_SHA512);
}

/* crypto.hmac_sha256(key, s) -> 32 raw bytes (RFC 2104). */
static int crypto_hmac_sha256(lua_State *L)
{
    size_t key_size, size;
    const char *key = luaL_checklstring(L, 1, &key_size);
    const char *data = luaL_checklstring(L, 2, &size);
    unsigned char out[SHA256_SIZE];
    hmac_sha256(key, key_size, data, size, out);
    lua_pushlstring(L, (const char *)out, sizeof out);
    OPENSSL_cleanse(out, sizeof out);
    return 1;
}

static uint64_t crc_update(int algorithm, uint64_t crc, const void *data, size_t size)
{
    if (algorithm == OF_CRC32)
        return checksum_crc32((uint32_t)crc, data, size);
    if (algorithm == OF_CRC32C)
        return checksum_crc32c((uint32_t)crc, data, size);
    return checksum_crc64nvme(crc, data, size);
}

static int crypto_crc(lua_State *L, int algorithm)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    uint64_t start = (uint64_t)luaL_optinteger(L, 2, 0);
    lua_pushinteger(L, (lua_Integer)crc_update(algorithm, start, data, size));
    return 1;
}

/* crypto.crc32(s [, earlier]) -> integer; `earlier` continues from a result. */
static int crypto_crc32(lua_State *L)
{
    return crypto_crc(L, OF_CRC32);
}

static int crypto_crc32c(lua_State *L)
{
    return crypto_crc(L, OF_CRC32C);
}

/* The same by tables, as on processors without the instruction. */
static int crypto_crc32c_portable(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    lua_pushinteger(L, checksum_crc32c_portable((uint32_t)luaL_optinteger(L, 2, 0), data, size));
    return 1;
}

/* The 64 bits as a Lua integer, which may be negative; print it with %016x. */
static int crypto_crc64nvme(lua_State *L)
{
    return crypto_crc(L, OF_CRC64NVME);
}

/* hasher */

static int hasher_gc(lua_State *L)
{
    struct hasher *h = luaL_checkudata(L, 1, HASHER);
    EVP_MD_CTX_free(h->context);
    h->context = NULL;
    h->finished = true;
    return 0;
}

/* Pushes a new hasher for the algorithm named at stack index 1. */
static struct hasher *hasher_new(lua_State *L)
{
    struct crypto *c = lua_touserdata(L, lua_upvalueindex(1));
    int algorithm = argument_option(L, 1, NULL, names);
    const EVP_MD *md = algorithm < DIGESTS ? crypto_md(L, c, algorithm) : NULL;
    struct hasher *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (struct hasher){.algorithm = algorithm};
    luaL_setmetatable(L, HASHER);
    if (md == NULL)
        return h;
    h->context = EVP_MD_CTX_new();
    if (h->context == NULL || EVP_DigestInit_ex2(h->context, md, NULL) != 1)
        luaL_error(L, "out of memory for a %s hasher", names[algorithm]);
    return h;
}

static void hasher_add(struct hasher *h, const void *data, size_t size)
{
    if (h->context != NULL)
        EVP_DigestUpdate(h->context, data, size);
    else
        h->crc = crc_update(h->algorithm, h->crc, data, size);
}

static int hasher_push(lua_State *L, struct hasher *h)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned length = h->algorithm == OF_CRC64NVME ? 8 : 4;
    h->finished = true;
    if (h->context == NULL) {
        for (unsigned i = 0; i < length; i++)
            out[i] = (unsigned char)(h->crc >> (8 * (length - 1 - i)));
    } else if (EVP_DigestFinal_ex(h->context, out, &length) != 1) {
        return luaL_error(L, "OpenSSL failed to finish %s", names[h->algorithm]);
    }
    lua_pushlstring(L, (const char *)out, length);
    OPENSSL_cleanse(out, sizeof out);
    return 1;
}

static struct hasher *hasher_open(lua_State *L)
{
    struct hasher *h = luaL_checkudata(L, 1, HASHER);
    if (h->finished)
        luaL_error(L, "this %s hasher is finished", names[h->algorithm]);
    return h;
}

/* h:update(s) -> h */
static int hasher_update(lua_State *L)
{
    struct hasher *h = hasher_open(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    hasher_add(h, data, size);
    lua_settop(L, 1);
    return 1;
}

/* h:final() -> raw bytes; the hasher cannot be used again. */
static int hasher_final(lua_State *L)
{
    return hasher_push(L, hasher_open(L));
}

static int hasher_tostring(lua_State *L)
{
    struct hasher *h = luaL_checkudata(L, 1, HASHER);
    lua_pushfstring(L, "hasher (%s%s)", names[h->algorithm], h->finished ? ", finished" : "");
    return 1;
}

static int crypto_hasher(lua_State *L)
{
    hasher_new(L);
    return 1;
}

/* Feeds up to `length` bytes of a file from `offset`; 0 or an errno. */
static int hash_descriptor(struct hasher *h, int fd, void *buffer, off_t offset, uint64_t length)
{
    while (length > 0) {
        size_t want = length < READ_SIZE ? (size_t)length : READ_SIZE;
        ssize_t got = pread(fd, buffer, want, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        hasher_add(h, buffer, (size_t)got);
        offset += got;
        length -= (uint64_t)got;
    }
    return 0;
}

/* crypto.hash_file(name, path [, offset [, length]]) -> raw bytes. */
static int crypto_hash_file(lua_State *L)
{
    const char *path = argument_text(L, 2);
    lua_Integer offset = luaL_optinteger(L, 3, 0);
    lua_Integer length = luaL_optinteger(L, 4, LUA_MAXINTEGER);
    luaL_argcheck(L, offset >= 0, 3, "an offset is not negative");
    luaL_argcheck(L, length >= 0, 4, "a length is not negative");
    struct hasher *h = hasher_new(L);
    void *buffer = lua_newuserdatauv(L, READ_SIZE, 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return push_errno(L, errno, "cannot open %s", path);
    int error = hash_descriptor(h, fd, buffer, (off_t)offset, (uint64_t)length);
    close(fd);
    if (error != 0)
        return push_errno(L, error, "cannot read %s", path);
    return hasher_push(L, h);
}

/* encodings */

static int crypto_base64(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, BASE64_ENCODED_SIZE(size));
    luaL_pushresultsize(&b, base64_encode(data, size, out));
    return 1;
}

static int crypto_unbase64(lua_State *L)
{
    size_t size, written;
    const char *text = luaL_checklstring(L, 1, &size);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, BASE64_DECODED_SIZE(size));
    if (!base64_decode(text, size, (unsigned char *)out, &written))
        return push_failure(L, "invalid", "the text is not base64");
    luaL_pushresultsize(&b, written);
    return 1;
}

static int crypto_hex(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 1, &size);
    luaL_Buffer b;
    hex_encode(data, size, luaL_buffinitsize(L, &b, 2 * size));
    luaL_pushresultsize(&b, 2 * size);
    return 1;
}

static int crypto_unhex(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, size / 2);
    if (!hex_decode(text, size, (unsigned char *)out))
        return push_failure(L, "invalid", "the text is not hexadecimal");
    luaL_pushresultsize(&b, size / 2);
    return 1;
}

/* From the kernel: it serves before OpenSSL's own generator is set up, which costs
 * a short-lived process more than the rest of its cryptography. */
static void fill_random(lua_State *L, void *to, size_t size)
{
    unsigned char *at = to;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            luaL_error(L, "the system gives no random bytes");
        at += got;
        size -= (size_t)got;
    }
}

/* crypto.random(n) -> n bytes from the system's generator. */
static int crypto_random(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 1 << 20, 1, "between 0 and 1048576 bytes");
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, (size_t)n);
    fill_random(L, out, (size_t)n);
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

/* crypto.uuid() -> a random UUID (RFC 9562, version 4). */
static int crypto_uuid(lua_State *L)
{
    unsigned char bytes[16];
    char hex[32];
    fill_random(L, bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    hex_encode(bytes, sizeof bytes, hex);
    char text[36];
    static const unsigned char groups[] = {8, 4, 4, 4, 12};
    char *to = text;
    const char *from = hex;
    for (size_t i = 0; i < sizeof groups; i++) {
        if (i > 0)
            *to++ = '-';
        memcpy(to, from, groups[i]);
        to += groups[i];
        from += groups[i];
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

/* crypto.equal(a, b): whether two strings are equal, in a time that depends on
 * their lengths alone. */
static int crypto_equal(lua_State *L)
{
    size_t a_size, b_size;
    const char *a = luaL_checklstring(L, 1, &a_size);
    const char *b = luaL_checklstring(L, 2, &b_size);
    lua_pushboolean(L, a_size == b_size && CRYPTO_memcmp(a, b, a_size) == 0);
    return 1;
}

static const luaL_Reg hasher_methods[] = {
    {"update", hasher_update}, {"final", hasher_final}, {NULL, NULL}};

static const luaL_Reg hasher_meta[] = {
    {"__gc", hasher_gc}, {"__close", hasher_gc}, {"__tostring", hasher_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"sha256", crypto_sha256},
    {"sha1", crypto_sha1},
    {"md5", crypto_md5},
    {"sha512", crypto_sha512},
    {"hmac_sha256", crypto_hmac_sha256},
    {"crc32", crypto_crc32},
    {"crc32c", crypto_crc32c},
    {"crc32c_portable", crypto_crc32c_portable},
    {"crc64nvme", crypto_crc64nvme},
    {"hasher", crypto_hasher},
    {"hash_file", crypto_hash_file},
    {"base64", crypto_base64},
    {"unbase64", crypto_unbase64},
    {"hex", crypto_hex},
    {"unhex", crypto_unhex},
    {"random", crypto_random},
    {"uuid", crypto_uuid},
    {"equal", crypto_equal},
    {"es256", crypto_es256},
    {"seal", seal_close},
    {"open", seal_open},
    {NULL, NULL},
};

/* Pushes the userdata that holds the algorithms. */
static void crypto_push_shared(lua_State *L)
{
    struct crypto *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, crypto_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    c->context = EVP_MD_CTX_new();
    if (c->context == NULL)
        luaL_error(L, "out of memory for OpenSSL's digests");
}

int luaopen_native_crypto(lua_State *L);
int luaopen_native_crypto(lua_State *L)
{
    luaL_newmetatable(L, HASHER);
    luaL_setfuncs(L, hasher_meta, 0);
    luaL_newlib(L, hasher_methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    crypto_push_shared(L);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
