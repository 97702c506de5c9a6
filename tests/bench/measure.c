/* Whole processes measured from outside: wall time and peak memory.
 *
 * Usage: measure TIMES PROGRAM [ARG ...]
 * prints the median wall time in ms, the least, and the greatest peak RSS in KiB. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* vfork, since a child that fork makes begins with its parent's memory counted. */
static long run(char **argv, double *ms)
{
    struct rusage usage;
    int status;
    double began = now();
    pid_t pid = vfork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, 1) < 0)
            _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return -1;
    *ms = now() - began;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "measure: %s failed (status %x)\n", argv[0], (unsigned)status);
        return -1;
    }
    return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    int times = argc > 2 ? atoi(argv[1]) : 0;
    if (times < 1) {
        fputs("usage: measure TIMES PROGRAM [ARG ...]\n", stderr);
        return 2;
    }
    double *ms = calloc((size_t)times, sizeof *ms);
    long peak = 0;
    for (int i = 0; ms && i < times; i++) {
        long kib = run(argv + 2, &ms[i]);
        if (kib < 0)
            return 1;
        peak = kib > peak ? kib : peak;
    }
    if (!ms)
        return 1;
    qsort(ms, (size_t)times, sizeof *ms, by_size);
    printf("%.2f %.2f %ld\n", ms[times / 2], ms[0], peak);
    free(ms);
    return 0;
}
