/* What the files of the Lua binding share. */
#ifndef DRLUA_MODEL_BINDING_H
#define DRLUA_MODEL_BINDING_H

#include "model/message/message.h"

/* The largest part of a model that is packed, unpacked. */
#define PACKED_LIMIT ((size_t)64 << 20)

struct scratch *scratch_take(lua_State *L);
void scratch_give(lua_State *L, int at);
void codec_loose(lua_State *L, struct codec *c, struct scratch *s);
void set_functions(lua_State *L, const luaL_Reg *list);
/* Registers the metatables; native.json needs them too. */
void model_prepare(lua_State *L);

struct model *check_model(lua_State *L);
/* Pushes nil, message, kind; returns 3. */
int push_failed(lua_State *L, const char *why, const char *kind);
/* The packed part of the model in argument 1, decoded once and then kept. */
int push_packed(lua_State *L, enum cold which, const char *key);
bool read_packed(struct codec *c, struct span t);
/* Undoes model.pack into the scratch's `extra`. */
bool unpack_part(struct codec *c, struct part part, struct span *out);

extern const luaL_Reg model_queries[], model_descriptions[], model_messages[];

#endif
