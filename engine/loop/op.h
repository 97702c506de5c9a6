/* Operations: whatever blocks, seen by the event loop.
 *
 * An operation is a Lua userdata whose memory begins with struct op. The loop asks each pending
 * operation what it waits for, waits once for all of them, and tells those affected. Ownership is
 * simple: Lua owns the memory, the loop only links it in a list; `drop` unlinks and releases what
 * the operation holds, and runs exactly once, whether by result(), cancel(), the collector or
 * exit.
 */
#ifndef DRLUA_OP_H
#define DRLUA_OP_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct host;
struct op;

/* What one turn of the loop waits for; filled by ask. */
struct turn {
    struct curl_waitfd *fds;
    size_t count, capacity;
    double now;      /* monotonic seconds at the start of the turn */
    double deadline; /* the earliest anyone asked for; HUGE_VAL: none */
    unsigned serial; /* of the turn */
    bool out_of_memory;
};

struct op_kind {
    const char *name; /* for tostring and for leak reports */
    /* Adds descriptors and a deadline by turn_fd and turn_deadline. Returns true
     * when the operation can be stepped at once, without waiting. May be NULL
     * for operations that somebody else finishes by op_finish. */
    bool (*ask)(struct op *, struct turn *);
    /* Called when a descriptor fired, the deadline passed, or ask said so.
     * Never touches Lua. Returns true when the operation has finished. */
    bool (*step)(struct op *, struct turn *);
    /* Pushes the values of result() and returns their number. The only function
     * that touches Lua; may raise. */
    int (*push)(lua_State *L, struct op *);
    /* Releases everything; called once. Never touches Lua. */
    void (*drop)(struct op *);
};

enum op_state { OP_NEW, OP_PENDING, OP_DONE, OP_TAKEN };

struct op {
    const struct op_kind *kind;
    struct host *host;
    struct op *next, *prev; /* in the host's pending or ready list */
    enum op_state state;
    bool linked, dropped, cancelled, internal;
    unsigned served; /* serial of the turn that stepped it last */
    size_t first_fd, fd_count; /* this turn's share of turn.fds */
    double deadline;           /* this turn's; HUGE_VAL: none */
};

/* Makes an operation of `size` bytes (zeroed) and pushes it. parent: stack index
 * of a userdata to keep alive as long as the operation, or 0. Not yet pending. */
struct op *op_new(lua_State *L, size_t size, const struct op_kind *kind, int parent);
/* Hands the operation to the loop. */
void op_start(struct op *);
/* Marks a pending operation as finished: the loop hands it to Lua. */
void op_finish(struct op *);

/* Removes a finished operation from the list of those not yet reported to Lua. */
void op_reported(struct op *);

/* An operation of the engine itself, not seen by Lua (a listening server, say):
 * the caller owns the memory and ends it with op_detach. */
void op_attach(struct host *, struct op *, const struct op_kind *kind);
void op_detach(struct op *);

/* For ask: wait for CURL_WAIT_POLLIN, _POLLOUT or both on fd. Returns false
 * when out of memory. */
bool turn_fd(struct turn *, struct op *, int fd, short events);
void turn_deadline(struct turn *, struct op *, double monotonic_seconds);
/* For step: the events that fired on the n-th descriptor that ask added. A hang-up or an error
 * counts as readable. */
short turn_events(const struct turn *, const struct op *, size_t n);

/* Makes the metatable and the weak table of operations by address. */
void op_register(lua_State *L);
/* Pushes the userdata of an operation, or nil when it is being collected. */
void op_push(lua_State *L, struct op *op);

/* Pushes the result of a cancelled operation: nil, "cancelled", "cancelled". */
int op_push_cancelled(lua_State *L);
/* Pushes nil, message, kind: the failure of a native. */
int push_failure(lua_State *L, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an errno, which determines the kind. */
int push_errno(lua_State *L, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
