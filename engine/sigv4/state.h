/* What the files of sigv4/ share: the state and its parts. */
#ifndef DRLUA_SIGV4_STATE_H
#define DRLUA_SIGV4_STATE_H

#include "crypto/digest.h"
#include "sigv4/sigv4.h"

#include <openssl/evp.h>

/* A header under its lower-case name. */
struct signed_header {
    struct span name, value;
};

/* One pair of a query, both sides percent-encoded. */
struct pair {
    struct span name, value;
};

#define KEY_SETS 16
#define KEY_WAYS 4
#define PAIRS 4

/* A derived signing key under what it was derived from, joined by line feeds. */
struct cached_key {
    struct hmac_key key;
    unsigned char size; /* of id; 0: empty */
    char id[207];
};

/* An ECDSA key pair, under its access key and secret. */
struct cached_pair {
    EVP_PKEY *pair;
    struct buffer id;
};

struct sigv4 {
    struct buffer canonical;     /* the canonical request */
    struct buffer to_sign;       /* the string to sign */
    struct buffer names;         /* lower-case names of headers */
    struct buffer signed_names;  /* a;b;c */
    struct buffer query;         /* encoded pairs, unsorted */
    struct buffer credential;    /* AKID/20150830/region/service/aws4_request */
    struct buffer authorization; /* the header's value, or the presigned URI */
    struct buffer decoded;       /* query values of a claim */
    struct buffer message;       /* of a fault */
    struct buffer signature;
    struct signed_header *headers;
    size_t header_count, header_capacity;
    struct pair *pairs;
    size_t pair_count, pair_capacity;
    char body_hash[2 * SHA256_SIZE];
    struct cached_key keys[KEY_SETS][KEY_WAYS];
    unsigned char next_way[KEY_SETS];
    struct cached_pair key_pairs[PAIRS];
    size_t next_pair;
};

/* canonical.c: the pieces of a canonical request. All report out-of-memory by
 * their buffer's `failed`, or by false. */
bool canonical_is_unsigned(struct span name); /* headers that never are signed */
bool canonical_headers_begin(struct sigv4 *, size_t count, size_t name_bytes);
/* false when these are more than canonical_headers_begin reserved. */
bool canonical_header(struct sigv4 *, struct span name, struct span value);
void canonical_headers_sort(struct sigv4 *); /* and writes signed_names */
bool canonical_query_begin(struct sigv4 *, struct span query, size_t extra_pairs,
                           size_t extra_bytes);
void canonical_query_add(struct sigv4 *, struct span name, struct span value);
/* The request's own pairs, but for one of the name `except`. */
void canonical_query_split(struct sigv4 *, struct span query, struct span except);
void canonical_write(struct sigv4 *, const struct sigv4_request *, struct span payload_hash);
void canonical_encode(struct buffer *, struct span text);        /* percent-encodes */
void canonical_decode(struct buffer *, struct span text);        /* the opposite */
struct span uri_path(struct span uri);
struct span uri_query(struct span uri);
bool span_is(struct span a, struct span b);
bool span_is_nocase(struct span a, struct span lower);

/* key.c */
const struct hmac_key *key_derive(struct sigv4 *, struct span secret, struct span date,
                                  struct span region, struct span service);
void keys_wipe(struct sigv4 *);

/* asymmetric.c */
EVP_PKEY *asymmetric_key(struct sigv4 *, const struct sigv4_credentials *);
/* Appends the signature, DER in hexadecimal. */
bool asymmetric_sign(struct sigv4 *, const struct sigv4_credentials *);
/* Whether a signature, DER in hexadecimal, is one of the text by the key pair. */
bool asymmetric_verify(struct sigv4 *, const struct sigv4_credentials *, struct span text,
                       struct span signature);
void asymmetric_wipe(struct sigv4 *);

/* sign.c */
bool is_s3(struct span service);
struct span find_header(const struct sigv4_request *, struct span lower_case_name);
struct span body_hash(struct sigv4 *, struct span body);
struct span payload_hash(struct sigv4 *, const struct sigv4_request *);
void write_string_to_sign(struct sigv4 *, const struct sigv4_request *);

#endif
