/* Reading what a request claims about its signature, from the Authorization header or from a
 * presigned query, and judging its time. */
#include "sigv4/state.h"

#include <stdarg.h>
#include <stdio.h>

#define CLOCK_WINDOW 900 /* seconds, both ways */
#define LONGEST_EXPIRES 604800

/* Always returns false; the text lives in the state. */
static bool fault(struct sigv4 *s, struct sigv4_fault *f, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool fault(struct sigv4 *s, struct sigv4_fault *f, const char *code, const char *format, ...)
{
    va_list args;
    buffer_clear(&s->message);
    f->code = code;
    f->message = code;
    if (buffer_reserve(&s->message, 512)) {
        va_start(args, format);
        vsnprintf(s->message.data, 512, format, args);
        va_end(args);
        f->message = s->message.data;
    }
    return false;
}

static struct span cut(struct span *rest, char separator)
{
    const char *end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    struct span part = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->size};
    size_t taken = part.size + (end != NULL);
    if (taken > 0)
        *rest = (struct span){rest->data + taken, rest->size - taken};
    return part;
}

static bool has_prefix(struct span s, struct span prefix)
{
    return s.size >= prefix.size && memcmp(s.data, prefix.data, prefix.size) == 0;
}

static struct span after(struct span s, size_t count)
{
    return (struct span){s.data + count, s.size - count};
}

/* AKID/20150830/region/service/aws4_request, without the region in SigV4A. */
static bool parse_credential(struct sigv4 *s, struct span text, struct sigv4_claim *c,
                             struct sigv4_fault *f)
{
    struct span rest = text;
    c->access_key_id = cut(&rest, '/');
    c->date = cut(&rest, '/');
    if (!c->asymmetric)
        c->region = cut(&rest, '/');
    c->service = cut(&rest, '/');
    if (c->access_key_id.size == 0 || c->date.size != 8 || c->service.size == 0 ||
        (!c->asymmetric && c->region.size == 0))
        return fault(s, f, "IncompleteSignature",
                     "Credential must have at least %d slash-delimited elements, got '%.*s'",
                     c->asymmetric ? 4 : 5, (int)(text.size < 200 ? text.size : 200), text.data);
    if (!span_is(rest, SPAN("aws4_request")))
        return fault(s, f, "SignatureDoesNotMatch",
                     "Credential should be scoped with a valid terminator: 'aws4_request', "
                     "not '%.*s'",
                     (int)(rest.size < 200 ? rest.size : 200), rest.data);
    return true;
}

static bool lists_host(struct span signed_headers)
{
    while (signed_headers.size > 0) {
        struct span name = cut(&signed_headers, ';');
        if (span_is(name, SPAN("host")) || span_is(name, SPAN(":authority")))
            return true;
    }
    return false;
}

/* What both forms must have. */
static bool complete(struct sigv4 *s, struct span credential, struct sigv4_claim *c,
                     struct sigv4_fault *f)
{
    const char *where = c->presigned ? "AWS query-string parameters must include"
                                     : "Authorization header requires";
    const char *missing = credential.size == 0          ? "Credential"
                          : c->signed_headers.size == 0 ? "SignedHeaders"
                          : c->signature.size == 0      ? "Signature"
                                                        : NULL;
    int64_t seconds;
    if (missing != NULL)
        return fault(s, f, "IncompleteSignature", "%s a '%s' parameter.", where, missing);
    if (!sigv4_parse_time(c->time, &seconds))
        return fault(s, f, "IncompleteSignature",
                     "%s existence of a 'X-Amz-Date' of the form 20150830T123600Z.", where);
    if (!lists_host(c->signed_headers))
        return fault(s, f, "IncompleteSignature",
                     "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    if (!parse_credential(s, credential, c, f))
        return false;
    if (memcmp(c->date.data, c->time.data, 8) != 0)
        return fault(s, f, "SignatureDoesNotMatch",
                     "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                     "date from HTTP: '%.8s' != '%.8s', from '%.16s'.",
                     c->date.data, c->time.data, c->time.data);
    return true;
}

static bool parse_header(struct sigv4 *s, const struct sigv4_request *r, struct span text,
                         struct sigv4_claim *c, struct sigv4_fault *f)
{
    struct span algorithm = cut(&text, ' '), credential = {NULL, 0};
    c->asymmetric = span_is(algorithm, SPAN(SIGV4_ECDSA));
    if (!c->asymmetric && !span_is(algorithm, SPAN(SIGV4_HMAC)))
        return fault(s, f, "IncompleteSignature", "Unsupported AWS 'algorithm': '%.*s'.",
                     (int)(algorithm.size < 100 ? algorithm.size : 100), algorithm.data);
    while (text.size > 0) {
        struct span part = cut(&text, ',');
        while (part.size > 0 && part.data[0] == ' ')
            part = after(part, 1);
        if (has_prefix(part, SPAN("Credential=")))
            credential = after(part, 11);
        else if (has_prefix(part, SPAN("SignedHeaders=")))
            c->signed_headers = after(part, 14);
        else if (has_prefix(part, SPAN("Signature=")))
            c->signature = after(part, 10);
    }
    c->time = find_header(r, SPAN("x-amz-date"));
    if (c->time.size == 0)
        c->time = find_header(r, SPAN("date"));
    c->session_token = find_header(r, SPAN("x-amz-security-token"));
    if (c->asymmetric)
        c->region = find_header(r, SPAN("x-amz-region-set"));
    return complete(s, credential, c, f);
}

/* The decoded value of a query parameter; its buffer was reserved before. */
static struct span query_value(struct sigv4 *s, struct span query, struct span name)
{
    while (query.size > 0) {
        struct span value = cut(&query, '&');
        if (!span_is(cut(&value, '='), name))
            continue;
        size_t start = s->decoded.size;
        canonical_decode(&s->decoded, value);
        return (struct span){s->decoded.data + start, s->decoded.size - start};
    }
    return (struct span){NULL, 0};
}

static bool parse_expires(struct span text, int64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *seconds > LONGEST_EXPIRES)
            return false;
        *seconds = *seconds * 10 + (text.data[i] - '0');
    }
    return *seconds > 0 && *seconds <= LONGEST_EXPIRES;
}

static bool parse_query(struct sigv4 *s, struct span query, struct sigv4_claim *c,
                        struct sigv4_fault *f)
{
    struct span algorithm = query_value(s, query, SPAN("X-Amz-Algorithm"));
    struct span credential = query_value(s, query, SPAN("X-Amz-Credential"));
    c->presigned = true;
    c->asymmetric = span_is(algorithm, SPAN(SIGV4_ECDSA));
    if (!c->asymmetric && !span_is(algorithm, SPAN(SIGV4_HMAC)))
        return fault(s, f, "IncompleteSignature", "Unsupported AWS 'algorithm': '%.*s'.",
                     (int)(algorithm.size < 100 ? algorithm.size : 100),
                     algorithm.size > 0 ? algorithm.data : "");
    c->signed_headers = query_value(s, query, SPAN("X-Amz-SignedHeaders"));
    c->signature = query_value(s, query, SPAN("X-Amz-Signature"));
    c->time = query_value(s, query, SPAN("X-Amz-Date"));
    c->session_token = query_value(s, query, SPAN("X-Amz-Security-Token"));
    if (c->asymmetric)
        c->region = query_value(s, query, SPAN("X-Amz-Region-Set"));
    struct span expires = query_value(s, query, SPAN("X-Amz-Expires"));
    if (!parse_expires(expires, &c->expires))
        return fault(s, f, "AuthorizationQueryParametersError",
                     "X-Amz-Expires must be a number of seconds between 1 and %d (a week).",
                     LONGEST_EXPIRES);
    return complete(s, credential, c, f);
}

bool sigv4_parse(struct sigv4 *s, const struct sigv4_request *r, struct sigv4_claim *c,
                 struct sigv4_fault *f)
{
    struct span header = find_header(r, SPAN("authorization")), query = uri_query(r->uri);
    *c = (struct sigv4_claim){.expires = 0};
    if (header.size > 0)
        return parse_header(s, r, header, c, f);
    buffer_clear(&s->decoded);
    if (query.size > 0 && !buffer_reserve(&s->decoded, query.size))
        return fault(s, f, "ServiceUnavailable", "out of memory");
    if (query_value(s, query, SPAN("X-Amz-Algorithm")).size > 0 ||
        query_value(s, query, SPAN("X-Amz-Signature")).size > 0) {
        buffer_clear(&s->decoded);
        return parse_query(s, query, c, f);
    }
    return fault(s, f, "MissingAuthenticationToken", "Request is missing Authentication Token");
}

bool sigv4_check_time(struct sigv4 *s, const struct sigv4_claim *c, int64_t now,
                      struct sigv4_fault *f)
{
    int64_t at, first, last;
    char now_text[SIGV4_TIME_SIZE], limit[SIGV4_TIME_SIZE];
    if (!sigv4_parse_time(c->time, &at))
        return fault(s, f, "IncompleteSignature", "The request has no readable date.");
    first = at - CLOCK_WINDOW;
    last = at + (c->presigned ? c->expires : CLOCK_WINDOW);
    if (now >= first && now <= last)
        return true;
    if (is_s3(c->service) && !c->presigned)
        return fault(s, f, "RequestTimeTooSkewed",
                     "The difference between the request time and the current time is too large.");
    if (now > last && c->presigned && is_s3(c->service))
        return fault(s, f, "AccessDenied", "Request has expired");
    if (now > last && (c->presigned || span_is(c->service, SPAN("ec2"))))
        return fault(s, f, "RequestExpired", "Request has expired.");
    sigv4_format_time(now, now_text);
    sigv4_format_time(now > last ? now - CLOCK_WINDOW : now + CLOCK_WINDOW, limit);
    if (now > last)
        return fault(s, f, "SignatureDoesNotMatch",
                     "Signature expired: %.16s is now earlier than %.16s (%.16s - 15 min.)",
                     c->time.data, limit, now_text);
    return fault(s, f, "SignatureDoesNotMatch",
                 "Signature not yet current: %.16s is still later than %.16s (%.16s + 15 min.)",
                 c->time.data, limit, now_text);
}
