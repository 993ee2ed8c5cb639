#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "client/where.h"
#include "common/base/cleanup.h"

static struct ps_conn conn(void)
{
	struct ps_conn c = {.id = 0x18eaf95fea15a6e6,
		.proto = 6,
		.src_port = 40000,
		.dst_port = 443,
		.orig_packets = 12,
		.orig_bytes = 5000000000,
		.state = 3,
		.rule_id = -1};

	assert_int_equal(ps_addr_parse("10.1.2.3", 8, &c.src_ip), 0);
	assert_int_equal(ps_addr_parse("2001:db8::1", 11, &c.dst_ip), 0);
	return c;
}

static bool holds(const char *text)
{
	const struct ps_conn c = conn();
	const struct ps_tap_record r = {.topic = PS_TOPIC_CONN_NEW, .data = &c, .source = "events"};
	struct ps_error err = {0};
	struct ps_where w;

	if (ps_where_parse(text, &w, &err) < 0)
		fail_msg("%s", err.message);
	return ps_where_holds(&w, &r);
}

static void conditions_hold_or_not(void **state)
{
	static const char *const yes[] = {"", "proto=tcp", "dst_port=443", "dst_port==443", "proto=tcp,dst_port=443,",
		"dst_port!=80", "orig_bytes>4999999999", "orig_bytes>=5000000000", "orig_packets<13",
		"orig_packets<=12", "src_ip=10.1.2.3", "src_ip=10.0.0.0/8", "src_ip=10.1.2.2/31", "src_ip!=10.1.2.4/31",
		"dst_ip=2001:db8::/32", "src_ip=0.0.0.0/0", "id=18eaf95fea15a6e6", "rule_id!=3", "src_ip!=2001:db8::1"};
	static const char *const no[] = {"proto=udp", "dst_port=44", "proto=tcp,dst_port=80", "orig_bytes>5000000000",
		"src_ip=10.1.2.4/31", "dst_ip=2001:db9::/32", "src_ip=::/0", "rule_id=0", "icmp_type=8",
		"icmp_type!=8"};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(yes); i++) {
		if (!holds(yes[i]))
			fail_msg("%s does not hold", yes[i]);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(no); i++) {
		if (holds(no[i]))
			fail_msg("%s holds", no[i]);
	}
}

static void bad_conditions_are_told(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"port=443", "no record has such a field"},
		{"dst_port", "FIELD=VALUE"},
		{"=443", "FIELD=VALUE"},
		{"proto=tcp,dst_port", "dst_port"},
		{"dst_port!443", "FIELD=VALUE"},
		{"src_ip=10.0.0.0/33", "an address or a network"},
		{"src_ip=10.0.0.0/", "an address or a network"},
		{"src_ip=host", "an address or a network"},
		{"src_ip>10.0.0.1", "an address or a network"},
		{"proto>tcp", "only numbers"},
		{"vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,vlan=1,"
		 "vlan=1,vlan=1,vlan=1",
			"more conditions"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_error err = {0};
		struct ps_where w;

		assert_int_equal(ps_where_parse(rows[i].text, &w, &err), -EINVAL);
		if (!strstr(err.message, rows[i].says))
			fail_msg("%s: \"%s\" says nothing of \"%s\"", rows[i].text, err.message, rows[i].says);
	}
}

static void maps_have_fields_too(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	const struct ps_tap_record r = {.topic = PS_TOPIC_FINDING, .map = map, .source = "findings"};
	struct ps_where w;

	(void)state;
	assert_int_equal(ps_value_set(map, "rule_id", ps_value_int(7)), 0);
	assert_int_equal(ps_value_set(map, "verdict", ps_value_string("drop")), 0);
	assert_int_equal(ps_where_parse("rule_id=7,verdict=drop", &w, NULL), 0);
	assert_true(ps_where_holds(&w, &r));
	assert_int_equal(ps_where_parse("rule_id>7", &w, NULL), 0);
	assert_false(ps_where_holds(&w, &r));
	assert_int_equal(ps_where_parse("proto=tcp", &w, NULL), 0);
	assert_false(ps_where_holds(&w, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_hold_or_not),
		cmocka_unit_test(bad_conditions_are_told),
		cmocka_unit_test(maps_have_fields_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
