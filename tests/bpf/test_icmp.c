/* SPDX-License-Identifier: MIT */
/* ICMP and ICMPv6: counters by key, the packet quoted in an error and the connection it belongs to, events. */
#include "test_rig.h"

#define A "10.0.0.1"
#define B "10.0.0.2"
#define R "192.0.2.1"
#define A6 "2001:db8::a"
#define B6 "2001:db8::b"
#define R6 "2001:db8:1::1"
#define PING .src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 8

static const struct ps_frame_spec udp_ab = {
	.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53, .payload = 20};
static const struct ps_frame_spec tcp6_ab = {
	.src = A6, .dst = B6, .proto = IPPROTO_TCP, .sport = 5000, .dport = 80, .flags = PS_F_SYN};

static void test_counted_by_type_and_code(void **state)
{
	static const struct ps_frame_spec ping = {PING, .payload = 56, .ip_id = 0x77};
	static const struct ps_frame_spec tagged = {PING, .vlans = 1, .vid = {9}};
	struct ps_icmp_val v;
	struct ps_stats s;

	(void)state;
	assert_true(ps_rig_in(rig, &ping));
	assert_true(ps_rig_in(rig, &ping));
	assert_true(ps_rig_in(rig, &tagged));
	assert_true(IN(.src = B, .dst = A, .proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 13));
	assert_true(IN(.src = B6, .dst = A6, .proto = IPPROTO_ICMPV6, .icmp_type = 128));
	assert_true(ps_rig_icmp(rig, &ping, &v));
	assert_int_equal(v.packets, 2);
	assert_int_equal(v.bytes, 2 * 84);
	assert_int_equal(v.dropped, 0);
	assert_int_equal(v.first_seen, T0);
	assert_int_equal(v.ip_id, 0x77);
	assert_int_equal(v.ifindex, 1);
	assert_int_equal(v.inner_family, PS_FAMILY_NONE);
	assert_true(ps_rig_icmp(rig, &tagged, &v));
	assert_int_equal(v.packets, 1);
	s = ps_rig_stats(rig);
	assert_int_equal(s.icmp_packets, 5);
	assert_int_equal(s.icmp_types[8], 3);
	assert_int_equal(s.icmp_codes[0], 3);
	assert_int_equal(s.icmp_types[3], 1);
	assert_int_equal(s.icmp_codes[13], 1);
	assert_int_equal(s.icmp6_types[128], 1);
	assert_int_equal(s.icmp6_types[8], 0);
}

static void test_quoted_ipv4(void **state)
{
	struct ps_frame_spec unreachable = {.src = R,
		.dst = A,
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 3,
		.quoted = &udp_ab,
		.quoted_len = 28};
	struct ps_icmp_val v;
	uint32_t want[4];

	(void)state;
	/* nobody knows that packet */
	ps_rig_in(rig, &unreachable);
	assert_true(ps_rig_icmp(rig, &unreachable, &v));
	assert_int_equal(v.conn_id, 0);
	ps_rig_addr(want, A);
	assert_memory_equal(v.inner_saddr, want, 16);
	ps_rig_addr(want, B);
	assert_memory_equal(v.inner_daddr, want, 16);
	assert_int_equal(v.inner_family, PS_FAMILY_IPV4);
	assert_int_equal(v.inner_proto, IPPROTO_UDP);
	assert_int_equal(v.inner_sport, htons(5000));
	assert_int_equal(v.inner_dport, htons(53));
	/* now it does */
	ps_rig_out(rig, &udp_ab);
	ps_rig_in(rig, &unreachable);
	assert_true(ps_rig_icmp(rig, &unreachable, &v));
	assert_int_equal(v.conn_id, ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53).id);
	assert_int_equal(v.packets, 2);

	/* only the IP header is quoted: no ports */
	ps_rig_reset(rig);
	unreachable.quoted_len = 20;
	ps_rig_in(rig, &unreachable);
	assert_true(ps_rig_icmp(rig, &unreachable, &v));
	assert_int_equal(v.inner_family, PS_FAMILY_IPV4);
	assert_int_equal(v.inner_sport, 0);
	/* not even that */
	ps_rig_reset(rig);
	unreachable.quoted_len = 19;
	ps_rig_in(rig, &unreachable);
	assert_true(ps_rig_icmp(rig, &unreachable, &v));
	assert_int_equal(v.inner_family, PS_FAMILY_NONE);
}

static void test_quoted_with_options_and_as_fragment(void **state)
{
	static const struct ps_frame_spec options = {.src = A,
		.dst = B,
		.proto = IPPROTO_TCP,
		.ip_options = 16,
		.sport = 5000,
		.dport = 80,
		.flags = PS_F_ACK};
	static const struct ps_frame_spec later = {
		.src = A, .dst = B, .proto = IPPROTO_UDP, .frag_offset = 100, .payload = 40};
	struct ps_frame_spec error = {
		.src = R, .dst = A, .proto = IPPROTO_ICMP, .icmp_type = 11, .quoted = &options, .quoted_len = 44};
	struct ps_icmp_val v;

	(void)state;
	ps_rig_in(rig, &error);
	assert_true(ps_rig_icmp(rig, &error, &v));
	assert_int_equal(v.inner_proto, IPPROTO_TCP);
	assert_int_equal(v.inner_dport, htons(80));
	error.quoted = &later;
	ps_rig_in(rig, &error);
	assert_true(ps_rig_icmp(rig, &error, &v));
	assert_int_equal(v.inner_proto, IPPROTO_UDP);
	assert_int_equal(v.inner_sport, 0);
	assert_int_equal(v.inner_dport, 0);
}

static void test_quoted_ipv6(void **state)
{
	struct ps_frame_spec inner = tcp6_ab;
	struct ps_frame_spec error = {
		.src = R6, .dst = A6, .proto = IPPROTO_ICMPV6, .icmp_type = 1, .icmp_code = 4, .quoted = &inner};
	struct ps_icmp_val v;
	uint32_t want[4];

	(void)state;
	ps_rig_out(rig, &tcp6_ab);
	for (int exts = 0; exts < 3; exts++) {
		inner.exts = exts;
		inner.ext[0] = (struct ps_frame_ext){.type = 0};
		inner.ext[1] = (struct ps_frame_ext){.type = 60, .len = 1};
		ps_rig_in(rig, &error);
		assert_true(ps_rig_icmp(rig, &error, &v));
		assert_int_equal(v.inner_family, PS_FAMILY_IPV6);
		assert_int_equal(v.inner_proto, IPPROTO_TCP);
		assert_int_equal(v.inner_sport, htons(5000));
		assert_int_equal(v.inner_dport, htons(80));
		ps_rig_addr(want, B6);
		assert_memory_equal(v.inner_daddr, want, 16);
		assert_int_equal(v.conn_id, ps_rig_conn(rig, IPPROTO_TCP, A6, 5000, B6, 80).id);
	}
}

/* Only errors quote; the data of anything else is not looked into. */
static void test_which_types_quote(void **state)
{
	struct ps_icmp_val v;

	(void)state;
	for (int type = 0; type < 256; type++) {
		struct ps_frame_spec m = {
			.src = R, .dst = A, .proto = IPPROTO_ICMP, .icmp_type = (uint8_t)type, .quoted = &udp_ab};
		bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

		ps_rig_in(rig, &m);
		assert_true(ps_rig_icmp(rig, &m, &v));
		assert_int_equal(v.inner_family, error ? PS_FAMILY_IPV4 : PS_FAMILY_NONE);
		m = (struct ps_frame_spec){
			.src = R6, .dst = A6, .proto = IPPROTO_ICMPV6, .icmp_type = (uint8_t)type, .quoted = &tcp6_ab};
		ps_rig_in(rig, &m);
		assert_true(ps_rig_icmp(rig, &m, &v));
		assert_int_equal(v.inner_family, type >= 1 && type <= 4 ? PS_FAMILY_IPV6 : PS_FAMILY_NONE);
	}
}

static void test_events(void **state)
{
	struct ps_frame_spec ping = {PING, .ip_id = 5};
	struct ps_rig_event e;

	(void)state;
	for (int i = 0; i < 20; i++)
		ps_rig_in(rig, &ping);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_ICMP, &e), 1);
	assert_int_equal(e.head.size, sizeof(struct ps_event_icmp));
	assert_int_equal(e.icmp.val.packets, 1);
	assert_int_equal(e.icmp.key.type, 8);
	assert_int_equal(e.icmp.key.family, PS_FAMILY_IPV4);
	ps_rig_time(rig, T0 + NS_PER_S + 2 * NS_PER_MS);
	ping.ip_id = 6;
	ps_rig_in(rig, &ping);
	ps_rig_in(rig, &ping);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_ICMP, &e), 2);
	assert_int_equal(e.icmp.val.packets, 21);
	assert_int_equal(e.icmp.val.ip_id, 6);
	/* another key is not held back by this one */
	ping.icmp_code = 1;
	ps_rig_in(rig, &ping);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_stats(rig).ev_icmp, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_counted_by_type_and_code),
		TEST(test_quoted_ipv4),
		TEST(test_quoted_with_options_and_as_fragment),
		TEST(test_quoted_ipv6),
		TEST(test_which_types_quote),
		TEST(test_events),
	};

	return RUN(tests);
}
