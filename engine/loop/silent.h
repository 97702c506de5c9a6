/* A line typed at the terminal without being shown (for native.terminal). */
#ifndef DRLUA_SILENT_H
#define DRLUA_SILENT_H

#include <lua.h>

/* terminal.secret(prompt) => text; or nil, message and "busy" (another one is asked for),
 * "closed" (the input ended), "full" (longer than a terminal's line), or what opening the
 * terminal gave. */
int silent_ask(lua_State *L);

#endif
