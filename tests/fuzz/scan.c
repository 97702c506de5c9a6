/* The quick scanner of XML must accept less than expat and see the same: whatever
 * it takes, expat must take too, into the same nodes. */
#include "model/wire/xml.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct scratch quick, slow;

static struct span text_of_node(struct codec *c, uint32_t i, bool name)
{
    struct xml_node *x = &c->s->nodes[i];
    const char *base = c->s->xml_source;
    if (name)
        return (struct span){(base ? base : c->s->xml_text.data) + x->name, x->name_length};
    return xml_value(c, i);
}

static void disagree(const char *what)
{
    fprintf(stderr, "the scanners disagree: %s\n", what);
    abort();
}

static void compare(struct codec *a, struct codec *b)
{
    if (a->s->node_count != b->s->node_count)
        disagree("number of nodes");
    for (uint32_t i = 0; i < a->s->node_count; i++) {
        struct xml_node *x = &a->s->nodes[i], *y = &b->s->nodes[i];
        if (x->next != y->next || x->kids != y->kids || x->attributes != y->attributes)
            disagree("structure");
        if (!text_eq(text_of_node(a, i, true), text_of_node(b, i, true)))
            disagree("name");
        if (!text_eq(text_of_node(a, i, false), text_of_node(b, i, false)))
            disagree("text");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec a = {.s = &quick}, b = {.s = &slow};
    struct span body = {(const char *)data, size};
    if (!xml_scan_plain(&a, body))
        return 0;
    if (!xml_expat(&b, body))
        disagree(b.fault);
    compare(&a, &b);
    return 0;
}
