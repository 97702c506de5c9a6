/* The small text forms that every protocol needs, appended to a buffer, and
 * comparisons of spans. */
#ifndef DRLUA_MODEL_TEXT_H
#define DRLUA_MODEL_TEXT_H

#include <stdint.h>

#include "base/buffer.h"

void add_int(struct buffer *b, long long value);
/* The shortest decimal text that reads back as the same double. */
void add_double(struct buffer *b, double value);
void add_base64(struct buffer *b, struct span bytes);
/* Appends the decoded bytes; false when the text is not base64. */
bool add_unbase64(struct buffer *b, struct span text);
/* Percent-encodes all but RFC 3986's unreserved characters. */
void add_percent(struct buffer *b, struct span text, bool keep_slash);
/* The same for a form's value: a space is a plus sign, as in every HTTP library. */
void add_form(struct buffer *b, struct span text);

static inline void add_str(struct buffer *b, const char *s)
{
    buffer_add(b, s, strlen(s));
}

static inline struct span text_of(const char *s)
{
    return (struct span){s, strlen(s)};
}

static inline bool text_eq(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool text_is(struct span a, const char *s)
{
    return text_eq(a, text_of(s));
}

/* Length of the UTF-8 sequence at p (RFC 3629), 0 when there is none. */
size_t utf8_sequence(const char *p, const char *end);
/* Whether the text is UTF-8; counts its characters. */
bool text_is_utf8(struct span t, size_t *characters);
bool text_caseless_eq(struct span a, struct span b);
bool text_caseless_prefix(struct span a, struct span prefix);
struct span text_trim(struct span t);

#endif
