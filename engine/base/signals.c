/* See signals.h. The kernel's other signals are never sent or waited for. */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} table[] = {
    {"TERM", SIGTERM}, {"INT", SIGINT},     {"QUIT", SIGQUIT},   {"KILL", SIGKILL},
    {"HUP", SIGHUP},   {"USR1", SIGUSR1},   {"USR2", SIGUSR2},   {"STOP", SIGSTOP},
    {"CONT", SIGCONT}, {"CHLD", SIGCHLD},   {"WINCH", SIGWINCH}, {"PIPE", SIGPIPE},
    {"ALRM", SIGALRM}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},   {"TTOU", SIGTTOU},
    {"ABRT", SIGABRT}, {"SEGV", SIGSEGV},   {"BUS", SIGBUS},     {"FPE", SIGFPE},
    {"ILL", SIGILL},   {"TRAP", SIGTRAP},   {"SYS", SIGSYS},     {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ}, {"PWR", SIGPWR},     {"IO", SIGIO},       {"URG", SIGURG},
    {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM},
};

int signals_number(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].number;
    return 0;
}

const char *signals_name(int number)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].number == number)
            return table[i].name;
    return NULL;
}
