/* CBOR (RFC 8949): values both ways, by shape or freely. */
#ifndef DRLUA_MODEL_CBOR_H
#define DRLUA_MODEL_CBOR_H

#include "model/codec.h"

struct cbor {
    const uint8_t *start, *p, *end;
};
bool cbor_read(struct codec *c, struct cbor *in, struct slot *slot);
bool cbor_read_any(struct codec *c, struct cbor *in);
bool cbor_write(struct codec *c, struct slot *slot, int at);
bool cbor_write_any(struct codec *c, struct buffer *out, int at);

#endif
