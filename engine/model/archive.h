/* The archive of compiled models: a sorted index and the models, mapped with
 * the program and read only where it is used. */
#ifndef DRLUA_MODEL_ARCHIVE_H
#define DRLUA_MODEL_ARCHIVE_H

#include "model/text.h"

struct archive {
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
};

/* The archive linked into the program; empty in the first stage of the build. */
struct archive archive_builtin(void);
bool archive_open(struct archive *a, const void *bytes, size_t size);
bool archive_entry(const struct archive *a, uint32_t i, struct span *name, struct span *model);
bool archive_find(const struct archive *a, struct span name, struct span *model);

#endif
