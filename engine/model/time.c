/* Timestamps of AWS: ISO 8601 (RFC 3339), RFC 822 (RFC 7231's dates), and
 * seconds since the epoch, with fractions down to microseconds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/codec.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";

/* Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant,
 * "chrono-compatible low-level date algorithms"). */
static long long days_from_date(long long y, int m, int d)
{
    y -= m <= 2;
    long long era = (y >= 0 ? y : y - 399) / 400;
    long long yoe = y - era * 400;
    long long doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_from_days(long long z, long long *y, int *m, int *d)
{
    z += 719468;
    long long era = (z >= 0 ? z : z - 146096) / 146097;
    long long doe = z - era * 146097;
    long long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    long long doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    long long mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

struct scan {
    const char *p, *end;
};

static bool digits(struct scan *s, int least, int most, long long *n)
{
    int seen = 0;
    *n = 0;
    while (s->p < s->end && seen < most && *s->p >= '0' && *s->p <= '9') {
        *n = *n * 10 + (*s->p++ - '0');
        seen++;
    }
    return seen >= least;
}

static bool skip(struct scan *s, char c)
{
    if (s->p >= s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static double fraction(struct scan *s)
{
    double value = 0, unit = 0.1;
    if (!skip(s, '.'))
        return 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, unit /= 10)
        value += (*s->p - '0') * unit;
    return round(value * 1e9) / 1e9;
}

static bool clock_of(struct scan *s, long long days, double *seconds)
{
    long long hour, minute, second = 0;
    if (!digits(s, 1, 2, &hour) || !skip(s, ':') || !digits(s, 2, 2, &minute))
        return false;
    if (skip(s, ':') && !digits(s, 2, 2, &second))
        return false;
    if (hour > 24 || minute > 59 || second > 60)
        return false;
    double part = fraction(s);
    *seconds = (double)(days * 86400 + hour * 3600 + minute * 60 + second) + part;
    return true;
}

/* "Z", "+hh:mm", "-hhmm", or nothing. */
static bool offset_of(struct scan *s, double *seconds)
{
    long long hours, minutes = 0;
    if (s->p >= s->end || skip(s, 'Z') || skip(s, 'z'))
        return true;
    int sign = skip(s, '-') ? -1 : skip(s, '+') ? 1 : 0;
    if (sign == 0 || !digits(s, 2, 2, &hours))
        return false;
    skip(s, ':');
    if (s->p < s->end && !digits(s, 2, 2, &minutes))
        return false;
    *seconds -= sign * (double)(hours * 3600 + minutes * 60);
    return true;
}

static bool parse_iso(struct scan s, double *seconds)
{
    long long y, m, d;
    if (!digits(&s, 4, 4, &y))
        return false;
    bool dashed = skip(&s, '-');
    if (!digits(&s, 2, 2, &m) || (dashed && !skip(&s, '-')) || !digits(&s, 2, 2, &d) || m < 1 ||
        m > 12 || d < 1 || d > 31)
        return false;
    long long days = days_from_date(y, (int)m, (int)d);
    *seconds = (double)(days * 86400);
    if (s.p == s.end)
        return true;
    if (!skip(&s, 'T') && !skip(&s, 't') && !skip(&s, ' '))
        return false;
    return clock_of(&s, days, seconds) && offset_of(&s, seconds) && s.p == s.end;
}

/* "Tue, 29 Apr 2014 18:30:38 GMT", also without the day's name. */
static bool parse_http(struct scan s, double *seconds)
{
    long long d, y;
    int m = 0;
    while (s.p < s.end && (*s.p < '0' || *s.p > '9'))
        s.p++;
    if (!digits(&s, 1, 2, &d) || s.end - s.p < 5)
        return false;
    s.p++;
    while (m < 12 && memcmp(s.p, months + m * 3, 3) != 0)
        m++;
    s.p += 4;
    if (m == 12 || !digits(&s, 4, 4, &y) || !skip(&s, ' ') || d < 1 || d > 31)
        return false;
    if (!clock_of(&s, days_from_date(y, m + 1, (int)d), seconds))
        return false;
    skip(&s, ' ');
    if (s.end - s.p == 3 && (memcmp(s.p, "GMT", 3) == 0 || memcmp(s.p, "UTC", 3) == 0))
        return true;
    return offset_of(&s, seconds);
}

static bool parse_epoch(struct span t, double *seconds)
{
    char digits_[48], *end;
    if (t.size == 0 || t.size >= sizeof digits_)
        return false;
    memcpy(digits_, t.data, t.size);
    digits_[t.size] = 0;
    *seconds = strtod(digits_, &end);
    return *end == 0 && isfinite(*seconds);
}

bool parse_time(struct span t, double *seconds)
{
    t = text_trim(t);
    struct scan s = {t.data, t.data + t.size};
    if (t.size == 0)
        return false;
    if (parse_epoch(t, seconds) && (t.size != 8 || t.data[0] != '2'))
        return true;
    if (t.data[0] >= '0' && t.data[0] <= '9' && parse_iso(s, seconds))
        return true;
    return parse_http(s, seconds);
}

void push_seconds(lua_State *L, double seconds)
{
    if (seconds == floor(seconds) && fabs(seconds) < 9e15)
        lua_pushinteger(L, (lua_Integer)seconds);
    else
        lua_pushnumber(L, seconds);
}

bool read_time(lua_State *L, struct span t)
{
    double seconds;
    if (!parse_time(t, &seconds))
        return false;
    push_seconds(L, seconds);
    return true;
}

enum time_format slot_time(const struct codec *c, const struct slot *slot, const struct shape *s,
                           enum time_format otherwise)
{
    (void)c;
    if (slot->time_format != TIME_DEFAULT)
        return slot->time_format;
    if (s->time_format != TIME_DEFAULT)
        return s->time_format;
    return otherwise;
}

static void write_fraction(struct buffer *out, long long micros)
{
    char part[16];
    if (micros == 0)
        return;
    int n = snprintf(part, sizeof part, ".%06lld", micros % 1000000);
    while (n > 1 && part[n - 1] == '0')
        n--;
    buffer_add(out, part, (size_t)n);
}

static void write_calendar(struct buffer *out, long long seconds, long long micros, bool http)
{
    char line[96];
    long long days = seconds / 86400, rest = seconds % 86400, y;
    int m, d;
    if (rest < 0)
        rest += 86400, days--;
    date_from_days(days, &y, &m, &d);
    int hour = (int)(rest / 3600), minute = (int)(rest / 60 % 60);
    int second = (int)(rest % 60), weekday = (int)(((days + 4) % 7 + 7) % 7);
    if (http) {
        snprintf(line, sizeof line, "%.3s, %02d %.3s %04lld %02d:%02d:%02d GMT",
                 weekdays + weekday * 3, d, months + (m - 1) * 3, y, hour, minute, second);
        add_str(out, line);
        return;
    }
    snprintf(line, sizeof line, "%04lld-%02d-%02dT%02d:%02d:%02d", y, m, d, hour, minute, second);
    add_str(out, line);
    write_fraction(out, micros);
    buffer_add_char(out, 'Z');
}

bool write_time(struct buffer *out, lua_State *L, int at, enum time_format format)
{
    double value = 0;
    if (lua_type(L, at) == LUA_TNUMBER)
        value = lua_tonumber(L, at);
    else if (!parse_time(get_text(L, at), &value))
        return false;
    if (!isfinite(value) || fabs(value) > 1e13)
        return false;
    double whole = floor(value);
    long long seconds = (long long)whole;
    long long micros = llround((value - whole) * 1e6);
    if (micros >= 1000000)
        seconds++, micros -= 1000000;
    if (format != TIME_UNIX) {
        write_calendar(out, seconds, micros, format == TIME_RFC822);
    } else if (seconds < 0 && micros > 0) {
        add_double(out, value);
    } else {
        add_int(out, seconds);
        write_fraction(out, micros);
    }
    return true;
}
