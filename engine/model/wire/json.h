/* JSON: values both ways, by shape or freely, and its tokens. */
#ifndef DRLUA_MODEL_JSON_H
#define DRLUA_MODEL_JSON_H

#include "model/codec.h"

struct json {
    const char *start, *p, *end;
};
/* Typed by shapes; `body` leaves out members bound elsewhere. */
bool json_read(struct codec *c, struct json *in, struct slot *slot, bool body);
bool json_write(struct codec *c, struct slot *slot, int at, bool body);
void json_write_string(struct buffer *out, struct span t);
/* Untyped. */
bool json_read_any(struct codec *c, struct json *in);
bool json_write_any(struct codec *c, struct buffer *out, int at);
bool json_skip(struct codec *c, struct json *in);
char json_peek(struct json *in);
bool json_string(struct codec *c, struct json *in, struct span *t);
bool json_end(struct codec *c, struct json *in);
bool json_bad(struct codec *c, const struct json *in, const char *what);
bool json_is_array(lua_State *L, int at);
extern const char json_array_key;

/* Tokens; `in` moves past what was read. */
/* Skips the word (null, true, false); false when it is not there. */
bool json_word(struct json *in, const char *w);
/* A number: an exact integer when it is written as one and fits. */
bool json_number(struct codec *c, struct json *in, bool *integral, long long *n, double *d);
/* After a value: whether another follows before `close`; *ok: whether the text
 * was right. */
bool json_more(struct codec *c, struct json *in, char close, bool *ok);
/* A member's name and its colon. */
bool json_key(struct codec *c, struct json *in, struct span *name);
/* Opens { or [; false when it is empty (and then also closed). */
bool json_open(struct json *in, char close);

#endif
