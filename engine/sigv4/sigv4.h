/* AWS Signature Version 4 (HMAC) and 4A (ECDSA P-256), signing and checking.
 *
 * Everything works on spans that the caller owns and fills; results point into
 * the `struct sigv4` that made them and hold until its next use. The struct
 * keeps its buffers and the derived signing keys between requests, so that a
 * signature with a warm key costs its hashes and little more; one struct serves
 * one thread. Keys are wiped when they leave the cache and when it is freed.
 *
 * Source: "Create a signed AWS API request", IAM User Guide; the details that it
 * leaves open (which headers to sign, folding, empty values) follow AWS's own
 * test suite.
 */
#ifndef DRLUA_SIGV4_H
#define DRLUA_SIGV4_H

#include "base/buffer.h"

#include <stdint.h>

#define SIGV4_TIME_SIZE 16 /* 20150830T123600Z */
#define SIGV4_HMAC "AWS4-HMAC-SHA256"
#define SIGV4_ECDSA "AWS4-ECDSA-P256-SHA256"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

struct sigv4;

struct sigv4_header {
    struct span name, value;
};

struct sigv4_credentials {
    struct span access_key_id, secret_access_key, session_token;
};

struct sigv4_request {
    struct span method, uri; /* path and query, as they will be sent */
    const struct sigv4_header *headers;
    size_t header_count;
    struct span body;
    struct span payload_hash; /* given: used as the body's hash (UNSIGNED-PAYLOAD...) */
    struct span region;       /* with asymmetric: the region set, "us-east-1" or "*" */
    struct span service;
    struct sigv4_credentials credentials;
    struct span time;        /* SIGV4_TIME_SIZE characters */
    int64_t expires;         /* seconds; above 0: sign the query (presign) */
    bool normalize_path;     /* false for S3 */
    bool double_encode;      /* false for S3 */
    bool sign_body_header;   /* adds x-amz-content-sha256 */
    bool omit_session_token; /* the token goes along unsigned */
    bool asymmetric;         /* SigV4A */
};

struct sigv4_result {
    struct span canonical_request, string_to_sign, signature, signed_headers;
    /* To send after the request's own headers, in this order. */
    struct sigv4_header added[6];
    size_t added_count;
    struct span uri; /* with the signature in it when presigned */
};

/* NULL when out of memory. */
struct sigv4 *sigv4_new(void);
void sigv4_free(struct sigv4 *);

/* Returns NULL, or a sentence that says what is wrong with the request. */
const char *sigv4_sign(struct sigv4 *, const struct sigv4_request *, struct sigv4_result *);

/* A header that signing writes itself: one of that name in the request is left
 * out of the signature, and must not be sent. */
bool sigv4_replaces(struct span header_name);

/* Writes a time (seconds since the epoch) in the form that signing uses. */
void sigv4_format_time(int64_t seconds, char out[SIGV4_TIME_SIZE]);
/* Whether a text has that form; its numbers may still be of no date. */
bool sigv4_is_time(struct span text);
/* Reads it; false when it is no such time. */
bool sigv4_parse_time(struct span text, int64_t *seconds);

/* What a request claims about its signature; filled by sigv4_parse. */
struct sigv4_claim {
    struct span access_key_id, region, service, date, session_token;
    struct span signed_headers, signature, time;
    int64_t expires; /* presigned: its life in seconds */
    bool presigned, asymmetric;
};

/* Why a request is refused: AWS's error code and a message. */
struct sigv4_fault {
    const char *code;
    const char *message;
};

/* Reads the Authorization header or the presigned query of a request (method,
 * uri, headers, body are used). false: see fault. */
bool sigv4_parse(struct sigv4 *, const struct sigv4_request *, struct sigv4_claim *,
                 struct sigv4_fault *);
/* Whether the claim's time is acceptable at `now`, seconds since the epoch. */
bool sigv4_check_time(struct sigv4 *, const struct sigv4_claim *, int64_t now,
                      struct sigv4_fault *);
/* Recomputes the signature with the secret and compares in constant time. Must
 * follow sigv4_parse of the same request. */
bool sigv4_check(struct sigv4 *, const struct sigv4_request *, const struct sigv4_claim *,
                 struct span secret_access_key, struct sigv4_fault *);

#endif
