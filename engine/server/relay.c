/* native.relay: a TCP relay in the loop, a network between two programs that can fail.
 *
 * Each direction of a connection has one buffer and is read only while there is room in it, so a
 * slow reader slows its writer. While the relay is cut, bytes are read and discarded, like in a
 * network that fails silently; a connection that lost bytes is reset when the cut ends, since its
 * stream is broken. One internal operation carries a relay and all its connections. */
#define _GNU_SOURCE
#include "base/argument.h"
#include "base/option.h"
#include "loop/host.h"
#include "server/address.h"

#include <errno.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char RELAY_META[] = "drlua.relay";
enum { PIECE = 32768 };

/* One direction: what was read from `from` and not yet written to `to`. */
struct flow {
    size_t start, end;
    bool ended, shut; /* the reader saw the end; the end was passed on */
    char data[PIECE];
};

struct link {
    struct link *next;
    int fds[2]; /* client, server (-1: not connected yet) */
    bool connecting, lost, dead;
    size_t slots[2]; /* this turn's descriptor numbers, plus 1; 0: none */
    struct flow flows[2]; /* from fds[i] */
};

struct relay {
    struct op op;
    bool open, cut, full; /* full: no descriptors left for a while */
    int fd, port;
    bool has_target;
    struct address target;
    struct link *links;
    size_t count;
};

static struct relay *check_relay(lua_State *L) { return luaL_checkudata(L, 1, RELAY_META); }

static struct relay *check_open(lua_State *L)
{
    struct relay *relay = check_relay(L);
    if (!relay->open)
        luaL_error(L, "the relay is closed");
    return relay;
}

static void close_link(struct link *link, bool reset)
{
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 2; i++) {
        if (link->fds[i] < 0)
            continue;
        if (reset)
            setsockopt(link->fds[i], SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        close(link->fds[i]);
        link->fds[i] = -1;
    }
    link->dead = true;
}

static void sweep(struct relay *relay)
{
    for (struct link **at = &relay->links; *at;) {
        struct link *link = *at;
        if (!link->dead) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        relay->count--;
        free(link);
    }
}

static void set_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on a Unix socket: no harm */
}

/* Connects to the target. */
static void connect_link(struct relay *relay, struct link *link)
{
    if (!relay->has_target) {
        close_link(link, true);
        return;
    }
    const struct address *target = &relay->target;
    int fd = socket(target->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    link->fds[1] = fd;
    if (fd < 0) {
        close_link(link, true);
        return;
    }
    set_nodelay(fd);
    if (connect(fd, (const struct sockaddr *)&target->storage, target->size) == 0)
        return;
    link->connecting = errno == EINPROGRESS;
    if (!link->connecting)
        close_link(link, true);
}

static void accept_all(struct relay *relay)
{
    for (;;) {
        int fd = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            relay->full = errno == EMFILE || errno == ENFILE;
            return;
        }
        struct link *link = calloc(1, sizeof *link);
        if (!link) {
            close(fd);
            return;
        }
        set_nodelay(fd);
        link->fds[0] = fd;
        link->fds[1] = -1;
        link->next = relay->links;
        relay->links = link;
        relay->count++;
        if (!relay->cut)
            connect_link(relay, link);
    }
}

/* Events to wait for on side i of a link. */
static short wanted(const struct relay *relay, const struct link *link, int i)
{
    const struct flow *in = &link->flows[i], *out = &link->flows[!i];
    short events = 0;
    if (link->fds[i] < 0)
        return 0;
    if (link->connecting)
        return i == 1 ? CURL_WAIT_POLLOUT : 0;
    if (!in->ended && (relay->cut || in->end < PIECE))
        events |= CURL_WAIT_POLLIN;
    if (!relay->cut && out->end > out->start)
        events |= CURL_WAIT_POLLOUT;
    return events;
}

static bool relay_ask(struct op *op, struct turn *turn)
{
    struct relay *relay = (struct relay *)op;
    size_t slot = 0;
    if (relay->full)
        turn_deadline(turn, op, turn->now + 0.1);
    else if (turn_fd(turn, op, relay->fd, CURL_WAIT_POLLIN))
        slot++;
    for (struct link *link = relay->links; link; link = link->next)
        for (int i = 0; i < 2; i++) {
            short events = wanted(relay, link, i);
            link->slots[i] = 0;
            if (events && turn_fd(turn, op, link->fds[i], events))
                link->slots[i] = ++slot;
        }
    return false;
}

/* Reads what side i has sent; while cut, to discard it. */
static void pull(const struct relay *relay, struct link *link, int i)
{
    struct flow *flow = &link->flows[i];
    char waste[PIECE];
    if (!relay->cut && flow->end == PIECE)
        return;
    ssize_t got = relay->cut
                      ? recv(link->fds[i], waste, sizeof waste, 0)
                      : recv(link->fds[i], flow->data + flow->end, PIECE - flow->end, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        if (!relay->cut)
            close_link(link, true);
        flow->ended = link->lost = true;
    } else if (got == 0) {
        flow->ended = true;
    } else if (relay->cut) {
        link->lost = true;
    } else {
        flow->end += (size_t)got;
    }
}

/* Writes to the other side of flow i what has been read. */
static void push(struct link *link, int i)
{
    struct flow *flow = &link->flows[i];
    int fd = link->fds[!i];
    while (flow->start < flow->end) {
        ssize_t put = send(fd, flow->data + flow->start, flow->end - flow->start, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            if (errno != EAGAIN)
                close_link(link, true);
            return;
        }
        flow->start += (size_t)put;
    }
    flow->start = flow->end = 0;
    if (flow->ended && !flow->shut) {
        flow->shut = true;
        shutdown(fd, SHUT_WR);
    }
}

static void finish_connecting(struct link *link)
{
    int error = 0;
    socklen_t size = sizeof error;
    link->connecting = false;
    if (getsockopt(link->fds[1], SOL_SOCKET, SO_ERROR, &error, &size) || error)
        close_link(link, true);
}

/* Passes on what was read, and the ends; for a link that is not cut. */
static void forward(struct link *link)
{
    for (int i = 0; i < 2 && !link->dead && !link->connecting && link->fds[1] >= 0; i++)
        push(link, i);
    if (!link->dead && link->flows[0].shut && link->flows[1].shut)
        close_link(link, false);
}

static void move(const struct relay *relay, struct link *link, const short events[2])
{
    if (link->connecting && events[1])
        finish_connecting(link);
    for (int i = 0; i < 2 && !link->dead && !link->connecting; i++)
        if (events[i] & CURL_WAIT_POLLIN && !link->flows[i].ended)
            pull(relay, link, i);
    if (!relay->cut)
        forward(link);
}

static bool relay_step(struct op *op, struct turn *turn)
{
    struct relay *relay = (struct relay *)op;
    for (struct link *link = relay->links; link; link = link->next) {
        short events[2];
        for (int i = 0; i < 2; i++)
            events[i] = link->slots[i] ? turn_events(turn, op, link->slots[i] - 1) : 0;
        if (events[0] || events[1])
            move(relay, link, events);
    }
    bool was_full = relay->full;
    relay->full = false;
    if (was_full || turn_events(turn, op, 0))
        accept_all(relay);
    sweep(relay);
    return false;
}

static const struct op_kind relay_kind = {.name = "relay", .ask = relay_ask, .step = relay_step};

/* relay:drop(): resets every connection. */
static int relay_drop(lua_State *L)
{
    struct relay *relay = check_open(L);
    for (struct link *link = relay->links; link; link = link->next)
        close_link(link, true);
    sweep(relay);
    return 0;
}

static int relay_close(lua_State *L)
{
    struct relay *relay = check_relay(L);
    if (!relay->open)
        return 0;
    relay->open = false;
    op_detach(&relay->op);
    for (struct link *link = relay->links; link; link = link->next)
        close_link(link, true);
    sweep(relay);
    close(relay->fd);
    return 0;
}

/* relay:cut(true|false) */
static int relay_cut(lua_State *L)
{
    struct relay *relay = check_open(L);
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    relay->cut = lua_toboolean(L, 2);
    for (struct link *link = relay->links; link && !relay->cut; link = link->next) {
        if (link->lost)
            close_link(link, true);
        else if (link->fds[1] < 0)
            connect_link(relay, link); /* came during the cut and has not sent anything */
        forward(link); /* an end that came during the cut */
    }
    sweep(relay);
    return 0;
}

/* relay:target(address, port): where new connections go; an address beginning with
 * "/" is the path of a Unix socket; nil: nowhere, they are reset. */
static int relay_target(lua_State *L)
{
    struct relay *relay = check_open(L);
    struct address target;
    if (lua_isnoneornil(L, 2)) {
        relay->has_target = false;
        lua_pushboolean(L, 1);
        return 1;
    }
    const char *host = argument_text(L, 2);
    int port = (int)luaL_optinteger(L, 3, 0);
    if (!address_read(host, port, &target))
        return push_failure(L, "resolve", "%s is not an address", host);
    relay->target = target;
    relay->has_target = true;
    lua_pushboolean(L, 1);
    return 1;
}

static int relay_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_relay(L)->count);
    return 1;
}

/* listen{host="127.0.0.1", port=0} -> relay; relay.port */
static int relay_listen(lua_State *L)
{
    static const char *const known[] = {"host", "port", NULL};
    struct address address;
    option_check(L, 1, known);
    const char *host = option_string(L, 1, "host", "127.0.0.1");
    int port = (int)option_integer(L, 1, "port", 0);
    if (*host == '/' || !address_read(host, port, &address))
        return push_failure(L, "resolve", "listen on %s: not an address", host);
    struct relay *relay = lua_newuserdatauv(L, sizeof *relay, 0);
    memset(relay, 0, sizeof *relay);
    luaL_setmetatable(L, RELAY_META);
    relay->fd = address_listen(&address);
    if (relay->fd < 0)
        return push_errno(L, errno, "listen on %s port %d", host, port);
    relay->open = true;
    relay->port = address_port(relay->fd);
    op_attach(host_of(L), &relay->op, &relay_kind);
    return 1;
}

static int relay_index(lua_State *L)
{
    const struct relay *relay = check_relay(L);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "port") == 0)
        lua_pushinteger(L, relay->port);
    else
        lua_gettable(L, lua_upvalueindex(1));
    return 1;
}

static int relay_tostring(lua_State *L)
{
    const struct relay *relay = check_relay(L);
    lua_pushfstring(L, "relay on port %d%s", relay->port,
                    !relay->open ? " (closed)" : relay->cut ? " (cut)" : "");
    return 1;
}

int luaopen_native_relay(lua_State *L);
int luaopen_native_relay(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"target", relay_target}, {"cut", relay_cut},     {"drop", relay_drop},
        {"close", relay_close},   {"count", relay_count}, {NULL, NULL},
    };
    static const luaL_Reg metamethods[] = {{"__gc", relay_close},
                                           {"__close", relay_close},
                                           {"__tostring", relay_tostring},
                                           {NULL, NULL}};
    static const luaL_Reg functions[] = {{"listen", relay_listen}, {NULL, NULL}};
    luaL_newmetatable(L, RELAY_META);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, relay_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
