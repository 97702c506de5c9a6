/* Recomputing a signature that a request claims, and comparing. */
#include "crypto/encoding.h"
#include "sigv4/state.h"

#include <openssl/crypto.h>

static bool refuse(struct sigv4_fault *f, const char *code, const char *message)
{
    *f = (struct sigv4_fault){code, message};
    return false;
}

static bool mismatch(struct sigv4_fault *f)
{
    return refuse(f, "SignatureDoesNotMatch",
                  "The request signature we calculated does not match the signature you provided. "
                  "Check your AWS Secret Access Key and signing method. Consult the service "
                  "documentation for details.");
}

/* Takes the headers that the claim lists, with all values of each. One that the
 * request does not have counts as empty, and so fails the comparison. */
static bool claimed_headers(struct sigv4 *s, const struct sigv4_request *r,
                            const struct sigv4_claim *c)
{
    size_t listed = 1;
    for (size_t i = 0; i < c->signed_headers.size; i++)
        listed += c->signed_headers.data[i] == ';';
    size_t bytes = c->signed_headers.size;
    for (size_t i = 0; i < r->header_count; i++)
        bytes += r->headers[i].name.size;
    if (!canonical_headers_begin(s, listed + r->header_count, bytes))
        return false;
    struct span rest = c->signed_headers;
    while (rest.size > 0) {
        const char *end = memchr(rest.data, ';', rest.size);
        struct span name = {rest.data, end != NULL ? (size_t)(end - rest.data) : rest.size};
        size_t taken = name.size + (end != NULL), before = s->header_count;
        for (size_t i = 0; i < r->header_count; i++) {
            if (span_is_nocase(r->headers[i].name, name) &&
                !canonical_header(s, r->headers[i].name, r->headers[i].value))
                return false; /* names listed again and again */
        }
        if (s->header_count == before && !canonical_header(s, name, (struct span){NULL, 0}))
            return false;
        rest = (struct span){rest.data + taken, rest.size - taken};
    }
    canonical_headers_sort(s);
    buffer_clear(&s->signed_names);
    buffer_add_span(&s->signed_names, c->signed_headers);
    return true;
}

static bool is_digest(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return text.size == 2 * SHA256_SIZE;
}

/* The hash that the client used: the one it declares, once that is verified or is one of the
 * values for "not signed" and "signed in chunks". */
static bool claimed_hash(struct sigv4 *s, const struct sigv4_request *r,
                         const struct sigv4_claim *c, struct span *hash)
{
    struct span given = find_header(r, SPAN("x-amz-content-sha256"));
    if (given.size > 0 && !is_digest(given)) {
        *hash = given;
        return true;
    }
    if (given.size == 0 && c->presigned && is_s3(c->service)) {
        *hash = SPAN(SIGV4_UNSIGNED);
        return true;
    }
    *hash = body_hash(s, r->body);
    return given.size == 0 || span_is(given, *hash);
}

static bool compare(struct sigv4 *s, const struct sigv4_request *r, const struct sigv4_claim *c)
{
    unsigned char raw[SHA256_SIZE], given[SHA256_SIZE];
    if (c->asymmetric)
        return asymmetric_verify(s, &r->credentials, buffer_span(&s->to_sign), c->signature);
    if (c->signature.size != 2 * sizeof raw ||
        !hex_decode(c->signature.data, c->signature.size, given))
        return false;
    const struct hmac_key *key =
        key_derive(s, r->credentials.secret_access_key, c->date, c->region, c->service);
    hmac_sign(key, s->to_sign.data, s->to_sign.size, raw);
    return CRYPTO_memcmp(raw, given, sizeof raw) == 0;
}

bool sigv4_check(struct sigv4 *s, const struct sigv4_request *request,
                 const struct sigv4_claim *c, struct span secret, struct sigv4_fault *f)
{
    struct sigv4_request r = *request;
    struct span hash, query = uri_query(r.uri);
    r.credentials = (struct sigv4_credentials){c->access_key_id, secret, c->session_token};
    r.region = c->region;
    r.service = c->service;
    r.time = c->time;
    r.asymmetric = c->asymmetric;
    r.normalize_path = r.double_encode = !is_s3(c->service);
    if (secret.size == 0)
        return mismatch(f);
    if (!claimed_headers(s, &r, c))
        return mismatch(f);
    if (!claimed_hash(s, &r, c, &hash))
        return refuse(f, "XAmzContentSHA256Mismatch",
                      "The provided 'x-amz-content-sha256' header does not match what was "
                      "computed.");
    if (!canonical_query_begin(s, query, 0, 0))
        return refuse(f, "ServiceUnavailable", "out of memory");
    struct span left_out = c->presigned ? SPAN("X-Amz-Signature") : (struct span){NULL, 0};
    canonical_query_split(s, query, left_out);
    canonical_write(s, &r, hash);
    write_string_to_sign(s, &r);
    if (s->canonical.failed || s->to_sign.failed)
        return refuse(f, "ServiceUnavailable", "out of memory");
    return compare(s, &r, c) || mismatch(f);
}
