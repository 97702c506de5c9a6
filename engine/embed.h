/* Files compiled into the binary; the table is written by scripts/embed. */
#ifndef DRLUA_EMBED_H
#define DRLUA_EMBED_H

#include <stddef.h>

struct embedded {
    const char *name; /* as "stdlib/task.lua", sorted */
    const char *data;
    const char *end;
};

extern const struct embedded embedded_files[];
extern const size_t embedded_count;

/* The same files compiled by Lua (scripts/compile_chunks.lua), in the plain build. */
extern const struct embedded compiled_files[];
extern const size_t compiled_count;

/* The file of that name, or NULL. */
const struct embedded *embed_find(const char *name);
/* Its compiled form, or NULL. */
const struct embedded *embed_find_compiled(const char *name);

#endif
