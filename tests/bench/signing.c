/* A signature beside the bare cost of its hashes by OpenSSL: one SHA-256 of the body, one
 * of the canonical request, one HMAC-SHA-256 with a key that is set up already.
 *
 * Usage: signing TIMES   prints nanoseconds for a signature with a warm key, and for
 * its hashes; the best of five rounds. Linked with the engine's own objects. */
#define _DEFAULT_SOURCE
#include "sigv4/sigv4.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char body[] = "Action=DescribeDBInstances&Version=2014-10-31";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int good)
{
    if (!good)
        abort();
}

static double sign(struct sigv4 *s, long times, struct sigv4_result *out)
{
    static const struct sigv4_header headers[] = {
        {{"Host", 4}, {"rds.us-west-2.amazonaws.com", 27}},
        {{"Content-Type", 12}, {"application/x-www-form-urlencoded; charset=utf-8", 48}},
    };
    const struct sigv4_request request = {
        .method = {"POST", 4}, .uri = {"/", 1}, .headers = headers, .header_count = 2,
        .body = {body, sizeof body - 1}, .region = {"us-west-2", 9}, .service = {"rds", 3},
        .credentials = {{"AKIDEXAMPLE", 11}, {"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40}, {"", 0}},
        .time = {"20260101T000000Z", 16}, .normalize_path = true, .double_encode = true,
    };
    double began = now();
    for (long i = 0; i < times; i++)
        check(sigv4_sign(s, &request, out) == NULL);
    return (now() - began) / (double)times * 1e9;
}

static void digest(EVP_MD_CTX *context, const void *data, size_t size)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned length;
    check(EVP_DigestInit_ex2(context, NULL, NULL) && EVP_DigestUpdate(context, data, size) &&
          EVP_DigestFinal_ex(context, out, &length));
}

static double hash(EVP_MD_CTX *md, EVP_MAC_CTX *mac, long times, const struct sigv4_result *signed_)
{
    unsigned char out[32];
    size_t length;
    double began = now();
    for (long i = 0; i < times; i++) {
        digest(md, body, sizeof body - 1);
        digest(md, signed_->canonical_request.data, signed_->canonical_request.size);
        check(EVP_MAC_init(mac, NULL, 0, NULL) &&
              EVP_MAC_update(mac, (const unsigned char *)signed_->string_to_sign.data,
                             signed_->string_to_sign.size) &&
              EVP_MAC_final(mac, out, &length, sizeof out));
    }
    return (now() - began) / (double)times * 1e9;
}

int main(int argc, char **argv)
{
    long times = argc > 1 ? atol(argv[1]) : 100000;
    struct sigv4 *s = sigv4_new();
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(EVP_MAC_fetch(NULL, "HMAC", NULL));
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
                           OSSL_PARAM_construct_end()};
    check(s != NULL && md != NULL && mac != NULL &&
          EVP_DigestInit_ex2(md, EVP_MD_fetch(NULL, "SHA256", NULL), NULL) &&
          EVP_MAC_init(mac, (const unsigned char *)body, 32, params));
    double signing = 1e9, hashing = 1e9;
    struct sigv4_result out;
    for (int round = 0; round < 5; round++) {
        double a = sign(s, times, &out), b = hash(md, mac, times, &out);
        signing = a < signing ? a : signing;
        hashing = b < hashing ? b : hashing;
    }
    printf("%.0f %.0f\n", signing, hashing);
    sigv4_free(s);
    return 0;
}
