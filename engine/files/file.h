/* Whole files, for native.fs. */
#ifndef DRLUA_FILE_H
#define DRLUA_FILE_H

#include <lua.h>

/* read(path) -> contents */
int file_read(lua_State *L);
/* write(path, data, {mode=, atomic=, append=}) -> true, when it is on the disk */
int file_write(lua_State *L);
/* overwrite(path, offset, data) -> true: replaces the bytes from this offset on in an existing
 * file. It survives the process, but a power cut only after sync. */
int file_overwrite(lua_State *L);
/* sync(path) -> true; a file, or a directory after a rename in it */
int file_sync(lua_State *L);

#endif
