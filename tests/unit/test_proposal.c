/* Proposed rules: what may stand, what is thrown away and why, and what becomes of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/evidence.h"
#include "ai-worker/limits.h"
#include "ai-worker/proposal.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define CITE ", \"connections\": [\"0000000000000001\"]}"
#define CITE_UDP ", \"connections\": [\"0000000000000002\"]}"
#define CITE_F ", \"findings\": [\"f-1\"]}"

static struct ps_picture picture;
static const struct ps_proposal_policy ai = {.source = "ai"}, enforcing = {.source = "ai", .enforce = true};

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct ps_value *json(const char *text)
{
	struct ps_value *v = NULL;
	struct ps_error err = {0};

	if (ps_json_parse(text, strlen(text), &v, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return v;
}

/* A TCP connection to SSH, a DNS question, one scan and one ICMP tunnel; one rule is there already. */
static int make(void **state)
{
	(void)state;
	picture = (struct ps_picture){.wall = 1700000000000000000ull, .have_snapshot = true};
	picture.conns = calloc(2, sizeof(*picture.conns));
	picture.n_conns = 2;
	picture.conns[0] = (struct ps_conn){.id = 1,
		.proto = IPPROTO_TCP,
		.src_ip = addr("203.0.113.9"),
		.src_port = 40000,
		.dst_ip = addr("192.0.2.1"),
		.dst_port = 22,
		.orig_tcp_flags = 0x1a,
		.resp_tcp_flags = 0x12};
	picture.conns[1] = (struct ps_conn){.id = 2,
		.proto = IPPROTO_UDP,
		.src_ip = addr("2001:db8::9"),
		.src_port = 5353,
		.dst_ip = addr("2001:db8::1"),
		.dst_port = 53};
	picture.findings = calloc(2, sizeof(*picture.findings));
	picture.n_findings = 2;
	picture.findings[0] = (struct ps_finding){.id = 1,
		.kind = PS_FINDING_PORT_SCAN,
		.source = addr("198.51.100.7"),
		.target = {.addr = addr("192.0.2.1"), .prefix = 32},
		.open = true,
		.connections = {1},
		.n_connections = 1,
		.title = "198.51.100.7 scans 192.0.2.1",
		.rule = {.proposed = true, .protocol = IPPROTO_TCP, .src = addr("198.51.100.7"), .syn = true}};
	picture.findings[1] = (struct ps_finding){.id = 2,
		.source = addr("198.51.100.8"),
		.open = true,
		.target = {.addr = addr("192.0.2.1"), .prefix = 32},
		.title = "tunnel",
		.rule = {.proposed = true, .protocol = IPPROTO_ICMP, .src = addr("198.51.100.8"), .echo = true}};
	picture.rules = json("[{\"id\": 7, \"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"dst_port\": 22}]");
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	ps_picture_free(&picture);
	return 0;
}

static int read_one(
	const char *text, const struct ps_proposal_policy *policy, struct ps_proposal *ret, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *given = json(text);

	*ret = (struct ps_proposal){0};
	return ps_proposal_read(given, &picture, policy, NULL, 0, ret, err);
}

static void what_may_stand(void **state)
{
	static const char *const texts[] = {
		"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\"" CITE,
		"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.0/24\", \"dst_port\": \"22\"" CITE,
		"{\"rule_type\": \"tcp\", \"dst_port\": \"20-30\", \"tcp_flags\": \"SYN\"" CITE,
		"{\"rule_type\": \"tcp\", \"src_ip\": \"192.0.2.1\", \"src_port\": 22, \"direction\": \"egress\"" CITE,
		"{\"rule_type\": \"udp\", \"dst_ip\": \"2001:db8::/32\"" CITE_UDP,
		"{\"rule_type\": \"tcp\", \"src_ip\": \"198.51.100.7\", \"tcp_flags\": \"SYN\"" CITE_F,
		"{\"rule_type\": \"basic\", \"src_ip\": \"198.51.100.7\"" CITE_F,
		"{\"rule_type\": \"icmp\", \"src_ip\": \"198.51.100.8\", \"icmp_type\": 8, \"findings\": [\"f-2\"]}",
		"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"action\": \"allow\"" CITE,
		"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"rate_limit\": 10"
		", \"evidence\": {\"connections\": [\"0000000000000001\"], \"findings\": []}}",
		/* as a strict schema makes a model write it */
		"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"dst_ip\": \"any\", \"src_port\": \"0\", "
		"\"dst_port\": "
		"\"0\", \"tcp_flags\": \"\", \"icmp_type\": 255, \"icmp_code\": 255, \"direction\": \"ingress\", "
		"\"action\": "
		"\"drop\", \"ttl\": 600, \"comment\": \"c\", \"reason\": \"r\", \"connections\": "
		"[\"0000000000000001\"], "
		"\"findings\": []}",
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(texts); i++) {
		_cleanup_(ps_proposal_free) struct ps_proposal p;
		struct ps_error err = {0};

		if (read_one(texts[i], &ai, &p, &err) < 0)
			fail_msg("%s: %s", texts[i], err.message);
		assert_string_equal(ps_value_get_string(p.filter, "source", ""), "ai");
		assert_string_equal(ps_value_get_string(p.filter, "mode", ""), "shadow");
		assert_true(ps_value_get_int(p.filter, "ttl", 0) > 0);
		assert_true(ps_value_get_bool(p.filter, "enabled", false));
	}
}

static void what_is_rejected(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"[]", "no object"},
		{"{\"rule_type\": \"basic\"" CITE, "everybody"},
		{"{\"rule_type\": \"tcp\", \"action\": \"drop\"" CITE, "everybody"},
		{"{\"rule_type\": \"tcp\", \"tcp_flags\": \"SYN\"" CITE, "everybody"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"128.0.0.0/1\"" CITE, "everybody"},
		{"{\"rule_type\": \"udp\", \"src_ip\": \"2000::/3\"" CITE_UDP, "everybody"},
		{"{\"rule_type\": \"basic\", \"action\": \"allow\"" CITE, "everybody"},
		{"{\"rule_type\": \"tcp\", \"dst_port\": 22, \"action\": \"allow\"" CITE, "everybody"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\"}", "cites no"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"connections\": []}", "cites no"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"connections\": [\"00000000000000ff\"]}",
			"does not exist"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"connections\": [1]}", "does not exist"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"findings\": [\"f-99\"]}", "does not exist"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"findings\": {\"f-1\": 1}}", "lists"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.77\"" CITE, "does not match"},
		{"{\"rule_type\": \"udp\", \"src_ip\": \"203.0.113.9\"" CITE, "does not match"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"tcp_flags\": \"RST\"" CITE, "does not match"},
		{"{\"rule_type\": \"udp\", \"dst_port\": 54" CITE_UDP, "does not match"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"198.51.100.77\"" CITE_F, "does not match"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"dst_port\": 22" CITE, "rule 7 does the same"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"force\": true" CITE, "force"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"confirm_within\": 5" CITE, "confirm_within"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.999\"" CITE, "src_ip"},
		{"{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"dst_port\": \"99999\"" CITE, "dst_port"},
		{"{\"rule_type\": \"smtp\", \"src_ip\": \"203.0.113.9\"" CITE, "rule_type"},
		{"{\"rule_type\": \"tcp\", \"source_ip\": \"203.0.113.9\"" CITE, "source_ip"},
		{"{\"rule_type\": \"udp\", \"src_ip\": \"203.0.113.9\", \"tcp_flags\": 2" CITE, "tcp_flags"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		struct ps_proposal p;
		struct ps_error err = {0};

		if (read_one(cases[i].text, &ai, &p, &err) != -EINVAL)
			fail_msg("%s stands", cases[i].text);
		if (!strstr(err.message, cases[i].word))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_null(p.filter);
	}
}

/* What decides over enforcement is not the proposer's. */
static void whose_word_counts(void **state)
{
	const char *text =
		"{\"id\": 3, \"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\", \"enabled\": false, \"mode\": "
		"\"enforce\", \"source\": \"user\", \"ttl\": 99999999, \"comment\": \"a\\u001b[31m\"" CITE;
	_cleanup_(ps_proposal_free) struct ps_proposal p, q;

	(void)state;
	assert_int_equal(read_one(text, &ai, &p, NULL), 0);
	assert_null(ps_value_get(p.filter, "id"));
	assert_string_equal(ps_value_get_string(p.filter, "mode", ""), "shadow");
	assert_string_equal(ps_value_get_string(p.filter, "source", ""), "ai");
	assert_string_equal(ps_value_get_string(p.filter, "comment", ""), "a [31m");
	assert_int_equal(ps_value_get_int(p.filter, "ttl", 0), PS_AI_RULE_TTL_MAX);
	assert_int_equal(read_one(text, &enforcing, &q, NULL), 0);
	assert_string_equal(ps_value_get_string(q.filter, "mode", ""), "enforce");
}

/* The filter is a body that POST /api/filters takes as it is, also with what the aggregator said of it. */
static void the_filter_is_a_body(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *preview = json(
		"{\"live\": 1, \"ended\": 0, \"packets\": 9, \"guard\": [], \"warnings\": [\"w\"], \"took_us\": 5}");
	_cleanup_(ps_value_free) struct ps_value *candidate = NULL;
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	_cleanup_(ps_proposal_free) struct ps_proposal p;
	struct ps_rule base;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(read_one("{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.0/24\"" CITE, &ai, &p, NULL), 0);
	candidate = ps_proposal_candidate(&p);
	assert_string_equal(ps_value_get_string(candidate, "mode", ""), "enforce");
	assert_null(ps_value_get(candidate, "evidence"));
	assert_int_equal(ps_proposal_settle(&p, preview, &err), 0);
	assert_int_equal(ps_value_get_int(ps_value_get(p.filter, "impact"), "live", 0), 1);
	assert_null(ps_value_get(ps_value_get(p.filter, "impact"), "took_us"));
	assert_int_equal(ps_value_count(ps_value_get(p.filter, "warnings")), 1);
	ps_rule_defaults(&base);
	if (ps_rule_merge(&base, p.filter, picture.wall, &rule, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(ps_rule_same_match(&rule, &p.rule));
	assert_int_equal(rule.mode, PS_MODE_SHADOW);
	assert_int_equal(rule.source, PS_SOURCE_AI);
}

static void guard_rails(void **state)
{
	static const struct {
		const char *preview, *word;
	} cases[] = {
		{"{\"live\": 3, \"guard\": [{\"kind\": \"ssh\", \"message\": \"it cuts an SSH session\"}]}",
			"SSH session"},
		{"{\"live\": 0, \"ended\": 0, \"guard\": []}", "none of the traffic"},
		{"[]", "impact"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		_cleanup_(ps_value_free) struct ps_value *preview = json(cases[i].preview);
		_cleanup_(ps_proposal_free) struct ps_proposal p;
		struct ps_error err = {0};

		assert_int_equal(
			read_one("{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\"" CITE, &ai, &p, NULL), 0);
		assert_int_equal(ps_proposal_settle(&p, preview, &err), -EINVAL);
		if (!strstr(err.message, cases[i].word))
			fail_msg("%s", err.message);
	}
}

static void not_twice(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *given =
		json("{\"rule_type\": \"tcp\", \"src_ip\": \"203.0.113.9\"" CITE);
	_cleanup_(ps_proposal_free) struct ps_proposal first = {0};
	struct ps_proposal second = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_proposal_read(given, &picture, &ai, NULL, 0, &first, &err), 0);
	assert_int_equal(ps_proposal_read(given, &picture, &ai, &first, 1, &second, &err), -EINVAL);
	assert_non_null(strstr(err.message, "the same"));
}

/* What the detectors propose passes the same checks. */
static void proposals_of_findings(void **state)
{
	(void)state;
	for (size_t i = 0; i < picture.n_findings; i++) {
		_cleanup_(ps_value_free) struct ps_value *given = ps_proposal_of_finding(&picture.findings[i]);
		_cleanup_(ps_proposal_free) struct ps_proposal p = {0};
		struct ps_error err = {0};

		assert_non_null(given);
		if (ps_proposal_read(given, &picture, &ai, NULL, 0, &p, &err) < 0)
			fail_msg("finding %zu: %s", i, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_stand),
		cmocka_unit_test(what_is_rejected),
		cmocka_unit_test(whose_word_counts),
		cmocka_unit_test(the_filter_is_a_body),
		cmocka_unit_test(guard_rails),
		cmocka_unit_test(not_twice),
		cmocka_unit_test(proposals_of_findings),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
