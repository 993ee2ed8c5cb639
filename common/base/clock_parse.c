/* See clock.h, ps_rfc3339_parse. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

/* Takes `width` digits off the front. */
static int take(const char **s, const char *end, int width, int *ret_value)
{
	int v = 0;

	if (end - *s < width)
		return -EINVAL;
	for (int i = 0; i < width; i++, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return -EINVAL;
		v = v * 10 + (**s - '0');
	}
	*ret_value = v;
	return 0;
}

static int take_one_of(const char **s, const char *end, const char *set)
{
	if (*s == end || !**s || !strchr(set, **s))
		return -EINVAL;
	(*s)++;
	return 0;
}

static int take_date(const char **s, const char *end, struct tm *tm)
{
	if (take(s, end, 4, &tm->tm_year) || take_one_of(s, end, "-") || take(s, end, 2, &tm->tm_mon) ||
		take_one_of(s, end, "-") || take(s, end, 2, &tm->tm_mday) || take_one_of(s, end, "Tt ") ||
		take(s, end, 2, &tm->tm_hour) || take_one_of(s, end, ":") || take(s, end, 2, &tm->tm_min) ||
		take_one_of(s, end, ":") || take(s, end, 2, &tm->tm_sec))
		return -EINVAL;
	if (tm->tm_year < 1970 || tm->tm_year > 2500 || tm->tm_mon < 1 || tm->tm_mon > 12 || tm->tm_mday < 1 ||
		tm->tm_mday > 31 || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon--;
	return 0;
}

/* ".123": digits beyond the ninth are read and dropped. */
static int take_fraction(const char **s, const char *end, uint64_t *ret_ns)
{
	uint64_t unit = PS_NSEC, ns = 0;
	const char *first;

	if (*s == end || **s != '.') {
		*ret_ns = 0;
		return 0;
	}
	for (first = ++*s; *s < end && isdigit((unsigned char)**s); (*s)++) {
		unit /= 10;
		ns += unit * (uint64_t)(**s - '0');
	}
	*ret_ns = ns;
	return *s == first ? -EINVAL : 0;
}

/* "Z", "+02:00": seconds to take off. */
static int take_zone(const char **s, const char *end, int64_t *ret_seconds)
{
	int hours, minutes, sign;

	if (!take_one_of(s, end, "Zz")) {
		*ret_seconds = 0;
		return 0;
	}
	sign = *s < end && **s == '-' ? -1 : 1;
	if (take_one_of(s, end, "+-") || take(s, end, 2, &hours) || take_one_of(s, end, ":") ||
		take(s, end, 2, &minutes) || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret_seconds = (int64_t)sign * (hours * 3600 + minutes * 60);
	return 0;
}

int ps_rfc3339_parse(const char *text, size_t len, uint64_t *ret_wall_ns)
{
	const char *s = text, *end = text + len;
	struct tm tm = {0};
	int64_t seconds, zone;
	uint64_t ns;
	int day, leap;

	if (take_date(&s, end, &tm) || take_fraction(&s, end, &ns) || take_zone(&s, end, &zone) || s != end)
		return -EINVAL;
	day = tm.tm_mday;
	leap = tm.tm_sec == 60; /* counts as the first second of the next minute */
	tm.tm_sec -= leap;
	seconds = timegm(&tm) - zone + leap;
	if (seconds < 0 || tm.tm_mday != day) /* 30 February became 2 March */
		return -EINVAL;
	*ret_wall_ns = (uint64_t)seconds * PS_NSEC + ns;
	return 0;
}
