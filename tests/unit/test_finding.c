/* Findings as maps: every member, both clocks, and rules that are whole bodies for POST /api/filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/detect/finding.h"

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct ps_finding sample(void)
{
	struct ps_finding f = {
		.id = 17,
		.kind = PS_FINDING_SYN_FLOOD,
		.severity = PS_SEVERITY_HIGH,
		.confidence = 0.5,
		.source = addr("192.0.2.10"),
		.target = {.addr = addr("2001:db8::5"), .prefix = 128, .port = 443},
		.first = 1700000000000000000ull,
		.last = 1700000001000000000ull,
		.count = 200,
		.numbers = {{"syns", 200}, {"sources", 1}},
		.n_numbers = 2,
		.title = "a \"title\"",
		.connections = {0x1a, 0xffffffffffffffffull},
		.n_connections = 2,
		.rule = {.proposed = true,
			.protocol = IPPROTO_TCP,
			.src = addr("192.0.2.10"),
			.dst_port = 443,
			.syn = true,
			.rate_limit = 10},
		.open = true,
	};

	return f;
}

/* As text: JSON numbers are exact only up to 2^53, these times are beyond. */
static void expect_json(const struct ps_value *v, const char *json)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	ps_json_write(&text, v);
	assert_string_equal(ps_buf_str(&text), json);
}

static void every_member(void **state)
{
	struct ps_finding f = sample();
	_cleanup_(ps_value_free) struct ps_value *v = ps_finding_to_value(&f);

	(void)state;
	expect_json(v,
		"{\"id\":\"f-17\",\"kind\":\"syn_flood\",\"severity\":\"high\",\"confidence\":0.5,\"source\":\"192.0.2."
		"10\","
		"\"target\":\"[2001:db8::5]:443\",\"first\":1700000000000000000,\"last\":1700000001000000000,\"count\":"
		"200,"
		"\"numbers\":{\"syns\":200,\"sources\":1},\"title\":\"a \\\"title\\\"\","
		"\"connections\":[\"000000000000001a\",\"ffffffffffffffff\"],"
		"\"rule\":{\"rule_type\":\"tcp\",\"protocol\":\"tcp\",\"src_ip\":\"192.0.2.10\",\"dst_port\":443,"
		"\"tcp_flags\":\"SYN\",\"tcp_flags_mask\":\"SYN|ACK\",\"direction\":\"ingress\",\"action\":\"drop\","
		"\"rate_limit\":10,\"mode\":\"shadow\",\"enabled\":false,\"ttl\":3600,\"comment\":\"f-17: a "
		"\\\"title\\\"\","
		"\"source\":\"detector\"},\"open\":true}");
	assert_int_equal(ps_finding_times_to_text(v), 0);
	assert_string_equal(ps_value_get_string(v, "first", ""), "2023-11-14T22:13:20.000000Z");
	assert_string_equal(ps_value_get_string(v, "last", ""), "2023-11-14T22:13:21.000000Z");
	/* A second time changes nothing. */
	assert_int_equal(ps_finding_times_to_text(v), 0);
	assert_string_equal(ps_value_get_string(v, "last", ""), "2023-11-14T22:13:21.000000Z");
}

static void without_source_target_rule(void **state)
{
	struct ps_finding f = sample();
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	f.source = (struct ps_addr){0};
	f.target = (struct ps_finding_target){0};
	f.rule.proposed = false;
	f.n_connections = 0;
	v = ps_finding_to_value(&f);
	assert_int_equal(ps_value_kind(ps_value_get(v, "source")), PS_VALUE_NULL);
	assert_int_equal(ps_value_kind(ps_value_get(v, "target")), PS_VALUE_NULL);
	assert_int_equal(ps_value_kind(ps_value_get(v, "rule")), PS_VALUE_NULL);
	assert_int_equal(ps_value_count(ps_value_get(v, "connections")), 0);
}

static void targets(void **state)
{
	const struct {
		struct ps_finding_target target;
		const char *text;
	} rows[] = {
		{{.addr = addr("192.0.2.1"), .prefix = 32}, "192.0.2.1"},
		{{.addr = addr("192.0.2.1"), .prefix = 32, .port = 22}, "192.0.2.1:22"},
		{{.addr = addr("192.0.2.0"), .prefix = 24}, "192.0.2.0/24"},
		{{.addr = addr("2001:db8::1"), .prefix = 128}, "2001:db8::1"},
		{{.addr = addr("2001:db8::1"), .prefix = 128, .port = 22}, "[2001:db8::1]:22"},
		{{.addr = addr("2001:db8::"), .prefix = 32}, "2001:db8::/32"},
		{{.addr = addr("2001:db8::ffff:ffff:ffff:ffff"), .prefix = 128, .port = 65535},
			"[2001:db8::ffff:ffff:ffff:ffff]:65535"},
	};
	char text[PS_FINDING_TARGET_TEXT];

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		assert_string_equal(ps_finding_target(&rows[i].target, text), rows[i].text);
}

static void every_kind_and_severity_has_a_name(void **state)
{
	(void)state;
	for (unsigned k = 0; k < PS_FINDING_KINDS; k++)
		assert_true(strlen(ps_finding_kind_name(k)) > 3);
	assert_string_equal(ps_severity_name(PS_SEVERITY_LOW), "low");
	assert_string_equal(ps_severity_name(PS_SEVERITY_CRITICAL), "critical");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member),
		cmocka_unit_test(without_source_target_rule),
		cmocka_unit_test(targets),
		cmocka_unit_test(every_kind_and_severity_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
