/* Rules: the documented examples, refusals, merging, and the reference matcher against what compiles to the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/limits.h"
#include "common/model/rule_compile.h"
#include "common/model/rule_fields.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *

static struct ps_value *parse(const char *json)
{
	struct ps_error err = {0};
	struct ps_value *v = NULL;

	if (ps_json_parse(json, strlen(json), &v, &err))
		fail_msg("%s: %s", json, err.message);
	return v;
}

#define NOW 1700000000000000000ull

/* Rules that helpers hand out: freed when the test ends. */
static struct ps_rules kept;

static struct ps_rule keep(struct ps_rule rule)
{
	kept.rule = realloc(kept.rule, (kept.n + 1) * sizeof(rule));
	assert_non_null(kept.rule);
	kept.rule[kept.n++] = rule;
	return rule;
}

static int forget(void **state)
{
	(void)state;
	ps_rules_clear(&kept);
	return 0;
}

static struct ps_rule merged(const struct ps_rule *base, const char *json)
{
	_value_ body = parse(json);
	struct ps_error err = {0};
	struct ps_rule rule;

	if (ps_rule_merge(base, body, NOW, &rule, NULL, &err))
		fail_msg("%s: %s: %s", json, err.field, err.message);
	assert_string_equal(err.message, "");
	return keep(rule);
}

static struct ps_rule rule_of(const char *json)
{
	struct ps_rule base;

	ps_rule_defaults(&base);
	return merged(&base, json);
}

static void refused(const struct ps_rule *base, const char *json, const char *field, const char *hint)
{
	_value_ body = parse(json);
	struct ps_error err = {0};
	struct ps_rule rule, before;

	memset(&rule, 0x5a, sizeof(rule));
	before = rule;
	if (ps_rule_merge(base, body, NOW, &rule, NULL, &err) != -EINVAL)
		fail_msg("%s was taken", json);
	assert_memory_equal(&rule, &before, sizeof(rule));
	assert_int_equal(err.status, 400);
	if (strcmp(err.field, field))
		fail_msg("%s: field \"%s\" instead of \"%s\" (%s)", json, err.field, field, err.message);
	if (!strstr(err.message, hint))
		fail_msg("%s: \"%s\" lacks \"%s\"", json, err.message, hint);
	assert_true(strlen(err.message) < sizeof(err.message) - 1); /* not cut off */
	assert_true(strlen(err.code) > 3);
	assert_int_equal(ps_rule_merge(base, body, NOW, &rule, NULL, NULL), -EINVAL);
}

/* --- Examples ----------------------------------------------------------------------------------- */

struct example {
	const char *json;
	int type, protocol, dst_port, icmp_type, icmp_code, inner_protocol;
	bool enabled;
};

#define ANY PS_RULE_ANY

/* The filters of the user's guide, as they are posted there. */
static const struct example examples[] = {
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 8, \"icmp_code\": 0, \"action\": \"drop\", "
	 "\"enabled\": false, \"comment\": \"Block all ICMP ping requests (Echo Request)\"}",
		PS_RULE_ICMP, 1, 0, 8, 0, ANY, false},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 3, \"action\": \"drop\", \"enabled\": true, "
	 "\"comment\": \"Block ICMP Destination Unreachable messages\"}",
		PS_RULE_ICMP, 1, 0, 3, ANY, ANY, true},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 4, \"action\": \"drop\", \"enabled\": true, "
	 "\"comment\": \"Block ICMP Source Quench messages\"}",
		PS_RULE_ICMP, 1, 0, 4, ANY, ANY, true},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 3, \"inner_protocol\": \"udp\", "
	 "\"action\": \"drop\", \"enabled\": true, \"comment\": \"\"}",
		PS_RULE_ICMP, 1, 0, 3, ANY, 17, true},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 3, \"inner_protocol\": \"udp\", "
	 "\"inner_dst_ip\": \"\", \"comment\": \"Block ICMP errors exposing DNS queries\"}",
		PS_RULE_ICMP, 1, 0, 3, ANY, 17, false},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 11, \"inner_protocol\": \"udp\", "
	 "\"action\": \"drop\", \"enabled\": true}",
		PS_RULE_ICMP, 1, 0, 11, ANY, 17, true},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmp\", \"icmp_type\": 8, \"action\": \"drop\", \"enabled\": true}",
		PS_RULE_ICMP, 1, 0, 8, ANY, ANY, true},
	{"{\"rule_type\": \"icmp\", \"icmp_type\": 8, \"icmp_code\": 0, \"action\": \"drop\", \"enabled\": true}",
		PS_RULE_ICMP, 1, 0, 8, 0, ANY, true},
	{"{\"rule_type\": \"tcp\", \"protocol\": \"tcp\", \"dst_port\": 23, \"action\": \"drop\", \"enabled\": true}",
		PS_RULE_TCP, 6, 23, ANY, ANY, ANY, true},
	{"{\"rule_type\": \"tcp\", \"protocol\": \"tcp\", \"dst_port\": 5900, \"action\": \"drop\", \"enabled\": true}",
		PS_RULE_TCP, 6, 5900, ANY, ANY, ANY, true},
	{"{\"rule_type\": \"tcp\", \"protocol\": \"tcp\", \"tcp_flags\": 2, \"tcp_flags_mask\": 2, "
	 "\"action\": \"drop\", \"enabled\": true, \"comment\": \"Block TCP SYN scanning attacks\"}",
		PS_RULE_TCP, 6, 0, ANY, ANY, ANY, true},
	{"{}", PS_RULE_BASIC, ANY, 0, ANY, ANY, ANY, false},
	{"{\"src_ip\": \"\", \"dst_ip\": \"any\", \"src_port\": 0, \"dst_port\": \"\", \"icmp_type\": 255, "
	 "\"inner_protocol\": \"any\"}",
		PS_RULE_BASIC, ANY, 0, ANY, ANY, ANY, false},
	{"{\"rule_type\": \"udp\", \"dst_port\": \"53\"}", PS_RULE_UDP, 17, 53, ANY, ANY, ANY, false},
	{"{\"rule_type\": \"basic\", \"protocol\": \"tcp\", \"dst_port\": 80.0}", PS_RULE_BASIC, 6, 80, ANY, ANY, ANY,
		false},
	{"{\"protocol\": 47, \"src_ip\": \"10.0.0.1\"}", PS_RULE_BASIC, 47, 0, ANY, ANY, ANY, false},
	{"{\"protocol\": \"58\", \"icmp_type\": 128}", PS_RULE_BASIC, 58, 0, 128, ANY, ANY, false},
	{"{\"rule_type\": \"icmp\", \"protocol\": \"icmpv6\", \"icmp_type\": 2}", PS_RULE_ICMP, 58, 0, 2, ANY, ANY,
		false},
	{"{\"rule_type\": \"icmp\", \"dst_ip\": \"2001:db8::1\"}", PS_RULE_ICMP, 58, 0, ANY, ANY, ANY, false},
	{"{\"rule_type\": \"icmp\", \"inner_src_ip\": \"2001:db8::1\"}", PS_RULE_ICMP, 58, 0, ANY, ANY, ANY, false},
	{"{\"mode\": \"enforce\", \"packets\": 3, \"bytes\": 4, \"first_hit\": null, \"last_hit\": null, \"warnings\": "
	 "[]}",
		PS_RULE_BASIC, ANY, 0, ANY, ANY, ANY, false},
};

static void examples_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(examples); i++) {
		const struct example *e = &examples[i];
		struct ps_rule r = rule_of(e->json);

		assert_int_equal(r.id, -1);
		assert_int_equal(r.rule_type, e->type);
		assert_int_equal(r.protocol, e->protocol);
		assert_int_equal(r.dst_port.n ? ps_ports_ranges(&r.dst_port)->lo : 0, e->dst_port);
		assert_int_equal(r.icmp_type, e->icmp_type);
		assert_int_equal(r.icmp_code, e->icmp_code);
		assert_int_equal(r.inner_protocol, e->inner_protocol);
		assert_int_equal(r.enabled, e->enabled);
		assert_int_equal(r.action, PS_RULE_ACTION_DROP);
		assert_int_equal(r.direction, PS_DIR_INGRESS);
		assert_int_equal(r.priority, 1000);
		assert_int_equal(r.source, PS_SOURCE_USER);
		assert_int_equal(r.inner_dst_ip.addr.family, 0);
	}
}

/* What is shown can be posted back, over the defaults and over the rule itself, and means the same. */
static void answers_can_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(examples); i++) {
		struct ps_rule r = rule_of(examples[i].json), again, defaults;
		_value_ shown = NULL;
		_value_ twice = NULL;
		struct ps_error err;

		ps_rule_defaults(&defaults);
		r.id = 7;
		shown = ps_rule_to_value(&r, NOW);
		assert_int_equal(ps_value_count(shown), PS_RULE_N_FIELDS);
		if (ps_rule_merge(&r, shown, NOW, &again, NULL, &err))
			fail_msg("%s: %s", examples[i].json, err.message);
		keep(again);
		twice = ps_rule_to_value(&again, NOW);
		assert_true(ps_value_equal(shown, twice));
		if (ps_rule_merge(&defaults, shown, NOW, &again, NULL, &err))
			fail_msg("%s: %s", examples[i].json, err.message);
		keep(again);
		assert_int_equal(again.id, -1);
		assert_true(ps_rule_equal(&r, &again));
	}
}

static void shows_wildcards_in_words(void **state)
{
	struct ps_rule r = rule_of("{\"rule_type\":\"tcp\",\"src_ip\":\"2001:DB8::0:1\",\"tcp_flags\":\"syn | ACK\"}");
	_value_ v = ps_rule_to_value(&r, NOW);
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	ps_json_write(&out, v);
	assert_string_equal(ps_buf_str(&out),
		"{\"id\":null,\"rule_type\":\"tcp\",\"protocol\":\"tcp\",\"src_ip\":\"2001:db8::1\",\"dst_ip\":\"any\","
		"\"src_port\":0,\"dst_port\":0,\"tcp_flags\":18,\"tcp_flags_mask\":18,\"icmp_type\":255,\"icmp_code\":"
		"255,"
		"\"inner_src_ip\":\"any\",\"inner_dst_ip\":\"any\",\"inner_protocol\":\"any\",\"inner_src_port\":0,"
		"\"inner_dst_port\":0,\"direction\":\"ingress\",\"action\":\"drop\",\"mode\":\"enforce\",\"rate_"
		"limit\":null,"
		"\"enabled\":false,\"priority\":1000,\"ttl\":null,\"expires_at\":null,\"expired\":false,\"comment\":"
		"\"\","
		"\"source\":\"user\",\"confirm_by\":null,\"generation\":0}");
}

static void flags(void **state)
{
	static const struct {
		const char *json;
		uint8_t flags, mask;
	} rows[] = {
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2}", 2, 2},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":\"SYN\",\"tcp_flags_mask\":\"SYN|ACK\"}", 2, 18},
		{"{\"rule_type\":\"tcp\",\"tcp_flags_mask\":63}", 0, 63},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":0,\"tcp_flags_mask\":63}", 0, 63},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":\"FIN+SYN+RST+PSH+ACK+URG+ECE+CWR\"}", 255, 255},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":\"\"}", 0, 0},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":0}", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule r = rule_of(rows[i].json);

		assert_int_equal(r.tcp_flags, rows[i].flags);
		assert_int_equal(r.tcp_flags_mask, rows[i].mask);
	}
}

static void other_fields(void **state)
{
	struct ps_rule r = rule_of("{\"direction\":\"both\",\"action\":\"allow\",\"priority\":0,\"source\":\"ai\","
				   "\"src_ip\":\"10.0.0.1/32\",\"src_port\":\"any\",\"comment\":\"\xe2\x82\xac \\n\"}");
	struct ps_rule v6 = rule_of("{\"dst_ip\":\"2001:db8::1/128\",\"direction\":\"egress\"}");

	(void)state;
	assert_int_equal(r.direction, 3);
	assert_int_equal(r.action, PS_RULE_ACTION_ALLOW);
	assert_int_equal(r.priority, 0);
	assert_int_equal(r.source, PS_SOURCE_AI);
	assert_true(r.src_ip.addr.family == 4 && r.src_ip.len == 32 && r.src_ip.addr.word[0] == htonl(0x0a000001));
	assert_string_equal(ps_rule_comment(&r), "\xe2\x82\xac \n");
	assert_int_equal(v6.dst_ip.addr.family, 6);
	assert_int_equal(v6.direction, PS_DIR_EGRESS);
}

static void the_comment_has_a_limit(void **state)
{
	char json[PS_RULE_COMMENT_MAX + 40], text[PS_RULE_COMMENT_MAX + 2];
	struct ps_rule base, r;

	(void)state;
	ps_rule_defaults(&base);
	memset(text, 'c', sizeof(text));
	text[PS_RULE_COMMENT_MAX] = '\0';
	(void)snprintf(json, sizeof(json), "{\"comment\":\"%s\"}", text);
	r = rule_of(json);
	assert_string_equal(ps_rule_comment(&r), text);
	text[PS_RULE_COMMENT_MAX] = 'c';
	text[PS_RULE_COMMENT_MAX + 1] = '\0';
	(void)snprintf(json, sizeof(json), "{\"comment\":\"%s\"}", text);
	refused(&base, json, "comment", "513 bytes");
}

/* A string that came over the bus may be any bytes. */
static void strings_that_are_not_text(void **state)
{
	static const char *const fields[] = {"comment", "src_ip", "dst_port", "protocol", "action", "tcp_flags"};
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {{"\xff\xfe", 2}, {"any\0", 4}, {"\0", 1}, {"80\0", 3}, {"tcp\0", 4}, {"drop\0x", 6}, {"SYN\0", 4}};
	struct ps_rule base, r;

	(void)state;
	ps_rule_defaults(&base);
	base.protocol = IPPROTO_TCP;
	for (size_t f = 0; f < PS_ARRAY_SIZE(fields); f++) {
		for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
			_value_ body = ps_value_map();
			struct ps_error err = {0};

			assert_int_equal(
				ps_value_set(body, fields[f], ps_value_string_n(rows[i].bytes, rows[i].len)), 0);
			if (ps_rule_merge(&base, body, NOW, &r, NULL, &err) != -EINVAL)
				fail_msg("%s took row %zu", fields[f], i);
			assert_string_equal(err.field, fields[f]);
		}
	}
}

/* --- Refusals ----------------------------------------------------------------------------------- */

static void bad_values(void **state)
{
	static const struct {
		const char *json, *field, *hint;
	} rows[] = {
		{"[]", "", "a list"},
		{"null", "", "null"},
		{"\"drop\"", "", "a string"},
		{"{\"dst_prot\": 23}", "dst_prot", "no field"},
		{"{\"\": 1}", "", "no field"},
		{"{\"Action\": \"drop\"}", "Action", "no field"},
		{"{\"mode\": 1}", "mode", "enforce or shadow"},
		{"{\"confirm_within\": 60}", "confirm_within", "leave it out"},
		{"{\"force\": true}", "force", "leave it out"},
		{"{\"rule_type\": \"TCP\"}", "rule_type", "basic, tcp, udp or icmp"},
		{"{\"rule_type\": 6}", "rule_type", "basic, tcp, udp or icmp"},
		{"{\"rule_type\": null}", "rule_type", "null"},
		{"{\"rule_type\": \"sctp\"}", "rule_type", "\"sctp\""},
		{"{\"protocol\": \"gre\"}", "protocol", "number from 0 to 255"},
		{"{\"protocol\": 256}", "protocol", "256"},
		{"{\"protocol\": -1}", "protocol", "-1"},
		{"{\"protocol\": 6.5}", "protocol", "6.5"},
		{"{\"protocol\": true}", "protocol", "true"},
		{"{\"rule_type\": \"tcp\", \"protocol\": \"udp\"}", "protocol", "make it tcp"},
		{"{\"rule_type\": \"udp\", \"protocol\": 6}", "protocol", "make it udp"},
		{"{\"rule_type\": \"icmp\", \"protocol\": \"tcp\"}", "protocol", "icmp or icmpv6"},
		{"{\"rule_type\": \"icmp\", \"protocol\": \"any\"}", "protocol", "leave protocol out"},
		{"{\"rule_type\": \"tcp\", \"protocol\": \"any\"}", "protocol", "make it tcp"},
		{"{\"dst_ip\": \"10.0.0.1/128\"}", "dst_ip", "0 to 32"},
		{"{\"dst_ip\": \"2001:db8::1/32\"}", "dst_ip", "write 2001:db8::/32"},
		{"{\"src_ip\": \"10.0.0\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"300.1.1.1\"}", "src_ip", "\"300.1.1.1\""},
		{"{\"src_ip\": \"example.com\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"fe80::1%eth0\"}", "src_ip", "zone"},
		{"{\"src_ip\": \"::ffff:10.0.0.1\"}", "src_ip", "write 10.0.0.1"},
		{"{\"src_ip\": 167772161}", "src_ip", "in quotes"},
		{"{\"src_ip\": null}", "src_ip", "null"},
		{"{\"src_ip\": [\"10.0.0.1\"]}", "src_ip", "a list"},
		{"{\"dst_port\": 65536}", "dst_port", "65536"},
		{"{\"dst_port\": -1}", "dst_port", "-1"},
		{"{\"dst_port\": 80.5}", "dst_port", "80.5"},
		{"{\"dst_port\": \"http\"}", "dst_port", "\"http\""},
		{"{\"dst_port\": \"99999\"}", "dst_port", "65535"},
		{"{\"dst_port\": \"-5\"}", "dst_port", "whole number"},
		{"{\"dst_port\": \"000080\"}", "dst_port", "whole number"},
		{"{\"dst_port\": [22]}", "dst_port", "a list"},
		{"{\"dst_port\": true}", "dst_port", "true"},
		{"{\"dst_port\": 1e30}", "dst_port", "whole number"},
		{"{\"rule_type\": \"icmp\", \"dst_port\": 80}", "dst_port", "protocol is icmp"},
		{"{\"protocol\": \"icmpv6\", \"src_port\": 80}", "src_port", "make src_port 0"},
		{"{\"protocol\": 47, \"dst_port\": 80}", "dst_port", "protocol is 47"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": 256}", "tcp_flags", "256"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": -2}", "tcp_flags", "0 to 255"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN|\"}", "tcp_flags", "joined by |"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYNACK\"}", "tcp_flags", "joined by |"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN,ACK\"}", "tcp_flags", "joined by |"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"|\"}", "tcp_flags", "joined by |"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"18\"}", "tcp_flags", "a number"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags_mask\": {}}", "tcp_flags_mask", "an object"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": 18, \"tcp_flags_mask\": 2}", "tcp_flags_mask", "make it 18"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": 2, \"tcp_flags_mask\": 0}", "tcp_flags_mask", "make it 2"},
		{"{\"rule_type\": \"udp\", \"tcp_flags\": 2}", "tcp_flags", "protocol is udp"},
		{"{\"tcp_flags\": 2}", "tcp_flags", "make protocol tcp"},
		{"{\"protocol\": \"icmp\", \"tcp_flags_mask\": 2}", "tcp_flags_mask", "make protocol tcp"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 256}", "icmp_type", "256"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": -1}", "icmp_type", "255 for any"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": \"8\"}", "icmp_type", "a number"},
		{"{\"rule_type\": \"icmp\", \"icmp_code\": null}", "icmp_code", "null"},
		{"{\"icmp_type\": 8}", "icmp_type", "icmp or icmpv6"},
		{"{\"rule_type\": \"tcp\", \"icmp_code\": 0}", "icmp_code", "protocol is tcp"},
		{"{\"rule_type\": \"udp\", \"inner_protocol\": \"udp\"}", "inner_protocol",
			"make inner_protocol \"any\""},
		{"{\"inner_dst_port\": 53}", "inner_dst_port", "icmp or icmpv6"},
		{"{\"rule_type\": \"tcp\", \"inner_src_ip\": \"10.0.0.1\"}", "inner_src_ip",
			"make inner_src_ip \"any\""},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 8, \"inner_protocol\": \"udp\"}", "icmp_type",
			"3, 4, 5, 11 or 12"},
		{"{\"protocol\": \"icmpv6\", \"icmp_type\": 128, \"inner_protocol\": \"udp\"}", "icmp_type",
			"1, 2, 3 or 4"},
		{"{\"rule_type\": \"icmp\", \"inner_protocol\": \"icmpv6\"}", "inner_protocol", "make it icmp"},
		{"{\"protocol\": \"icmpv6\", \"inner_protocol\": \"icmp\"}", "inner_protocol", "make it icmpv6"},
		{"{\"rule_type\": \"icmp\", \"inner_protocol\": \"icmp\", \"inner_dst_port\": 3}", "inner_dst_port",
			"tcp or udp"},
		{"{\"rule_type\": \"icmp\", \"inner_protocol\": 47, \"inner_src_port\": 3}", "inner_src_port",
			"tcp or udp"},
		{"{\"src_ip\": \"10.0.0.1\", \"dst_ip\": \"2001:db8::1\"}", "dst_ip", "src_ip is IPv4"},
		{"{\"protocol\": \"icmp\", \"src_ip\": \"2001:db8::1\"}", "src_ip", "make protocol icmpv6"},
		{"{\"protocol\": \"icmpv6\", \"dst_ip\": \"10.0.0.1\"}", "dst_ip", "make protocol icmp"},
		{"{\"rule_type\": \"icmp\", \"src_ip\": \"10.0.0.1\", \"inner_dst_ip\": \"2001:db8::1\"}", "src_ip",
			"IPv4"},
		{"{\"protocol\": \"icmp\", \"inner_src_ip\": \"2001:db8::1\"}", "inner_src_ip", "make protocol icmpv6"},
		{"{\"direction\": \"in\"}", "direction", "ingress, egress or both"},
		{"{\"direction\": 3}", "direction", "ingress, egress or both"},
		{"{\"action\": \"block\"}", "action", "drop or allow"},
		{"{\"action\": \"\"}", "action", "drop or allow"},
		{"{\"action\": true}", "action", "drop or allow"},
		{"{\"enabled\": 1}", "enabled", "true or false"},
		{"{\"enabled\": \"true\"}", "enabled", "without quotes"},
		{"{\"enabled\": null}", "enabled", "true or false"},
		{"{\"priority\": -1}", "priority", "-1"},
		{"{\"priority\": 1000001}", "priority", "1000000"},
		{"{\"priority\": 0.5}", "priority", "whole number"},
		{"{\"priority\": \"high\"}", "priority", "whole number"},
		{"{\"comment\": 5}", "comment", "in quotes"},
		{"{\"comment\": null}", "comment", "in quotes"},
		{"{\"source\": \"me\"}", "source", "user, ai, detector or import"},
		{"{\"comment\": {\"a\": 1}}", "comment", "an object"},
		{"{\"action\": "
		 "\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		 "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"}",
			"action", "\xe2\x82\xac\xe2\x80\xa6\""},
	};
	struct ps_rule base;

	(void)state;
	ps_rule_defaults(&base);
	assert_true(PS_ARRAY_SIZE(rows) >= 60);
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		refused(&base, rows[i].json, rows[i].field, rows[i].hint);
}

/* --- Merging ------------------------------------------------------------------------------------ */

static void merging_keeps_what_is_not_given(void **state)
{
	struct ps_rule base = rule_of("{\"rule_type\":\"tcp\",\"dst_port\":23,\"src_ip\":\"10.0.0.1\",\"enabled\":true,"
				      "\"comment\":\"telnet\",\"priority\":5}");
	struct ps_rule r;

	(void)state;
	base.id = 0;
	r = merged(&base, "{\"id\":0,\"action\":\"drop\",\"enabled\":false,\"comment\":\"Temporarily disabled\"}");
	assert_int_equal(r.id, 0);
	assert_false(r.enabled);
	assert_string_equal(ps_rule_comment(&r), "Temporarily disabled");
	assert_true(ps_ports_have(&r.dst_port, 23) && r.dst_port.n == 1);
	assert_int_equal(r.priority, 5);
	assert_true(ps_rule_same_match(&base, &r));
	/* a shorter comment leaves nothing of the longer one */
	r = merged(&r, "{\"comment\":\"x\"}");
	assert_string_equal(ps_rule_comment(&r), "x");
	r = merged(&r, "{}");
	assert_string_equal(ps_rule_comment(&r), "x");
	refused(&base, "{\"id\":1}", "id", "cannot be changed");
	refused(&base, "{\"id\":\"0\"}", "id", "leave it out");
	refused(&base, "{\"id\":null}", "id", "leave it out");
	base.id = -1;
	assert_int_equal(merged(&base, "{\"id\":99}").id, -1);
	assert_int_equal(merged(&base, "{\"id\":null}").id, -1);
}

static void derived_values_follow(void **state)
{
	struct ps_rule tcp = rule_of("{\"rule_type\":\"tcp\",\"dst_port\":53}");
	struct ps_rule icmp = rule_of("{\"rule_type\":\"icmp\"}");
	struct ps_rule basic_tcp = rule_of("{\"protocol\":\"tcp\"}");
	struct ps_rule syn = rule_of("{\"rule_type\":\"tcp\",\"tcp_flags\":2}");
	struct ps_rule syn_not_ack = rule_of("{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}");
	struct ps_rule r;

	(void)state;
	assert_int_equal(merged(&tcp, "{\"rule_type\":\"udp\"}").protocol, IPPROTO_UDP);
	assert_int_equal(merged(&tcp, "{\"rule_type\":\"basic\"}").protocol, PS_RULE_ANY);
	assert_int_equal(merged(&tcp, "{\"rule_type\":\"basic\",\"protocol\":\"tcp\"}").protocol, IPPROTO_TCP);
	assert_int_equal(merged(&tcp, "{\"rule_type\":\"udp\",\"protocol\":\"udp\"}").dst_port.n, 1);
	refused(&tcp, "{\"rule_type\":\"icmp\"}", "dst_port", "make dst_port 0");
	assert_int_equal(merged(&tcp, "{\"rule_type\":\"icmp\",\"dst_port\":0}").protocol, IPPROTO_ICMP);
	assert_int_equal(merged(&icmp, "{\"src_ip\":\"2001:db8::1\"}").protocol, IPPROTO_ICMPV6);
	r = merged(&icmp, "{\"src_ip\":\"2001:db8::1\"}");
	assert_int_equal(merged(&r, "{\"src_ip\":\"any\"}").protocol, IPPROTO_ICMP);
	assert_int_equal(merged(&basic_tcp, "{\"rule_type\":\"tcp\"}").protocol, IPPROTO_TCP);
	refused(&basic_tcp, "{\"rule_type\":\"udp\"}", "protocol", "protocol is tcp");

	assert_int_equal(merged(&syn, "{\"tcp_flags\":18}").tcp_flags_mask, 18);
	assert_int_equal(merged(&syn, "{\"tcp_flags\":0}").tcp_flags_mask, 0);
	assert_int_equal(merged(&syn, "{\"tcp_flags_mask\":18}").tcp_flags, 2);
	assert_int_equal(merged(&syn_not_ack, "{\"tcp_flags\":16}").tcp_flags_mask, 18);
	refused(&syn_not_ack, "{\"tcp_flags\":4}", "tcp_flags_mask", "make it 22");
	refused(&syn, "{\"rule_type\":\"udp\"}", "tcp_flags", "make tcp_flags 0");
}

static void same_match(void **state)
{
	static const char *const others[] = {"{\"rule_type\":\"udp\",\"protocol\":\"udp\"}",
		"{\"src_ip\":\"10.0.0.2\"}", "{\"dst_ip\":\"10.0.0.2\"}", "{\"src_port\":1}", "{\"dst_port\":1}",
		"{\"tcp_flags\":4,\"tcp_flags_mask\":6}", "{\"tcp_flags_mask\":10}", "{\"direction\":\"both\"}",
		"{\"action\":\"allow\"}"};
	static const char *const icmp_others[] = {"{\"icmp_type\":11}", "{\"icmp_code\":1}",
		"{\"inner_src_ip\":\"1.1.1.1\"}", "{\"inner_dst_ip\":\"1.1.1.1\"}", "{\"inner_protocol\":\"udp\"}",
		"{\"inner_src_port\":9}", "{\"inner_dst_port\":9}"};
	struct ps_rule a = rule_of("{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":6,\"dst_port\":9}"),
		       b = a;
	struct ps_rule icmp = rule_of("{\"rule_type\":\"icmp\",\"icmp_type\":3}");

	(void)state;
	b.id = 5;
	b.enabled = true;
	b.priority = 1;
	b.source = PS_SOURCE_AI;
	b.mode = PS_MODE_SHADOW;
	assert_true(ps_rule_same_match(&a, &b));
	a.tcp_flags = a.tcp_flags_mask = 0; /* so that udp can be tried */
	for (size_t i = 0; i < PS_ARRAY_SIZE(others); i++) {
		struct ps_rule base = rule_of(
			i ? "{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":6}" : "{\"rule_type\":\"tcp\"}");

		b = merged(&base, others[i]);
		if (ps_rule_same_match(&base, &b))
			fail_msg("%s makes no difference", others[i]);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(icmp_others); i++) {
		b = merged(&icmp, icmp_others[i]);
		if (ps_rule_same_match(&icmp, &b))
			fail_msg("%s makes no difference", icmp_others[i]);
	}
}

/* --- Matching and compiling --------------------------------------------------------------------- */

static struct ps_rule_key packet(uint8_t proto, const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	struct ps_rule_key k = {
		.proto = proto, .sport = htons(sport), .dport = htons(dport), .direction = PS_DIR_INGRESS};
	struct ps_addr a;

	assert_int_equal(ps_addr_parse(src, strlen(src), &a), 0);
	memcpy(k.saddr, a.word, sizeof(k.saddr));
	assert_int_equal(ps_addr_parse(dst, strlen(dst), &a), 0);
	memcpy(k.daddr, a.word, sizeof(k.daddr));
	k.family = a.family;
	return k;
}

static bool hits(const char *json, const struct ps_rule_key *k, const struct ps_rule_inner *inner)
{
	struct ps_rule r = rule_of(json);

	return ps_rule_matches(&r, k, inner);
}

/* What the issue is about in words: each rule stops what it names and nothing else. */
static void names_exactly(void **state)
{
	struct ps_rule_key telnet = packet(6, "10.0.0.1", "10.0.0.2", 4000, 23);
	struct ps_rule_key dns = packet(17, "10.0.0.1", "10.0.0.2", 4000, 53);
	struct ps_rule_key ping = packet(1, "10.0.0.1", "10.0.0.2", 8, 0);
	struct ps_rule_key port_unreachable = packet(1, "10.0.0.1", "10.0.0.2", 3, 3);
	struct ps_rule_key solicit = packet(58, "fe80::1", "ff02::1", 135, 0);
	struct ps_rule_key ping6 = packet(58, "2001:db8::1", "2001:db8::2", 128, 0);
	struct ps_rule_key icmp_in_v6 = packet(1, "2001:db8::1", "2001:db8::2", 8, 0);
	struct ps_rule_inner quoted_dns = {.family = 4, .proto = 17, .sport = htons(4000), .dport = htons(53)};
	struct ps_rule_inner quoted_ping = {.family = 4, .proto = 1};
	struct ps_rule_inner nothing = {0};

	(void)state;
	assert_true(hits("{}", &telnet, NULL));
	assert_true(hits("{\"rule_type\":\"tcp\",\"dst_port\":23}", &telnet, &nothing));
	assert_false(hits("{\"rule_type\":\"tcp\",\"src_port\":23}", &telnet, &nothing));
	assert_false(hits("{\"rule_type\":\"udp\",\"dst_port\":23}", &telnet, &nothing));
	assert_true(hits("{\"dst_port\":23}", &telnet, &nothing));
	assert_true(hits("{\"dst_port\":53}", &dns, &nothing));
	/* type 8 is no port 8 and the other way round */
	assert_false(hits("{\"src_port\":8}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"icmp_type\":23}", &telnet, &nothing));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_type\":8,\"icmp_code\":0}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"icmp_type\":8,\"icmp_code\":1}", &ping, &nothing));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_code\":0}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\"}", &ping6, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\"}", &icmp_in_v6, &nothing));
	assert_true(hits("{\"protocol\":\"icmpv6\"}", &ping6, &nothing));
	/* neighbour discovery is only for who names it */
	assert_false(hits("{}", &solicit, &nothing));
	assert_false(hits("{\"protocol\":\"icmpv6\"}", &solicit, &nothing));
	assert_false(hits("{\"protocol\":\"icmpv6\",\"icmp_code\":0}", &solicit, &nothing));
	assert_false(hits("{\"src_ip\":\"fe80::1\"}", &solicit, &nothing));
	assert_true(hits("{\"protocol\":\"icmpv6\",\"icmp_type\":135}", &solicit, &nothing));
	/* the quoted packet */
	assert_true(hits(
		"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"inner_protocol\":\"udp\"}", &port_unreachable, &quoted_dns));
	assert_true(hits("{\"rule_type\":\"icmp\",\"inner_dst_port\":53}", &port_unreachable, &quoted_dns));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_src_port\":53}", &port_unreachable, &quoted_dns));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, &quoted_ping));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, NULL));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_type\":3}", &port_unreachable, &nothing));
	/* flags */
	telnet.tcp_flags = 0x12;
	assert_true(hits("{\"rule_type\":\"tcp\",\"tcp_flags\":\"SYN\"}", &telnet, NULL));
	assert_false(hits("{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}", &telnet, NULL));
	assert_true(hits("{\"rule_type\":\"tcp\",\"tcp_flags_mask\":\"FIN|RST\"}", &telnet, NULL));
	/* direction */
	assert_false(hits("{\"direction\":\"egress\"}", &telnet, NULL));
	telnet.direction = PS_DIR_EGRESS;
	assert_true(hits("{\"direction\":\"egress\"}", &telnet, NULL));
	assert_true(hits("{\"direction\":\"both\"}", &telnet, NULL));
	assert_false(hits("{}", &telnet, NULL));
}

static bool masked_equal(const void *packet_key, const void *mask, const void *key)
{
	const uint8_t *p = packet_key, *m = mask, *k = key;

	for (size_t i = 0; i < sizeof(struct ps_rule_key); i++)
		if ((p[i] & m[i]) != k[i])
			return false;
	return true;
}

static bool is_discovery(const struct ps_rule_key *k)
{
	return k->proto == 58 && k->family == 6 && ntohs(k->sport) >= 133 && ntohs(k->sport) <= 137;
}

/* The kernel's reading of compiled entries, as bpf/abi.h describes it. */
static bool entry_hits(const struct ps_rule_entry *e, const struct ps_rule_key *k, const struct ps_rule_inner *inner)
{
	if (is_discovery(k) && !(e->tuple.flags & PS_TUPLE_NAMES_ICMP))
		return false;
	if (!masked_equal(k, &e->tuple.mask, &e->key))
		return false;
	if (!(e->tuple.flags & PS_TUPLE_QUOTED))
		return true;
	return inner->family && masked_equal(inner, &e->tuple.inner_mask, &e->inner);
}

/* Few values, so that rules and packets meet. */
static void random_ip(uint8_t family, __u32 word[4])
{
	memset(word, 0, 16);
	word[0] = htonl(family == 4 ? 0x0a000000u + (uint32_t)random() % 2 : 0x20010db8);
	if (family == 6)
		word[3] = htonl((uint32_t)random() % 2);
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = {0, 3, 8, 11, 53, 135, 0x0800};

	return ports[(size_t)random() % PS_ARRAY_SIZE(ports)];
}

static void random_packet(struct ps_rule_key *k, struct ps_rule_inner *inner)
{
	static const uint8_t types[] = {0, 3, 4, 5, 8, 11, 12, 53}, types6[] = {1, 2, 3, 4, 128, 129, 133, 135, 137};
	static const uint8_t protos[] = {1, 6, 17, 47, 58};
	bool error = false;

	memset(k, 0, sizeof(*k));
	memset(inner, 0, sizeof(*inner));
	k->family = random() % 2 ? 4 : 6;
	k->proto = random() % 3 ? protos[random() % 5] : k->family == 4 ? 1 : 58;
	k->direction = random() % 2 ? PS_DIR_INGRESS : PS_DIR_EGRESS;
	random_ip(k->family, k->saddr);
	random_ip(k->family, k->daddr);
	if (k->proto == 6 || k->proto == 17) {
		k->sport = htons(random_port());
		k->dport = htons(random_port());
		if (k->proto == 6)
			k->tcp_flags = (uint8_t)(random() % 32);
	} else if (k->proto == 1 && k->family == 4) {
		k->sport = htons(types[random() % 8]);
		k->dport = htons((uint16_t)(random() % 4));
		error = ntohs(k->sport) != 0 && ntohs(k->sport) != 8 && ntohs(k->sport) != 53;
	} else if (k->proto == 58 && k->family == 6) {
		k->sport = htons(types6[random() % 9]);
		k->dport = htons((uint16_t)(random() % 4));
		error = ntohs(k->sport) <= 4;
	}
	if (!error || random() % 4 == 0)
		return;
	inner->family = k->family;
	inner->proto = protos[random() % 5];
	random_ip(k->family, inner->saddr);
	random_ip(k->family, inner->daddr);
	if (inner->proto == 6 || inner->proto == 17) {
		inner->sport = htons(random_port());
		inner->dport = htons(random_port());
	}
}

/* One field of a rule by chance, as JSON. */
static void random_json_field(struct ps_buf *out, uint8_t family)
{
	static const char *const names[] = {"src_ip", "dst_ip", "inner_src_ip", "inner_dst_ip"};
	static const char *const ports[] = {"src_port", "dst_port", "inner_src_port", "inner_dst_port"};
	static const char *const types[] = {"basic", "tcp", "udp", "icmp"};
	static const char *const protos[] = {"any", "tcp", "udp", "icmp", "icmpv6", "47"};
	static const char *const directions[] = {"ingress", "egress", "both"};
	static const uint8_t icmp_types[] = {3, 8, 11, 128, 135, 255, 1, 2};
	unsigned n = (unsigned)random() % 2;

	switch (random() % 8) {
	case 0:
		ps_buf_addf(out, "\"%s\":\"%s%u\"", names[random() % 4], family == 4 ? "10.0.0." : "2001:db8::", n);
		break;
	case 1:
		ps_buf_addf(out, "\"%s\":%u", ports[random() % 4], random_port());
		break;
	case 2:
		ps_buf_addf(out, "\"rule_type\":\"%s\"", types[random() % 4]);
		break;
	case 3:
		ps_buf_addf(out, "\"protocol\":\"%s\"", protos[random() % 6]);
		break;
	case 4:
		ps_buf_addf(out, "\"tcp_flags\":%u,\"tcp_flags_mask\":%u", n * 2, 2 + (unsigned)(random() % 2) * 16);
		break;
	case 5:
		ps_buf_addf(out, "\"icmp_type\":%u", icmp_types[random() % 8]);
		break;
	case 6:
		ps_buf_addf(out, "\"icmp_code\":%u", (unsigned)random() % 4);
		break;
	default:
		ps_buf_addf(out, "\"inner_protocol\":\"%s\"", protos[random() % 6]);
		break;
	}
	if (random() % 4 == 0)
		ps_buf_addf(out, ",\"direction\":\"%s\"", directions[random() % 3]);
}

/* Fields merged one after another, as PATCH would; what is refused changes nothing. */
static void random_rule(struct ps_rule *ret_rule)
{
	static const char *const beginnings[] = {"{}", "{\"protocol\":\"icmp\"}", "{\"protocol\":\"icmpv6\"}"};
	uint8_t family = random() % 2 ? 4 : 6;
	int n = (int)(random() % 5);
	struct ps_rule r = rule_of(random() % 2 ? beginnings[0] : beginnings[family == 4 ? 1 : 2]);

	for (int i = 0; i < n; i++) {
		_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;
		_value_ body = NULL;
		struct ps_rule next;

		ps_buf_addc(&json, '{');
		random_json_field(&json, family);
		ps_buf_addc(&json, '}');
		body = parse(ps_buf_str(&json));
		if (!ps_rule_merge(&r, body, NOW, &next, NULL, NULL))
			r = keep(next);
	}
	*ret_rule = r;
}

/* Random rules and packets: the reference and the compiled entries always agree, and both answers are common. */
static void compiled_entries_match_what_the_rule_matches(void **state)
{
	size_t hit = 0, missed = 0, two = 0, quoted = 0;

	(void)state;
	srandom(42);
	for (int i = 0; i < 20000; i++) {
		struct ps_rule_entry entry[PS_RULE_ENTRIES_MAX];
		struct ps_rule rule;
		int n;

		random_rule(&rule);
		memset(entry, 0xee, sizeof(entry));
		n = ps_rule_compile(&rule, entry, NULL);
		assert_in_range(n, 1, PS_RULE_ENTRIES_MAX);
		two += n == 2;
		for (int e = 0; e < n; e++) {
			/* keys are masked, and the flags say what is tested */
			assert_true(masked_equal(&entry[e].key, &entry[e].tuple.mask, &entry[e].key));
			assert_true(masked_equal(&entry[e].inner, &entry[e].tuple.inner_mask, &entry[e].inner));
			assert_int_equal(!!(entry[e].tuple.flags & PS_TUPLE_TCP_FLAGS), rule.tcp_flags_mask != 0);
			assert_int_equal(!!(entry[e].tuple.flags & PS_TUPLE_NAMES_ICMP), rule.icmp_type != PS_RULE_ANY);
			assert_int_equal(!!(entry[e].tuple.flags & PS_TUPLE_QUOTED), ps_rule_tests_quoted(&rule));
			assert_int_equal(entry[e].tuple.best_rank, 0);
		}
		for (int p = 0; p < 60; p++) {
			struct ps_rule_inner inner;
			struct ps_rule_key key;
			bool want, got = false;

			random_packet(&key, &inner);
			want = ps_rule_matches(&rule, &key, &inner);
			for (int e = 0; e < n; e++)
				got |= entry_hits(&entry[e], &key, &inner);
			if (got != want) {
				_value_ v = ps_rule_to_value(&rule, NOW);
				_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

				ps_json_write(&out, v);
				fail_msg("%s: proto %u family %u ports %u %u: %d instead of %d", ps_buf_str(&out),
					key.proto, key.family, ntohs(key.sport), ntohs(key.dport), got, want);
			}
			want ? hit++ : missed++;
			quoted += want && ps_rule_tests_quoted(&rule);
		}
	}
	print_message("%zu matches (%zu by the quoted packet), %zu misses, %zu rules of two entries\n", hit, quoted,
		missed, two);
	assert_true(hit > 100000 && missed > 100000);
	assert_true(two > 500 && quoted > 500);
}

/* --- Warnings ----------------------------------------------------------------------------------- */

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
		{"{\"dst_port\":1}", 0, ""},
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
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule r = rule_of(rows[i].json);
		_value_ list = ps_rule_warnings(&r);

		if (ps_value_count(list) != rows[i].n)
			fail_msg("%s: %zu warnings", rows[i].json, ps_value_count(list));
		if (rows[i].n)
			assert_non_null(strstr(ps_value_as_string(ps_value_at(list, 0), ""), rows[i].hint));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(examples_are_taken, forget),
		cmocka_unit_test_teardown(answers_can_come_back, forget),
		cmocka_unit_test_teardown(shows_wildcards_in_words, forget),
		cmocka_unit_test_teardown(flags, forget),
		cmocka_unit_test_teardown(other_fields, forget),
		cmocka_unit_test_teardown(the_comment_has_a_limit, forget),
		cmocka_unit_test_teardown(strings_that_are_not_text, forget),
		cmocka_unit_test_teardown(bad_values, forget),
		cmocka_unit_test_teardown(merging_keeps_what_is_not_given, forget),
		cmocka_unit_test_teardown(derived_values_follow, forget),
		cmocka_unit_test_teardown(same_match, forget),
		cmocka_unit_test_teardown(names_exactly, forget),
		cmocka_unit_test_teardown(compiled_entries_match_what_the_rule_matches, forget),
		cmocka_unit_test_teardown(warnings, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
