/* Whole messages: requests and responses, both ways. */
#ifndef DRLUA_MODEL_MESSAGE_H
#define DRLUA_MODEL_MESSAGE_H

#include "model/codec.h"

/* A response or request that was received. */
struct incoming {
    int status;
    struct span method, target, body;
    struct header *headers;
    size_t header_count;
};

struct span header_value(const struct incoming *in, const char *name);

/* Client side. Input at `input` (a table); leaves the request on the stack. */
bool write_request(struct codec *c, struct operation *op, int input, int options);
/* Leaves output, or nil and an error table, on the stack; *request_id too. */
bool read_response(struct codec *c, struct operation *op, const struct incoming *in,
                   bool *is_error);
/* Whether a response with status 200 is one: its body, before it is read; the root of its XML. */
bool check_body(struct codec *c, struct operation *op, const struct incoming *in);
bool check_rpc_root(struct codec *c, struct operation *op, uint32_t result);
bool check_rest_root(struct codec *c, struct operation *op);
/* Pushes the error table { code, message, request_id, fields, type, status }. */
bool read_fault(struct codec *c, struct operation *op, const struct incoming *in);
struct span request_id_of(struct codec *c, const struct incoming *in, bool xml);

/* Server side. */
bool read_request(struct codec *c, struct operation *op, const struct incoming *in);
bool write_response(struct codec *c, struct operation *op, int output, int options);
bool write_fault(struct codec *c, struct operation *op, int fault);

/* Which operation a request asks for, and in which protocol; -1 when none. */
long find_route(struct codec *c, const struct incoming *in, enum protocol *protocol);

/* Faults of a value against its shape, one a line, into `report`; returns
 * their number. Required members are asked for when `complete`. */
int validate(struct codec *c, struct slot *root, int at, bool complete, struct buffer *report);
/* The nearest of the shape's member names, or an empty text. */
struct span nearest_member(struct shape *s, struct span name);
size_t edit_distance(struct span a, struct span b, size_t limit);

/* Checksum headers and compression of a finished request; `body` is the stack
 * index of the body. May replace the value there. */
bool finish_request(struct codec *c, struct operation *op, int input, int body, int options);
/* Checks x-amz-checksum headers of a response; false with a fault on mismatch. */
bool check_response_checksum(struct codec *c, const struct incoming *in);

/* Reads event stream frames into a list of events, left on the stack. `rpc`:
 * the first frame may be the initial response, set in the table at `into`. */
bool read_frames(struct codec *c, struct shape *stream, struct span body, struct shape *initial,
                 int into);

/* Writes the stream at the payload member of the message into c->out. */
bool write_frames(struct codec *c, struct slot *payload, int message);
bool is_event_stream(struct codec *c, struct slot *payload);

/* A field of the options table, pushed; its type (LUA_TNIL without table). */
int push_option(lua_State *L, int options, const char *name);

#endif
