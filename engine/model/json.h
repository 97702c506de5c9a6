/* Tokens of JSON; `in` moves past what was read. */
#ifndef DRLUA_MODEL_JSON_H
#define DRLUA_MODEL_JSON_H

#include "codec.h"

/* Passes over the word (null, true, false); false when it is not there. */
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
