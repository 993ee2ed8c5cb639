#include "cli/human.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *ps_human_count(uint64_t n, char buf[static PS_HUMAN_TEXT])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *out = buf;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buf;
}

/* One digit of fraction below ten times the prefix, so that at most four digits stand before the unit. */
static char *scaled(double v, const char *unit, char buf[static PS_HUMAN_TEXT])
{
	static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E"};
	size_t i = 0;

	while (v >= 999.5 && i + 1 < sizeof(prefix) / sizeof(prefix[0])) {
		v /= 1000;
		i++;
	}
	(void)snprintf(buf, PS_HUMAN_TEXT, v < 99.95 && i > 0 ? "%.1f %s%s" : "%.0f %s%s", v, prefix[i], unit);
	return buf;
}

char *ps_human_bytes(uint64_t bytes, char buf[static PS_HUMAN_TEXT])
{
	return scaled((double)bytes, "B", buf);
}

char *ps_human_rate(double per_second, const char *unit, char buf[static PS_HUMAN_TEXT])
{
	return scaled(per_second > 0 ? per_second : 0, unit, buf);
}

char *ps_human_span(double seconds, char buf[static PS_HUMAN_TEXT])
{
	unsigned long s;

	if (!(seconds > 0))
		seconds = 0;
	if (seconds < 0.9995) {
		(void)snprintf(buf, PS_HUMAN_TEXT, "%.0f ms", seconds * 1e3);
		return buf;
	}
	if (seconds < 59.95) {
		(void)snprintf(buf, PS_HUMAN_TEXT, "%.1f s", seconds);
		return buf;
	}
	s = seconds < 1e12 ? (unsigned long)(seconds + 0.5) : 1000000000000ul;
	if (s < 3600)
		(void)snprintf(buf, PS_HUMAN_TEXT, "%lum%02lus", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(buf, PS_HUMAN_TEXT, "%luh%02lum", s / 3600, s % 3600 / 60);
	else
		(void)snprintf(buf, PS_HUMAN_TEXT, "%lud%02luh", s / 86400, s % 86400 / 3600);
	return buf;
}

int ps_human_parse_time(const char *text, uint64_t *ret_wall_ns)
{
	struct tm tm = {0};
	uint64_t fraction = 0, weight = 100000000;
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t t;

	if (!p)
		return -EINVAL;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			fraction += (uint64_t)(*p - '0') * weight;
			weight /= 10;
		}
	}
	if (strcmp(p, "Z") != 0)
		return -EINVAL;
	t = timegm(&tm);
	if (t < 0)
		return -EINVAL;
	*ret_wall_ns = (uint64_t)t * 1000000000u + fraction;
	return 0;
}
