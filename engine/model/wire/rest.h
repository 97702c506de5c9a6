/* The parts of a message that REST protocols bind elsewhere: URI, headers, payload. */
#ifndef DRLUA_MODEL_REST_H
#define DRLUA_MODEL_REST_H

#include "model/codec.h"

void set_header(struct codec *c, struct span name, struct span value);
bool rest_write_uri(struct codec *c, struct operation *op, int input);
bool rest_write_headers(struct codec *c, struct shape *s, int at);
/* The body, in c->out or (a string or {file=}) as a Lua value: *value is then
 * its stack index. */
bool rest_write_body(struct codec *c, struct slot *root, int at, int *value);
/* The name of a payload's element in XML. */
struct span rest_payload_name(struct slot *slot, struct shape *s);
bool rest_read_headers(struct codec *c, struct shape *s, const struct header *headers, size_t count,
                       int status, int into);
bool rest_read_body(struct codec *c, struct shape *s, struct span body, int into);

#endif
