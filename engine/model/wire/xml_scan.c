/* XML into nodes, quickly: the plain documents that AWS's services return.
 *
 * expat takes two thirds of the time of reading a response, so documents that are nothing but
 * UTF-8 elements, attributes, text and the five entities are scanned here, without copying.
 * Everything else (comments, CDATA, carriage returns, other encodings, document types), and
 * whatever looks wrong, is left to expat, which reads it all or says what is wrong with it. So
 * this file accepts less than expat does, never more: tests/fuzz compares the two. */
#include <stdlib.h>

#include "model/wire/xml.h"

struct xml_node *xml_add_node(struct scratch *s)
{
    if (s->node_count == s->node_room) {
        size_t room = s->node_room ? s->node_room * 2 : 1024;
        struct xml_node *p = room > MAX_NODES ? NULL : realloc(s->nodes, room * sizeof *p);
        if (p == NULL)
            return NULL;
        s->nodes = p;
        s->node_room = room;
    }
    struct xml_node *node = &s->nodes[s->node_count++];
    *node = (struct xml_node){.next = (uint32_t)s->node_count};
    return node;
}

enum { NAME_START = 1, NAME = 2, PLAIN = 4 };

/* What a byte may be a part of: names (ASCII only), and text that needs no
 * second look (all but < & ] and control characters; UTF-8 is checked). */
static const uint8_t kinds[256] = {
    ['\t'] = PLAIN,
    ['\n'] = PLAIN,
    [' ' ... '%'] = PLAIN,
    ['\'' ... ','] = PLAIN,
    ['-'] = PLAIN | NAME,
    ['.'] = PLAIN | NAME,
    ['/'] = PLAIN,
    ['0' ... '9'] = PLAIN | NAME,
    [':'] = PLAIN | NAME_START, /* in a name: see scan_name */
    [';'] = PLAIN,
    ['='] = PLAIN,
    ['>'] = PLAIN,
    ['?'] = PLAIN,
    ['@'] = PLAIN,
    ['A' ... 'Z'] = PLAIN | NAME | NAME_START,
    ['['] = PLAIN,
    ['\\'] = PLAIN,
    ['^'] = PLAIN,
    ['_'] = PLAIN | NAME | NAME_START,
    ['`'] = PLAIN,
    ['a' ... 'z'] = PLAIN | NAME | NAME_START,
    ['{' ... '~'] = PLAIN,
};

struct quick {
    struct scratch *s;
    const char *start, *p, *end;
    uint32_t open[MAX_XML_DEPTH];
    int depth;
};

static bool is(char c, int kind)
{
    return kinds[(unsigned char)c] & kind;
}

/* Where the run of bytes of this kind that begins at `p` ends. */
static const char *run_of(int kind, const char *p, const char *end)
{
    while (p < end && is(*p, kind))
        p++;
    return p;
}

static void skip_blanks(struct quick *q)
{
    while (q->p < q->end && (*q->p == ' ' || *q->p == '\n' || *q->p == '\t'))
        q->p++;
}

static bool scan_name(struct quick *q, uint32_t *at, uint32_t *length)
{
    const char *start = q->p;
    if (q->p >= q->end || !is(*q->p, NAME_START))
        return false;
    q->p = run_of(NAME, start, q->end);
    while (q->p < q->end && *q->p == ':') {
        q->s->xml_prefixed = true;
        q->p = run_of(NAME, q->p + 1, q->end);
    }
    *at = (uint32_t)(start - q->start);
    *length = (uint32_t)(q->p - start);
    return true;
}

/* U+FFFE and U+FFFF are not characters of XML. */
static bool forbidden(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] == 0xef && u[1] == 0xbf && u[2] >= 0xbe;
}

static bool named_entity(struct quick *q, const char *name, char c)
{
    size_t n = strlen(name);
    if ((size_t)(q->end - q->p) < n || memcmp(q->p, name, n) != 0)
        return false;
    q->p += n;
    buffer_add_char(&q->s->xml_text, c);
    return true;
}

/* An entity, after its ampersand, into the text buffer; of character references
 * only those to ASCII. */
static bool entity(struct quick *q)
{
    unsigned value = 0;
    if (named_entity(q, "lt;", '<') || named_entity(q, "gt;", '>') ||
        named_entity(q, "amp;", '&') || named_entity(q, "quot;", '"') ||
        named_entity(q, "apos;", '\''))
        return true;
    if (q->end - q->p < 3 || *q->p++ != '#')
        return false;
    bool hex = *q->p == 'x';
    if (hex)
        q->p++;
    const char *start = q->p;
    for (; q->p < q->end && *q->p != ';' && q->p - start < 4; q->p++) {
        char c = *q->p;
        int d = c >= '0' && c <= '9'   ? c - '0'
                : !hex                 ? -1
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return false;
        value = value * (hex ? 16 : 10) + (unsigned)d;
    }
    if (q->p == start || q->p >= q->end || *q->p++ != ';' || value > 126)
        return false;
    if (value < 32 && value != '\t' && value != '\n' && value != '\r')
        return false;
    buffer_add_char(&q->s->xml_text, (char)value);
    return true;
}

/* The end of what needs no second look; '<' is not PLAIN. */
static const char *text_run(char stop, const char *p, const char *end)
{
    if (stop == '<')
        return run_of(PLAIN, p, end);
    while (p < end && is(*p, PLAIN) && *p != stop)
        p++;
    return p;
}

/* Text up to `stop` ('<', or the quote of an attribute), into the node. Copied
 * only from the first entity on. */
static bool scan_text(struct quick *q, struct xml_node *node, char stop)
{
    const char *run = q->p;
    struct buffer *copy = &q->s->xml_text;
    size_t copied = copy->size;
    for (;;) {
        q->p = text_run(stop, q->p, q->end);
        if (q->p >= q->end)
            return false;
        if (*q->p == stop)
            break;
        if ((unsigned char)*q->p >= 0x80) {
            size_t n = utf8_sequence(q->p, q->end);
            if (n == 0 || (n == 3 && forbidden(q->p)))
                return false;
            q->p += n;
        } else if (*q->p == ']' && stop == '<' && q->p + 1 < q->end && q->p[1] != ']') {
            q->p++;
        } else if (*q->p == '&') {
            if (!node->decoded)
                node->text = (uint32_t)copied;
            node->decoded = true;
            buffer_add(copy, run, (size_t)(q->p++ - run));
            if (!entity(q))
                return false;
            run = q->p;
        } else {
            return false;
        }
    }
    if (!node->decoded) {
        node->text = (uint32_t)(run - q->start);
        node->text_length = (uint32_t)(q->p - run);
        return true;
    }
    buffer_add(copy, run, (size_t)(q->p - run));
    node->text_length = (uint32_t)(copy->size - copied);
    return !copy->failed && copy->size < UINT32_MAX / 2;
}

static bool no_line_breaks(const struct quick *q, const struct xml_node *node)
{
    const char *p = node->decoded ? q->s->xml_text.data : q->start;
    p += node->text;
    return node->text_length == 0 || (memchr(p, '\n', node->text_length) == NULL &&
                                      memchr(p, '\t', node->text_length) == NULL);
}

/* Attributes follow their element as nodes. A repeated name is left to expat to refuse. */
static bool scan_attributes(struct quick *q, uint32_t self)
{
    for (;;) {
        const char *before = q->p;
        skip_blanks(q);
        if (q->p >= q->end)
            return false;
        if (*q->p == '>' || *q->p == '/')
            return true;
        if (q->p == before)
            return false;
        struct xml_node *node = xml_add_node(q->s);
        if (node == NULL || !scan_name(q, &node->name, &node->name_length))
            return false;
        if (q->end - q->p < 2 || *q->p++ != '=')
            return false;
        char quote = *q->p++;
        if (quote != '"' && quote != '\'')
            return false;
        if (!scan_text(q, node, quote) || !no_line_breaks(q, node))
            return false;
        q->p++;
        for (uint32_t i = self + 1; i + 1 < q->s->node_count; i++)
            if (q->s->nodes[i].name_length == node->name_length &&
                memcmp(q->start + q->s->nodes[i].name, q->start + node->name, node->name_length) ==
                    0)
                return false;
        q->s->nodes[self].attributes++;
    }
}

static bool scan_open(struct quick *q)
{
    if (q->depth >= MAX_XML_DEPTH)
        return false;
    uint32_t self = (uint32_t)q->s->node_count;
    struct xml_node *node = xml_add_node(q->s);
    if (node == NULL || !scan_name(q, &node->name, &node->name_length))
        return false;
    if (q->depth > 0)
        q->s->nodes[q->open[q->depth - 1]].kids++;
    if (q->p < q->end && *q->p != '>' && !scan_attributes(q, self))
        return false;
    if (q->p >= q->end)
        return false;
    q->s->nodes[self].next = (uint32_t)q->s->node_count;
    if (*q->p == '/') {
        q->p++;
        return q->p < q->end && *q->p++ == '>';
    }
    q->p++;
    q->open[q->depth++] = self;
    return true;
}

static bool scan_close(struct quick *q)
{
    if (q->depth == 0)
        return false;
    struct xml_node *node = &q->s->nodes[q->open[--q->depth]];
    size_t n = node->name_length;
    if ((size_t)(q->end - q->p) <= n || memcmp(q->p, q->start + node->name, n) != 0)
        return false;
    q->p += n;
    skip_blanks(q);
    node->next = (uint32_t)q->s->node_count;
    return q->p < q->end && *q->p++ == '>';
}

/* Text goes to the open element while it has no children; text around children means nothing. */
static bool scan_content(struct quick *q)
{
    struct xml_node *node = &q->s->nodes[q->open[q->depth - 1]];
    struct xml_node aside = {0};
    if (*q->p == '<')
        return true;
    bool ok = scan_text(q, node->kids == 0 ? node : &aside, '<');
    if (ok && node->kids == 0 && q->end - q->p > 1 && q->p[1] != '/')
        node->text_length = 0;
    return ok;
}

/* <?xml ...?> when it says UTF-8 or nothing. */
static bool scan_declaration(struct quick *q)
{
    static const char *const known[] = {
        "<?xml version=\"1.0\"?>",
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
        "<?xml version='1.0' encoding='UTF-8'?>",
        "<?xml version='1.0' encoding='utf-8'?>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>"};
    if (q->end - q->p < 2 || q->p[1] != '?')
        return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i]);
        if ((size_t)(q->end - q->p) < n || memcmp(q->p, known[i], n) != 0)
            continue;
        q->p += n;
        skip_blanks(q);
        return true;
    }
    return false;
}

static bool scan_document(struct quick *q)
{
    if (!scan_declaration(q))
        return false;
    do {
        if (q->p >= q->end || *q->p++ != '<' || q->p >= q->end)
            return false;
        if (*q->p == '/') {
            q->p++;
            if (!scan_close(q))
                return false;
        } else if (!scan_open(q)) {
            return false;
        }
        if (q->depth > 0 && (q->p >= q->end || !scan_content(q)))
            return false;
    } while (q->depth > 0);
    skip_blanks(q);
    return q->p == q->end;
}

bool xml_scan_plain(struct codec *c, struct span body)
{
    struct quick q = {.s = c->s, .start = body.data, .p = body.data, .end = body.data + body.size};
    buffer_clear(&c->s->xml_text);
    c->s->node_count = 0;
    c->s->xml_source = body.data;
    c->s->xml_prefixed = false;
    if (body.size == 0 || body.size > INT32_MAX / 2)
        return false;
    return scan_document(&q);
}

bool xml_scan(struct codec *c, struct span body)
{
    return xml_scan_plain(c, body) || xml_expat(c, body);
}
