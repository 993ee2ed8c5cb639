/* The local engine: every figure of a small snapshot counted by hand, and the sentences made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ai-worker/analysis.h"
#include "ai-worker/figures.h"
#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct ps_conn conn(
	uint64_t id, uint8_t proto, const char *src, const char *dst, uint16_t dst_port, uint8_t state)
{
	return (struct ps_conn){.id = id,
		.proto = proto,
		.src_ip = addr(src),
		.src_port = (uint16_t)(40000 + id),
		.dst_ip = addr(dst),
		.dst_port = dst_port,
		.state = state,
		.orig_packets = 10,
		.resp_packets = 10,
		.orig_bytes = 1000 * id,
		.resp_bytes = 500};
}

/* Three TCP (one half-open, one lossy), two UDP (one without an answer). */
static size_t sample(struct ps_conn *c)
{
	c[0] = conn(1, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, PS_TCP_ESTABLISHED);
	c[0].rtt_us = 2000;
	c[1] = conn(2, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, PS_TCP_ESTABLISHED);
	c[1].orig_retrans_packets = 3;
	c[1].resp_retrans_packets = 1;
	c[1].rtt_handshake_us = 8000;
	c[1].resp_zero_windows = 2;
	c[2] = conn(3, IPPROTO_TCP, "10.0.0.2", "2001:db8::1", 22, PS_TCP_SYN_SENT);
	c[2].src_ip = addr("2001:db8::2");
	c[2].orig_retrans_packets = 1;
	c[2].orig_dropped_packets = 4;
	c[3] = conn(4, IPPROTO_UDP, "10.0.0.3", "10.0.0.53", 53, PS_STATE_REPLIED);
	c[4] = conn(5, IPPROTO_UDP, "10.0.0.3", "10.0.0.53", 53, PS_STATE_UNREPLIED);
	return 5;
}

static void figures(void **state)
{
	struct ps_conn c[5];
	struct ps_figures f;

	(void)state;
	assert_int_equal(ps_figures_count(c, sample(c), &f), 0);
	assert_int_equal(f.connections, 5);
	assert_int_equal(f.tcp, 3);
	assert_int_equal(f.udp, 2);
	assert_int_equal(f.half_open, 1);
	assert_int_equal(f.unreplied, 1);
	assert_int_equal(f.by_state[PS_TCP_ESTABLISHED], 2);
	assert_int_equal(f.packets, 100);
	assert_int_equal(f.bytes, 15000 + 2500);
	assert_int_equal(f.dropped_packets, 4);
	assert_int_equal(f.tcp_packets, 60);
	assert_int_equal(f.retrans_packets, 5);
	assert_int_equal(f.zero_windows, 2);
	assert_int_equal(f.rtt_known, 2);
	assert_int_equal(f.rtt_max_us, 8000);

	assert_int_equal(f.all_talkers, 3);
	assert_int_equal(f.n_talkers, 3);
	assert_true(ps_addr_equal(&f.talkers[0].addr, &(struct ps_addr[]){addr("10.0.0.3")}[0]));
	assert_int_equal(f.talkers[0].bytes, 10000);
	assert_int_equal(f.talkers[0].connections, 2);
	assert_int_equal(f.n_services, 3);
	assert_int_equal(f.services[0].port, 53);
	assert_int_equal(f.services[0].proto, IPPROTO_UDP);
	assert_int_equal(f.services[1].port, 443);
	assert_int_equal(f.services[1].bytes, 4000);

	assert_int_equal(f.n_worst, 2);
	assert_ptr_equal(f.worst[0], &c[1]);
	assert_ptr_equal(f.worst[1], &c[2]);
}

static void nothing_to_count(void **state)
{
	struct ps_figures f;

	(void)state;
	assert_int_equal(ps_figures_count(NULL, 0, &f), 0);
	assert_int_equal(f.connections, 0);
	assert_int_equal(f.n_talkers, 0);
}

static void lists_are_short_and_in_order(void **state)
{
	static struct ps_conn c[300];
	struct ps_figures f;

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "10.1.%zu.%zu", i / 100, i % 100 + 1);
		c[i] = conn(i * 37 % 300 + 1, IPPROTO_TCP, text, "10.0.0.9", (uint16_t)(i + 1), PS_TCP_ESTABLISHED);
		c[i].orig_retrans_packets = (uint32_t)(i * 53 % 300);
	}
	assert_int_equal(ps_figures_count(c, 300, &f), 0);
	assert_int_equal(f.all_talkers, 300);
	assert_int_equal(f.n_talkers, PS_AI_TOP);
	assert_int_equal(f.talkers[0].bytes, 300 * 1000 + 500);
	assert_int_equal(f.talkers[PS_AI_TOP - 1].bytes, 296 * 1000 + 500);
	assert_int_equal(f.n_worst, PS_AI_TOP);
	for (size_t i = 0; i < PS_AI_TOP; i++)
		assert_int_equal(f.worst[i]->orig_retrans_packets, 299 - i);
}

static struct ps_value *analyse(struct ps_analysis_input in, const char *stats)
{
	_cleanup_(ps_value_free) struct ps_value *s = NULL;
	struct ps_value *v;

	if (stats)
		assert_int_equal(ps_json_parse(stats, strlen(stats), &s, NULL), 0);
	in.stats = s;
	v = ps_analysis(&in);
	assert_non_null(v);
	return v;
}

static bool says(const struct ps_value *v, const char *text)
{
	return strstr(ps_value_get_string(v, "analysis", ""), text) != NULL;
}

static bool suggests(const struct ps_value *v, const char *text)
{
	const struct ps_value *list = ps_value_get(v, "suggestions");

	for (size_t i = 0; i < ps_value_count(list); i++)
		if (strstr(ps_value_as_string(ps_value_at(list, i), ""), text))
			return true;
	return false;
}

static void no_snapshot(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *v = analyse(
		(struct ps_analysis_input){.include_tcp = true, .include_icmp = true, .include_stats = true}, NULL);

	(void)state;
	assert_false(ps_value_get_bool(v, "success", true));
	assert_non_null(strstr(ps_value_get_string(v, "error", ""), "snapshot"));
	assert_string_equal(ps_value_get_string(v, "engine", ""), "local");
}

static const char stats[] = "{\"TotalPackets\":1000,\"DroppedPackets\":50,\"MalformedPackets\":2,\"ICMPTypeCounts\":["
			    "100,0,0,80,0,0,0,0,100,0,0,20,0,0,0,0],"
			    "\"counters\":{\"icmp_packets\":301,\"untracked\":3},\"rates\":{\"packets\":10.4,\"bytes\":"
			    "2000,\"conns_new\":1.5},"
			    "\"table\":{\"known\":70000,\"fill\":0.25}}";

static void sentences(void **state)
{
	struct ps_conn c[5];
	size_t n = sample(c);
	_cleanup_(ps_value_free) struct ps_value *v =
		analyse((struct ps_analysis_input){true, c, n, 2.0, NULL, .include_tcp = true, .include_icmp = true,
				.include_stats = true},
			stats);
	const struct ps_value *f = ps_value_get(v, "figures");

	(void)state;
	assert_true(ps_value_get_bool(v, "success", false));
	assert_true(says(v, "Of 70000 connections, the 5 that were active last"));
	assert_true(says(v, "1 of 3 TCP connections are half-open (33.3 %)"));
	assert_true(says(v, "1 of 2 UDP connections have no answer"));
	assert_true(says(v, "10.0.0.53:53 (udp)"));
	assert_true(says(v, "[2001:db8::1]:22 (tcp)"));
	assert_true(says(v, "5 of 60 TCP packets were sent again (8.33 %)"));
	assert_true(says(v, "10.0.0.1:40002 -> 10.0.0.9:443 (TCP) with 4 of 20 packets (20.0 %)"));
	assert_true(says(v, "50 dropped by rules (5.00 %)"));
	assert_true(says(v, "301 ICMP and ICMPv6 messages, 100 echo replies, 80 destination unreachable"));
	assert_true(suggests(v, "closed its window 2 times"));
	assert_true(suggests(v, "malformed"));
	assert_true(suggests(v, "no place in the connection table"));
	assert_true(suggests(v, "33 % of the ICMP messages are errors"));
	/* too few packets and connections to say more */
	assert_false(suggests(v, "sent again"));
	assert_false(suggests(v, "handshake"));
	assert_non_null(strstr(ps_value_get_string(v, "summary", ""), "5 connections (3 TCP, 2 UDP)"));
	assert_int_equal(ps_value_get_uint(f, "retrans_packets", 0), 5);
	assert_int_equal(ps_value_count(ps_value_get(f, "worst")), 2);
	assert_string_equal(
		ps_value_get_string(ps_value_at(ps_value_get(f, "worst"), 0), "id", ""), "0000000000000002");
	assert_int_equal(ps_value_get_uint(ps_value_get(f, "icmp"), "time exceeded", 0), 20);
}

static void what_was_left_out(void **state)
{
	struct ps_conn c[5];
	size_t n = sample(c);
	_cleanup_(ps_value_free) struct ps_value *v =
		analyse((struct ps_analysis_input){.have_snapshot = true, .conns = c, .n_conns = n}, stats);
	const struct ps_value *f = ps_value_get(v, "figures");

	(void)state;
	assert_int_equal(ps_value_get_uint(f, "connections", 0), 2);
	assert_int_equal(ps_value_get_uint(f, "tcp", 7), 0);
	assert_false(says(v, "sent again"));
	assert_false(says(v, "ICMP"));
	assert_false(says(v, "Since the kernel part was loaded"));
	assert_null(ps_value_get(f, "icmp"));
}

static void a_flood_stands_out(void **state)
{
	static struct ps_conn c[100];
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		c[i] = conn(i + 1, IPPROTO_TCP, "198.51.100.7", "10.0.0.9", 80,
			i < 60 ? PS_TCP_SYN_SENT : PS_TCP_ESTABLISHED);
	v = analyse((struct ps_analysis_input){true, c, 100, 1, NULL, .include_tcp = true},
		"{\"table\":{\"known\":100,\"fill\":0.9}}");
	assert_true(suggests(v, "60 TCP connections wait for their handshake (60 %)"));
	assert_false(suggests(v, "max-connections")); /* stats were not asked for */
	ps_value_free(&v);
	v = analyse((struct ps_analysis_input){true, c, 100, 1, NULL, .include_tcp = true, .include_stats = true},
		"{\"table\":{\"known\":100,\"fill\":0.9}}");
	assert_true(suggests(v, "90 % full"));
}

static void a_quiet_host(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *v = analyse(
		(struct ps_analysis_input){
			.have_snapshot = true, .include_tcp = true, .include_icmp = true, .include_stats = true},
		"{}");

	(void)state;
	assert_true(ps_value_get_bool(v, "success", false));
	assert_int_equal(ps_value_count(ps_value_get(v, "suggestions")), 0);
	assert_non_null(strstr(ps_value_get_string(v, "summary", ""), "Nothing stands out."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures),
		cmocka_unit_test(nothing_to_count),
		cmocka_unit_test(lists_are_short_and_in_order),
		cmocka_unit_test(no_snapshot),
		cmocka_unit_test(sentences),
		cmocka_unit_test(what_was_left_out),
		cmocka_unit_test(a_flood_stands_out),
		cmocka_unit_test(a_quiet_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
