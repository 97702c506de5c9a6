/* Texts that become C strings: paths, names, statements. A zero byte would cut them short
 * silently, so it is refused with an error that names the argument. Every native reads such a
 * text here or by option_string (option.h); scripts/lint.lua refuses luaL_checkstring and its kin
 * anywhere else. */
#ifndef DRLUA_ARGUMENT_H
#define DRLUA_ARGUMENT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* True when the text is longer than C sees it. */
bool has_zero_byte(const char *text, size_t size);

/* The argument as a C string; it stays valid as long as the stack holds it. */
const char *argument_text(lua_State *L, int argument);
const char *argument_text_or(lua_State *L, int argument, const char *fallback);
/* The index of the argument in a list that ends with NULL. fallback as in luaL_checkoption. */
int argument_option(lua_State *L, int argument, const char *fallback, const char *const list[]);
/* The string or number at any stack index, which it may turn into a string; `what`
 * names it in the error. NULL: it is neither. */
const char *stack_text(lua_State *L, int index, const char *what);

#endif
