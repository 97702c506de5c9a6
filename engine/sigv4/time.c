/* The time format of signing, ISO 8601 basic in UTC: 20150830T123600Z. */
#include "sigv4/sigv4.h"

/* Days since 1970-01-01 of a date of the Gregorian calendar; years begin in
 * March here, so that the leap day is a year's last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static char *put_number(char *out, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        out[i] = (char)('0' + number % 10);
    return out + digits;
}

void sigv4_format_time(int64_t seconds, char out[SIGV4_TIME_SIZE])
{
    int64_t year;
    int month, day;
    if (seconds < 0)
        seconds = 0;
    if (seconds > INT64_C(253402300799)) /* the end of the year 9999 */
        seconds = INT64_C(253402300799);
    date_from_days(seconds / 86400, &year, &month, &day);
    int64_t rest = seconds % 86400;
    out = put_number(out, year, 4);
    out = put_number(out, month, 2);
    out = put_number(out, day, 2);
    *out++ = 'T';
    out = put_number(out, rest / 3600, 2);
    out = put_number(out, rest / 60 % 60, 2);
    out = put_number(out, rest % 60, 2);
    *out = 'Z';
}

bool sigv4_is_time(struct span text)
{
    static const char form[] = "ddddddddTddddddZ";
    if (text.size != SIGV4_TIME_SIZE)
        return false;
    for (size_t i = 0; i < SIGV4_TIME_SIZE; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (form[i] == 'd' ? !digit : text.data[i] != form[i])
            return false;
    }
    return true;
}

bool sigv4_parse_time(struct span text, int64_t *seconds)
{
    int64_t n = 0;
    if (!sigv4_is_time(text))
        return false;
    for (size_t i = 0; i < SIGV4_TIME_SIZE; i++)
        if (text.data[i] >= '0' && text.data[i] <= '9')
            n = n * 10 + (text.data[i] - '0');
    int month = (int)(n / 100000000 % 100), day = (int)(n / 1000000 % 100);
    int hour = (int)(n / 10000 % 100), minute = (int)(n / 100 % 100), second = (int)(n % 100);
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = days_from_date(n / INT64_C(10000000000), month, day) * 86400 + hour * 3600 +
               minute * 60 + second;
    return true;
}
