/* native.clock: reads the clocks and turns instants into text and back. Instants
 * are seconds since the epoch, UTC, as floats (microseconds survive until 2255). */
#define _GNU_SOURCE
#include "base/argument.h"
#include "loop/host.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int clock_now(lua_State *L)
{
    lua_pushnumber(L, read_clock(CLOCK_REALTIME));
    return 1;
}

static int clock_monotonic(lua_State *L)
{
    lua_pushnumber(L, host_monotonic());
    return 1;
}

/* Monotonic, and advances while the machine is suspended. */
static int clock_boottime(lua_State *L)
{
    lua_pushnumber(L, read_clock(CLOCK_BOOTTIME));
    return 1;
}

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* format(t, "rfc3339"|"http"|"compact"): 2026-11-21T07:40:00Z (with milliseconds
 * when t has a fraction), RFC 7231's IMF-fixdate, 20261121T074000Z. */
static int clock_format(lua_State *L)
{
    static const char *const names[] = {"rfc3339", "http", "compact", NULL};
    double at = luaL_checknumber(L, 1);
    int style = argument_option(L, 2, "rfc3339", names);
    luaL_argcheck(L, at > -62135596800.0 && at < 253402300800.0, 1,
                  "an instant between the years 1 and 9999 expected");
    long long millis = llround(at * 1000);
    time_t seconds = (time_t)(millis >= 0 ? millis / 1000 : -((-millis + 999) / 1000));
    int fraction = (int)(millis - (long long)seconds * 1000);
    struct tm tm;
    char text[64];
    gmtime_r(&seconds, &tm);
    int year = tm.tm_year + 1900;
    if (style == 1)
        snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], year, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else if (style == 2)
        snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", year, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else if (fraction)
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    else
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    lua_pushstring(L, text);
    return 1;
}

static bool in_range(const struct tm *tm)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1)
        return false;
    int length = lengths[tm->tm_mon] + (tm->tm_mon == 1 ? leap : 0);
    return tm->tm_mday <= length && tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

static int month_number(const char *name)
{
    for (int i = 0; i < 12; i++)
        if (strncasecmp(name, months[i], 3) == 0)
            return i;
    return -1;
}

/* The rest after the seconds of an RFC 3339 time: fraction and offset. */
static bool parse_tail(const char *s, double *fraction, int *offset)
{
    *fraction = 0;
    *offset = 0;
    if (*s == '.' || *s == ',') {
        double scale = 0.1;
        for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
            *fraction += (*s - '0') * scale;
    }
    if ((*s == 'Z' || *s == 'z') && s[1] == 0)
        return true;
    int hours, minutes, used = 0;
    if ((*s == '+' || *s == '-') &&
        (sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 ||
         sscanf(s + 1, "%2d%2d%n", &hours, &minutes, &used) == 2) &&
        s[1 + used] == 0 && hours < 24 && minutes < 60) {
        *offset = (hours * 60 + minutes) * (*s == '-' ? -60 : 60);
        return true;
    }
    return false;
}

static bool parse_rfc3339(const char *s, double *out)
{
    struct tm tm = {0};
    int used = 0, offset;
    double fraction;
    if (sscanf(s, "%4d-%2d-%2d%*[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 || !used)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!in_range(&tm) || !parse_tail(s + used, &fraction, &offset))
        return false;
    *out = (double)timegm(&tm) - offset + fraction;
    return true;
}

static bool parse_compact(const char *s, double *out)
{
    struct tm tm = {0};
    int used = 0;
    if (sscanf(s, "%4d%2d%2dT%2d%2d%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6 || s[used] != 0 || !used)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!in_range(&tm))
        return false;
    *out = (double)timegm(&tm);
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 7231, RFC 822; day name and fraction optional). */
static bool parse_http(const char *s, double *out)
{
    struct tm tm = {0};
    char month[4] = "";
    double seconds;
    int used = 0;
    const char *comma = strchr(s, ',');
    if (sscanf(comma ? comma + 1 : s, " %2d %3s %4d %2d:%2d:%lf%n", &tm.tm_mday, month,
               &tm.tm_year, &tm.tm_hour, &tm.tm_min, &seconds, &used) != 6 || seconds < 0)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon = month_number(month);
    tm.tm_sec = (int)seconds;
    if (!in_range(&tm))
        return false;
    *out = (double)timegm(&tm) + (seconds - tm.tm_sec);
    return true;
}

/* parse(text) -> seconds, or nil, message, "invalid". */
static int clock_parse(lua_State *L)
{
    const char *text = argument_text(L, 1);
    double at;
    if (parse_rfc3339(text, &at) || parse_compact(text, &at) || parse_http(text, &at)) {
        lua_pushnumber(L, at);
        return 1;
    }
    return push_failure(L, "invalid", "\"%.60s\" is not a time; write 2026-11-21T07:40:00Z", text);
}

static const luaL_Reg functions[] = {
    {"now", clock_now},       {"monotonic", clock_monotonic}, {"boottime", clock_boottime},
    {"format", clock_format}, {"parse", clock_parse},         {NULL, NULL},
};

int luaopen_native_clock(lua_State *L);
int luaopen_native_clock(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}
