/* SHA-256 and HMAC-SHA-256 of short messages, for signing.
 *
 * OpenSSL's EVP interface costs about as much per call as it takes to hash 64
 * bytes, and its HMAC allocates each time. A signature is made of four short
 * hashes, so this file goes below EVP, to the SHA256_* functions (the same code,
 * with SHA extensions where present), and keeps an HMAC key as the two hash
 * states after its padded blocks. Everything else uses EVP (crypto.c).
 */
#ifndef DRLUA_DIGEST_H
#define DRLUA_DIGEST_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stddef.h>

#define SHA256_SIZE 32

struct hmac_key {
    SHA256_CTX inner, outer;
};

void digest_sha256(const void *data, size_t size, unsigned char out[SHA256_SIZE]);
/* Prepares a key; wipe it with OPENSSL_cleanse when it is no longer needed. */
void hmac_key_init(struct hmac_key *, const void *key, size_t size);
void hmac_sign(const struct hmac_key *, const void *data, size_t size,
               unsigned char out[SHA256_SIZE]);
/* Both in one, for a key that is used once. */
void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                 unsigned char out[SHA256_SIZE]);

#endif
