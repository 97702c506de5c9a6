/* The one host struct: everything that lives as long as the process. */
#ifndef DRLUA_HOST_H
#define DRLUA_HOST_H

#include "base/pool.h"
#include "base/signals.h"
#include "loop/op.h"

struct host {
    struct op *pending, *ready, *ready_tail;
    size_t pending_count;  /* operations visible to Lua whose end was not reported yet */
    struct turn turn;      /* its array is kept between turns */
    CURLM *multi;          /* made by the first transfer */
    size_t transfers;      /* under way in multi */
    void (*collect)(struct host *);   /* finishes ended transfers */
    void (*close_all)(struct host *); /* frees the transfers and multi; NULL: there are none */
    struct transfer *idle_transfers; /* to be used again (transfer.h) */
    size_t idle_count;
    double asleep, awake_since; /* seconds suspended since boot; when that last grew */
    unsigned char asked[SIGNALS_END]; /* operations that wait for each signal */
    bool kept[SIGNALS_END];           /* it came, and stays blocked (signal.c) */
    struct pool pool; /* Lua's memory */
    int argc;
    char **argv;
};

/* The host of a state. Valid for every coroutine of it. */
struct host *host_of(lua_State *L);
/* Monotonic seconds (CLOCK_MONOTONIC). */
double host_monotonic(void);
/* Seconds that the machine has been suspended since it was started. */
double host_asleep(void);

/* Makes the Lua state and lets `preload` announce the native modules (modules.h, which
 * knows them all); NULL: out of memory. */
lua_State *host_open(struct host *, int argc, char **argv, void (*preload)(lua_State *));
void host_close(struct host *, lua_State *L);

#endif
