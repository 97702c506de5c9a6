/* Signals by name, as Lua writes them: "TERM", "INT". */
#ifndef DRLUA_SIGNALS_H
#define DRLUA_SIGNALS_H

enum { SIGNALS_END = 32 }; /* numbers in our table are lower */

/* The number of a signal, or 0 when the name is not known. */
int signals_number(const char *name);
/* The name of a signal, or NULL. */
const char *signals_name(int number);

#endif
