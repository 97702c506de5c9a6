/* AES-256-GCM; see seal.h. `bound` is text that is authenticated but not sealed: what is
 * opened with another one is refused. The clear text lives in Lua's buffers only. */
#include "crypto/seal.h"

#include "loop/op.h"

#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define KEY_SIZE 32
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define LONGEST (1 << 30)

struct input {
    const unsigned char *key, *nonce, *text, *bound;
    size_t size, bound_size;
};

static const unsigned char *bytes_at(lua_State *L, int index, size_t *size)
{
    return (const unsigned char *)luaL_checklstring(L, index, size);
}

static void read_input(lua_State *L, struct input *in)
{
    size_t key_size, nonce_size;
    in->key = bytes_at(L, 1, &key_size);
    in->nonce = bytes_at(L, 2, &nonce_size);
    in->text = bytes_at(L, 3, &in->size);
    in->bound = (const unsigned char *)luaL_optlstring(L, 4, "", &in->bound_size);
    luaL_argcheck(L, key_size == KEY_SIZE, 1, "a key of 32 bytes expected");
    luaL_argcheck(L, nonce_size == NONCE_SIZE, 2, "a nonce of 12 bytes expected");
    luaL_argcheck(L, in->size < LONGEST, 3, "less than 1 GiB expected");
    luaL_argcheck(L, in->bound_size < LONGEST, 4, "less than 1 GiB expected");
}

static bool seal(EVP_CIPHER_CTX *c, const struct input *in, unsigned char *out)
{
    int n = 0, last = 0;
    return EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, in->key, in->nonce) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, in->bound, (int)in->bound_size) == 1 &&
           EVP_EncryptUpdate(c, out, &n, in->text, (int)in->size) == 1 &&
           EVP_EncryptFinal_ex(c, out + n, &last) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + in->size) == 1;
}

static bool unseal(EVP_CIPHER_CTX *c, const struct input *in, unsigned char *out)
{
    int n = 0, last = 0;
    size_t size = in->size - TAG_SIZE;
    unsigned char tag[TAG_SIZE];
    for (size_t i = 0; i < TAG_SIZE; i++)
        tag[i] = in->text[size + i];
    return EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, in->key, in->nonce) == 1 &&
           EVP_DecryptUpdate(c, NULL, &n, in->bound, (int)in->bound_size) == 1 &&
           EVP_DecryptUpdate(c, out, &n, in->text, (int)size) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + n, &last) == 1;
}

typedef bool pass(EVP_CIPHER_CTX *, const struct input *, unsigned char *);

/* Runs a pass into a buffer of `size` bytes, which is left on the stack. */
static bool run(lua_State *L, pass *work, const struct input *in, size_t size)
{
    unsigned char *out = lua_newuserdatauv(L, size > 0 ? size : 1, 0);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c == NULL)
        luaL_error(L, "out of memory for a cipher");
    bool good = work(c, in, out);
    EVP_CIPHER_CTX_free(c);
    ERR_clear_error();
    if (good)
        lua_pushlstring(L, (const char *)out, size);
    OPENSSL_cleanse(out, size);
    return good;
}

int seal_close(lua_State *L)
{
    struct input in;
    read_input(L, &in);
    if (!run(L, seal, &in, in.size + TAG_SIZE))
        return luaL_error(L, "OpenSSL failed to seal (AES-256-GCM)");
    return 1;
}

int seal_open(lua_State *L)
{
    struct input in;
    read_input(L, &in);
    if (in.size < TAG_SIZE || !run(L, unseal, &in, in.size - TAG_SIZE))
        return push_failure(L, "invalid", "the seal does not fit: another key, or damaged");
    return 1;
}
