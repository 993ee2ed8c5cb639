#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

static void rfc3339_is_what_date_says(void **state)
{
	(void)state;
	/* seconds from date -u -d TEXT +%s */
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{999, "1970-01-01T00:00:00.000000Z"},
		{1682944496ull * PS_NSEC, "2023-05-01T12:34:56.000000Z"},
		{1767323045ull * PS_NSEC + 678901999, "2026-01-02T03:04:05.678901Z"},
		{951782399ull * PS_NSEC + 999999999, "2000-02-28T23:59:59.999999Z"},
		{951782400ull * PS_NSEC, "2000-02-29T00:00:00.000000Z"},
		{4107542399ull * PS_NSEC, "2100-02-28T23:59:59.000000Z"},
		{4107542400ull * PS_NSEC, "2100-03-01T00:00:00.000000Z"},
		{UINT64_MAX, "2554-07-21T23:34:33.709551Z"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char buf[PS_RFC3339_SIZE];
		assert_ptr_equal(ps_rfc3339(rows[i].ns, buf), buf);
		assert_string_equal(buf, rows[i].text);
	}
}

static void clocks_agree(void **state)
{
	(void)state;
	uint64_t boot = ps_clock_boot(), wall = ps_clock_wall();
	int64_t offset = ps_clock_wall_offset();
	int64_t off = (int64_t)(boot + (uint64_t)offset - wall);
	assert_true(off > -(int64_t)PS_NSEC / 10 && off < (int64_t)PS_NSEC / 10);
	assert_true(ps_clock_boot() >= boot);
	assert_true(wall / PS_NSEC - (uint64_t)time(NULL) + 1 <= 2);

	struct timespec mono;
	(void)clock_gettime(CLOCK_MONOTONIC, &mono);
	uint64_t now = ps_clock_boot();
	uint64_t expected = (uint64_t)mono.tv_sec * PS_NSEC + (uint64_t)mono.tv_nsec + ps_clock_suspended();
	assert_true(now - expected + PS_NSEC / 10 < PS_NSEC / 5);
}

static void rfc3339_is_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2023-11-14T22:13:20Z", 1700000000000000000ull},
		{"2023-11-14 22:13:20.000001Z", 1700000000000001000ull},
		{"2023-11-14t22:13:20.123456789z", 1700000000123456789ull},
		{"2023-11-14T22:13:20.1234567891Z", 1700000000123456789ull},
		{"2023-11-15T00:13:20+02:00", 1700000000000000000ull},
		{"2023-11-14T16:43:20-05:30", 1700000000000000000ull},
		{"2016-12-31T23:59:60Z", 1483228800000000000ull},
		{"2024-02-29T00:00:00Z", 1709164800000000000ull},
	};
	static const char *const bad[] = {"", "now", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13Z",
		"2023-13-14T22:13:20Z", "2023-02-29T00:00:00Z", "2023-11-31T00:00:00Z", "2023-11-14T24:00:00Z",
		"1969-12-31T23:59:59Z", "2501-01-01T00:00:00Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20Zx",
		"2023-11-14T22:13:20+2:00", "1970-01-01T00:00:00+01:00", "20231114T221320Z", " 2023-11-14T22:13:20Z"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ns = 1;

		if (ps_rfc3339_parse(rows[i].text, strlen(rows[i].text), &ns))
			fail_msg("%s", rows[i].text);
		assert_int_equal(ns, rows[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t ns = 77;

		if (ps_rfc3339_parse(bad[i], strlen(bad[i]), &ns) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(ns, 77);
	}
	for (uint64_t ns = 1000; ns < 5000000000000000000ull; ns = ns * 3 / 1000 * 1000) {
		char text[PS_RFC3339_SIZE];
		uint64_t again = 0;

		(void)ps_rfc3339(ns, text);
		assert_int_equal(ps_rfc3339_parse(text, strlen(text), &again), 0);
		assert_int_equal(again, ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc3339_is_what_date_says),
		cmocka_unit_test(rfc3339_is_read),
		cmocka_unit_test(clocks_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
