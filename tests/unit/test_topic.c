#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/bus/bus.h"

static void names_go_both_ways(void **state)
{
	(void)state;
	for (int t = 0; t < PS_TOPICS; t++) {
		enum ps_topic back = PS_TOPICS;
		const char *name = ps_topic_name((enum ps_topic)t);
		assert_int_equal(ps_topic_parse(name, strlen(name), &back), 0);
		assert_int_equal(back, t);
	}
	assert_string_equal(ps_topic_name(PS_TOPIC_CONN_END), "conn.end");
	assert_int_equal(ps_topic_record(PS_TOPIC_CONN_END), PS_RECORD_CONN);
	assert_int_equal(ps_topic_record(PS_TOPIC_ICMP), PS_RECORD_ICMP);
	assert_int_equal(ps_topic_record(PS_TOPIC_RULE), PS_RECORD_TYPES);
}

static void only_exact_names(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "conn", "conn.", "conn.ne", "conn.newer", "Conn.new", "icmp ", "icmpx"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		enum ps_topic t = PS_TOPIC_DROP;
		assert_int_equal(ps_topic_parse(wrong[i], strlen(wrong[i]), &t), -EINVAL);
		assert_int_equal(t, PS_TOPIC_DROP);
	}
}

static void endpoints_stand_under_the_run_directory(void **state)
{
	(void)state;
	struct ps_endpoints ep;
	assert_int_equal(ps_endpoints_default("/run/packetscope", &ep), 0);
	assert_string_equal(ep.events, "ipc:///run/packetscope/events.sock");
	assert_string_equal(ep.feed, "ipc:///run/packetscope/feed.sock");
	assert_string_equal(ep.state, "ipc:///run/packetscope/state.sock");
	assert_string_equal(ep.control, "ipc:///run/packetscope/control.sock");
	assert_string_equal(ep.ai, "ipc:///run/packetscope/ai.sock");
	assert_string_equal(ep.findings, "ipc:///run/packetscope/findings.sock");
}

static void a_path_that_no_socket_can_have_is_refused(void **state)
{
	(void)state;
	struct ps_endpoints ep = {.events = "untouched"};
	char dir[200] = "/";
	/* 107 bytes are the longest path: "/findings.sock" leaves 93. */
	memset(dir + 1, 'd', 92);
	assert_int_equal(ps_endpoints_default(dir, &ep), 0);
	strcpy(ep.events, "untouched");
	dir[93] = 'd';
	assert_int_equal(ps_endpoints_default(dir, &ep), -ENAMETOOLONG);
	memset(dir + 1, 'd', sizeof(dir) - 2);
	assert_int_equal(ps_endpoints_default(dir, &ep), -ENAMETOOLONG);
	assert_string_equal(ep.events, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(only_exact_names),
		cmocka_unit_test(endpoints_stand_under_the_run_directory),
		cmocka_unit_test(a_path_that_no_socket_can_have_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
