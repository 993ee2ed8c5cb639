/* Sums by host, service and flow: what is added where, the order, the limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/top_query.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

#define NOW (2000 * PS_NSEC)

static struct ps_conn_table *table;
static uint64_t next_id;

static void add(uint32_t src, uint32_t dst, uint16_t port, uint8_t proto, uint64_t out, uint64_t in, bool ended)
{
	struct ps_conn c;

	memset(&c, 0, sizeof(c));
	c.id = ++next_id;
	c.proto = proto;
	c.src_ip = (struct ps_addr){.family = 4, .word = {htonl(0x0a000000 + src)}};
	c.dst_ip = (struct ps_addr){.family = 4, .word = {htonl(0x0a000000 + dst)}};
	c.src_port = (uint16_t)(40000 + next_id % 20000);
	c.dst_port = port;
	c.orig_packets = 2;
	c.resp_packets = 1;
	c.orig_bytes = out;
	c.resp_bytes = in;
	c.orig_dropped_packets = port == 23;
	c.last_seen = NOW - (src == 9 ? 100 : 1) * PS_NSEC;
	assert_true(ps_conn_table_apply(table, &c, ended, 1) > 0);
}

static int setup(void **state)
{
	(void)state;
	next_id = 0;
	assert_int_equal(ps_conn_table_new(200000, &table), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ps_conn_table_free(&table);
	return 0;
}

static struct ps_value *ask(const char *text)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;
	struct ps_top_query q;
	struct ps_value *body;

	assert_int_equal(ps_json_parse(text, strlen(text), &args, NULL), 0);
	assert_int_equal(ps_top_query_parse(args, NOW, &q, NULL), 0);
	body = ps_top_query_run(&q, table, 12345);
	assert_non_null(body);
	return body;
}

static const struct ps_value *row(const struct ps_value *body, const char *list, size_t i)
{
	const struct ps_value *v = ps_value_at(ps_value_get(body, list), i);

	assert_non_null(v);
	return v;
}

static void sums(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	const struct ps_value *v;

	(void)state;
	add(1, 2, 80, IPPROTO_TCP, 100, 1000, false);
	add(1, 2, 80, IPPROTO_TCP, 10, 1, false);
	add(3, 2, 53, IPPROTO_UDP, 60, 70, false);
	add(3, 2, 23, IPPROTO_TCP, 40, 0, true); /* not asked for */
	add(4, 4, 80, IPPROTO_TCP, 7, 7, false); /* to itself: one host, once */
	body = ask("{}");
	assert_int_equal(ps_value_get_int(body, "connections", -1), 4);
	assert_int_equal(ps_value_get_int(body, "bytes", -1), 1255);
	assert_int_equal(ps_value_get_int(body, "packets", -1), 12);
	assert_int_equal(ps_value_get_int(body, "hosts_total", -1), 4);
	assert_int_equal(ps_value_get_int(body, "services_total", -1), 2);
	assert_int_equal(ps_value_get_int(body, "flows_total", -1), 3);
	assert_true(ps_value_get_bool(body, "complete", false));

	v = row(body, "hosts", 0);
	assert_string_equal(ps_value_get_string(v, "ip", ""), "10.0.0.2");
	assert_int_equal(ps_value_get_int(v, "bytes_out", -1), 1071);
	assert_int_equal(ps_value_get_int(v, "bytes_in", -1), 170);
	assert_int_equal(ps_value_get_int(v, "packets_out", -1), 3);
	assert_int_equal(ps_value_get_int(v, "packets_in", -1), 6);
	v = row(body, "hosts", 3);
	assert_string_equal(ps_value_get_string(v, "ip", ""), "10.0.0.4");
	assert_int_equal(ps_value_get_int(v, "connections", -1), 1);

	v = row(body, "services", 0);
	assert_string_equal(ps_value_get_string(v, "proto", ""), "tcp");
	assert_int_equal(ps_value_get_int(v, "dst_port", -1), 80);
	assert_int_equal(ps_value_get_int(v, "connections", -1), 3);

	v = row(body, "flows", 0);
	assert_string_equal(ps_value_get_string(v, "src_ip", ""), "10.0.0.1");
	assert_string_equal(ps_value_get_string(v, "dst_ip", ""), "10.0.0.2");
	assert_int_equal(ps_value_get_int(v, "bytes_out", -1), 110);
	assert_int_equal(ps_value_get_int(v, "bytes_in", -1), 1001);
}

static void which_and_in_what_order(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *ended = NULL;
	_cleanup_(ps_value_free) struct ps_value *active = NULL;
	_cleanup_(ps_value_free) struct ps_value *by = NULL;

	(void)state;
	add(1, 2, 80, IPPROTO_TCP, 1000, 0, false);
	add(3, 2, 53, IPPROTO_UDP, 1, 1, false);
	add(3, 2, 53, IPPROTO_UDP, 1, 1, false);
	add(3, 2, 23, IPPROTO_TCP, 1, 0, true);
	add(9, 2, 99, IPPROTO_TCP, 5000, 0, false); /* silent for 100 s */
	ended = ask("{\"ended\": true, \"active\": 10}");
	assert_int_equal(ps_value_get_int(ended, "connections", -1), 4);
	assert_int_equal(ps_value_get_int(row(ended, "services", 2), "dropped_packets", -1), 1);
	active = ask("{\"active\": 10, \"limit\": 1}");
	assert_int_equal(ps_value_get_int(active, "connections", -1), 3);
	assert_int_equal(ps_value_count(ps_value_get(active, "services")), 1);
	assert_int_equal(ps_value_get_int(row(active, "services", 0), "dst_port", -1), 80);
	by = ask("{\"by\": \"connections\"}");
	assert_int_equal(ps_value_get_int(row(by, "services", 0), "dst_port", -1), 53);
	assert_string_equal(ps_value_get_string(row(by, "hosts", 0), "ip", ""), "10.0.0.2");
}

static void an_empty_table(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;

	(void)state;
	body = ask("{}");
	assert_int_equal(ps_value_count(ps_value_get(body, "hosts")), 0);
	assert_int_equal(ps_value_get_int(body, "connections", -1), 0);
}

/* More hosts than are told apart: the sums stay right, and the answer says so. */
static void more_groups_than_fit(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;

	(void)state;
	for (uint32_t i = 0; i < PS_TOP_GROUPS_MAX + 500; i++)
		add(i + 10, 2, 80, IPPROTO_TCP, 1, 2, false);
	body = ask("{}");
	assert_int_equal(ps_value_get_int(body, "connections", -1), PS_TOP_GROUPS_MAX + 500);
	assert_int_equal(ps_value_get_int(body, "bytes", -1), 3 * (PS_TOP_GROUPS_MAX + 500));
	assert_int_equal(ps_value_get_int(body, "hosts_total", -1), PS_TOP_GROUPS_MAX);
	assert_false(ps_value_get_bool(body, "complete", true));
	assert_string_equal(ps_value_get_string(row(body, "hosts", 0), "ip", ""), "10.0.0.2");
	assert_int_equal(ps_value_get_int(row(body, "hosts", 0), "connections", -1), PS_TOP_GROUPS_MAX + 500);
}

static void bad_arguments_are_named(void **state)
{
	static const struct {
		const char *args, *field;
	} bad[] = {
		{"{\"limit\": 0}", "limit"},
		{"{\"limit\": 201}", "limit"},
		{"{\"limit\": \"x\"}", "limit"},
		{"{\"active\": -1}", "active"},
		{"{\"by\": \"size\"}", "by"},
		{"{\"by\": 3}", "by"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		_cleanup_(ps_value_free) struct ps_value *args = NULL;
		struct ps_error err = {0};
		struct ps_top_query q;

		assert_int_equal(ps_json_parse(bad[i].args, strlen(bad[i].args), &args, NULL), 0);
		assert_int_equal(ps_top_query_parse(args, NOW, &q, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sums),
		TEST(which_and_in_what_order),
		TEST(an_empty_table),
		TEST(more_groups_than_fit),
		TEST(bad_arguments_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
