/* The headers of an HTTP message as they came over the wire. */
#ifndef DRLUA_HEADER_H
#define DRLUA_HEADER_H

#include "base/buffer.h"

struct header {
    struct span name, value;
};

/* Takes the next header off the front of the block of lines; false: there is none. Lines without
 * a colon are skipped. */
bool header_next(struct span *block, struct header *out);

#endif
