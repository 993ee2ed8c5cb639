/* NAME=VALUE words to the body of a rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/assign.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/rule.h"

static void check(int n, const char *const *words, const char *json)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_error err = {0};

	assert_int_equal(ps_assign_all(n, (char *const *)words, &body, &err), 0);
	ps_json_write(&out, body);
	assert_string_equal(ps_buf_str(&out), json);
}

static void refused(const char *word, const char *field, const char *hint)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	struct ps_error err = {0};

	assert_int_equal(ps_assign_all(1, (char *const[]){(char *)word}, &body, &err), -EINVAL);
	assert_null(body);
	assert_string_equal(err.field, field);
	if (!strstr(err.message, hint))
		fail_msg("\"%s\" does not say \"%s\"", err.message, hint);
}

static void kinds(void **state)
{
	(void)state;
	check(5,
		(const char *const[]){
			"rule_type=tcp", "dst_port=23", "action=drop", "enabled=true", "comment=block telnet"},
		"{\"rule_type\":\"tcp\",\"dst_port\":23,\"action\":\"drop\",\"enabled\":true,\"comment\":\"block "
		"telnet\"}");
	check(3, (const char *const[]){"protocol=47", "inner_protocol=udp", "enabled=no"},
		"{\"protocol\":47,\"inner_protocol\":\"udp\",\"enabled\":false}");
	check(2, (const char *const[]){"tcp_flags=SYN|ACK", "tcp_flags_mask=0x12"},
		"{\"tcp_flags\":\"SYN|ACK\",\"tcp_flags_mask\":18}");
	check(3, (const char *const[]){"ttl=none", "rate_limit=5", "dst_port=22,80"},
		"{\"ttl\":null,\"rate_limit\":5,\"dst_port\":\"22,80\"}");
	check(0, NULL, "{}");
}

static void text_stays_text(void **state)
{
	(void)state;
	check(3, (const char *const[]){"comment=123", "src_ip=10.0.0.1", "dst_ip="},
		"{\"comment\":\"123\",\"src_ip\":\"10.0.0.1\",\"dst_ip\":\"\"}");
	check(1, (const char *const[]){"comment=a=b \"c\""}, "{\"comment\":\"a=b \\\"c\\\"\"}");
}

/* What is no number goes on as text; the gateway says what it thinks of it. */
static void odd_values_are_the_gateways_affair(void **state)
{
	(void)state;
	check(3, (const char *const[]){"dst_port=http", "icmp_type=", "priority=-1"},
		"{\"dst_port\":\"http\",\"icmp_type\":\"\",\"priority\":-1}");
	check(1, (const char *const[]){"src_port=99999999999999999999"}, "{\"src_port\":\"99999999999999999999\"}");
}

static void refusals(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	struct ps_error err = {0};

	(void)state;
	refused("dst_prot=23", "dst_prot", "did you mean dst_port?");
	refused("Enabled=true", "Enabled", "did you mean enabled?");
	refused("colour=red", "colour", "rule_type");
	refused("dst_port", "dst_port", "name=value");
	refused("=5", "=5", "name=value");
	refused("enabled=maybe", "enabled", "true or false");
	assert_int_equal(ps_assign_all(2, (char *const[]){"dst_port=1", "dst_port=2"}, &body, &err), -EINVAL);
	assert_string_equal(err.field, "dst_port");
}

/* Every field of a rule can be written as a word, and what it becomes is taken. */
static void every_field(void **state)
{
	static const char *const words[] = {"rule_type=icmp", "protocol=icmp", "src_ip=any", "dst_ip=192.0.2.1",
		"src_port=0", "dst_port=0", "tcp_flags=0", "tcp_flags_mask=0", "icmp_type=3", "icmp_code=255",
		"inner_src_ip=192.0.2.7", "inner_dst_ip=", "inner_protocol=udp", "inner_src_port=5",
		"inner_dst_port=53", "direction=both", "action=drop", "enabled=1", "priority=10", "comment=c",
		"source=user", "mode=shadow", "rate_limit=100", "ttl=60", "confirm_within=30", "force=yes"};
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	struct ps_rule_request request;
	struct ps_error err = {0};
	struct ps_rule base;

	(void)state;
	assert_int_equal(ps_assign_all((int)PS_ARRAY_SIZE(words), (char *const *)words, &body, &err), 0);
	ps_rule_defaults(&base);
	if (ps_rule_merge(&base, body, 1000, &rule, &request, &err) < 0)
		fail_msg("%s: %s", err.field, err.message);
	assert_int_equal(rule.icmp_type, 3);
	assert_true(ps_ports_have(&rule.inner_dst_port, 53));
	assert_int_equal(rule.rate_limit, 100);
	assert_int_equal(rule.expires_at, 60000001000);
	assert_int_equal(request.confirm_within, 30);
	assert_true(request.force);
	assert_true(rule.enabled);
}

/* Flags of a command line, joined by blanks after they became words. */
static void flags_are(const char *line, const char *want)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	char copy[256], *argv[32] = {(char *)"filters"};
	struct ps_error err = {0};
	int argc = 1;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	if (ps_assign_flags(&argc, argv, &err) < 0)
		ps_buf_addf(&out, "%s: %s", err.field, err.message);
	else
		for (int i = 1; i < argc; i++) {
			ps_buf_addf(&out, "%s%s", i > 1 ? " " : "", argv[i]);
			if (argv[i] < copy || argv[i] >= copy + sizeof(copy)) /* made of a flag */
				free(argv[i]);
		}
	assert_null(argv[argc]);
	assert_string_equal(ps_buf_str(&out), want);
}

static void flags(void **state)
{
	(void)state;
	flags_are("add --src-ip 10.0.0.0/8 --dst-port=22,80 --enabled",
		"add src_ip=10.0.0.0/8 dst_port=22,80 enabled=true");
	flags_are("add -src_ip 10.0.0.1 --api :1 --json", "add src_ip=10.0.0.1 --api :1 --json");
	flags_are("set 7 --enabled no --force -j", "set 7 enabled=no force=true -j");
	flags_are("add --enabled=false --confirm-within 60", "add enabled=false confirm_within=60");
	flags_are("add --tcp-flags SYN -- --src-ip x", "add tcp_flags=SYN -- --src-ip x");
	flags_are("add --file - --comment -", "add --file - comment=-");
	flags_are("add --nonsense 5 --i-d 3", "add --nonsense 5 --i-d 3");
	flags_are("list", "list");
	flags_are("add --src-ip", "src_ip: --src-ip needs a value");
}

static void queries(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	_cleanup_(ps_buf_free) struct ps_buf query = PS_BUF_INIT;
	struct ps_error err;

	(void)state;
	assert_int_equal(ps_assign_all(4,
				 (char *[]){(char *)"force=yes", (char *)"ttl=60", (char *)"comment=a b&c",
					 (char *)"priority=1"},
				 &body, &err),
		0);
	assert_int_equal(ps_assign_query(body, "force", &query), 0);
	assert_int_equal(ps_assign_query(body, "ttl", &query), 0);
	assert_int_equal(ps_assign_query(body, "comment", &query), 0);
	assert_int_equal(ps_assign_query(body, "mode", &query), 0);
	assert_string_equal(ps_buf_str(&query), "?force=true&ttl=60&comment=a%20b%26c");
	assert_int_equal(ps_value_count(body), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(text_stays_text),
		cmocka_unit_test(odd_values_are_the_gateways_affair),
		cmocka_unit_test(refusals),
		cmocka_unit_test(every_field),
		cmocka_unit_test(flags),
		cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
