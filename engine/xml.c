/* native.xml: a document as nested tables, by expat.
 *
 * expat's callbacks write a flat list of events into a buffer; the tables are made
 * from it afterwards, so that no Lua error crosses expat. A document type is
 * refused: it is the way to entities that expand without end or read files. Depth
 * is limited. White space between elements is layout and left out; beside text it
 * is kept. */
#include "buffer.h"
#include "host.h"

#include <expat.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

static const char PARSE_META[] = "drlua.xml";
enum { DEPTH_LIMIT = 200 };
enum event { EVENT_START = 1, EVENT_ATTRIBUTE, EVENT_TEXT, EVENT_END };

struct parse {
    XML_Parser parser;
    struct buffer events;
    int depth;
    bool blank; /* the text event that is open has nothing but white space */
    size_t text_at; /* where its event begins; SIZE_MAX: none is open */
    const char *refusal;
};

static void refuse(struct parse *parse, const char *why)
{
    parse->refusal = why;
    XML_StopParser(parse->parser, XML_FALSE);
}

static void add_string(struct buffer *events, const char *text)
{
    buffer_add(events, text, strlen(text) + 1);
}

static void close_text(struct parse *parse, bool before_element)
{
    if (parse->text_at == SIZE_MAX)
        return;
    if (parse->blank && before_element)
        parse->events.size = parse->text_at;
    else
        buffer_add_char(&parse->events, 0);
    parse->text_at = SIZE_MAX;
}

static void on_start(void *cls, const char *name, const char **attributes)
{
    struct parse *parse = cls;
    close_text(parse, true);
    if (++parse->depth > DEPTH_LIMIT) {
        refuse(parse, "elements are nested too deep");
        return;
    }
    buffer_add_char(&parse->events, EVENT_START);
    add_string(&parse->events, name);
    for (; *attributes; attributes += 2) {
        buffer_add_char(&parse->events, EVENT_ATTRIBUTE);
        add_string(&parse->events, attributes[0]);
        add_string(&parse->events, attributes[1]);
    }
    if (parse->events.failed)
        refuse(parse, "out of memory");
}

/* White space before an end tag is layout when it follows a child element. */
static void on_end(void *cls, const char *name)
{
    struct parse *parse = cls;
    (void)name;
    bool after_element = parse->text_at != SIZE_MAX && parse->text_at > 0 &&
                         parse->events.data[parse->text_at - 1] == EVENT_END;
    close_text(parse, after_element);
    buffer_add_char(&parse->events, EVENT_END);
    parse->depth--;
}

static void on_text(void *cls, const char *text, int size)
{
    struct parse *parse = cls;
    if (parse->text_at == SIZE_MAX) {
        parse->text_at = parse->events.size;
        parse->blank = true;
        buffer_add_char(&parse->events, EVENT_TEXT);
    }
    for (int i = 0; i < size && parse->blank; i++)
        parse->blank = strchr(" \t\r\n", text[i]) != NULL;
    buffer_add(&parse->events, text, (size_t)size);
}

static void on_doctype(void *cls, const char *name, const char *system, const char *public, int own)
{
    (void)name, (void)system, (void)public, (void)own;
    refuse(cls, "a document type is not accepted");
}

static int parse_gc(lua_State *L)
{
    struct parse *parse = luaL_checkudata(L, 1, PARSE_META);
    if (parse->parser)
        XML_ParserFree(parse->parser);
    parse->parser = NULL;
    buffer_free(&parse->events);
    return 0;
}

static const char *push_string(lua_State *L, const char *at)
{
    lua_pushstring(L, at);
    return at + strlen(at) + 1;
}

/* Reads an attribute into the `attrs` of the element on top. */
static const char *build_attribute(lua_State *L, const char *at)
{
    lua_getfield(L, -1, "attrs");
    at = push_string(L, at);
    at = push_string(L, at);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return at;
}

/* Makes the tables; open elements lie on the stack, one above the other. */
static void build(lua_State *L, const struct buffer *events)
{
    const char *at = events->data, *end = at + events->size;
    luaL_checkstack(L, DEPTH_LIMIT + 8, "XML");
    int bottom = lua_gettop(L);
    while (at < end) {
        switch (*at++) {
        case EVENT_START:
            lua_createtable(L, 1, 2);
            at = push_string(L, at);
            lua_setfield(L, -2, "name");
            lua_newtable(L);
            lua_setfield(L, -2, "attrs");
            continue;
        case EVENT_ATTRIBUTE:
            at = build_attribute(L, at);
            continue;
        case EVENT_TEXT:
            at = push_string(L, at);
            break;
        default: /* an end: the finished element joins its parent */
            if (lua_gettop(L) == bottom + 1)
                return;
        }
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
}

static int push_fault(lua_State *L, const struct parse *parse)
{
    const char *why =
        parse->refusal ? parse->refusal : XML_ErrorString(XML_GetErrorCode(parse->parser));
    return push_failure(L, "invalid", "XML line %lu column %lu: %s",
                        (unsigned long)XML_GetCurrentLineNumber(parse->parser),
                        (unsigned long)XML_GetCurrentColumnNumber(parse->parser) + 1, why);
}

/* parse(s) -> {name=, attrs={k=v}, [1..n]=child or text}, or nil, message, "invalid". */
static int xml_parse(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size <= INT_MAX / 2, 1, "the document is too large");
    struct parse *parse = lua_newuserdatauv(L, sizeof *parse, 0);
    *parse = (struct parse){.text_at = SIZE_MAX};
    luaL_setmetatable(L, PARSE_META);
    parse->parser = XML_ParserCreate(NULL);
    if (!parse->parser)
        return luaL_error(L, "out of memory");
    XML_SetUserData(parse->parser, parse);
    XML_SetElementHandler(parse->parser, on_start, on_end);
    XML_SetCharacterDataHandler(parse->parser, on_text);
    XML_SetStartDoctypeDeclHandler(parse->parser, on_doctype);
    enum XML_Status status = XML_Parse(parse->parser, text, (int)size, 1);
    if (status != XML_STATUS_OK || parse->events.failed)
        return push_fault(L, parse);
    build(L, &parse->events);
    return 1;
}

/* escape(s) -> s as text or attribute value; bytes that XML cannot hold become U+FFFD. */
static int xml_escape(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        switch (c) {
        case '&': luaL_addstring(&out, "&amp;"); break;
        case '<': luaL_addstring(&out, "&lt;"); break;
        case '>': luaL_addstring(&out, "&gt;"); break;
        case '"': luaL_addstring(&out, "&quot;"); break;
        case '\'': luaL_addstring(&out, "&#39;"); break;
        case '\r': luaL_addstring(&out, "&#13;"); break;
        default:
            if (c < 32 && c != '\t' && c != '\n')
                luaL_addstring(&out, "\xef\xbf\xbd");
            else
                luaL_addchar(&out, (char)c);
        }
    }
    luaL_pushresult(&out);
    return 1;
}

int luaopen_native_xml(lua_State *L);
int luaopen_native_xml(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"parse", xml_parse}, {"escape", xml_escape}, {NULL, NULL}};
    luaL_newmetatable(L, PARSE_META);
    lua_pushcfunction(L, parse_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
