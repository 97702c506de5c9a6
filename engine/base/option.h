/* Tables of options, as natives take them: `start{argv=..., cwd=...}`. An option
 * that is not known, or of the wrong type, is misuse and raises at once. */
#ifndef DRLUA_OPTION_H
#define DRLUA_OPTION_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Refuses keys of the table at `index` that are not in the list (ends with NULL);
 * the error names the key and the known ones. The index may hold nil. */
void option_check(lua_State *L, int index, const char *const known[]);

/* The option's text, or `fallback`. It stays valid as long as the table holds it. */
const char *option_string(lua_State *L, int index, const char *name, const char *fallback);
const char *option_bytes(lua_State *L, int index, const char *name, size_t *size);
double option_number(lua_State *L, int index, const char *name, double fallback);
lua_Integer option_integer(lua_State *L, int index, const char *name, lua_Integer fallback);
bool option_bool(lua_State *L, int index, const char *name, bool fallback);
/* Pushes the option and returns true when it is a table; pushes nothing and
 * returns false when it is absent. */
bool option_table(lua_State *L, int index, const char *name);

#endif
