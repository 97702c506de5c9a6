/* Forms of the query and ec2 protocols, both ways. */
#ifndef DRLUA_MODEL_FORM_H
#define DRLUA_MODEL_FORM_H

#include "model/codec.h"

bool form_write(struct codec *c, struct slot *slot, int at);
bool form_scan(struct codec *c, struct span body);
bool form_read(struct codec *c, struct slot *slot, uint32_t node);
bool form_value(struct codec *c, const char *name, struct span *value);

#endif
