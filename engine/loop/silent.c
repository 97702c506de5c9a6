/* A secret is typed: see silent.h.
 *
 * The terminal gets its echo back on every way out: the line has come, the operation is
 * cancelled or collected, the process exits, or a signal ends it. So one may be asked for
 * at a time, and what it takes to restore the terminal is kept outside of Lua. */
#include "loop/silent.h"

#include "loop/host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LONGEST 4095 /* bytes; of a longer line the terminal drops the rest unseen */

struct silent {
    struct op op;
    int fd;
    int error;     /* errno of a failed read */
    bool ended;    /* the input ended before the line did */
    bool complete; /* the line has come */
    size_t size;
    char line[LONGEST + 1];
};

static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define DEADLY (sizeof deadly / sizeof *deadly)

static struct {
    volatile sig_atomic_t fd; /* of the terminal that shows nothing; -1: none */
    struct termios before;
    struct sigaction former[DEADLY];
    bool caught[DEADLY];
} active = {.fd = -1};

static void show_again(void)
{
    if (active.fd >= 0)
        tcsetattr(active.fd, TCSANOW, &active.before);
    active.fd = -1;
}

/* The handler is taken away by its being called: the signal then does what it does. */
static void on_deadly(int number)
{
    show_again();
    raise(number);
}

/* A signal that the program waits for (a run does) or handles is left to it. */
static void catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_deadly;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < DEADLY; i++)
        active.caught[i] = sigaction(deadly[i], NULL, &active.former[i]) == 0 &&
                           active.former[i].sa_handler == SIG_DFL &&
                           sigaction(deadly[i], &action, NULL) == 0;
}

static void release_signals(void)
{
    for (size_t i = 0; i < DEADLY; i++)
        if (active.caught[i])
            sigaction(deadly[i], &active.former[i], NULL);
}

/* Returns 0 or an errno. */
static int hide(int fd)
{
    static bool registered;
    struct termios silent;
    if (tcgetattr(fd, &active.before) != 0)
        return errno;
    if (!registered && atexit(show_again) != 0)
        return ENOMEM;
    registered = true;
    silent = active.before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON | ISIG;
    silent.c_cc[VSUSP] = _POSIX_VDISABLE; /* stopped here it would leave the shell without echo */
    active.fd = fd;
    catch_signals();
    if (tcsetattr(fd, TCSAFLUSH, &silent) == 0)
        return 0;
    int error = errno;
    active.fd = -1;
    release_signals();
    return error;
}

static void put(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
}

static void finish(struct silent *s)
{
    if (s->fd < 0)
        return;
    show_again();
    release_signals();
    put(s->fd, "\n", 1);
    close(s->fd);
    s->fd = -1;
}

static bool silent_ask_turn(struct op *op, struct turn *turn)
{
    turn_fd(turn, op, ((struct silent *)op)->fd, CURL_WAIT_POLLIN);
    return false;
}

/* Takes what has come; returns true when that is the end of it. */
static bool take(struct silent *s)
{
    while (s->size < sizeof s->line) {
        ssize_t n = read(s->fd, s->line + s->size, sizeof s->line - s->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0)
            s->error = errno;
        s->ended = n == 0;
        if (n <= 0)
            return true;
        s->size += (size_t)n;
        char *end = memchr(s->line, '\n', s->size);
        if (end != NULL) {
            s->size = (size_t)(end - s->line);
            s->complete = true;
            return true;
        }
    }
    return true;
}

static bool silent_step(struct op *op, struct turn *turn)
{
    struct silent *s = (struct silent *)op;
    if (turn_events(turn, op, 0) == 0 || !take(s))
        return false;
    finish(s);
    return true;
}

static int silent_push(lua_State *L, struct op *op)
{
    struct silent *s = (struct silent *)op;
    if (s->error != 0)
        return push_errno(L, s->error, "read from the terminal");
    if (s->ended)
        return push_failure(L, "closed", "nothing was typed");
    if (!s->complete || s->size >= LONGEST)
        return push_failure(L, "full", "a line of at most %d bytes can be typed", LONGEST - 1);
    lua_pushlstring(L, s->line, s->size);
    return 1;
}

static void silent_drop(struct op *op)
{
    struct silent *s = (struct silent *)op;
    finish(s);
    explicit_bzero(s->line, sizeof s->line);
}

static const struct op_kind silent_kind = {.name = "secret",
                                           .ask = silent_ask_turn,
                                           .step = silent_step,
                                           .push = silent_push,
                                           .drop = silent_drop};

int silent_ask(lua_State *L)
{
    size_t size;
    const char *prompt = luaL_checklstring(L, 1, &size);
    if (active.fd >= 0)
        return push_failure(L, "busy", "another secret is being typed");
    struct silent *s = (struct silent *)op_new(L, sizeof *s, &silent_kind, 0);
    s->fd = -1;
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return push_errno(L, errno, "open the terminal");
    int error = hide(fd);
    if (error != 0) {
        close(fd);
        return push_errno(L, error, "switch off the terminal's echo");
    }
    s->fd = fd;
    put(fd, prompt, size);
    op_start(&s->op);
    return 1;
}
