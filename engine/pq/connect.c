/* Connecting. libpq would resolve the name itself and block meanwhile, so a thread does that, and
 * the addresses are passed along with the name (which is still needed to verify a certificate).
 * The time limit is ours: libpq has none when it does not block. */
#define _GNU_SOURCE
#include "base/option.h"
#include "pq/connection.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ADDRESS_LIMIT = 8, PARAMETER_LIMIT = 24 };

struct resolution {
    struct worker worker;
    char host[256];
    int error; /* of getaddrinfo */
    size_t count;
    char addresses[ADDRESS_LIMIT * (INET6_ADDRSTRLEN + 1)]; /* with commas between */
};

struct connecting {
    struct op op;
    struct connection *connection;
    struct resolution *resolution;
    const char *names[PARAMETER_LIMIT], *values[PARAMETER_LIMIT];
    size_t count;
    char hosts[ADDRESS_LIMIT * 257]; /* the name as often as it has addresses */
    PostgresPollingStatusType polling;
    double timeout, until;
    const char *kind; /* of a failure */
    char message[1000], sqlstate[6];
};

static void run_resolution(struct worker *worker)
{
    struct resolution *resolution = (struct resolution *)worker;
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    char text[INET6_ADDRSTRLEN];
    size_t used = 0;
    resolution->error = getaddrinfo(resolution->host, NULL, &hints, &found);
    if (resolution->error)
        return;
    for (struct addrinfo *a = found; a && resolution->count < ADDRESS_LIMIT; a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST))
            continue;
        used += (size_t)snprintf(resolution->addresses + used, sizeof resolution->addresses - used,
                                 "%s%s", resolution->count ? "," : "", text);
        resolution->count++;
    }
    freeaddrinfo(found);
}

static void clean_resolution(struct worker *worker) { (void)worker; }

static void fail(struct connecting *c, const char *kind, const char *message)
{
    c->kind = kind;
    snprintf(c->message, sizeof c->message, "no connection to %s: %s", c->connection->place,
             message);
}

static void add(struct connecting *c, const char *name, const char *value)
{
    if (value && c->count + 1 < PARAMETER_LIMIT) {
        c->names[c->count] = name;
        c->values[c->count++] = value;
    }
}

static void keep_notice(void *cls, const char *text)
{
    struct connection *connection = cls;
    enum { NOTICE_LIMIT = 1000 };
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '\n')
        size--;
    if (connection->notice_count >= NOTICE_LIMIT)
        return;
    buffer_add(&connection->notices, text, size);
    buffer_add_char(&connection->notices, 0);
    connection->notice_count++;
}

/* Takes "FATAL:  28P01: text" apart: keeps the SQLSTATE, drops LOCATION lines. */
static void read_refusal(struct connecting *c)
{
    char text[1024], flat[600];
    snprintf(text, sizeof text, "%s", PQerrorMessage(c->connection->pg));
    for (char *line; (line = strstr(text, "\nLOCATION:"));) {
        char *end = strchr(line + 1, '\n');
        memmove(line, end ? end : "", end ? strlen(end) + 1 : 1);
    }
    for (const char *level = text; (level = strstr(level, ":  "));) {
        char *code = text + (level - text) + 3;
        level += 3;
        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':') {
            memcpy(c->sqlstate, code, 5);
            memmove(code, code + 7, strlen(code + 7) + 1);
            break;
        }
    }
    result_flatten(text, flat, sizeof flat);
    const char *kind = *c->sqlstate                          ? result_kind(c->sqlstate, flat)
                       : strstr(flat, "Connection refused")  ? "refused"
                       : strstr(flat, "no password supplied") ? "denied"
                       : strstr(flat, "SSL") || strstr(flat, "certificate") ? "tls"
                       : strstr(flat, "connection to server") ? "connect"
                                                             : "invalid";
    fail(c, kind, flat);
}

/* With the addresses known, or none needed. False: it failed at once. */
static bool begin(struct connecting *c)
{
    struct connection *connection = c->connection;
    c->names[c->count] = c->values[c->count] = NULL;
    connection->pg = PQconnectStartParams(c->names, c->values, 0);
    if (!connection->pg) {
        fail(c, "io", "out of memory");
        return false;
    }
    if (PQstatus(connection->pg) == CONNECTION_BAD) {
        read_refusal(c);
        return false;
    }
    PQsetErrorVerbosity(connection->pg, PQERRORS_VERBOSE); /* includes the SQLSTATE */
    PQsetNoticeProcessor(connection->pg, keep_notice, connection);
    c->polling = PGRES_POLLING_WRITING;
    return true;
}

/* The resolution has ended. */
static bool use_addresses(struct connecting *c)
{
    struct resolution *resolution = c->resolution;
    size_t used = 0;
    if (resolution->error || resolution->count == 0) {
        char text[300];
        snprintf(text, sizeof text, "the name does not resolve (%s)",
                 resolution->error ? gai_strerror(resolution->error) : "no address");
        fail(c, "resolve", text);
        return false;
    }
    for (size_t i = 0; i < resolution->count; i++)
        used += (size_t)snprintf(c->hosts + used, sizeof c->hosts - used, "%s%s", i ? "," : "",
                                 resolution->host);
    add(c, "host", c->hosts);
    add(c, "hostaddr", resolution->addresses);
    return true;
}

static bool connecting_ask(struct op *op, struct turn *turn)
{
    struct connecting *c = (struct connecting *)op;
    PGconn *pg = c->connection->pg;
    turn_deadline(turn, op, c->until);
    if (c->kind)
        return true;
    if (!pg && c->resolution) {
        turn_fd(turn, op, c->resolution->worker.fd, CURL_WAIT_POLLIN);
        return false;
    }
    if (!pg || PQsocket(pg) < 0)
        return true;
    turn_fd(turn, op, PQsocket(pg),
            c->polling == PGRES_POLLING_READING ? CURL_WAIT_POLLIN : CURL_WAIT_POLLOUT);
    return false;
}

static bool connecting_step(struct op *op, struct turn *turn)
{
    struct connecting *c = (struct connecting *)op;
    struct connection *connection = c->connection;
    if (c->kind)
        return true;
    if (turn->now >= c->until) {
        char text[64];
        snprintf(text, sizeof text, "no response within %g s", c->timeout);
        fail(c, "connect", text);
        return true;
    }
    if (!connection->pg) {
        if (c->resolution && !worker_ended(&c->resolution->worker))
            return false;
        return (c->resolution && !use_addresses(c)) || !begin(c);
    }
    c->polling = PQconnectPoll(connection->pg);
    if (c->polling == PGRES_POLLING_FAILED)
        read_refusal(c);
    return c->polling == PGRES_POLLING_FAILED || c->polling == PGRES_POLLING_OK;
}

static int connecting_push(lua_State *L, struct op *op)
{
    struct connecting *c = (struct connecting *)op;
    struct connection *connection = c->connection;
    if (c->kind || !connection->pg) {
        int count = push_failure(L, c->kind ? c->kind : "closed", "%s",
                                 c->kind ? c->message : "the connection is closed");
        lua_newtable(L);
        if (*c->sqlstate) {
            lua_pushstring(L, c->sqlstate);
            lua_setfield(L, -2, "sqlstate");
        }
        return count + 1;
    }
    PQsetErrorVerbosity(connection->pg, PQERRORS_DEFAULT);
    PQsetnonblocking(connection->pg, 1);
    connection->current = NULL;
    c->connection = NULL; /* owned by Lua from here on */
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, 1);
    return 1;
}

static void connecting_drop(struct op *op)
{
    struct connecting *c = (struct connecting *)op;
    if (c->resolution)
        worker_release(&c->resolution->worker);
    c->resolution = NULL;
    if (!c->connection)
        return;
    connection_close(c->connection);
    c->connection->current = NULL;
}

static const struct op_kind connecting_kind = {.name = "pq connect",
                                               .ask = connecting_ask,
                                               .step = connecting_step,
                                               .push = connecting_push,
                                               .drop = connecting_drop};

static bool is_numeric(const char *host)
{
    unsigned char address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Starts to resolve the host when that is needed. */
static void set_host(lua_State *L, struct connecting *c, const char *host)
{
    if (!host || *host == '/' || is_numeric(host)) {
        add(c, "host", host);
        return;
    }
    if (strlen(host) >= sizeof c->resolution->host || strchr(host, ','))
        luaL_error(L, "option \"host\": one name or address expected");
    c->resolution = (struct resolution *)worker_new(sizeof *c->resolution, run_resolution,
                                                    clean_resolution);
    if (!c->resolution)
        luaL_error(L, "out of memory or descriptors");
    strcpy(c->resolution->host, host);
    if (!worker_start(&c->resolution->worker))
        luaL_error(L, "no thread to resolve the name with");
}

static const char *const parameters[] = {"dbname",           "user",    "password",
                                         "sslmode",          "sslrootcert", "application_name",
                                         "options",          "target_session_attrs", NULL};

/* Adds the option `name`, its text kept in the table at 2. */
static const char *keep(lua_State *L, const char *name)
{
    const char *text = option_string(L, 1, name, NULL);
    if (text) {
        lua_pushstring(L, text);
        text = lua_tostring(L, -1);
        lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    }
    return text;
}

static void read_parameters(lua_State *L, struct connecting *c)
{
    const char *host = keep(L, "host");
    lua_Integer port = option_integer(L, 1, "port", 5432);
    if (port < 1 || port > 65535)
        luaL_error(L, "option \"port\": 1 to 65535 expected");
    lua_pushfstring(L, "%d", (int)port);
    add(c, "port", lua_tostring(L, -1));
    lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    for (size_t i = 0; parameters[i]; i++)
        add(c, parameters[i], keep(L, parameters[i]));
    add(c, "client_encoding", "UTF8");
    add(c, "gssencmode", "disable");
    add(c, "keepalives_idle", "15");
    add(c, "keepalives_interval", "5");
    add(c, "keepalives_count", "3");
    add(c, "tcp_user_timeout", "30000"); /* the same for data sent but not acknowledged */
    snprintf(c->connection->place, sizeof c->connection->place, "%s port %d database %s",
             host ? host : "the local server", (int)port,
             option_string(L, 1, "dbname", option_string(L, 1, "user", "of the user")));
    set_host(L, c, host);
}

/* connect{host=, port=5432, dbname=, user=, password=, sslmode=, sslrootcert=,
 * application_name=, options=, target_session_attrs=, timeout=10} => conn */
int connect_start(lua_State *L)
{
    static const char *const known[] = {
        "host", "port", "dbname", "user", "password", "sslmode", "sslrootcert",
        "application_name", "options", "target_session_attrs", "timeout", NULL};
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    option_check(L, 1, known);
    lua_newtable(L); /* 2: keeps the connection and every text */
    struct connection *connection = lua_newuserdatauv(L, sizeof *connection, 0);
    memset(connection, 0, sizeof *connection);
    luaL_setmetatable(L, CONNECTION_META);
    lua_rawseti(L, 2, 1);
    struct connecting *c = (struct connecting *)op_new(L, sizeof *c, &connecting_kind, 2);
    c->connection = connection;
    c->timeout = option_number(L, 1, "timeout", 10);
    c->until = c->timeout > 0 ? host_monotonic() + c->timeout : HUGE_VAL;
    read_parameters(L, c);
    connection->current = &c->op;
    op_start(&c->op);
    return 1;
}
