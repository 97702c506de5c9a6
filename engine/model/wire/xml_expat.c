/* Any XML into nodes, by expat: for what the quick scanner (xml_scan.c) does not take.
 *
 * expat's callbacks only fill the scratch's buffers. A document type is refused: no AWS response
 * has one, and entities could be used to exhaust memory. */
#include <expat.h>
#include <stdlib.h>

#include "model/wire/xml.h"

struct scan {
    struct scratch *s;
    XML_Parser parser;
    uint32_t open[MAX_XML_DEPTH];
    int depth;
    const char *fault;
};

static void stop(struct scan *x, const char *why)
{
    if (x->fault == NULL)
        x->fault = why;
    XML_StopParser(x->parser, XML_FALSE);
}

static struct xml_node *add_node(struct scan *x, const char *name)
{
    struct scratch *s = x->s;
    struct xml_node *node = xml_add_node(s);
    if (node == NULL) {
        stop(x, "out of memory");
        return NULL;
    }
    node->name = (uint32_t)s->xml_text.size;
    add_str(&s->xml_text, name);
    node->name_length = (uint32_t)s->xml_text.size - node->name;
    node->text = (uint32_t)s->xml_text.size;
    if (s->xml_text.failed || s->xml_text.size > UINT32_MAX / 2)
        stop(x, "out of memory");
    return node;
}

static void on_start(void *data, const char *name, const char **attributes)
{
    struct scan *x = data;
    struct scratch *s = x->s;
    if (x->depth >= MAX_XML_DEPTH) {
        stop(x, "nested too deeply");
        return;
    }
    if (x->depth > 0) {
        struct xml_node *parent = &s->nodes[x->open[x->depth - 1]];
        if (parent->kids++ == 0) {
            s->xml_text.size = parent->text; /* text between children means nothing */
            parent->text_length = 0;
        }
    }
    uint32_t self = (uint32_t)s->node_count;
    if (add_node(x, name) == NULL)
        return;
    for (; *attributes != NULL; attributes += 2) {
        struct xml_node *node = add_node(x, attributes[0]);
        if (node == NULL)
            return;
        add_str(&s->xml_text, attributes[1]);
        node->text_length = (uint32_t)s->xml_text.size - node->text;
        s->nodes[self].attributes++;
    }
    s->nodes[self].text = (uint32_t)s->xml_text.size;
    x->open[x->depth++] = self;
}

static void on_end(void *data, const char *name)
{
    struct scan *x = data;
    (void)name;
    if (x->depth > 0)
        x->s->nodes[x->open[--x->depth]].next = (uint32_t)x->s->node_count;
}

static void on_text(void *data, const char *text, int length)
{
    struct scan *x = data;
    struct scratch *s = x->s;
    if (x->depth == 0 || length <= 0)
        return;
    struct xml_node *node = &s->nodes[x->open[x->depth - 1]];
    if (node->kids > 0)
        return;
    buffer_add(&s->xml_text, text, (size_t)length);
    node->text_length = (uint32_t)s->xml_text.size - node->text;
}

static void on_doctype(void *data, const char *name, const char *sysid, const char *pubid,
                       int internal)
{
    (void)name, (void)sysid, (void)pubid, (void)internal;
    stop(data, "a document type is not allowed");
}

static XML_Parser fresh_parser(struct scratch *s)
{
    if (s->parser == NULL)
        s->parser = XML_ParserCreate(NULL);
    else if (!XML_ParserReset(s->parser, NULL))
        return NULL;
    return s->parser;
}

bool xml_expat(struct codec *c, struct span body)
{
    struct scan x = {.s = c->s};
    x.parser = fresh_parser(c->s);
    if (x.parser == NULL)
        return codec_fault(c, "out of memory");
    buffer_clear(&c->s->xml_text);
    c->s->node_count = 0;
    c->s->xml_source = NULL;
    c->s->xml_prefixed = true; /* perhaps */
    if (body.size > INT32_MAX / 2)
        return codec_fault(c, "the XML is too long");
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, on_start, on_end);
    XML_SetCharacterDataHandler(x.parser, on_text);
    XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
    if (XML_Parse(x.parser, body.data, (int)body.size, 1) == XML_STATUS_OK && c->s->node_count > 0)
        return true;
    const char *why = x.fault ? x.fault : XML_ErrorString(XML_GetErrorCode(x.parser));
    return codec_fault(c, "invalid XML in line %lu: %s",
                       (unsigned long)XML_GetCurrentLineNumber(x.parser), why);
}
