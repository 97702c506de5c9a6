/* The native modules: `require "native.NAME"`. */
#ifndef DRLUA_MODULES_H
#define DRLUA_MODULES_H

#include <lua.h>

/* Puts every native module into package.preload. */
void modules_preload(lua_State *L);

#endif
