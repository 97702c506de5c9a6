/* SigV4A: the ECDSA P-256 key pair that is derived from an access key and its
 * secret, and signatures by it.
 *
 * The private key comes from a counter-mode key derivation (NIST SP 800-108)
 * with HMAC-SHA-256 under "AWS4A" + secret, repeated with the next counter until
 * the number lies in the curve's order, plus one. Deriving includes a scalar
 * multiplication, so the last pairs are kept.
 */
#include "crypto/encoding.h"
#include "sigv4/state.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <stdlib.h>

/* The order of P-256 less two. */
static const unsigned char order_less_two[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
    0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f};

/* Whether a <= b, big-endian, in constant time. */
static bool not_above(const unsigned char a[32], const unsigned char b[32])
{
    int borrow = 0;
    for (int i = 31; i >= 0; i--)
        borrow = ((int)b[i] - (int)a[i] - borrow) < 0;
    return borrow == 0;
}

static void increment(unsigned char number[32])
{
    unsigned carry = 1;
    for (int i = 31; i >= 0; i--) {
        carry += number[i];
        number[i] = (unsigned char)carry;
        carry >>= 8;
    }
}

/* Writes the private key; false when out of memory or (never seen) counters. */
static bool derive_scalar(const struct sigv4_credentials *c, unsigned char scalar[32])
{
    static const char label[] = "\0\0\0\1" SIGV4_ECDSA; /* with its ending zero */
    struct buffer key = {0}, input = {0};
    buffer_add(&key, "AWS4A", 5);
    buffer_add_span(&key, c->secret_access_key);
    buffer_add(&input, label, sizeof label);
    buffer_add_span(&input, c->access_key_id);
    size_t counter_at = input.size;
    buffer_add(&input, "\1\0\0\1\0", 5);
    bool found = false;
    for (unsigned counter = 1; counter < 255 && !found && !key.failed && !input.failed; counter++) {
        input.data[counter_at] = (char)counter;
        hmac_sha256(key.data, key.size, input.data, input.size, scalar);
        found = not_above(scalar, order_less_two);
    }
    increment(scalar);
    buffer_wipe(&key);
    buffer_free(&input);
    return found;
}

/* The public point of a private number, uncompressed (65 bytes). */
static bool public_point(const BIGNUM *private, unsigned char point[65])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p = group != NULL ? EC_POINT_new(group) : NULL;
    bool good = p != NULL && EC_POINT_mul(group, p, private, NULL, NULL, NULL) == 1 &&
                EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, point, 65, NULL) == 65;
    EC_POINT_free(p);
    EC_GROUP_free(group);
    return good;
}

static EVP_PKEY *pair_from(const BIGNUM *private, const unsigned char point[65])
{
    EVP_PKEY *pair = NULL;
    OSSL_PARAM *params = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (build != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, private) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 65) &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL &&
        EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, params) != 1)
        pair = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    return pair;
}

static EVP_PKEY *derive_pair(const struct sigv4_credentials *c)
{
    unsigned char scalar[32], point[65];
    EVP_PKEY *pair = NULL;
    BIGNUM *private = NULL;
    if (derive_scalar(c, scalar) && (private = BN_secure_new()) != NULL &&
        BN_bin2bn(scalar, sizeof scalar, private) != NULL && public_point(private, point))
        pair = pair_from(private, point);
    OPENSSL_cleanse(scalar, sizeof scalar);
    BN_clear_free(private);
    return pair;
}

static bool pair_matches(const struct cached_pair *p, const struct sigv4_credentials *c)
{
    size_t id = c->access_key_id.size;
    return p->pair != NULL && p->id.size == id + 1 + c->secret_access_key.size &&
           memcmp(p->id.data, c->access_key_id.data, id) == 0 && p->id.data[id] == '\n' &&
           CRYPTO_memcmp(p->id.data + id + 1, c->secret_access_key.data,
                         c->secret_access_key.size) == 0;
}

static void pair_drop(struct cached_pair *p)
{
    EVP_PKEY_free(p->pair);
    p->pair = NULL;
    buffer_wipe(&p->id);
}

/* The key pair of the credentials, owned by the cache; NULL: out of memory. */
EVP_PKEY *asymmetric_key(struct sigv4 *s, const struct sigv4_credentials *c)
{
    for (size_t i = 0; i < PAIRS; i++)
        if (pair_matches(&s->key_pairs[i], c))
            return s->key_pairs[i].pair;
    struct cached_pair *p = &s->key_pairs[s->next_pair];
    s->next_pair = (s->next_pair + 1) % PAIRS;
    pair_drop(p);
    buffer_add_span(&p->id, c->access_key_id);
    buffer_add_char(&p->id, '\n');
    buffer_add_span(&p->id, c->secret_access_key);
    p->pair = p->id.failed ? NULL : derive_pair(c);
    return p->pair;
}

bool asymmetric_sign(struct sigv4 *s, const struct sigv4_credentials *c)
{
    unsigned char der[80];
    size_t size = sizeof der;
    EVP_PKEY *pair = asymmetric_key(s, c);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = pair != NULL && context != NULL &&
                EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, pair, NULL) == 1 &&
                EVP_DigestSign(context, der, &size, (const unsigned char *)s->to_sign.data,
                               s->to_sign.size) == 1;
    EVP_MD_CTX_free(context);
    if (good && buffer_reserve(&s->signature, 2 * size)) {
        hex_encode(der, size, s->signature.data + s->signature.size);
        s->signature.size += 2 * size;
    }
    return good && !s->signature.failed;
}

bool asymmetric_verify(struct sigv4 *s, const struct sigv4_credentials *c, struct span text,
                       struct span signature)
{
    unsigned char der[80];
    if (signature.size > 2 * sizeof der || !hex_decode(signature.data, signature.size, der))
        return false;
    EVP_PKEY *pair = asymmetric_key(s, c);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = pair != NULL && context != NULL &&
                EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, pair, NULL) == 1 &&
                EVP_DigestVerify(context, der, signature.size / 2,
                                 (const unsigned char *)text.data, text.size) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

void asymmetric_wipe(struct sigv4 *s)
{
    for (size_t i = 0; i < PAIRS; i++)
        pair_drop(&s->key_pairs[i]);
}
