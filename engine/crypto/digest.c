/* SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104); see digest.h. */
#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <string.h>

void digest_sha256(const void *data, size_t size, unsigned char out[SHA256_SIZE])
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, data, size);
    SHA256_Final(out, &c);
}

static void hmac_state(SHA256_CTX *c, unsigned char block[SHA256_CBLOCK], unsigned char flip)
{
    for (size_t i = 0; i < SHA256_CBLOCK; i++)
        block[i] ^= flip;
    SHA256_Init(c);
    SHA256_Update(c, block, SHA256_CBLOCK);
}

void hmac_key_init(struct hmac_key *k, const void *key, size_t size)
{
    unsigned char block[SHA256_CBLOCK] = {0};
    if (size > sizeof block)
        digest_sha256(key, size, block);
    else if (size > 0)
        memcpy(block, key, size);
    hmac_state(&k->inner, block, 0x36);
    hmac_state(&k->outer, block, 0x36 ^ 0x5c);
    OPENSSL_cleanse(block, sizeof block);
}

void hmac_sign(const struct hmac_key *k, const void *data, size_t size,
               unsigned char out[SHA256_SIZE])
{
    unsigned char inner[SHA256_SIZE];
    SHA256_CTX c = k->inner;
    SHA256_Update(&c, data, size);
    SHA256_Final(inner, &c);
    c = k->outer;
    SHA256_Update(&c, inner, sizeof inner);
    SHA256_Final(out, &c);
    OPENSSL_cleanse(&c, sizeof c);
    OPENSSL_cleanse(inner, sizeof inner);
}

void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                 unsigned char out[SHA256_SIZE])
{
    struct hmac_key k;
    hmac_key_init(&k, key, key_size);
    hmac_sign(&k, data, size, out);
    OPENSSL_cleanse(&k, sizeof k);
}
