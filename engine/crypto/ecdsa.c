/* ES256: ECDSA on P-256 with SHA-256; see ecdsa.h. The key lives only for the call. */
#include "crypto/ecdsa.h"

#include "loop/op.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define FIELD_SIZE 32

/* An encrypted key is refused: OpenSSL would ask for its passphrase at the terminal. */
static int no_passphrase(char *out, int size, int writing, void *user)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)user;
    return 0;
}

static EVP_PKEY *read_key(const char *pem, size_t size)
{
    if (size > INT_MAX)
        return NULL;
    BIO *in = BIO_new_mem_buf(pem, (int)size);
    EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    BIO_free(in);
    ERR_clear_error();
    return key;
}

/* The public point, uncompressed; false when the key is not of P-256. */
static bool read_point(EVP_PKEY *key, unsigned char point[1 + 2 * FIELD_SIZE])
{
    char group[32];
    size_t size = 0;
    bool good = EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                               NULL) == 1 &&
                strcmp(group, "prime256v1") == 0 &&
                EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                1 + 2 * FIELD_SIZE, &size) == 1 &&
                size == 1 + 2 * FIELD_SIZE && point[0] == POINT_CONVERSION_UNCOMPRESSED;
    ERR_clear_error();
    return good;
}

/* From DER to the two numbers side by side. */
static bool flatten(const unsigned char *der, size_t size, unsigned char out[2 * FIELD_SIZE])
{
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)size);
    bool good = parts != NULL &&
                BN_bn2binpad(ECDSA_SIG_get0_r(parts), out, FIELD_SIZE) == FIELD_SIZE &&
                BN_bn2binpad(ECDSA_SIG_get0_s(parts), out + FIELD_SIZE, FIELD_SIZE) == FIELD_SIZE;
    ECDSA_SIG_free(parts);
    return good;
}

static bool sign(EVP_PKEY *key, const char *text, size_t size, unsigned char out[2 * FIELD_SIZE])
{
    unsigned char der[80];
    size_t length = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL &&
                EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
                EVP_DigestSign(context, der, &length, (const unsigned char *)text, size) == 1 &&
                flatten(der, length, out);
    EVP_MD_CTX_free(context);
    return good;
}

int crypto_es256(lua_State *L)
{
    size_t pem_size, size;
    const char *pem = luaL_checklstring(L, 1, &pem_size);
    const char *text = luaL_checklstring(L, 2, &size);
    unsigned char point[1 + 2 * FIELD_SIZE], signature[2 * FIELD_SIZE];
    EVP_PKEY *key = read_key(pem, pem_size);
    bool usable = key != NULL && read_point(key, point);
    bool good = usable && sign(key, text, size, signature);
    EVP_PKEY_free(key);
    if (!usable)
        return push_failure(L, "invalid", "the text is not a private key of P-256 in PEM");
    if (!good)
        return luaL_error(L, "OpenSSL failed to sign");
    lua_pushlstring(L, (const char *)signature, sizeof signature);
    lua_pushlstring(L, (const char *)point + 1, FIELD_SIZE);
    lua_pushlstring(L, (const char *)point + 1 + FIELD_SIZE, FIELD_SIZE);
    return 3;
}
