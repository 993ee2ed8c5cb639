/* Numbers as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>

#include "cli/human.h"

static char buf[PS_HUMAN_TEXT];

static void counts(void **state)
{
	(void)state;
	assert_string_equal(ps_human_count(0, buf), "0");
	assert_string_equal(ps_human_count(999, buf), "999");
	assert_string_equal(ps_human_count(1000, buf), "1,000");
	assert_string_equal(ps_human_count(1234567, buf), "1,234,567");
	assert_string_equal(ps_human_count(UINT64_MAX, buf), "18,446,744,073,709,551,615");
}

static void bytes(void **state)
{
	(void)state;
	assert_string_equal(ps_human_bytes(0, buf), "0 B");
	assert_string_equal(ps_human_bytes(999, buf), "999 B");
	assert_string_equal(ps_human_bytes(1000, buf), "1.0 kB");
	assert_string_equal(ps_human_bytes(1250000, buf), "1.2 MB");
	assert_string_equal(ps_human_bytes(999999, buf), "1.0 MB");
	assert_string_equal(ps_human_bytes(123456789, buf), "123 MB");
	assert_string_equal(ps_human_bytes(UINT64_MAX, buf), "18.4 EB");
}

static void rates(void **state)
{
	(void)state;
	assert_string_equal(ps_human_rate(0, "bit/s", buf), "0 bit/s");
	assert_string_equal(ps_human_rate(12.4, "bit/s", buf), "12 bit/s");
	assert_string_equal(ps_human_rate(1.5e9, "bit/s", buf), "1.5 Gbit/s");
	assert_string_equal(ps_human_rate(-1, "bit/s", buf), "0 bit/s");
	assert_string_equal(ps_human_rate(NAN, "bit/s", buf), "0 bit/s");
}

static void spans(void **state)
{
	(void)state;
	assert_string_equal(ps_human_span(0, buf), "0 ms");
	assert_string_equal(ps_human_span(0.0123, buf), "12 ms");
	assert_string_equal(ps_human_span(0.9999, buf), "1.0 s");
	assert_string_equal(ps_human_span(3.44, buf), "3.4 s");
	assert_string_equal(ps_human_span(59.99, buf), "1m00s");
	assert_string_equal(ps_human_span(312, buf), "5m12s");
	assert_string_equal(ps_human_span(7380, buf), "2h03m");
	assert_string_equal(ps_human_span(4 * 86400 + 6 * 3600, buf), "4d06h");
	assert_string_equal(ps_human_span(-5, buf), "0 ms");
	assert_string_equal(ps_human_span(NAN, buf), "0 ms");
	assert_true(ps_human_span(INFINITY, buf) == buf);
}

static void times(void **state)
{
	uint64_t ns = 42;

	(void)state;
	assert_int_equal(ps_human_parse_time("1970-01-01T00:00:01Z", &ns), 0);
	assert_true(ns == 1000000000ull);
	assert_int_equal(ps_human_parse_time("2023-05-01T12:34:56.789012Z", &ns), 0);
	assert_true(ns == 1682944496789012000ull);
	assert_int_equal(ps_human_parse_time("2023-05-01T12:34:56.1234567891234Z", &ns), 0);
	assert_true(ns == 1682944496123456789ull);
	ns = 42;
	assert_int_equal(ps_human_parse_time("", &ns), -EINVAL);
	assert_int_equal(ps_human_parse_time("yesterday", &ns), -EINVAL);
	assert_int_equal(ps_human_parse_time("2023-05-01T12:34:56", &ns), -EINVAL);
	assert_int_equal(ps_human_parse_time("2023-05-01T12:34:56Z and more", &ns), -EINVAL);
	assert_int_equal(ps_human_parse_time("1960-05-01T12:34:56Z", &ns), -EINVAL);
	assert_true(ns == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(bytes),
		cmocka_unit_test(rates),
		cmocka_unit_test(spans),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
