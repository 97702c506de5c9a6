/* Sealing small values with a key: AES-256-GCM (for native.crypto). */
#ifndef DRLUA_SEAL_H
#define DRLUA_SEAL_H

#include <lua.h>

/* crypto.seal(key, nonce, text, bound) -> cipher text and tag. */
int seal_close(lua_State *L);
/* crypto.open(key, nonce, sealed, bound) -> text; or nil, message, "invalid". */
int seal_open(lua_State *L);

#endif
