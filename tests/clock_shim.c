/* Preloaded by tests: the real clock and the boot clock jump when the test says so.
 *
 * The file that DRLUA_TEST_CLOCKS names holds two numbers, seconds that are added to
 * CLOCK_REALTIME and to CLOCK_BOOTTIME. It is read at every reading of a clock, so a
 * jump takes hold at once, in every process that has it. The monotonic clock never
 * jumps: neither a correction nor a suspension moves it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void read_offsets(long *real, long *boot)
{
    char text[64] = "";
    int kept = errno;
    const char *path = getenv("DRLUA_TEST_CLOCKS");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    *real = *boot = 0;
    if (fd >= 0) {
        char *end = text;
        if (syscall(SYS_read, fd, text, sizeof text - 1) > 0) {
            *real = strtol(text, &end, 10);
            *boot = strtol(end, NULL, 10);
        }
        syscall(SYS_close, fd);
    }
    errno = kept;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long real, boot;
    if (syscall(SYS_clock_gettime, clock, now))
        return -1;
    read_offsets(&real, &boot);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += real;
    if (clock == CLOCK_BOOTTIME)
        now->tv_sec += boot;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec at;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &at);
    *now = (struct timeval){.tv_sec = at.tv_sec, .tv_usec = at.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (out)
        *out = at.tv_sec;
    return at.tv_sec;
}
