/* Signing of HTTP requests on their way out, without a detour through Lua's tables. */
#ifndef DRLUA_SIGNING_H
#define DRLUA_SIGNING_H

#include "http/transfer.h"

#include <lua.h>

/* Pushes a new signer: a userdata with its own cache of keys. */
void signing_push(lua_State *L);
/* Signs the request whose header lines are in `transfer` by the table at `index` (see http.c)
 * with the signer at `signer`, and adds the signature's lines. Raises when the table is wrong. */
void signing_apply(lua_State *L, int signer, int index, struct transfer *transfer,
                   const char *method, const char *url, const char *body, size_t body_size);

#endif
