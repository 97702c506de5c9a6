/* A connection to PostgreSQL, and what the files of this folder share.
 *
 *   pq.c          the module: the methods of a connection
 *   connect.c     connecting, with the name resolved on a thread
 *   connection.c  its state: lost, closed, cancelled, drained
 *   query.c       statements
 *   copy.c        COPY, both ways
 *   rows.c        the rows of a result, as they come
 *   result.c      results and errors as Lua values
 *
 * One operation at a time uses a connection. An operation that is dropped while its statement
 * runs asks PostgreSQL to cancel it, and leaves the connection `draining`: the next operation
 * first reads away what the statement still sends, and waits for the end of the cancel request,
 * which might hit its own. A drain that takes too long ends the connection. So it is never
 * wedged. */
#ifndef DRLUA_PQ_CONNECTION_H
#define DRLUA_PQ_CONNECTION_H

#include "base/buffer.h"
#include "loop/host.h"
#include "loop/worker.h"

#include <libpq-fe.h>

enum copy_mode { COPY_NONE, COPY_OUT, COPY_OUT_ENDED, COPY_IN };

struct connection {
    PGconn *pg;            /* NULL: closed */
    struct op *current;    /* the operation under way */
    struct worker *cancel; /* a cancel request, under way or ended */
    bool draining;
    double drain_until;
    enum copy_mode copy;
    struct buffer notices; /* each ended by a zero byte */
    unsigned notice_count;
    char place[320]; /* "host port 5432 database app", for messages */
    char lost[512];  /* why it was lost; empty: closed by us */
};

extern const char CONNECTION_META[];

/* connection.c */
void connection_close(struct connection *connection);
/* Closes it and keeps PostgreSQL's message. */
void connection_lose(struct connection *connection);
/* Sends a cancel request on a thread; false: it could not be started. */
bool connection_cancel(struct connection *connection);
/* The statement under way is given up: it is cancelled and its rest read away. */
void connection_abandon(struct connection *connection);
/* Before a statement: a cancel request that is still on its way must not hit it. */
void connection_settle(struct connection *connection);
/* For ask: what a drain waits for. True: it can continue at once. */
bool connection_ask_drain(struct connection *connection, struct op *op, struct turn *turn);
/* For step: continues draining. True: nothing left to drain, or closed. */
bool connection_drain(struct connection *connection, double now);
int connection_push_closed(lua_State *L, const struct connection *connection);
/* Raises unless an operation may begin; `copy` is the mode it needs. */
struct connection *connection_check_free(lua_State *L, enum copy_mode copy);

/* connect.c */
int connect_start(lua_State *L);

/* query.c */
int query_exec(lua_State *L);
int query_prepare(lua_State *L);
int query_exec_prepared(lua_State *L);
int query_copy_out(lua_State *L);
int query_copy_in(lua_State *L);

/* copy.c */
int copy_read(lua_State *L);
int copy_write(lua_State *L);
int copy_end(lua_State *L);

/* rows.c */
struct rows {
    struct buffer data;
    size_t count;
    size_t max_count, max_bytes; /* 0: no limit */
    bool ended;                  /* all of a statement's rows are here */
    bool over;                   /* there are more than allowed, or than memory holds */
};

/* Adds the one row of a PGRES_SINGLE_TUPLE; the first one after an end starts a new result. */
void rows_add(struct rows *rows, const PGresult *result);
/* A statement has ended. */
void rows_end(struct rows *rows);
/* Sets `rows` and `n` of the table on top; result: that of the statement's end. */
void rows_push(lua_State *L, const struct rows *rows, const PGresult *result);
void rows_free(struct rows *rows);

/* result.c */
/* Pushes a successful result as a table. */
int result_push(lua_State *L, const PGresult *result, const struct rows *rows);
/* Pushes nil, message, kind, detail. */
int result_push_error(lua_State *L, const struct connection *connection, const PGresult *result);
/* The kind of a SQLSTATE. */
const char *result_kind(const char *sqlstate, const char *message);
/* Reads results until there is none; false: wait for more input. *kept gets the
 * first error, or else the last result, whose rows are in `rows`. Ends early, true, at
 * the start of a COPY, and when there are too many rows. */
bool result_collect(PGconn *pg, PGresult **kept, struct rows *rows);
/* Copies the text without line breaks and repeated blanks. */
void result_flatten(const char *text, char *out, size_t size);

#endif
