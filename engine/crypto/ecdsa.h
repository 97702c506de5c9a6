/* Signing with an elliptic-curve key that comes in a file (for native.crypto). */
#ifndef DRLUA_ECDSA_H
#define DRLUA_ECDSA_H

#include <lua.h>

/* crypto.es256(pem, text) -> signature (r and s, 64 bytes), x, y (32 bytes each): a signature as
 * JSON Web Tokens have it (RFC 7518, section 3.4) and the public key's coordinates; or nil,
 * message, "invalid" when the text is not a P-256 key. */
int crypto_es256(lua_State *L);

#endif
