/* A compiled service model, and its lazily decoded parts.
 *
 * The compiled form (written by stdlib/aws/compiler.lua, laid out in
 * docs/models.md) is a read-only block of bytes: a string of Lua's, or a part
 * of the archive mapped with the program. Nothing in it is trusted: each
 * offset, length and count is checked against the block when it is followed,
 * and a damaged part turns the call that needs it into an error.
 *
 * Shapes and operations are decoded on first use into memory that the model
 * owns (an arena, freed with the model). Texts in them point into the block,
 * so the owner of a model must keep the block alive. */
#ifndef DRLUA_MODEL_MODEL_H
#define DRLUA_MODEL_MODEL_H

#include "model/text.h"

enum protocol { QUERY, EC2, JSON, REST_JSON, REST_XML, CBOR, PROTOCOLS };

enum shape_type {
    STRUCTURE,
    LIST,
    MAP,
    STRING,
    BLOB,
    BOOLEAN,
    INTEGER,
    LONG,
    FLOAT,
    DOUBLE,
    TIMESTAMP,
    SHAPE_TYPES
};

enum location { IN_BODY, IN_URI, IN_QUERY, IN_HEADER, IN_HEADERS, IN_STATUS };

enum time_format { TIME_DEFAULT, TIME_ISO8601, TIME_RFC822, TIME_UNIX };

/* Traits of a slot; the low bits are also the bits of the compiled form. */
enum {
    SLOT_REQUIRED = 1,
    SLOT_WIRE_LOWER = 2, /* the wire name is the name with a small first letter */
    SLOT_WIRE = 4,       /* a wire name follows */
    SLOT_FORM = 8,       /* a name for query requests follows */
    SLOT_LOCATION = 16,  /* a location follows */
    SLOT_NAMESPACE = 32, /* an XML namespace and its prefix follow */
    SLOT_TIME = 64,      /* a timestamp format follows */
    SLOT_FLATTENED = 128,
    SLOT_ATTRIBUTE = 256,
    SLOT_TOKEN = 512, /* idempotency token */
    SLOT_STREAMING = 1024,
    SLOT_JSON_VALUE = 2048,
    SLOT_HOST_LABEL = 4096,
    SLOT_EVENT_PAYLOAD = 8192,
    SLOT_EVENT_HEADER = 16384,
    SLOT_DEPRECATED = 32768,
};

enum {
    SHAPE_UNION = 1,
    SHAPE_DOCUMENT = 2,
    SHAPE_EVENT_STREAM = 4,
    SHAPE_EVENT = 8,
    SHAPE_SPARSE = 16,
    SHAPE_EXCEPTION = 32, /* its name, error code and status follow */
    SHAPE_SENDER_FAULT = 64,
    SHAPE_MIN = 128,     /* a least length or value follows */
    SHAPE_PAYLOAD = 256, /* the number of its payload member follows */
    SHAPE_NAMED = 512,   /* its name on the wire (payloads of rest-xml) follows */
    SHAPE_STREAMING = 1024,
    SHAPE_THROTTLING = 2048,
    SHAPE_RETRYABLE = 4096,
    SHAPE_SENSITIVE = 8192,
};

enum {
    OP_READONLY = 1,
    OP_IDEMPOTENT = 2,
    OP_CHECKSUM_REQUIRED = 4,
    OP_COMPRESSED = 8, /* request compression (gzip) */
    OP_UNSIGNED = 16,  /* unsigned payload */
    OP_DEPRECATED = 32,
    OP_RESULT_WRAPPER = 64, /* results of query are in <NameResult> */
    OP_HOST_PREFIX = 128,
    OP_INPUT_NAME = 256, /* the XML name and namespace of the input follow */
    OP_EXTRA = 512,      /* a CBOR map of the rest follows */
    OP_CHECKSUM = 1024,  /* members: the algorithm's, the response's checking */
};

struct shape;

/* One place for a value: a member of a structure, the element of a list, the
 * key or the value of a map, or the root of a message. */
struct slot {
    struct span name; /* the member's name, as Lua sees it */
    struct span wire; /* its name in JSON, XML, headers and URIs */
    struct span form; /* its name in a query request */
    struct span ns_uri, ns_prefix;
    struct shape *shape; /* NULL until resolved: see slot_shape() */
    uint32_t shape_id;
    int ref; /* its name's place in the table of names */
    uint32_t traits;
    uint8_t location, time_format;
    uint16_t follower; /* the member that last followed it in a message */
};

struct shape {
    uint8_t type;
    uint8_t time_format;
    uint32_t traits;
    uint32_t id;
    uint32_t count; /* members; 1 for a list, 2 for a map */
    struct slot *slots;
    struct slot *payload; /* the payload member, or NULL */
    uint16_t *index;      /* hash of wire names -> slot + 1; NULL at first */
    uint32_t mask;
    uint16_t first; /* the member that last came first */
    uint32_t fill;   /* members in the last value read: a size hint */
    uint32_t stream; /* event stream member: 0 not yet looked for, 1 none,
                        else its number + 2 */
    long long min;
    struct span name; /* exceptions and XML payloads */
    struct span error_code;
    int error_status;
};

struct operation {
    struct span name, method, uri, host_prefix;
    struct span input_name, input_ns_uri, input_ns_prefix;
    struct span checksum_member, validation_member;
    struct span extra;         /* CBOR */
    struct slot input, output; /* shape_id is NO_SHAPE when there is none */
    uint32_t flags;
    int status;
    uint32_t error_count;
    const uint8_t *errors, *errors_end;
};

#define NO_SHAPE UINT32_MAX

struct part {
    const uint8_t *p, *end;
};

enum cold { WAITERS, PAGINATORS, RULES, NAMES, CONSTRAINTS, COLD_PARTS };

struct route;

struct model {
    const uint8_t *bytes;
    size_t length;
    struct part strings, shape_bytes, shape_index, op_bytes, op_index, meta;
    struct part exceptions, cold[COLD_PARTS];
    uint32_t shape_count, op_count, exception_count;
    enum protocol protocol;
    unsigned offered; /* bit per protocol */
    bool query_compatible;
    struct span service, api_version, target_prefix, json_version, xml_namespace;
    struct shape **shapes;
    struct operation **ops;
    struct chunk *arena;
    struct route *routes; /* made by route.c on first use */
    size_t route_count;
    int next_ref;    /* names given out so far */
    char fault[160]; /* why the last call failed */
};

/* Checks the header and checksum. The block must outlive the model. */
bool model_open(struct model *m, const void *bytes, size_t length);
void model_close(struct model *m);
void *model_alloc(struct model *m, size_t size);
bool model_fault(struct model *m, const char *what);

struct shape *model_shape(struct model *m, uint32_t id);
struct operation *model_operation(struct model *m, uint32_t number);
/* Number of the operation of that name, or -1. */
long model_find(struct model *m, struct span name);
bool model_op_name(struct model *m, uint32_t number, struct span *name);
/* The exception whose name or wire code is `code`, or NULL. */
struct shape *model_exception(struct model *m, struct span code);

static inline struct shape *slot_shape(struct model *m, struct slot *slot)
{
    if (slot->shape == NULL)
        slot->shape = model_shape(m, slot->shape_id);
    return slot->shape;
}

/* The member whose name on the wire is `wire`. `before` is the number + 1 of the member before it
 * in the message, 0 at first; it is advanced. */
struct slot *shape_wire(struct model *m, struct shape *s, struct span wire, uint32_t *before);
/* The member of that Lua name, or NULL; also of no shape (NULL). */
struct slot *shape_member(struct shape *s, struct span name);

/* botocore's method name of an operation: DescribeDBInstances ->
 * describe_db_instances. Appends to `out`. */
void snake_name(struct buffer *out, struct span name);

const char *protocol_name(enum protocol p);

#endif
