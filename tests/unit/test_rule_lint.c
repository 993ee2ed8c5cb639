/* Warnings: each row hurts, or does not. */
#include "tests/unit/rule_text.h"

static void warnings(void **state)
{
	static const struct {
		const char *json;
		size_t n;
		const char *hint;
	} rows[] = {
		{"{\"rule_type\":\"tcp\",\"dst_port\":23}", 0, ""},
		{"{}", 1, "every packet"},
		{"{\"action\":\"allow\"}", 0, ""},
		{"{\"src_ip\":\"10.0.0.1\"}", 0, ""},
		{"{\"dst_port\":1}", 1, "TCP and in UDP"},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":3}", 1, "path-MTU"},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"action\":\"allow\"}", 0, ""},
		{"{\"rule_type\":\"icmp\"}", 1, "path-MTU"},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":8}", 0, ""},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"icmp_code\":3}", 0, ""},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"icmp_code\":4}", 1, "path-MTU"},
		{"{\"protocol\":\"icmpv6\",\"icmp_type\":2}", 1, "packet too big"},
		{"{\"protocol\":\"icmpv6\",\"icmp_type\":135}", 1, "neighbour"},
		{"{\"protocol\":\"icmpv6\",\"icmp_type\":128}", 0, ""},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":2}", 1, "SYN+ACK"},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}", 0, ""},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":18}", 0, ""},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"dst_port\":22}", 0, ""}, /* answers come elsewhere */
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":16}", 1, "cuts them all"},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":4}", 1, "FIN and RST"},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":\"FIN|PSH|URG\",\"src_ip\":\"10.0.0.1\"}", 0, ""},
		{"{\"rule_type\":\"icmp\",\"src_ip\":\"203.0.113.9\"}", 0, ""}, /* one host's errors */
		{"{\"protocol\":\"icmpv6\",\"icmp_type\":143}", 1, "multicast"},
		{"{\"protocol\":\"icmpv6\",\"icmp_type\":131}", 1, "multicast"},
		{"{\"src_ip\":\"0.0.0.0/0\"}", 1, "every packet"},
		{"{\"rule_type\":\"tcp\"}", 1, "whole protocol"},
		{"{\"rule_type\":\"udp\",\"src_ip\":\"::/0\"}", 1, "whole protocol"},
		{"{\"src_ip\":\"64.0.0.0/2\"}", 1, "very large"},
		{"{\"src_ip\":\"10.0.0.0/8\"}", 0, ""},
		{"{\"dst_ip\":\"2000::/3\"}", 1, "very large"},
		{"{\"rule_type\":\"udp\",\"src_port\":53}", 1, "DNS"},
		{"{\"rule_type\":\"udp\",\"src_port\":53,\"direction\":\"egress\"}", 0, ""},
		{"{\"rule_type\":\"udp\",\"src_port\":53,\"src_ip\":\"10.0.0.1\"}", 0, ""},
		{"{\"rule_type\":\"udp\",\"dst_port\":\"67-68\"}", 1, "DHCP"},
		{"{\"rule_type\":\"icmp\",\"icmp_code\":0}", 1, "icmp_type"},
		{"{\"src_ip\":\"10.0.0.1\",\"ttl\":9}", 1, "within 10 seconds"},
		{"{\"src_ip\":\"10.0.0.1\",\"action\":\"allow\",\"ttl\":9}", 1, "within 10 seconds"},
		{"{\"src_ip\":\"10.0.0.1\",\"ttl\":60}", 0, ""},
		{"{\"src_ip\":\"10.0.0.1\",\"expires_at\":\"2020-01-01T00:00:00Z\",\"expired\":true}", 1,
			"past its time"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule r = rule_of(rows[i].json);
		_value_ list = ps_rule_warnings(&r, NOW);

		if (ps_value_count(list) != rows[i].n)
			fail_msg("%s: %zu warnings", rows[i].json, ps_value_count(list));
		if (rows[i].n)
			assert_non_null(strstr(ps_value_as_string(ps_value_at(list, 0), ""), rows[i].hint));
	}
}

/* --- A rule among others ------------------------------------------------------------------------ */

/* Rules with the numbers 0, 1, 2 …; all enabled unless they say otherwise. */
static size_t set_of(const char *const *json, struct ps_rule *rules)
{
	size_t n = 0;

	for (; json[n]; n++) {
		struct ps_rule base;

		ps_rule_defaults(&base);
		base.enabled = true;
		rules[n] = merged(&base, json[n]);
		rules[n].id = (int32_t)n;
	}
	return n;
}

static void hidden_rules(void **state)
{
	static const struct {
		const char *rules[4];
		int which, by; /* by: -1 = none */
		const char *hint;
	} rows[] = {
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.1\"}"}, 1, 0, "never decides"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.1\",\"action\":\"allow\"}"}, 1, 0,
			"allow rule has no effect"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.1\",\"action\":\"allow\"}"}, 0, -1,
			"takes all that it names"},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"action\":\"allow\"}", "{\"src_ip\":\"10.0.0.1\"}"}, 1, 0,
			"drop rule has no effect"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.1\",\"priority\":5}"}, 1, -1, NULL},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"enabled\":false}", "{\"src_ip\":\"10.0.0.1\"}"}, 1, -1, NULL},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"rate_limit\":9}", "{\"src_ip\":\"10.0.0.1\"}"}, 1, -1, NULL},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"mode\":\"shadow\"}", "{\"src_ip\":\"10.0.0.1\"}"}, 1, -1, NULL},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"mode\":\"shadow\"}", "{\"src_ip\":\"10.0.0.1\",\"mode\":\"shadow\"}"},
			1, 0, "never decides"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.1\",\"mode\":\"shadow\"}"}, 1, 0,
			"never decides"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.0/9\"}", "{\"src_ip\":\"10.0.0.1\"}"}, 2, 0,
			"rule 0"},
		{{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.0.0.0/9\",\"priority\":7}",
			 "{\"src_ip\":\"10.0.0.1\"}"},
			2, 1, "priority 7"},
		{{"{\"src_ip\":\"10.0.0.1\"}", "{\"src_ip\":\"10.0.0.2\"}"}, 1, -1, NULL},
		{{"{\"src_ip\":\"10.0.0.0/8\",\"expires_at\":\"2020-01-01T00:00:00Z\",\"expired\":true}",
			 "{\"src_ip\":\"10.0.0.1\"}"},
			1, -1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule rules[4];
		size_t n = set_of(rows[i].rules, rules);
		const struct ps_rule *rule = &rules[rows[i].which], *by = ps_rule_hidden_by(rule, rules, n, NOW);
		_value_ list = ps_rule_warnings_among(rule, rules, n, NOW);

		if ((by ? by->id : -1) != rows[i].by)
			fail_msg("row %zu: hidden by %d", i, by ? by->id : -1);
		assert_int_equal(ps_value_count(list), rows[i].hint ? 1 : 0);
		if (rows[i].hint && !strstr(ps_value_as_string(ps_value_at(list, 0), ""), rows[i].hint))
			fail_msg("row %zu: %s", i, ps_value_as_string(ps_value_at(list, 0), ""));
	}
}

static void a_whole_set(void **state)
{
	static const char *const json[] = {"{\"rule_type\":\"icmp\",\"icmp_type\":3}", "{\"src_ip\":\"10.0.0.0/8\"}",
		"{\"src_ip\":\"10.0.0.1\"}", NULL};
	struct ps_rule rules[4];
	size_t n = set_of(json, rules);
	_value_ all = ps_rules_warnings(rules, n, 10, NOW);
	_value_ one = ps_rules_warnings(rules, n, 1, NOW);

	(void)state;
	assert_int_equal(ps_value_count(all), 2);
	assert_non_null(strstr(ps_value_as_string(ps_value_at(all, 0), ""), "rule 0: Dropping ICMP type 3"));
	assert_non_null(strstr(ps_value_as_string(ps_value_at(all, 1), ""), "rule 2: This rule never decides: rule 1"));
	assert_int_equal(ps_value_count(one), 2);
	assert_string_equal(ps_value_as_string(ps_value_at(one, 1), ""), "1 more warnings");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(warnings),
		TEST(hidden_rules),
		TEST(a_whole_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
