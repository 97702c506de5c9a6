/* A child process as native.process keeps it. */
#ifndef DRLUA_PROCESS_H
#define DRLUA_PROCESS_H

#include <lua.h>
#include <stdbool.h>
#include <sys/types.h>

struct op;

struct process {
    pid_t pid;
    int pidfd;
    int fds[3]; /* our ends of its pipes, or -1 */
    bool reaped, closed;
    int code, signal; /* of its end */
    struct op *readers[2], *writer;
};

/* Pushes a process that has yet to be started. */
struct process *process_new(lua_State *L);

/* Kills the group of a process that was not reaped, and closes everything. */
void process_end(struct process *process);

/* start{...} -> proc; in launch.c. */
int process_start(lua_State *L);

#endif
