/* What the lock-out guard forbids, and what it must let pass: rules that people need. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "aggregator/guard_flows.h"
#include "aggregator/rule_guard.h"
#include "tests/unit/rule_maker.h"

#define _array_ _cleanup_(ps_rule_array_free) struct ps_rule_array

static struct ps_addr addr(const char *text)
{
	struct ps_addr a;

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct ps_net net(const char *text)
{
	struct ps_net n;

	assert_int_equal(ps_net_parse(text, strlen(text), &n), 0);
	return n;
}

/* A host at 192.0.2.1 and 2001:db8::1 that all tests speak of. */
static struct ps_guard_flows flows;
static struct ps_net protected[2];

static void make_host(void)
{
	struct ps_host_facts host = {
		.local = {{.addr = addr("192.0.2.1"), .len = 24}, {.addr = addr("2001:db8::1"), .len = 64},
			{.addr = addr("fe80::1"), .len = 64}},
		.n_local = 3,
		.dns = {addr("198.51.100.53")},
		.n_dns = 1,
		.gateway = {addr("192.0.2.254"), addr("fe80::254")},
		.n_gateway = 2,
	};
	const struct ps_guard_flow more[] = {
		{.kind = PS_GUARD_CALLER,
			.proto = IPPROTO_TCP,
			.local = addr("192.0.2.1"),
			.local_port = 8080,
			.remote = addr("203.0.113.9"),
			.remote_port = 52114,
			.connection = 0xabc},
		{.kind = PS_GUARD_SSH,
			.proto = IPPROTO_TCP,
			.local = addr("192.0.2.1"),
			.local_port = 22,
			.remote = addr("203.0.113.7"),
			.remote_port = 50000,
			.connection = 7},
		{.kind = PS_GUARD_SSH,
			.proto = IPPROTO_TCP,
			.local = addr("2001:db8::1"),
			.local_port = 22,
			.remote = addr("2001:db8:7::7"),
			.remote_port = 50000,
			.connection = 8},
	};

	flows.n = 0;
	ps_guard_flows_host(&flows, &host);
	for (size_t i = 0; i < PS_ARRAY_SIZE(more); i++)
		flows.flow[flows.n++] = more[i];
}

/* Kinds that the step from `before` to `after` would cut, as letters in order: caller, ssh, dns, gateway, protected. */
static const char *kinds(
	const struct ps_rule_view *before, const struct ps_rule_view *after, int64_t changed, size_t n_protected)
{
	static char found[8];
	_cleanup_(ps_value_free) struct ps_value *report = ps_value_list();
	const struct ps_guard g = {.flows = flows.flow,
		.n_flows = flows.n,
		.protected = protected,
		.n_protected = n_protected,
		.now = RM_NOW};
	static const char *const names[] = {"caller", "ssh", "dns", "gateway", "protected"};
	int cut = ps_guard_check(&g, before, after, changed, report);
	size_t n = 0;

	assert_true(cut >= 0);
	for (size_t k = 0; k < PS_ARRAY_SIZE(names); k++) {
		for (size_t i = 0; i < ps_value_count(report); i++) {
			if (strcmp(ps_value_get_string(ps_value_at(report, i), "kind", ""), names[k]) == 0) {
				found[n++] = "csdgp"[k];
				break;
			}
		}
	}
	found[n] = '\0';
	assert_int_equal(cut > 0, n > 0);
	return found;
}

/* One more rule on top of a set; judged as one change and as a whole set, which must agree. */
static void expect_add(const char *const *set, const char *rule, const char *expected)
{
	_array_ rules = {0}, whole = {0};
	_cleanup_(ps_rule_clear) struct ps_rule added = rm_rule(100, rule);
	struct ps_rule_view before, after;
	struct ps_rule copy;
	const char *got;

	rm_set(&rules, set);
	rm_set(&whole, set);
	before = (struct ps_rule_view){.rules = rules.rules, .n = rules.n};
	after = before;
	after.with = &added;
	got = kinds(&before, &after, 100, 0);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: cuts \"%s\", expected \"%s\"", rule, got, expected);
	assert_int_equal(ps_rule_copy(&added, &copy), 0);
	assert_int_equal(ps_rule_array_put(&whole, &copy), 0);
	after = (struct ps_rule_view){.rules = whole.rules, .n = whole.n};
	got = kinds(&before, &after, -1, 0);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: as a whole set cuts \"%s\", expected \"%s\"", rule, got, expected);
}

static void rules_that_cut(void **state)
{
	static const struct {
		const char *rule, *cuts;
	} rows[] = {
		{"{}", "csdg"},
		{"{\"direction\": \"egress\"}", "csdg"},
		{"{\"src_ip\": \"203.0.113.0/24\"}", "cs"},
		{"{\"src_ip\": \"203.0.113.9\"}", "c"},
		{"{\"dst_ip\": \"203.0.113.9\", \"direction\": \"egress\"}", "c"},
		{"{\"dst_ip\": \"192.0.2.1\"}", "csdg"},
		{"{\"rule_type\": \"tcp\", \"dst_port\": 22}", "s"},
		{"{\"rule_type\": \"tcp\", \"dst_port\": \"20-25\"}", "s"},
		{"{\"rule_type\": \"tcp\", \"src_port\": 22, \"direction\": \"egress\"}", "s"},
		{"{\"rule_type\": \"tcp\", \"src_port\": 52114}", "c"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"ACK\"}", "csd"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"PSH\"}", "csd"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"FIN\"}", "cs"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN\", \"tcp_flags_mask\": \"SYN|ACK\"}", "cs"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN|ACK\", \"direction\": \"egress\"}", "cs"},
		{"{\"rule_type\": \"tcp\", \"dst_port\": 8080, \"rate_limit\": 50}", "c"},
		{"{\"rule_type\": \"udp\", \"src_port\": 53}", "d"},
		{"{\"rule_type\": \"udp\", \"src_ip\": \"198.51.100.53\"}", "d"},
		{"{\"rule_type\": \"udp\", \"dst_port\": \"32768-60999\"}", "d"},
		{"{\"rule_type\": \"udp\", \"dst_port\": 53, \"direction\": \"egress\"}", "d"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 8}", "g"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 0}", "g"},
		{"{\"rule_type\": \"icmp\", \"protocol\": \"icmpv6\", \"icmp_type\": 135}", "g"},
		{"{\"rule_type\": \"icmp\", \"protocol\": \"icmpv6\", \"icmp_type\": 134}", "g"},
		{"{\"protocol\": \"icmpv6\"}", "g"},
		{"{\"src_ip\": \"192.0.2.254\"}", "g"},
		{"{\"src_ip\": \"2001:db8:7::/48\"}", "s"},
		{"{\"src_ip\": \"0.0.0.0/0\"}", "csdg"},
		{"{\"direction\": \"both\", \"rate_limit\": 1000000}", "csdg"},
	};

	(void)state;
	make_host();
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		expect_add(NULL, rows[i].rule, rows[i].cuts);
}

/* What people protect themselves with. */
static void rules_that_pass(void **state)
{
	static const char *const rows[] = {
		"{\"src_ip\": \"203.0.113.10\"}",
		"{\"src_ip\": \"10.0.0.0/8\", \"direction\": \"both\"}",
		"{\"rule_type\": \"tcp\", \"dst_port\": 23}",
		"{\"rule_type\": \"tcp\", \"dst_port\": \"135,137-139,445\"}",
		"{\"rule_type\": \"tcp\", \"tcp_flags\": 0, \"tcp_flags_mask\": 255}",
		"{\"rule_type\": \"tcp\", \"tcp_flags\": \"FIN|PSH|URG\", \"tcp_flags_mask\": 255}",
		"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN|FIN\"}",
		"{\"rule_type\": \"tcp\", \"tcp_flags\": \"RST\"}",
		"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN\", \"tcp_flags_mask\": \"SYN|ACK\", \"direction\": "
		"\"egress\", "
		"\"dst_port\": 25}",
		"{\"rule_type\": \"tcp\", \"dst_port\": 22, \"tcp_flags\": \"SYN\", \"tcp_flags_mask\": \"SYN|ACK\", "
		"\"rate_limit\": 5}",
		"{\"rule_type\": \"tcp\", \"dst_port\": 8080, \"rate_limit\": 1000}",
		"{\"rule_type\": \"udp\", \"dst_port\": 51820}",
		"{\"rule_type\": \"udp\", \"dst_port\": \"33434-33523\"}",
		"{\"rule_type\": \"icmp\", \"icmp_type\": 5}",
		"{\"rule_type\": \"icmp\", \"icmp_type\": 3}",
		"{\"rule_type\": \"icmp\", \"protocol\": \"icmpv6\", \"icmp_type\": 137}",
		"{\"rule_type\": \"icmp\", \"icmp_type\": 3, \"inner_protocol\": \"udp\"}",
		"{\"action\": \"allow\"}",
		"{\"mode\": \"shadow\"}",
		"{\"enabled\": false}",
	};

	(void)state;
	make_host();
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		expect_add(NULL, rows[i], "");
}

static void allow_rules_above_count(void **state)
{
	static const char *const allow_all[] = {
		"{\"action\": \"allow\", \"priority\": 1, \"direction\": \"both\"}", NULL};
	static const char *const allow_ssh[] = {
		"{\"rule_type\": \"tcp\", \"action\": \"allow\", \"priority\": 1, \"dst_port\": 22}",
		"{\"rule_type\": \"tcp\", \"action\": \"allow\", \"priority\": 1, \"src_port\": 22, \"direction\": "
		"\"egress\"}",
		NULL};
	static const char *const allow_below[] = {
		"{\"action\": \"allow\", \"priority\": 5000, \"direction\": \"both\"}", NULL};
	static const char *const allow_ttl[] = {"{\"action\": \"allow\", \"priority\": 1, \"ttl\": 60}", NULL};
	static const char *const allow_flags[] = {
		"{\"rule_type\": \"tcp\", \"action\": \"allow\", \"priority\": 1, \"tcp_flags\": \"ACK\"}", NULL};
	static const char *const shadow[] = {"{\"action\": \"allow\", \"priority\": 1, \"mode\": \"shadow\"}",
		"{\"action\": \"allow\", \"priority\": 1, \"enabled\": false}", NULL};

	(void)state;
	make_host();
	/* neighbour discovery is for rules that name it */
	expect_add(allow_all, "{}", "");
	expect_add(allow_all, "{\"protocol\": \"icmpv6\", \"rule_type\": \"icmp\", \"icmp_type\": 135}", "g");
	expect_add(allow_ssh, "{\"rule_type\": \"tcp\", \"direction\": \"both\"}", "cd");
	expect_add(allow_below, "{\"rule_type\": \"tcp\", \"dst_port\": 22}", "s");
	/* what goes by itself protects nothing */
	expect_add(allow_ttl, "{\"rule_type\": \"tcp\", \"dst_port\": 22}", "s");
	/* the SYN is left: nobody could come back */
	expect_add(allow_flags, "{\"rule_type\": \"tcp\", \"dst_port\": 22}", "s");
	expect_add(shadow, "{\"rule_type\": \"tcp\", \"dst_port\": 22}", "s");
}

/* From one set to another in which only `id` differs; NULL = none of that id. */
static const char *step(const char *const *set, int32_t id, const char *to)
{
	_array_ rules = {0};
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	struct ps_rule_view before, after;

	rm_set(&rules, set);
	before = (struct ps_rule_view){.rules = rules.rules, .n = rules.n};
	after = before;
	after.without = ps_rule_array_find(&rules, id);
	if (to)
		rule = rm_rule(id, to);
	after.with = to ? &rule : NULL;
	return kinds(&before, &after, id, 0);
}

static void taking_an_allow_rule_away(void **state)
{
	static const char *const set[] = {"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"203.0.113.7\"}",
		"{\"src_ip\": \"203.0.113.0/24\", \"dst_ip\": \"192.0.2.1\", \"rule_type\": \"tcp\", \"dst_port\": 22}",
		NULL};

	(void)state;
	make_host();
	assert_string_equal(step(set, 0, NULL), "s");
	assert_string_equal(
		step(set, 0, "{\"action\": \"allow\", \"priority\": 2000, \"src_ip\": \"203.0.113.7\"}"), "s");
	assert_string_equal(
		step(set, 0,
			"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"203.0.113.7\", \"enabled\": false}"),
		"s");
	assert_string_equal(
		step(set, 0, "{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"203.0.113.7\", \"ttl\": 9}"), "s");
	assert_string_equal(step(set, 0, "{\"action\": \"drop\", \"priority\": 1, \"src_ip\": \"203.0.113.7\"}"), "s");
	assert_string_equal(
		step(set, 0, "{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"203.0.113.0/29\"}"), "");
	assert_string_equal(step(set, 1, NULL), "");
	assert_string_equal(
		step(set, 1,
			"{\"priority\": 0, \"rule_type\": \"tcp\", \"dst_port\": 22, \"src_ip\": \"203.0.113.0/24\"}"),
		"s");
}

/* What was forced once does not stand in the way of what follows. */
static void what_is_cut_already(void **state)
{
	static const char *const set[] = {"{\"rule_type\": \"tcp\", \"dst_port\": 22}", NULL};

	(void)state;
	make_host();
	expect_add(set, "{\"rule_type\": \"tcp\", \"dst_port\": 23}", "");
	/* but another rule that cuts it would go on when the first is gone */
	expect_add(set, "{\"rule_type\": \"tcp\", \"dst_port\": 22, \"src_ip\": \"203.0.113.0/24\"}", "s");
	assert_string_equal(step(set, 0, "{\"rule_type\": \"tcp\", \"dst_port\": 22, \"comment\": \"x\"}"), "");
	assert_string_equal(step(set, 0, "{\"rule_type\": \"tcp\", \"dst_port\": \"22,8080\"}"), "c");
	assert_string_equal(step(set, 0, NULL), "");
}

/* Single ports of a resolver may go; many together may not. */
static void resolver_ports_add_up(void **state)
{
	_array_ rules = {0};
	struct ps_rule_view before, after;
	int32_t id = 0;
	const char *got = "";

	(void)state;
	make_host();
	for (; id < 100 && !*got; id++) {
		char text[128];
		struct ps_rule rule;

		(void)snprintf(text, sizeof(text), "{\"rule_type\": \"udp\", \"dst_port\": \"%d-%d\"}",
			40000 + id * 100, 40099 + id * 100);
		rule = rm_rule(id, text);
		before = (struct ps_rule_view){.rules = rules.rules, .n = rules.n};
		after = before;
		after.with = &rule;
		got = kinds(&before, &after, id, 0);
		assert_int_equal(ps_rule_array_put(&rules, &rule), 0);
	}
	assert_string_equal(got, "d");
	/* 5 percent of 28,232 */
	assert_int_equal(id, 15);
}

static const char *with_protected(const char *const *set, const char *rule)
{
	_array_ rules = {0};
	_cleanup_(ps_rule_clear) struct ps_rule added = rm_rule(100, rule);
	struct ps_rule_view before, after;

	rm_set(&rules, set);
	before = (struct ps_rule_view){.rules = rules.rules, .n = rules.n};
	after = before;
	after.with = &added;
	return kinds(&before, &after, 100, 2);
}

static void protected_networks(void **state)
{
	static const char *const allow[] = {"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"172.16.0.0/12\"}",
		"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"2001:db8:aaaa::/48\"}", NULL};
	static const char *const narrow[] = {"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"172.16.0.0/12\", "
					     "\"rule_type\": \"tcp\", \"dst_port\": \"1-1023\"}",
		"{\"action\": \"allow\", \"priority\": 1, \"src_ip\": \"2001:db8:aaaa::/48\"}", NULL};

	(void)state;
	flows.n = 0;
	protected[0] = net("172.16.0.0/12");
	protected[1] = net("2001:db8:aaaa::/48");
	assert_string_equal(with_protected(NULL, "{\"src_ip\": \"172.16.5.5\"}"), "p");
	assert_string_equal(with_protected(NULL, "{\"src_ip\": \"172.0.0.0/8\"}"), "p");
	assert_string_equal(with_protected(NULL, "{\"src_ip\": \"172.32.0.0/11\"}"), "");
	assert_string_equal(with_protected(NULL, "{\"rule_type\": \"tcp\", \"dst_port\": 23}"), "p");
	assert_string_equal(
		with_protected(NULL, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"rate_limit\": 9999}"), "p");
	assert_string_equal(with_protected(NULL, "{\"dst_ip\": \"172.16.5.5\"}"), "p"); /* from anywhere */
	assert_string_equal(with_protected(NULL, "{\"src_ip\": \"10.0.0.1\", \"dst_ip\": \"172.16.5.5\"}"), "");
	assert_string_equal(with_protected(NULL, "{\"dst_ip\": \"172.16.5.5\", \"direction\": \"egress\"}"), "p");
	assert_string_equal(with_protected(NULL, "{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN|FIN\"}"), "");
	assert_string_equal(with_protected(NULL, "{\"mode\": \"shadow\"}"), "");
	assert_string_equal(with_protected(allow, "{\"rule_type\": \"tcp\", \"dst_port\": 23}"), "");
	assert_string_equal(with_protected(allow, "{\"src_ip\": \"172.0.0.0/8\"}"), "");
	assert_string_equal(
		with_protected(allow, "{\"rule_type\": \"tcp\", \"dst_port\": 23, \"direction\": \"both\"}"), "p");
	assert_string_equal(with_protected(narrow, "{\"rule_type\": \"tcp\", \"dst_port\": 23}"), "");
	assert_string_equal(with_protected(narrow, "{\"rule_type\": \"tcp\", \"dst_port\": \"1000-2000\"}"), "p");
	assert_string_equal(with_protected(narrow, "{\"src_ip\": \"172.16.5.5\"}"), "p");
}

/* An address that is guarded in a hundred thousand rules; and one change among them that concerns nobody. */
static void large_sets_are_judged_fast(void **state)
{
	_array_ rules = {0};
	_cleanup_(ps_rule_clear) struct ps_rule added = rm_rule(120000, "{\"rule_type\": \"tcp\", \"dst_port\": 22}");
	struct ps_rule_view before = {0}, after;
	struct timespec a, b;
	double ms;

	(void)state;
	make_host();
	assert_int_equal(ps_rule_array_reserve(&rules, 110000), 0);
	for (int32_t id = 0; id < 110000; id++) {
		struct ps_rule *rule = &rules.rules[rules.n++];

		ps_rule_defaults(rule);
		rule->id = id;
		rule->enabled = true;
		rule->src_ip =
			(struct ps_net){.addr = {.family = 4, .word = {htonl(0x0a000000u + (uint32_t)id)}}, .len = 32};
	}
	after = (struct ps_rule_view){.rules = rules.rules, .n = rules.n};
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	assert_string_equal(kinds(&before, &after, -1, 0), "");
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	print_message("a set of 110,000: %.1f ms\n", ms);
	before = after;
	after.with = &added;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	assert_string_equal(kinds(&before, &after, 120000, 0), "s");
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	print_message("one rule that cuts, on top: %.1f ms\n", ms);
	assert_true(ms < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_cut),
		cmocka_unit_test(rules_that_pass),
		cmocka_unit_test(allow_rules_above_count),
		cmocka_unit_test(taking_an_allow_rule_away),
		cmocka_unit_test(what_is_cut_already),
		cmocka_unit_test(resolver_ports_add_up),
		cmocka_unit_test(protected_networks),
		cmocka_unit_test(large_sets_are_judged_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
