/* The start of a program, by vfork.
 *
 * posix_spawn can neither drop root nor request a signal when the parent ends. So the child is
 * our own: it shares our memory until it executes the program, so it calls nothing but the
 * kernel, with all signals blocked, and reports a failure through a pipe that a successful
 * execution closes. Users are changed by system calls, since glibc's wrappers would change all
 * our threads. */
#define _GNU_SOURCE
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's error report: the texts are at the same address in both processes. */
struct failure {
    const char *step;
    int error;
};

static _Noreturn void give_up(const struct spawn *spawn, const char *step)
{
    struct failure failure = {step, errno};
    if (write(spawn->report, &failure, sizeof failure) < 0)
        _exit(126);
    _exit(127);
}

static void drop_user(const struct spawn *spawn)
{
    if (syscall(SYS_setgroups, 0, NULL) ||
        syscall(SYS_setresgid, spawn->gid, spawn->gid, spawn->gid) ||
        syscall(SYS_setresuid, spawn->uid, spawn->uid, spawn->uid))
        give_up(spawn, "change to the user");
}

/* The kernel clears the death signal when the user changes, so it is set after that; and a parent
 * that has ended before sends none. */
static void tie_to_parent(const struct spawn *spawn, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, spawn->death_signal, 0, 0, 0))
        give_up(spawn, "tie the process to its parent");
    if (getppid() != parent) {
        errno = ESRCH;
        give_up(spawn, "tie the process to its parent");
    }
}

static _Noreturn void child(const struct spawn *spawn, pid_t parent)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigaction(SIGPIPE, &standard, NULL);
    /* A shell ignores these for what it starts in the background, us among it; a program in a
     * group of its own is not concerned by that. */
    sigaction(SIGINT, &standard, NULL);
    sigaction(SIGQUIT, &standard, NULL);
    setpgid(0, 0);
    for (int i = 0; i < 3; i++)
        if (spawn->fds[i] != i && dup2(spawn->fds[i], i) < 0)
            give_up(spawn, "connect the standard streams");
    /* Descriptors that a library opened without close-on-exec stay ours. */
    syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    if (spawn->change_user)
        drop_user(spawn);
    if (spawn->cwd && chdir(spawn->cwd))
        give_up(spawn, "enter the directory");
    if (spawn->death_signal)
        tie_to_parent(spawn, parent);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(spawn->path, spawn->argv, spawn->envp);
    give_up(spawn, "execute");
}

/* A separate function, so that the child shares no variable of the caller. */
static __attribute__((noinline)) pid_t launch(const struct spawn *spawn, pid_t parent)
{
    pid_t pid = vfork();
    if (pid == 0)
        child(spawn, parent);
    return pid;
}

static pid_t fail(struct spawn *spawn, const char *step, int error)
{
    spawn->step = step;
    spawn->error = error;
    return -1;
}

/* Waits for the execution, or for the failure report. */
static pid_t hear(struct spawn *spawn, pid_t pid, int from)
{
    struct failure failure;
    ssize_t got;
    while ((got = read(from, &failure, sizeof failure)) < 0 && errno == EINTR)
        ;
    if (got != sizeof failure)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fail(spawn, failure.step, failure.error);
}

pid_t spawn_start(struct spawn *spawn)
{
    sigset_t all, before;
    int report[2];
    spawn->step = NULL;
    if (pipe2(report, O_CLOEXEC))
        return fail(spawn, "start a process", errno);
    spawn->report = report[1];
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = launch(spawn, getpid());
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    pid = pid < 0 ? fail(spawn, "start a process", error) : hear(spawn, pid, report[0]);
    close(report[0]);
    return pid;
}
