/* What `up` prints at each interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/summary.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define S 1000000000ull

static struct ps_reading before, now;

static void take(struct ps_reading *r, const char *stats, const char *connections, uint64_t total, uint64_t at)
{
	_cleanup_(ps_value_free) struct ps_value *s = NULL, *c = NULL;

	assert_int_equal(ps_json_parse(stats, strlen(stats), &s, NULL), 0);
	assert_int_equal(ps_json_parse(connections, strlen(connections), &c, NULL), 0);
	ps_reading_take(r, s, c, total, at);
}

static int two_readings(void **state)
{
	(void)state;
	(void)setenv("TZ", "UTC", 1);
	tzset();
	take(&before, "{\"TotalPackets\":1000,\"TotalBytes\":100000,\"DroppedPackets\":5,\"TCPRetrans\":2}",
		"[{\"id\":\"a\",\"key\":\"A\",\"state\":\"established\",\"duration\":100,\"orig_bytes\":1000,\"resp_"
		"bytes\":0}]",
		7, 10 * S);
	take(&now,
		"{\"TotalPackets\":6000,\"TotalBytes\":1350000,\"DroppedPackets\":9,\"TCPRetrans\":2,"
		"\"MalformedPackets\":1}",
		"[{\"id\":\"a\",\"key\":\"A\",\"state\":\"established\",\"duration\":105,\"orig_bytes\":26000,\"resp_"
		"bytes\":0},"
		"{\"id\":\"b\",\"key\":\"B\",\"state\":\"replied\",\"duration\":2,\"orig_bytes\":500000,\"resp_bytes\":"
		"125000},"
		"{\"id\":\"c\",\"key\":\"C\",\"state\":\"replied\",\"duration\":100,\"orig_bytes\":100,\"resp_bytes\":"
		"0},"
		"{\"id\":\"d\",\"key\":\"D\",\"state\":\"unreplied\",\"duration\":0,\"orig_bytes\":0,\"resp_bytes\":0}"
		"]",
		8, 15 * S);
	return 0;
}

static void rates_since_the_last(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_summary_text(&before, &now, 3661 * S, false, &out);
	assert_string_equal(ps_buf_str(&out), "01:01:01  8 connections   1,000 packets/s   2.0 Mbit/s   dropped 9 (+4) "
					      "  retransmitted 2   malformed 1 (+1)\n"
					      "          TOP TALKERS  STATE               RATE   IN ALL\n"
					      "          B            replied       1.0 Mbit/s   625 kB\n"
					      "          A            established  40.0 kbit/s  26.0 kB\n"
					      "          C            replied          8 bit/s    100 B\n");
}

static void the_first_has_no_rates(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_summary_text(NULL, &before, 0, false, &out);
	assert_non_null(strstr(
		ps_buf_str(&out), "00:00:00  7 connections   1,000 packets   100 kB   dropped 5   retransmitted 2\n"));
}

/* The kernel part was made anew between the readings: its counters begin at zero, no rate is negative or enormous. */
static void counters_that_began_anew(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	static struct ps_reading later;

	(void)state;
	take(&later, "{\"TotalPackets\":50,\"TotalBytes\":5000}", "[]", 0, 20 * S);
	ps_summary_text(&now, &later, 0, false, &out);
	assert_non_null(
		strstr(ps_buf_str(&out), "0 connections   10 packets/s   8.0 kbit/s   dropped 0   retransmitted 0\n"));
}

static void only_the_busiest(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf list = PS_BUF_INIT, out = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *parsed = NULL;
	const struct ps_value *talkers;
	static struct ps_reading r;

	(void)state;
	for (int i = 0; i < 400; i++)
		ps_buf_addf(&list,
			"%s{\"id\":\"%d\",\"key\":\"k%d\",\"duration\":1,\"orig_bytes\":%d,\"resp_bytes\":0}",
			i ? "," : "[", i, i, (i * 7919) % 1000);
	ps_buf_addc(&list, ']');
	take(&r, "{}", ps_buf_str(&list), 400, S);
	assert_int_equal(r.n, PS_UP_TALKER_CONNS);
	ps_summary_json(NULL, &r, 0, &out);
	assert_int_equal(ps_json_parse((const char *)out.data, out.len, &parsed, NULL), 0);
	talkers = ps_value_get(parsed, "talkers");
	assert_int_equal(ps_value_count(talkers), PS_UP_TALKERS);
	for (size_t i = 1; i < PS_UP_TALKERS; i++)
		assert_true(ps_value_get_uint(ps_value_at(talkers, i - 1), "bytes", 0) >=
			    ps_value_get_uint(ps_value_at(talkers, i), "bytes", 0));
	for (size_t i = 0; i < r.n; i++)
		assert_true(r.conn[i].bytes <= ps_value_get_uint(ps_value_at(talkers, 0), "bytes", 0));
}

static void as_json(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	ps_summary_json(&before, &now, 3661 * S, &out);
	assert_int_equal(out.data[out.len - 1], '\n');
	assert_int_equal(ps_json_parse((const char *)out.data, out.len, &v, NULL), 0);
	assert_string_equal(ps_value_get_string(v, "time", ""), "1970-01-01T01:01:01.000000Z");
	assert_int_equal(ps_value_get_uint(v, "connections", 0), 8);
	assert_int_equal(ps_value_get_uint(v, "dropped_packets", 0), 9);
	assert_true(ps_value_as_real(ps_value_get(v, "packets_per_second"), 0) == 1000);
	assert_true(ps_value_as_real(ps_value_get(v, "bits_per_second"), 0) == 2000000);
}

static void answers_of_another_shape(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	static struct ps_reading r;

	(void)state;
	take(&r, "[1,2]", "{\"not\":\"a list\"}", 0, S);
	assert_int_equal(r.packets, 0);
	take(&r, "{\"TotalPackets\":\"many\"}", "[1,null,\"x\",{}]", 0, S);
	assert_int_equal(r.connections, 4);
	ps_summary_text(&before, &r, 0, true, &out);
	assert_int_equal(out.error, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_since_the_last),
		cmocka_unit_test(the_first_has_no_rates),
		cmocka_unit_test(counters_that_began_anew),
		cmocka_unit_test(only_the_busiest),
		cmocka_unit_test(as_json),
		cmocka_unit_test(answers_of_another_shape),
	};

	return cmocka_run_group_tests(tests, two_readings, NULL);
}
