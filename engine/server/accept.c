/* Handing requests to Lua: complete requests meet the operations that wait for one. A request
 * given to an operation that is then cancelled goes back to the head of the queue. */
#include "loop/host.h"
#include "server/server.h"

struct accept {
    struct op op;
    struct server *server;
    struct request *request; /* handed over, not yet taken */
    struct accept *next;
    bool waiting; /* in the server's list */
};

/* Hands queued requests to waiting operations. */
static void deliver(struct server *server)
{
    while (server->queue && server->acceptors) {
        struct accept *accept = server->acceptors;
        struct request *request = server->queue;
        server->acceptors = accept->next;
        server->queue = request->queued;
        request->queued = NULL;
        accept->waiting = false;
        accept->request = request;
        op_finish(&accept->op);
    }
}

void accept_enqueue(struct server *server, struct request *request)
{
    request->references++;
    request->queued = NULL;
    if (server->queue)
        server->queue_tail->queued = request;
    else
        server->queue = request;
    server->queue_tail = request;
    deliver(server);
}

static void requeue(struct server *server, struct request *request)
{
    if (!server->queue)
        server->queue_tail = request;
    request->queued = server->queue;
    server->queue = request;
    deliver(server);
}

static int accept_push(lua_State *L, struct op *op)
{
    struct accept *accept = (struct accept *)op;
    if (!accept->request)
        return push_failure(L, "closed", "the server is closed");
    request_push(L, accept->request);
    accept->request = NULL; /* its reference went to Lua */
    return 1;
}

static void leave_acceptors(struct accept *accept)
{
    struct accept **link = &accept->server->acceptors, *before = NULL;
    while (*link != accept) {
        before = *link;
        link = &before->next;
    }
    *link = accept->next;
    if (accept->server->acceptors_tail == accept)
        accept->server->acceptors_tail = before;
}

static void accept_drop(struct op *op)
{
    struct accept *accept = (struct accept *)op;
    if (accept->waiting)
        leave_acceptors(accept);
    accept->waiting = false;
    if (accept->request && accept->server->daemon)
        requeue(accept->server, accept->request);
    else if (accept->request)
        request_release(accept->request);
    accept->request = NULL;
}

static const struct op_kind accept_kind = {
    .name = "server accept", .push = accept_push, .drop = accept_drop};

/* srv:accept() => req, complete with its body. */
int accept_start(lua_State *L)
{
    struct server *server = server_check(L);
    if (!server->daemon)
        return push_failure(L, "closed", "the server is closed");
    struct accept *accept = (struct accept *)op_new(L, sizeof *accept, &accept_kind, 1);
    accept->server = server;
    accept->waiting = true;
    if (server->acceptors)
        server->acceptors_tail->next = accept;
    else
        server->acceptors = accept;
    server->acceptors_tail = accept;
    op_start(&accept->op);
    deliver(server);
    return 1;
}

void accept_close(struct server *server)
{
    while (server->queue) {
        struct request *request = server->queue;
        server->queue = request->queued;
        request_release(request);
    }
    while (server->acceptors) {
        struct accept *accept = server->acceptors;
        server->acceptors = accept->next;
        accept->waiting = false;
        op_finish(&accept->op);
    }
}
