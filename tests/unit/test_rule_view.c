/* Rules and refusals as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/rule_view.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf

static struct ps_value *json(const char *text)
{
	struct ps_value *v = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &v, NULL), 0);
	return v;
}

static void expect(struct ps_buf *out, const char *want)
{
	if (strcmp(ps_buf_str(out), want) != 0)
		fail_msg("got:\n%s\nwanted:\n%s", ps_buf_str(out), want);
}

static void table(void **state)
{
	_value_ a = json(
		"{\"id\":0,\"protocol\":\"tcp\",\"src_ip\":\"10.0.0.0/8\",\"dst_ip\":\"any\",\"src_port\":0,"
		"\"dst_port\":\"22,80\",\"tcp_flags\":2,\"tcp_flags_mask\":18,\"icmp_type\":255,\"direction\":\"both\","
		"\"action\":\"drop\",\"mode\":\"enforce\",\"rate_limit\":100,\"enabled\":true,\"priority\":1000,"
		"\"ttl\":60,"
		"\"packets\":12345,\"bytes\":1200,\"comment\":\"c\",\"warnings\":[\"careful\"]}");
	_value_ b = json(
		"{\"id\":10,\"protocol\":47,\"action\":\"allow\",\"mode\":\"enforce\",\"enabled\":false,\"direction\":"
		"\"ingress\",\"priority\":5,\"comment\":\"\\u001b[31m\"}");
	_value_ c = json("{\"id\":11,\"protocol\":\"any\",\"action\":\"drop\",\"mode\":\"shadow\",\"enabled\":true,"
			 "\"tcp_flags\":0,"
			 "\"tcp_flags_mask\":0}");
	_value_ d = json("{\"id\":12,\"action\":\"drop\",\"mode\":\"enforce\",\"enabled\":true,\"expired\":true}");
	_value_ e = json("{\"id\":13,\"action\":\"drop\",\"enabled\":true,\"confirm_by\":\"2026-01-01T00:00:00Z\"}");
	const struct ps_value *rules[] = {a, b, c, d, e};
	_buf_ out = PS_BUF_INIT;

	(void)state;
	ps_rule_view_table(rules, 5, SIZE_MAX, false, &out);
	assert_non_null(strstr(ps_buf_str(&out), "src_ip=10.0.0.0/8 dst_port=22,80 tcp_flags=2 tcp_flags_mask=18"));
	assert_non_null(strstr(ps_buf_str(&out), " 0  on           drop >100/s"));
	assert_non_null(strstr(ps_buf_str(&out), "10  off          allow"));
	assert_non_null(strstr(ps_buf_str(&out), "11  shadow       drop "));
	assert_non_null(strstr(ps_buf_str(&out), "12  expired      drop "));
	assert_non_null(strstr(ps_buf_str(&out), "13  unconfirmed  drop "));
	assert_non_null(strstr(ps_buf_str(&out), "12,345"));
	assert_non_null(strstr(ps_buf_str(&out), "1m00s"));
	assert_non_null(strstr(ps_buf_str(&out), "everything"));
	assert_non_null(strstr(ps_buf_str(&out), "\nwarning: careful\n"));
	assert_null(strchr(ps_buf_str(&out), '\033')); /* what comes from outside steers no terminal */
	ps_buf_reset(&out);
	ps_rule_view_table(rules, 1, 60, true, &out);
	assert_non_null(strchr(ps_buf_str(&out), '\033'));
	assert_null(strstr(ps_buf_str(&out), "PRIORITY")); /* narrow */
}

static void one(void **state)
{
	_value_ r = json("{\"id\":7,\"protocol\":\"tcp\",\"dst_port\":22,\"direction\":\"ingress\",\"action\":\"drop\","
			 "\"mode\":\"enforce\","
			 "\"enabled\":true,\"priority\":10,\"ttl\":60,\"expires_at\":\"2026-01-01T00:00:00Z\","
			 "\"packets\":3,\"bytes\":180,"
			 "\"first_hit\":\"F\",\"last_hit\":\"L\",\"source\":\"user\",\"comment\":\"x\"}");
	_buf_ out = PS_BUF_INIT;

	(void)state;
	ps_rule_view_one(r, false, &out);
	expect(&out, "rule       7\nstate      on\naction     drop\ndirection  ingress\nprotocol   tcp\nmatch      "
		     "dst_port=22\n"
		     "priority   10\nends       2026-01-01T00:00:00Z (in 1m00s)\nhits       3 packets, 180 B, first F, "
		     "last L\n"
		     "source     user\ncomment    x\n");
}

static void impact(void **state)
{
	_value_ v = json("{\"live\":3,\"ended\":1,\"packets\":1234,\"bytes\":5000,\"icmp\":2,\"connections\":[\"a\","
			 "\"b\"],\"newly_dropped\":2,"
			 "\"guard\":[{\"kind\":\"caller\",\"subject\":\"203.0.113.9:52114 -> "
			 "192.0.2.1:22\",\"connection\":null,\"rule_id\":null},"
			 "{\"kind\":\"protected\",\"subject\":\"192.0.2.0/24\",\"rule_id\":4}],\"warnings\":[\"w\"]}");
	_value_ none = json("{\"live\":0,\"ended\":0,\"packets\":0,\"bytes\":0,\"guard\":[]}");
	_buf_ out = PS_BUF_INIT;

	(void)state;
	ps_rule_view_impact(v, false, &out);
	expect(&out, "hits 3 live and 1 ended connections of the last 10 minutes, 2 ICMP flows: 1,234 packets, 5.0 kB\n"
		     "2 connections that pass now would be cut\nconnections: a b\n"
		     "would cut your own connection to this API: 203.0.113.9:52114 -> 192.0.2.1:22\n"
		     "would cut a protected network: 192.0.2.0/24 (rule 4)\nwarning: w\n");
	ps_buf_reset(&out);
	ps_rule_view_impact(none, false, &out);
	expect(&out, "hits 0 live and 0 ended connections of the last 10 minutes: 0 packets, 0 B\n");
	ps_buf_reset(&out);
	ps_rule_view_impact(NULL, false, &out);
	assert_int_equal(out.len, 0);
}

static void remedies(void **state)
{
	(void)state;
	assert_non_null(strstr(ps_rule_view_remedy("lockout"), "--force"));
	assert_non_null(strstr(ps_rule_view_remedy("confirm_pending"), "filters confirm"));
	assert_string_equal(ps_rule_view_remedy("bad_value"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(one),
		cmocka_unit_test(impact),
		cmocka_unit_test(remedies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
