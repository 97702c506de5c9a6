/* What readers and writers share: the call's context and the value rules.
 *
 * A reader turns a message into one Lua value left on the stack; a writer
 * appends a Lua value to c->out. Both return false with a sentence in
 * c->fault. Lua values are read raw, without metamethods. All memory is the
 * scratch userdata's or Lua's, so a Lua error (out of memory) leaks nothing;
 * no foreign frame (expat, zlib) is ever on the C stack when Lua is called. */
#ifndef DRLUA_MODEL_CODEC_H
#define DRLUA_MODEL_CODEC_H

#include <lauxlib.h>
#include <lua.h>

#include "base/header.h"
#include "model/model.h"

enum { MAX_DEPTH = 128 };

/* XML comes as a flat list of nodes in document order. A node knows where its
 * subtree ends, so children are walked without pointers and nothing needs to be
 * freed. Only the text of leaves is kept. */
struct xml_node {
    uint32_t name, name_length; /* into the source, see xml_source */
    uint32_t text, text_length;
    uint32_t next;       /* the node after this one's subtree */
    uint32_t attributes; /* nodes that follow and are attributes */
    uint32_t kids;
    bool decoded; /* its text stands in the text buffer */
};

struct form_node {
    struct span name, value;
    uint32_t kid, last_kid, sibling; /* 0: none */
    bool has_value;
};

struct XML_ParserStruct;

struct scratch {
    struct buffer body, text, path, extra, xml_text;
    const char *xml_source; /* where names and plain texts are; NULL: in the
                               text buffer, like all else */
    bool xml_prefixed; /* names may have a namespace's prefix */
    struct xml_node *nodes;
    size_t node_count, node_room;
    struct form_node *form;
    size_t form_count, form_room;
    struct header *headers; /* of a message that came in */
    size_t header_room;
    struct XML_ParserStruct *parser;
};

struct codec {
    lua_State *L;
    struct model *m;
    struct scratch *s;
    struct buffer *out;
    int names;   /* stack index of the table of names */
    int headers; /* of the table of headers being made */
    int token;   /* of the idempotency token, or 0 */
    enum protocol protocol;
    bool server;
    enum time_format place; /* of times where the model says nothing: a header, a URI */
    int depth;
    char fault[256];
};

bool codec_fault(struct codec *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One level deeper: room on the Lua stack, and a limit. */
bool codec_enter(struct codec *c);
static inline void codec_leave(struct codec *c)
{
    c->depth--;
}

static inline void push_text(lua_State *L, struct span t)
{
    lua_pushlstring(L, t.size ? t.data : "", t.size);
}

/* Pushes the member's name as a string made once per model. */
static inline void push_name(struct codec *c, const struct slot *slot)
{
    if (lua_rawgeti(c->L, c->names, slot->ref) != LUA_TSTRING) {
        lua_pop(c->L, 1);
        push_text(c->L, slot->name);
        lua_pushvalue(c->L, -1);
        lua_rawseti(c->L, c->names, slot->ref);
    }
}

static inline bool is_null(lua_State *L, int at)
{
    return lua_type(L, at) == LUA_TLIGHTUSERDATA && lua_touserdata(L, at) == NULL;
}

static inline void push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

/* Pushes the member's value from the table at `at`; false (and nothing pushed)
 * when it is absent or null. */
static inline bool get_member(struct codec *c, const struct slot *slot, int at)
{
    push_name(c, slot);
    int type = lua_rawget(c->L, at);
    if (type != LUA_TNIL && !(type == LUA_TLIGHTUSERDATA && is_null(c->L, -1)))
        return true;
    lua_pop(c->L, 1);
    /* An idempotency token of the input is filled in where it is absent. */
    if (!(slot->traits & SLOT_TOKEN) || c->token == 0 || c->depth > 1)
        return false;
    lua_pushvalue(c->L, c->token);
    return true;
}

static inline struct span get_text(lua_State *L, int at)
{
    struct span t = {"", 0};
    if (lua_type(L, at) == LUA_TSTRING)
        t.data = lua_tolstring(L, at, &t.size);
    return t;
}

/* Pushes the list of a table's string keys, sorted. */
void push_sorted_keys(lua_State *L, int at);

/* Scalars as text (time.c, scalar.c). */
enum time_format slot_time(const struct codec *c, const struct slot *slot, const struct shape *s,
                           enum time_format otherwise);
bool write_time(struct buffer *out, lua_State *L, int at, enum time_format format);
/* Pushes seconds since the epoch. */
bool read_time(lua_State *L, struct span t);
bool parse_time(struct span t, double *seconds);
void push_seconds(lua_State *L, double seconds);
double get_double(lua_State *L, int at);
long long get_integer(lua_State *L, int at);

/* A scalar as the text that XML, forms, headers and URIs use. */
bool write_scalar(struct codec *c, struct buffer *out, const struct slot *slot, struct shape *s,
                  int at, enum time_format otherwise);
bool read_scalar(struct codec *c, const struct slot *slot, struct shape *s, struct span t);
/* The same of a request, in the one form that services take (scalar_strict.c). */
bool strict_scalar(struct codec *c, const struct slot *slot, struct shape *s, struct span t);
bool strict_number(struct codec *c, const struct slot *slot, const struct shape *s, double n);
bool strict_string(struct codec *c, const struct slot *slot, const struct shape *s, struct span t);

#endif
