/* Rules: the documented examples, refusals, merging. */
#include "tests/unit/rule_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/model/rule_fields.h"

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
		/* networks */
		{"{\"src_ip\": \"10.0.0.1/8\"}", "src_ip", "write 10.0.0.0/8"},
		{"{\"src_ip\": \"192.0.2.129/25\"}", "src_ip", "write 192.0.2.128/25"},
		{"{\"src_ip\": \"10.0.0.1/0\"}", "src_ip", "write 0.0.0.0/0"},
		{"{\"dst_ip\": \"2001:db8::1/64\"}", "dst_ip", "write 2001:db8::/64"},
		{"{\"src_ip\": \"10.0.0.0/33\"}", "src_ip", "IPv4 prefix has 0 to 32 bits"},
		{"{\"src_ip\": \"2001:db8::/129\"}", "src_ip", "IPv6 prefix has 0 to 128 bits"},
		{"{\"src_ip\": \"10.0.0.0/\"}", "src_ip", "number of bits"},
		{"{\"src_ip\": \"10.0.0.0/-1\"}", "src_ip", "number of bits"},
		{"{\"src_ip\": \"10.0.0.0/08\"}", "src_ip", "number of bits"},
		{"{\"src_ip\": \"10.0.0.0/255.0.0.0\"}", "src_ip", "not a mask"},
		{"{\"src_ip\": \"10.0.0.0/8/8\"}", "src_ip", "number of bits"},
		{"{\"src_ip\": \"10.0.0.0 /8\"}", "src_ip", "one address or network"},
		{"{\"src_ip\": \"/8\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"any/8\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"10.0.0.1,10.0.0.2\"}", "src_ip", "a rule for each"},
		{"{\"src_ip\": \"10.0.0.1-10.0.0.9\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"!10.0.0.1\"}", "src_ip", "no address"},
		{"{\"src_ip\": \"::ffff:10.0.0.0/104\"}", "src_ip", "write 10.0.0.0/8"},
		{"{\"dst_ip\": \"fe80::%eth0/64\"}", "dst_ip", "zone"},
		{"{\"rule_type\": \"icmp\", \"inner_dst_ip\": \"10.0.0.1/8\"}", "inner_dst_ip", "write 10.0.0.0/8"},
		/* lists of ports */
		{"{\"dst_port\": \"8100-8000\"}", "dst_port", "write 8000-8100"},
		{"{\"dst_port\": \"22,,80\"}", "dst_port", "nothing before or behind a comma"},
		{"{\"dst_port\": \"22,\"}", "dst_port", "nothing before or behind a comma"},
		{"{\"dst_port\": \",22\"}", "dst_port", "nothing before or behind a comma"},
		{"{\"dst_port\": \"22-\"}", "dst_port", "\"22-\""},
		{"{\"dst_port\": \"-22\"}", "dst_port", "\"-22\""},
		{"{\"dst_port\": \"1-2-3\"}", "dst_port", "\"1-2-3\""},
		{"{\"dst_port\": \"22;80\"}", "dst_port", "whole number"},
		{"{\"dst_port\": \"22:80\"}", "dst_port", "whole number"},
		{"{\"dst_port\": \"22 80\"}", "dst_port", "whole number"},
		{"{\"dst_port\": \"0,22\"}", "dst_port", "ports begin at 1"},
		{"{\"dst_port\": \"0-1023\"}", "dst_port", "ports begin at 1"},
		{"{\"dst_port\": \"60000-70000\"}", "dst_port", "ports end at 65535"},
		{"{\"dst_port\": \"22,70000\"}", "dst_port", "ports end at 65535"},
		{"{\"dst_port\": \"any,22\"}", "dst_port", "\"any\""},
		{"{\"dst_port\": \"22,http\"}", "dst_port", "\"http\""},
		{"{\"dst_port\": \"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33\"}", "dst_port", "17 separate ranges"},
		{"{\"rule_type\": \"icmp\", \"inner_dst_port\": \"2-1\"}", "inner_dst_port", "write 1-2"},
		{"{\"rule_type\": \"icmp\", \"src_port\": \"1-2\"}", "src_port", "protocol is icmp"},
		{"{\"src_port\": {\"from\": 1}}", "src_port", "an object"},
		/* times and limits */
		{"{\"mode\": \"Shadow\"}", "mode", "enforce or shadow"},
		{"{\"mode\": null}", "mode", "enforce or shadow"},
		{"{\"ttl\": 0}", "ttl", "from 1 to 315360000"},
		{"{\"ttl\": -5}", "ttl", "-5"},
		{"{\"ttl\": 315360001}", "ttl", "or null for none"},
		{"{\"ttl\": 1.5}", "ttl", "whole number of seconds"},
		{"{\"ttl\": \"1h\"}", "ttl", "\"1h\""},
		{"{\"ttl\": true}", "ttl", "true"},
		{"{\"expires_at\": \"tomorrow\"}", "expires_at", "2026-01-02T03:04:05Z"},
		{"{\"expires_at\": 1700000100}", "expires_at", "a time like"},
		{"{\"expires_at\": \"2023-02-30T00:00:00Z\"}", "expires_at", "a time like"},
		{"{\"expires_at\": \"2020-01-01T00:00:00Z\"}", "expires_at", "has passed"},
		{"{\"expires_at\": \"2099-01-01T00:00:00Z\"}", "expires_at", "ten years"},
		{"{\"ttl\": 0, \"expires_at\": \"2020-01-01T00:00:00Z\"}", "ttl", "0"},
		{"{\"rate_limit\": 0}", "rate_limit", "or null for none"},
		{"{\"rate_limit\": 1000001}", "rate_limit", "from 1 to 1000000"},
		{"{\"rate_limit\": \"100/s\"}", "rate_limit", "packets a second"},
		{"{\"rate_limit\": 100, \"action\": \"allow\"}", "rate_limit", "action is allow"},
		/* names from elsewhere */
		{"{\"source_ip\": \"10.0.0.1\"}", "source_ip", "called src_ip"},
		{"{\"port\": 22}", "port", "called dst_port"},
		{"{\"proto\": \"tcp\"}", "proto", "called protocol"},
		{"{\"Dst_Port\": 22}", "Dst_Port", "written dst_port"},
		{"{\"flags\": 2}", "flags", "called tcp_flags"},
		/* what stands beside what */
		{"{\"src_ip\": \"10.0.0.0/8\", \"dst_ip\": \"2001:db8::/32\"}", "dst_ip", "src_ip is IPv4"},
		{"{\"src_ip\": \"0.0.0.0/0\", \"dst_ip\": \"::/0\"}", "dst_ip", "src_ip is IPv4"},
		{"{\"protocol\": \"icmpv6\", \"inner_dst_ip\": \"10.0.0.0/8\"}", "inner_dst_ip", "make protocol icmp"},
		{"{\"rule_type\": \"icmp\", \"icmp_type\": 0, \"inner_dst_ip\": \"10.0.0.0/8\"}", "icmp_type",
			"quotes no packet"},
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
	assert_true(PS_ARRAY_SIZE(rows) >= 150);
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

/* --- The fields that came with networks, ranges and times ---------------------------------------- */

static void understood(const char *json, const char *field, const char *want)
{
	struct ps_rule r = rule_of(json);
	_value_ shown = ps_rule_to_value(&r, NOW);
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	ps_json_write(&out, ps_value_get(shown, field));
	if (strcmp(ps_buf_str(&out), want) != 0)
		fail_msg("%s: %s is shown as %s", json, field, ps_buf_str(&out));
}

static void what_is_shown_is_normalised(void **state)
{
	(void)state;
	understood("{\"src_ip\":\"10.0.0.0/8\"}", "src_ip", "\"10.0.0.0/8\"");
	understood("{\"src_ip\":\"10.0.0.1/32\"}", "src_ip", "\"10.0.0.1\"");
	understood("{\"src_ip\":\"2001:DB8:0::/32\"}", "src_ip", "\"2001:db8::/32\"");
	understood("{\"src_ip\":\"2001:db8::1/128\"}", "src_ip", "\"2001:db8::1\"");
	understood("{\"src_ip\":\"0.0.0.0/0\"}", "src_ip", "\"0.0.0.0/0\"");
	understood("{\"dst_port\":\"22\"}", "dst_port", "22");
	understood("{\"dst_port\":\"22-22\"}", "dst_port", "22");
	understood("{\"dst_port\":\"any\"}", "dst_port", "0");
	understood("{\"dst_port\":\"00\"}", "dst_port", "0");
	understood("{\"dst_port\":\"8000-8100\"}", "dst_port", "\"8000-8100\"");
	understood("{\"dst_port\":\"443,22,80\"}", "dst_port", "\"22,80,443\"");
	understood("{\"dst_port\":\" 22 , 8000 - 8100,8050-8200, 8201\"}", "dst_port", "\"22,8000-8201\"");
	understood("{\"dst_port\":\"5,4,3,2,1\"}", "dst_port", "\"1-5\"");
	understood("{\"dst_port\":\"1-65535\"}", "dst_port", "\"1-65535\"");
	understood("{\"dst_port\":\"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,32\"}", "dst_port",
		"\"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31-32\"");
	understood("{\"rule_type\":\"icmp\",\"inner_dst_port\":\"53,50-52\"}", "inner_dst_port", "\"50-53\"");
	understood("{\"mode\":\"shadow\"}", "mode", "\"shadow\"");
	understood("{\"rate_limit\":100}", "rate_limit", "100");
	understood("{\"rate_limit\":null}", "rate_limit", "null");
	understood("{\"ttl\":60}", "ttl", "60");
	understood("{\"ttl\":60}", "expires_at", "\"2023-11-14T22:14:20.000000Z\"");
	understood("{\"ttl\":null}", "expires_at", "null");
	understood("{\"ttl\":315360000}", "expires_at", "\"2033-11-11T22:13:20.000000Z\"");
	understood("{\"expires_at\":\"2023-11-15T00:13:21.5+02:00\"}", "expires_at", "\"2023-11-14T22:13:21.500000Z\"");
	understood("{\"expires_at\":\"2023-11-15T00:13:21.5+02:00\"}", "ttl", "2"); /* rounded up */
	understood("{\"expires_at\":null}", "expires_at", "null");
	understood("{\"ttl\":60,\"expires_at\":\"2023-11-14T22:13:21Z\"}", "ttl", "60"); /* ttl goes before */
	understood("{\"ttl\":0,\"expires_at\":\"2020-01-01T00:00:00Z\",\"expired\":true}", "expired", "true");
	understood("{\"ttl\":60,\"expired\":false}", "expired", "false");
}

static void a_time_passes(void **state)
{
	struct ps_rule r = rule_of("{\"ttl\":60}");
	_value_ later = ps_rule_to_value(&r, NOW + 59 * 1000000000ull + 1);
	_value_ end = ps_rule_to_value(&r, NOW + 60 * 1000000000ull);

	(void)state;
	assert_int_equal(ps_value_get_int(later, "ttl", -1), 1);
	assert_false(ps_value_get_bool(later, "expired", true));
	assert_int_equal(ps_value_get_int(end, "ttl", -1), 0);
	assert_true(ps_value_get_bool(end, "expired", false));
	assert_true(ps_rule_expired(&r, NOW + 60 * 1000000000ull));
	/* PATCH without ttl keeps the end; with null takes it away */
	assert_int_equal(merged(&r, "{\"comment\":\"x\"}").expires_at, r.expires_at);
	assert_int_equal(merged(&r, "{\"ttl\":null}").expires_at, 0);
	assert_int_equal(merged(&r, "{\"expires_at\":null}").expires_at, 0);
	/* an expired rule's own answer can come back */
	{
		struct ps_rule again;

		assert_int_equal(ps_rule_merge(&r, end, NOW + 90 * 1000000000ull, &again, NULL, NULL), 0);
		assert_true(ps_rule_equal(&r, &again));
		ps_rule_clear(&again);
	}
}

static void requests(void **state)
{
	static const struct {
		const char *json, *hint;
	} bad[] = {
		{"{\"confirm_within\":0}", "from 1 to 3600"},
		{"{\"confirm_within\":3601}", "3601"},
		{"{\"confirm_within\":\"60\"}", "\"60\""},
		{"{\"force\":1}", "true or false"},
		{"{\"force\":\"yes\"}", "true or false"},
	};
	_value_ body = parse("{\"dst_port\":22,\"confirm_within\":60,\"force\":true}");
	_value_ plain = parse("{\"dst_port\":22,\"confirm_within\":null}");
	struct ps_rule_request request = {.confirm_within = 9};
	struct ps_rule base, r;
	struct ps_error err;

	(void)state;
	ps_rule_defaults(&base);
	assert_int_equal(ps_rule_merge(&base, body, NOW, &r, &request, NULL), 0);
	assert_int_equal(request.confirm_within, 60);
	assert_true(request.force);
	assert_int_equal(r.confirm_by, 0); /* the store's affair */
	assert_int_equal(ps_rule_merge(&base, plain, NOW, &r, &request, NULL), 0);
	assert_int_equal(request.confirm_within, 0);
	assert_false(request.force);
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		_value_ v = parse(bad[i].json);

		request.confirm_within = 77;
		assert_int_equal(ps_rule_merge(&base, v, NOW, &r, &request, &err), -EINVAL);
		assert_non_null(strstr(err.message, bad[i].hint));
		assert_non_null(strstr(bad[i].json, err.field));
		assert_int_equal(request.confirm_within, 77);
	}
}

/* Answers have more than rules: whatever of it comes back says nothing. */
static void echoes_are_ignored(void **state)
{
	struct ps_rule plain = rule_of("{\"dst_port\":22}");
	struct ps_rule r = rule_of(
		"{\"dst_port\":22,\"packets\":3,\"bytes\":4,\"first_hit\":null,\"last_hit\":\"x\",\"warnings\":[],"
		"\"impact\":{\"live\":1},\"reason\":\"scan\",\"evidence\":{},\"expired\":false,\"generation\":99,"
		"\"confirm_by\":\"2023-11-14T22:14:20Z\",\"id\":5}");

	(void)state;
	assert_true(ps_rule_equal(&plain, &r));
	assert_int_equal(r.generation, 0);
	assert_int_equal(r.confirm_by, 0);
	assert_int_equal(r.id, -1);
}

/* --- Ownership ---------------------------------------------------------------------------------- */

static void copies_are_apart(void **state)
{
	static const char json[] = "{\"comment\":\"a\",\"dst_port\":\"1,3,5,7\",\"src_port\":\"2,4,6\"}";
	struct ps_rule original, copy;
	struct ps_rule base;
	_value_ body = parse(json);

	(void)state;
	ps_rule_defaults(&base);
	assert_int_equal(ps_rule_merge(&base, body, NOW, &original, NULL, NULL), 0);
	assert_int_equal(ps_rule_copy(&original, &copy), 0);
	assert_true(ps_rule_equal(&original, &copy));
	assert_ptr_not_equal(original.comment, copy.comment);
	assert_int_equal(ps_rule_set_comment(&original, "b"), 0);
	assert_string_equal(copy.comment, "a");
	ps_rule_clear(&original);
	assert_true(ps_ports_have(&copy.dst_port, 7) && ps_ports_have(&copy.src_port, 6));
	ps_rule_clear(&copy);
	ps_rule_clear(&copy);
	assert_string_equal(ps_rule_comment(&copy), "");
	assert_true(sizeof(struct ps_rule) <= 256);
}

/* --- Files -------------------------------------------------------------------------------------- */

static void stored_rules(void **state)
{
	static const struct {
		const char *json, *field, *hint;
	} bad[] = {
		{"{}", "id", "id is missing"},
		{"{\"id\":-1}", "id", "-1"},
		{"{\"id\":99999999}", "id", "from 0"},
		{"{\"id\":null}", "id", "null"},
		{"{\"id\":1,\"generation\":-1}", "generation", "-1"},
		{"{\"id\":1,\"confirm_by\":5}", "confirm_by", "a time like"},
		{"{\"id\":1,\"ttl\":60}", "ttl", "expires_at"},
		{"{\"id\":1,\"force\":true}", "force", "leave it out"},
		{"{\"id\":1,\"colour\":1}", "colour", "no field"},
		{"[]", "", "a list"},
	};
	struct ps_rule r = rule_of("{\"rule_type\":\"tcp\",\"dst_port\":23,\"ttl\":60}"), again;
	_value_ stored = NULL;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	r.id = 3;
	r.generation = 9;
	r.confirm_by = NOW + 5000;
	stored = ps_rule_to_stored(&r);
	ps_json_write(&out, stored);
	assert_string_equal(ps_buf_str(&out), "{\"id\":3,\"rule_type\":\"tcp\",\"protocol\":\"tcp\",\"dst_port\":23,"
					      "\"expires_at\":\"2023-11-14T22:14:20.000000Z\","
					      "\"confirm_by\":\"2023-11-14T22:13:20.000005Z\",\"generation\":9}");
	assert_int_equal(ps_rule_from_stored(stored, &again, NULL), 0);
	assert_true(ps_rule_equal(&r, &again));
	assert_int_equal(again.id, 3);
	assert_int_equal(again.generation, 9);
	assert_int_equal(again.confirm_by, r.confirm_by);
	ps_rule_clear(&again);
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		_value_ v = parse(bad[i].json);
		struct ps_error err = {0};

		assert_int_equal(ps_rule_from_stored(v, &again, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
		if (!strstr(err.message, bad[i].hint))
			fail_msg("%s: %s", bad[i].json, err.message);
	}
}

/* --- Random rules ------------------------------------------------------------------------------- */

static struct ps_ports random_ports(void)
{
	struct ps_port_range range[PS_RULE_PORTS_MAX];
	size_t n = random() % 2 ? 0 : (size_t)random() % (random() % 4 ? 3 : PS_RULE_PORTS_MAX + 1);
	struct ps_ports p;

	for (size_t i = 0; i < n; i++) {
		range[i].lo = (uint16_t)(1 + random() % 65535);
		range[i].hi = (uint16_t)(random() % 2 ? range[i].lo : range[i].lo + random() % (65536 - range[i].lo));
	}
	assert_int_equal(ps_ports_set(range, n, &p), 0);
	return p;
}

static struct ps_net random_net(uint8_t family)
{
	struct ps_net n = {.addr.family = family};

	if (random() % 2)
		return (struct ps_net){0};
	n.len = (uint8_t)(random() % 3 ? ps_net_bits(family) : random() % (ps_net_bits(family) + 1));
	for (int i = 0; i < (family == 4 ? 1 : 4); i++)
		n.addr.word[i] = (uint32_t)random() ^ (uint32_t)random() << 8;
	if (family == 6)
		n.addr.word[0] |= htonl(0x20000000); /* none of ::ffff:0:0/96 */
	ps_net_mask(&n);
	return n;
}

/* Any rule that can be. */
static struct ps_rule any_rule(void)
{
	static const char letters[] = "abc \"\\\n\t\xc3\xa4\xe2\x82\xac";
	static const int16_t types4[] = {3, 4, 5, 11, 12, PS_RULE_ANY},
			     types6[] = {1, 2, 3, 4, PS_RULE_ANY, PS_RULE_ANY};
	uint8_t family = random() % 2 ? 4 : 6;
	bool icmp = random() % 3 == 0;
	struct ps_rule r;

	ps_rule_defaults(&r);
	r.id = (int32_t)(random() % PS_RULES_MAX);
	r.priority = (int32_t)(random() % (PS_RULE_PRIORITY_MAX + 1));
	r.src_ip = random_net(family);
	r.dst_ip = random_net(family);
	r.direction = (uint8_t)(1 + random() % 3);
	r.action = random() % 2 ? PS_RULE_ACTION_DROP : PS_RULE_ACTION_ALLOW;
	r.mode = (uint8_t)(random() % 2);
	r.source = (uint8_t)(random() % 4);
	r.enabled = random() % 2;
	r.rate_limit = r.action == PS_RULE_ACTION_DROP && random() % 2 ? 1 + (uint32_t)random() % PS_RULE_RATE_MAX : 0;
	r.generation = (uint32_t)random();
	r.expires_at = random() % 2 ? 0 : (NOW / 1000 + 1 + (uint64_t)random()) * 1000;
	r.confirm_by = random() % 2 ? 0 : (NOW / 1000 + (uint64_t)random()) * 1000;
	if (random() % 2)
		assert_int_equal(ps_rule_set_comment(&r, letters + random() % 8), 0);
	if (icmp) {
		r.rule_type = random() % 2 ? PS_RULE_ICMP : PS_RULE_BASIC;
		r.protocol = family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		r.icmp_code = (int16_t)(random() % 2 ? PS_RULE_ANY : random() % 255);
		r.icmp_type = (int16_t)(random() % 2 ? PS_RULE_ANY : random() % 255);
		if (random() % 2) {
			r.icmp_type = (family == 4 ? types4 : types6)[random() % 6];
			r.inner_src_ip = random_net(family);
			r.inner_dst_ip = random_net(family);
			r.inner_protocol = (int16_t)(random() % 2 ? PS_RULE_ANY : random() % 2 ? 6 : 17);
			r.inner_src_port = random_ports();
			r.inner_dst_port = random_ports();
		}
		return r;
	}
	r.rule_type = (uint8_t)(random() % 3);
	r.protocol = r.rule_type == PS_RULE_TCP ? IPPROTO_TCP : r.rule_type == PS_RULE_UDP ? IPPROTO_UDP : PS_RULE_ANY;
	if (r.rule_type == PS_RULE_BASIC && random() % 2)
		r.protocol = (int16_t)(random() % 2 ? 47 : 6);
	if (r.protocol == 47)
		return r;
	r.src_port = random_ports();
	r.dst_port = random_ports();
	if (r.protocol == IPPROTO_TCP) {
		r.tcp_flags_mask = (uint8_t)random();
		r.tcp_flags = (uint8_t)random() & r.tcp_flags_mask;
	}
	return r;
}

/* Through JSON text and back, as an answer and as a file. */
static void random_rules_come_back(void **state)
{
	srandom(3);
	for (int i = 0; i < 20000; i++) {
		struct ps_rule r = keep(any_rule()), base = {0}, again = {0};
		_value_ shown = ps_rule_to_value(&r, NOW);
		_value_ stored = ps_rule_to_stored(&r);
		_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
		_value_ read = NULL;
		struct ps_error err = {0};

		ps_json_write(&out, shown);
		read = parse(ps_buf_str(&out));
		ps_rule_defaults(&base);
		ps_value_unset(read, "ttl"); /* in whole seconds */
		if (ps_rule_merge(&base, read, NOW, &again, NULL, &err))
			fail_msg("%s: %s", ps_buf_str(&out), err.message);
		if (!ps_rule_equal(&r, &again))
			fail_msg("%s came back as another", ps_buf_str(&out));
		keep(again);
		/* a PATCH with all of it changes nothing */
		assert_int_equal(ps_rule_merge(&r, read, NOW, &again, NULL, &err), 0);
		assert_true(ps_rule_equal(&r, &again) && again.id == r.id);
		keep(again);
		if (ps_rule_from_stored(stored, &again, &err))
			fail_msg("%s: %s", ps_buf_str(&out), err.message);
		assert_true(ps_rule_equal(&r, &again) && again.id == r.id && again.generation == r.generation &&
			    again.confirm_by == r.confirm_by);
		keep(again);
		(void)forget(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(examples_are_taken),
		TEST(answers_can_come_back),
		TEST(shows_wildcards_in_words),
		TEST(flags),
		TEST(other_fields),
		TEST(the_comment_has_a_limit),
		TEST(strings_that_are_not_text),
		TEST(bad_values),
		TEST(merging_keeps_what_is_not_given),
		TEST(derived_values_follow),
		TEST(same_match),
		TEST(what_is_shown_is_normalised),
		TEST(a_time_passes),
		TEST(requests),
		TEST(echoes_are_ignored),
		TEST(copies_are_apart),
		TEST(stored_rules),
		TEST(random_rules_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
