/* XML: documents as nodes, and values by shape, both ways. */
#ifndef DRLUA_MODEL_XML_H
#define DRLUA_MODEL_XML_H

#include "model/codec.h"

enum { MAX_XML_DEPTH = 256, MAX_NODES = 1 << 26 };
struct xml_node *xml_add_node(struct scratch *s);
bool xml_expat(struct codec *c, struct span body);
bool xml_scan_plain(struct codec *c, struct span body);
/* Fills the scratch's nodes; node 0 is the root element. The body must stay. */
bool xml_scan(struct codec *c, struct span body);
struct span xml_name(struct codec *c, uint32_t node);
struct span xml_value(struct codec *c, uint32_t node);
/* The first child of that local name, or 0. */
uint32_t xml_child(struct codec *c, uint32_t node, const char *name);
bool xml_read(struct codec *c, struct slot *slot, uint32_t node, bool body);
bool xml_read_members(struct codec *c, struct shape *s, uint32_t node, int into, bool body);
bool xml_write(struct codec *c, struct slot *slot, int at, struct span name);
bool xml_write_members(struct codec *c, struct shape *s, int at, bool body);
bool xml_write_root(struct codec *c, struct slot *root, struct shape *s, int at);
void xml_escape(struct buffer *out, struct span t);
void xml_open(struct buffer *out, struct span name, struct span ns_uri, struct span ns_prefix);
void xml_close(struct buffer *out, struct span name);

#endif
