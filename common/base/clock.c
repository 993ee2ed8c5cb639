#include "common/base/clock.h"

#include <time.h>

#define READ_TRIES 5 /* a reading that was interrupted between its clocks is beaten by one of the others */

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts); /* cannot fail for these clocks */
	return (uint64_t)ts.tv_sec * PS_NSEC + (uint64_t)ts.tv_nsec;
}

/* a - b, from the tightest of a few readings. */
static int64_t difference(clockid_t a, clockid_t b)
{
	uint64_t best = UINT64_MAX;
	int64_t ret = 0;
	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t before = read_clock(b);
		uint64_t middle = read_clock(a);
		uint64_t after = read_clock(b);
		uint64_t gap = after - before;
		if (gap < best) {
			best = gap;
			ret = (int64_t)(middle - (before + gap / 2));
		}
	}
	return ret;
}

uint64_t ps_clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t ps_clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t ps_clock_wall_offset(void)
{
	return difference(CLOCK_REALTIME, CLOCK_BOOTTIME);
}

uint64_t ps_clock_suspended(void)
{
	int64_t d = difference(CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	return d > 0 ? (uint64_t)d : 0;
}

/* `value` in exactly `width` decimal digits; returns the place behind them. */
static char *digits(char *to, unsigned value, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		to[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return to + width;
}

char *ps_rfc3339(uint64_t wall_ns, char buf[static PS_RFC3339_SIZE])
{
	time_t seconds = (time_t)(wall_ns / PS_NSEC);
	struct tm tm = {0};
	(void)gmtime_r(&seconds, &tm); /* 64 bits of ns end in the year 2554: four digits always do */

	char *p = digits(buf, (unsigned)tm.tm_year + 1900, 4);
	*p++ = '-';
	p = digits(p, (unsigned)tm.tm_mon + 1, 2);
	*p++ = '-';
	p = digits(p, (unsigned)tm.tm_mday, 2);
	*p++ = 'T';
	p = digits(p, (unsigned)tm.tm_hour, 2);
	*p++ = ':';
	p = digits(p, (unsigned)tm.tm_min, 2);
	*p++ = ':';
	p = digits(p, (unsigned)tm.tm_sec, 2);
	*p++ = '.';
	p = digits(p, (unsigned)(wall_ns % PS_NSEC / 1000), 6);
	*p++ = 'Z';
	*p = '\0';
	return buf;
}
