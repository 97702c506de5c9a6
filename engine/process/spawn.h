/* Starts a program in its own process group. */
#ifndef DRLUA_SPAWN_H
#define DRLUA_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct spawn {
    const char *path; /* of the program; no search */
    char **argv, **envp;
    const char *cwd;  /* NULL: ours */
    int fds[3];       /* become its 0, 1 and 2: at least 3, or the same number */
    int death_signal; /* sent to it when we end; 0: none */
    bool change_user; /* to uid and gid, without any supplementary group */
    uid_t uid;
    gid_t gid;
    /* Of a failed start: what could not be done, and its errno. */
    const char *step;
    int error;
    int report; /* for spawn.c: where the child reports its failure */
};

/* Returns the process id, or -1 with step and error set. */
pid_t spawn_start(struct spawn *);

#endif
