/* Signing: from a request to its canonical form, the string to sign, the
 * signature, and the headers or the URI that carry it. */
#include "crypto/encoding.h"
#include "sigv4/state.h"

#include <openssl/crypto.h>
#include <stdlib.h>

static const char no_memory[] = "out of memory while signing";

struct sigv4 *sigv4_new(void)
{
    return calloc(1, sizeof(struct sigv4));
}

void sigv4_free(struct sigv4 *s)
{
    if (s == NULL)
        return;
    keys_wipe(s);
    asymmetric_wipe(s);
    struct buffer *buffers[] = {&s->canonical, &s->to_sign,       &s->names,   &s->signed_names,
                                &s->query,     &s->credential,    &s->decoded, &s->message,
                                &s->signature, &s->authorization, NULL};
    for (size_t i = 0; buffers[i] != NULL; i++)
        buffer_wipe(buffers[i]); /* they may hold a session token */
    free(s->headers);
    free(s->pairs);
    free(s);
}

static const struct span replaced[] = {
    {"authorization", 13},
    {"x-amz-date", 10},
    {"x-amz-security-token", 20},
    {"x-amz-region-set", 16},
};

bool sigv4_replaces(struct span name)
{
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++)
        if (span_is_nocase(name, replaced[i]))
            return true;
    return false;
}

struct span find_header(const struct sigv4_request *r, struct span lower_case)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (span_is_nocase(r->headers[i].name, lower_case))
            return r->headers[i].value;
    return (struct span){NULL, 0};
}

struct span body_hash(struct sigv4 *s, struct span body)
{
    unsigned char raw[SHA256_SIZE];
    digest_sha256(body.data, body.size, raw);
    hex_encode(raw, sizeof raw, s->body_hash);
    return (struct span){s->body_hash, sizeof s->body_hash};
}

/* The services that take S3's paths as they come and presign without a body. */
bool is_s3(struct span service)
{
    return span_is(service, SPAN("s3")) || span_is(service, SPAN("s3-outposts")) ||
           span_is(service, SPAN("s3express")) || span_is(service, SPAN("s3-object-lambda"));
}

/* The last line of the canonical request. */
struct span payload_hash(struct sigv4 *s, const struct sigv4_request *r)
{
    if (r->payload_hash.size > 0)
        return r->payload_hash;
    struct span given = find_header(r, SPAN("x-amz-content-sha256"));
    if (given.size > 0)
        return given;
    if (r->expires > 0 && is_s3(r->service))
        return SPAN(SIGV4_UNSIGNED);
    return body_hash(s, r->body);
}

static void add_result(struct sigv4_result *out, struct span name, struct span value)
{
    out->added[out->added_count++] = (struct sigv4_header){name, value};
}

/* The headers that header signing writes, but for Authorization. */
static void own_headers(const struct sigv4_request *r, struct span hash, struct sigv4_result *out)
{
    if (r->credentials.session_token.size > 0 && !r->omit_session_token)
        add_result(out, SPAN("X-Amz-Security-Token"), r->credentials.session_token);
    add_result(out, SPAN("X-Amz-Date"), r->time);
    if (r->asymmetric)
        add_result(out, SPAN("X-Amz-Region-Set"), r->region);
    if (r->sign_body_header && find_header(r, SPAN("x-amz-content-sha256")).size == 0)
        add_result(out, SPAN("x-amz-content-sha256"), hash);
}

static const char *write_header_names(struct sigv4 *s, const struct sigv4_request *r,
                                      const struct sigv4_result *out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < r->header_count; i++)
        bytes += r->headers[i].name.size;
    for (size_t i = 0; i < out->added_count; i++)
        bytes += out->added[i].name.size;
    if (!canonical_headers_begin(s, r->header_count + out->added_count, bytes))
        return no_memory;
    for (size_t i = 0; i < r->header_count; i++) {
        if (sigv4_replaces(r->headers[i].name))
            continue;
        if (!canonical_header(s, r->headers[i].name, r->headers[i].value))
            return no_memory;
        if (canonical_is_unsigned(s->headers[s->header_count - 1].name))
            s->header_count--;
    }
    for (size_t i = 0; i < out->added_count; i++)
        if (!canonical_header(s, out->added[i].name, out->added[i].value))
            return no_memory;
    canonical_headers_sort(s);
    return NULL;
}

/* date/region/service/aws4_request; SigV4A has no region in it. */
static void write_scope(struct buffer *b, const struct sigv4_request *r)
{
    buffer_add(b, r->time.data, 8);
    buffer_add_char(b, '/');
    if (!r->asymmetric) {
        buffer_add_span(b, r->region);
        buffer_add_char(b, '/');
    }
    buffer_add_span(b, r->service);
    buffer_add(b, "/aws4_request", 13);
}

static void write_credential(struct sigv4 *s, const struct sigv4_request *r)
{
    buffer_clear(&s->credential);
    buffer_add_span(&s->credential, r->credentials.access_key_id);
    buffer_add_char(&s->credential, '/');
    write_scope(&s->credential, r);
}

static struct span algorithm(const struct sigv4_request *r)
{
    return r->asymmetric ? SPAN(SIGV4_ECDSA) : SPAN(SIGV4_HMAC);
}

void write_string_to_sign(struct sigv4 *s, const struct sigv4_request *r)
{
    unsigned char raw[SHA256_SIZE];
    char hex[2 * SHA256_SIZE];
    struct buffer *b = &s->to_sign;
    digest_sha256(s->canonical.data, s->canonical.size, raw);
    hex_encode(raw, sizeof raw, hex);
    buffer_clear(b);
    buffer_add_span(b, algorithm(r));
    buffer_add_char(b, '\n');
    buffer_add_span(b, r->time);
    buffer_add_char(b, '\n');
    write_scope(b, r);
    buffer_add_char(b, '\n');
    buffer_add(b, hex, sizeof hex);
}

/* Pairs of a presigned query, in the order in which they are sent. */
struct presign {
    struct sigv4_header pairs[8];
    size_t count;
    char expires[24];
};

static void presign_add(struct presign *p, struct span name, struct span value)
{
    p->pairs[p->count++] = (struct sigv4_header){name, value};
}

static void presign_pairs(struct sigv4 *s, const struct sigv4_request *r, struct presign *p)
{
    char *end = p->expires + sizeof p->expires, *start = end;
    for (int64_t n = r->expires; n > 0; n /= 10)
        *--start = (char)('0' + n % 10);
    presign_add(p, SPAN("X-Amz-Algorithm"), algorithm(r));
    presign_add(p, SPAN("X-Amz-Credential"), buffer_span(&s->credential));
    presign_add(p, SPAN("X-Amz-Date"), r->time);
    presign_add(p, SPAN("X-Amz-SignedHeaders"), buffer_span(&s->signed_names));
    presign_add(p, SPAN("X-Amz-Expires"), (struct span){start, (size_t)(end - start)});
    if (r->credentials.session_token.size > 0 && !r->omit_session_token)
        presign_add(p, SPAN("X-Amz-Security-Token"), r->credentials.session_token);
    if (r->asymmetric)
        presign_add(p, SPAN("X-Amz-Region-Set"), r->region);
}

static bool write_pairs(struct sigv4 *s, const struct sigv4_request *r, const struct presign *p)
{
    struct span query = uri_query(r->uri);
    size_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += p->pairs[i].name.size + 3 * p->pairs[i].value.size;
    if (!canonical_query_begin(s, query, p->count, bytes))
        return false;
    canonical_query_split(s, query, (struct span){NULL, 0});
    for (size_t i = 0; i < p->count; i++)
        canonical_query_add(s, p->pairs[i].name, p->pairs[i].value);
    return true;
}

static const char *write_signature(struct sigv4 *s, const struct sigv4_request *r)
{
    buffer_clear(&s->signature);
    if (s->canonical.failed || s->to_sign.failed || s->credential.failed ||
        s->signed_names.failed || s->query.failed)
        return no_memory;
    if (r->asymmetric)
        return asymmetric_sign(s, &r->credentials) ? NULL : "cannot make a SigV4A signature";
    unsigned char raw[SHA256_SIZE];
    const struct span date = {r->time.data, 8};
    const struct hmac_key *key =
        key_derive(s, r->credentials.secret_access_key, date, r->region, r->service);
    hmac_sign(key, s->to_sign.data, s->to_sign.size, raw);
    if (!buffer_reserve(&s->signature, 2 * sizeof raw))
        return no_memory;
    hex_encode(raw, sizeof raw, s->signature.data);
    s->signature.size = 2 * sizeof raw;
    return NULL;
}

static void write_authorization(struct sigv4 *s, const struct sigv4_request *r)
{
    struct buffer *b = &s->authorization;
    buffer_clear(b);
    buffer_add_span(b, algorithm(r));
    buffer_add_span(b, SPAN(" Credential="));
    buffer_add_span(b, buffer_span(&s->credential));
    buffer_add_span(b, SPAN(", SignedHeaders="));
    buffer_add_span(b, buffer_span(&s->signed_names));
    buffer_add_span(b, SPAN(", Signature="));
    buffer_add_span(b, buffer_span(&s->signature));
}

static void write_presigned_uri(struct sigv4 *s, const struct sigv4_request *r,
                                struct presign *p)
{
    struct buffer *b = &s->authorization;
    presign_add(p, SPAN("X-Amz-Signature"), buffer_span(&s->signature));
    buffer_clear(b);
    buffer_add_span(b, r->uri);
    char separator = '&';
    if (uri_path(r->uri).size == r->uri.size)
        separator = '?';
    else if (uri_query(r->uri).size == 0) /* it ends with its question mark */
        separator = '\0';
    for (size_t i = 0; i < p->count; i++) {
        if (separator != '\0')
            buffer_add_char(b, separator);
        buffer_add_span(b, p->pairs[i].name);
        buffer_add_char(b, '=');
        canonical_encode(b, p->pairs[i].value);
        separator = '&';
    }
    if (r->credentials.session_token.size > 0 && r->omit_session_token) {
        buffer_add_span(b, SPAN("&X-Amz-Security-Token="));
        canonical_encode(b, r->credentials.session_token);
    }
}

static const char *check_request(const struct sigv4_request *r)
{
    if (r->method.size == 0)
        return "the request has no method";
    if (r->credentials.access_key_id.size == 0 || r->credentials.secret_access_key.size == 0)
        return "the credentials have no access key id or no secret access key";
    if (r->region.size == 0 || r->service.size == 0)
        return "signing needs a region and a service";
    if (!sigv4_is_time(r->time))
        return "the time to sign at is not of the form 20150830T123600Z";
    if (find_header(r, SPAN("host")).size == 0 && find_header(r, SPAN(":authority")).size == 0)
        return "the request has no Host header, which must be signed";
    return NULL;
}

static void fill_result(struct sigv4 *s, const struct sigv4_request *r, struct sigv4_result *out)
{
    out->canonical_request = buffer_span(&s->canonical);
    out->string_to_sign = buffer_span(&s->to_sign);
    out->signature = buffer_span(&s->signature);
    out->signed_headers = buffer_span(&s->signed_names);
    if (r->expires > 0) {
        out->uri = buffer_span(&s->authorization);
        return;
    }
    out->uri = r->uri;
    add_result(out, SPAN("Authorization"), buffer_span(&s->authorization));
    if (r->credentials.session_token.size > 0 && r->omit_session_token)
        add_result(out, SPAN("X-Amz-Security-Token"), r->credentials.session_token);
}

const char *sigv4_sign(struct sigv4 *s, const struct sigv4_request *r, struct sigv4_result *out)
{
    struct presign presign = {.count = 0};
    const char *fault = check_request(r);
    *out = (struct sigv4_result){.added_count = 0};
    if (fault != NULL)
        return fault;
    struct span hash = payload_hash(s, r);
    if (r->expires <= 0)
        own_headers(r, hash, out);
    fault = write_header_names(s, r, out);
    if (fault != NULL)
        return fault;
    write_credential(s, r);
    if (r->expires > 0)
        presign_pairs(s, r, &presign);
    if (!write_pairs(s, r, &presign))
        return no_memory;
    canonical_write(s, r, hash);
    write_string_to_sign(s, r);
    fault = write_signature(s, r);
    if (fault != NULL)
        return fault;
    if (r->expires > 0)
        write_presigned_uri(s, r, &presign);
    else
        write_authorization(s, r);
    if (s->authorization.failed)
        return no_memory;
    fill_result(s, r, out);
    return NULL;
}
