/* The event loop: ask every pending operation, wait once, tell those affected.
 *
 * libcurl brings its own descriptors, so the wait is curl_multi_poll with ours added; without a
 * transfer under way it is poll(2). The array of descriptors is rebuilt each turn: an operation's
 * descriptor may change between turns (libpq's does while it connects). */
#include "loop/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct curl_waitfd) == sizeof(struct pollfd), "same layout");
_Static_assert(offsetof(struct curl_waitfd, events) == offsetof(struct pollfd, events),
               "same layout");

static bool grow(struct turn *turn)
{
    size_t capacity = turn->capacity ? turn->capacity * 2 : 64;
    struct curl_waitfd *fds = reallocarray(turn->fds, capacity, sizeof *fds);
    if (!fds) {
        turn->out_of_memory = true;
        return false;
    }
    turn->fds = fds;
    turn->capacity = capacity;
    return true;
}

bool turn_fd(struct turn *turn, struct op *op, int fd, short events)
{
    if (turn->count == turn->capacity && !grow(turn))
        return false;
    if (op->fd_count == 0)
        op->first_fd = turn->count;
    op->fd_count++;
    turn->fds[turn->count++] = (struct curl_waitfd){.fd = fd, .events = events};
    return true;
}

void turn_deadline(struct turn *turn, struct op *op, double at)
{
    if (at < op->deadline)
        op->deadline = at;
    if (at < turn->deadline)
        turn->deadline = at;
}

short turn_events(const struct turn *turn, const struct op *op, size_t n)
{
    if (n >= op->fd_count)
        return 0;
    return turn->fds[op->first_fd + n].revents;
}

static bool ask_all(struct host *host)
{
    bool ready = host->ready != NULL;
    for (struct op *op = host->pending; op; op = op->next) {
        op->fd_count = 0;
        op->deadline = HUGE_VAL;
        if (op->kind->ask && op->kind->ask(op, &host->turn)) {
            turn_deadline(&host->turn, op, host->turn.now);
            ready = true;
        }
    }
    return ready;
}

static int wait_ms(const struct turn *turn, double seconds, bool ready)
{
    double until = turn->now + seconds;
    if (turn->deadline < until)
        until = turn->deadline;
    double ms = ceil((until - turn->now) * 1000);
    if (ready || ms <= 0)
        return 0;
    return ms < 60000 ? (int)ms : 60000;
}

/* curl's wait bits are its own; poll's are the kernel's. */
static void to_poll(struct turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        short events = turn->fds[i].events;
        turn->fds[i].events = (short)((events & CURL_WAIT_POLLIN ? POLLIN : 0) |
                                      (events & CURL_WAIT_POLLOUT ? POLLOUT : 0));
    }
}

static void from_poll(struct turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        short fired = turn->fds[i].revents;
        short seen = 0;
        if (fired & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
            seen |= CURL_WAIT_POLLIN;
        if (fired & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
            seen |= CURL_WAIT_POLLOUT;
        turn->fds[i].revents = seen;
    }
}

static void wait_once(struct host *host, int ms)
{
    struct turn *turn = &host->turn;
    if (host->multi && host->transfers) {
        int running;
        curl_multi_poll(host->multi, turn->fds, (unsigned)turn->count, ms, NULL);
        curl_multi_perform(host->multi, &running);
        host->collect(host);
        return;
    }
    to_poll(turn);
    if (poll((struct pollfd *)turn->fds, turn->count, ms) < 0)
        for (size_t i = 0; i < turn->count; i++)
            turn->fds[i].revents = 0;
    from_poll(turn);
}

static bool concerned(const struct turn *turn, const struct op *op)
{
    if (op->deadline <= turn->now)
        return true;
    for (size_t i = 0; i < op->fd_count; i++)
        if (turn_events(turn, op, i))
            return true;
    return false;
}

/* A step may finish other operations but never frees one. When it removed the next one from the
 * list, start over: `served` marks those done. */
static void tell(struct host *host)
{
    unsigned serial = ++host->turn.serial;
    host->turn.now = host_monotonic();
    struct op *op = host->pending;
    while (op) {
        struct op *next = op->next;
        if (op->served != serial) {
            op->served = serial;
            if (op->kind->step && concerned(&host->turn, op) && op->kind->step(op, &host->turn))
                op_finish(op);
        }
        op = next && next->state != OP_PENDING ? host->pending : next;
    }
}

/* Pushes the list of finished operations. Each is reported once: one that Lua does not collect
 * must not keep the loop from waiting. */
static void report(lua_State *L, struct host *host)
{
    lua_newtable(L);
    for (lua_Integer n = 1; host->ready;) {
        op_push(L, host->ready);
        if (lua_isnil(L, -1))
            lua_pop(L, 1); /* the collector is about to end it */
        else
            lua_rawseti(L, -2, n++);
        op_reported(host->ready);
    }
}

static int loop_wait(lua_State *L)
{
    struct host *host = host_of(L);
    double seconds = luaL_optnumber(L, 1, HUGE_VAL);
    struct turn *turn = &host->turn;
    turn->count = 0;
    turn->deadline = HUGE_VAL;
    turn->out_of_memory = false;
    turn->now = host_monotonic();
    bool ready = ask_all(host);
    if (turn->out_of_memory)
        return luaL_error(L, "out of memory in the event loop");
    wait_once(host, wait_ms(turn, seconds, ready));
    tell(host);
    report(L, host);
    return 1;
}

static int loop_pending(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)host_of(L)->pending_count);
    return 1;
}

static const luaL_Reg functions[] = {
    {"wait", loop_wait},
    {"pending", loop_pending},
    {NULL, NULL},
};

int luaopen_native_loop(lua_State *L);
int luaopen_native_loop(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
