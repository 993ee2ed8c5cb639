/* SPDX-License-Identifier: MIT */
/* What the parser makes of every kind of frame, on both hooks: the counters tell. */
#include "test_rig.h"

#include <linux/if_ether.h>

#define TCP4 .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_TCP, .sport = 1000, .dport = 80
#define UDP4 .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_UDP, .sport = 1000, .dport = 53
#define TCP6 .src = "2001:db8::1", .dst = "2001:db8::2", .proto = IPPROTO_TCP, .sport = 1000, .dport = 80
#define UDP6 .src = "2001:db8::1", .dst = "2001:db8::2", .proto = IPPROTO_UDP, .sport = 1000, .dport = 53

/* Sends it through both hooks; each must have counted one packet in the counter at this offset, and the sums hold. */
static void expect_counted(const struct ps_frame_spec *spec, size_t counter, uint64_t bytes)
{
	for (int egress = 0; egress < 2; egress++) {
		struct ps_stats s;

		ps_rig_reset(rig);
		assert_true(egress ? ps_rig_out(rig, spec) : ps_rig_in(rig, spec));
		s = ps_rig_stats(rig);
		assert_int_equal(s.packets, 1);
		assert_int_equal(egress ? s.egress_packets : s.ingress_packets, 1);
		assert_int_equal(*(uint64_t *)((char *)&s + counter), 1);
		assert_int_equal(s.bytes, bytes);
		ps_rig_check_sums(rig);
	}
}

#define EXPECT(counter, bytes, ...) \
	expect_counted(&(struct ps_frame_spec){__VA_ARGS__}, offsetof(struct ps_stats, counter), bytes)

static void test_plain(void **state)
{
	(void)state;
	EXPECT(tcp_packets, 40, TCP4, .flags = PS_F_SYN);
	EXPECT(tcp_packets, 40 + 100, TCP4, .flags = PS_F_ACK, .payload = 100);
	EXPECT(udp_packets, 28 + 9, UDP4, .payload = 9);
	EXPECT(tcp_packets, 60 + 5, TCP6, .flags = PS_F_ACK, .payload = 5);
	EXPECT(udp_packets, 48, UDP6);
	EXPECT(icmp_packets, 28 + 56, .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_ICMP, .icmp_type = 8,
		.payload = 56);
	EXPECT(icmp_packets, 48, .src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 135);
	EXPECT(other_packets, 20 + 30, .src = "10.0.0.1", .dst = "10.0.0.2", .proto = 47, .payload = 30);
	EXPECT(other_packets, 40, .src = "fe80::1", .dst = "fe80::2", .proto = 59);
	EXPECT(other_packets, 40 + 16, .src = "fe80::1", .dst = "fe80::2", .proto = 50, .payload = 16);
	/* ICMP of the other family is just some protocol */
	EXPECT(other_packets, 48, .src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMP);
	EXPECT(other_packets, 28, .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_ICMPV6);
	EXPECT(not_ip, 14 + 28, .ethertype = ETH_P_ARP, .payload = 28);
	EXPECT(not_ip, 14 + 46, .ethertype = 0x0026, .payload = 46);
}

static void test_padding_is_not_counted(void **state)
{
	(void)state;
	EXPECT(udp_packets, 28, UDP4, .padding = 18);
	EXPECT(tcp_packets, 40, TCP4, .flags = PS_F_ACK, .padding = 6);
	EXPECT(udp_packets, 48, UDP6, .padding = 3);
}

static void test_vlans(void **state)
{
	static const struct ps_frame_spec one = {UDP4, .vlans = 1, .vid = {100}};
	static const struct ps_frame_spec two = {
		UDP4, .vlans = 2, .tpid = {ETH_P_8021AD, ETH_P_8021Q}, .vid = {200, 100}};
	static const struct ps_frame_spec priority = {UDP4, .vlans = 1, .vid = {0xe000}};
	static const struct ps_frame_spec priority_first = {UDP4, .vlans = 2, .vid = {0, 7}};
	struct ps_conn_raw c;

	(void)state;
	EXPECT(udp_packets, 28, UDP4, .vlans = 1, .vid = {100});
	EXPECT(udp_packets, 48, UDP6, .vlans = 2, .vid = {100, 200});
	EXPECT(not_ip, 14 + 12 + 28, UDP4, .vlans = 3, .vid = {1, 2, 3});
	EXPECT(not_ip, 14 + 4 + 28, .vlans = 1, .vid = {1}, .ethertype = ETH_P_ARP, .payload = 28);

	ps_rig_reset(rig);
	ps_rig_in(rig, &one);
	c = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.1", 1000, "10.0.0.2", 53);
	assert_int_equal(c.vlan[0], 100);
	assert_int_equal(c.vlan[1], 0);
	ps_rig_reset(rig);
	ps_rig_in(rig, &two);
	c = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.1", 1000, "10.0.0.2", 53);
	assert_int_equal(c.vlan[0], 200);
	assert_int_equal(c.vlan[1], 100);
	ps_rig_reset(rig);
	ps_rig_in(rig, &priority);
	c = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.1", 1000, "10.0.0.2", 53);
	assert_int_equal(c.vlan[0], 0);
	ps_rig_reset(rig);
	ps_rig_in(rig, &priority_first);
	c = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.1", 1000, "10.0.0.2", 53);
	assert_int_equal(c.vlan[0], 7);
	assert_int_equal(c.vlan[1], 0);
}

static void test_ipv4_header(void **state)
{
	(void)state;
	EXPECT(tcp_packets, 40 + 24, TCP4, .flags = PS_F_ACK, .ip_options = 24);
	EXPECT(tcp_packets, 40 + 40, TCP4, .flags = PS_F_ACK, .ip_options = 40);
	EXPECT(malformed_ip, 54, TCP4, .raw_ihl = 4);
	EXPECT(malformed_ip, 54, TCP4, .raw_ihl = 15);
	EXPECT(malformed_ip, 54, TCP4, .raw_version = 5);
	EXPECT(malformed_ip, 54, TCP4, .raw_len = 1);
	EXPECT(malformed_ip, 54, TCP4, .raw_len = -40);
	EXPECT(malformed_ip, 54, TCP4, .raw_len = -21);
	EXPECT(malformed_l4, 39, TCP4, .raw_len = -1);
}

static void test_ipv6_header(void **state)
{
	(void)state;
	EXPECT(malformed_ip, 74, TCP6, .raw_version = 4);
	EXPECT(malformed_ip, 74, TCP6, .raw_len = 1);
	EXPECT(malformed_l4, 59, TCP6, .raw_len = -1);
	EXPECT(malformed_l4, 40, TCP6, .raw_len = -20);
}

static void test_extension_headers(void **state)
{
	(void)state;
	EXPECT(tcp_packets, 60 + 8, TCP6, .exts = 1, .ext = {{.type = 0}});
	EXPECT(tcp_packets, 60 + 24, TCP6, .exts = 1, .ext = {{.type = 60, .len = 2}});
	EXPECT(udp_packets, 48 + 8 + 24 + 24, UDP6, .exts = 3,
		.ext = {{.type = 0}, {.type = 43, .len = 2}, {.type = 51, .len = 4}});
	EXPECT(udp_packets, 48 + 8 * 8, UDP6, .exts = 8,
		.ext = {{.type = 0}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60},
			{.type = 60}});
	EXPECT(malformed_ext, 48 + 9 * 8, UDP6, .exts = 9,
		.ext = {{.type = 0}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60}, {.type = 60},
			{.type = 60}, {.type = 60}});
	/* the payload length ends inside the chain */
	EXPECT(malformed_ext, 40 + 8 + 15, UDP6, .exts = 2, .ext = {{.type = 0}, {.type = 60, .len = 1}},
		.raw_len = -9);
	EXPECT(malformed_ext, 40 + 4, UDP6, .exts = 1, .ext = {{.type = 0}}, .raw_len = -12);
	/* a header that says it is longer than the packet */
	EXPECT(malformed_ext, 40 + 8 + 2, .src = "fe80::1", .dst = "fe80::2", .proto = 60, .exts = 1,
		.ext = {{.type = 0}}, .payload = 2);
	/* ESP and "no next header" end the chain */
	EXPECT(other_packets, 40 + 8 + 20, .src = "fe80::1", .dst = "fe80::2", .proto = 50, .exts = 1,
		.ext = {{.type = 60}}, .payload = 20);
}

static void test_l4_lengths(void **state)
{
	(void)state;
	EXPECT(malformed_l4, 40, TCP4, .raw_doff = 4);
	EXPECT(malformed_l4, 40, TCP4, .raw_doff = 6);
	EXPECT(tcp_packets, 44, TCP4, .raw_doff = 6, .payload = 4);
	EXPECT(malformed_l4, 28, UDP4, .raw_udp_len = -1);
	EXPECT(malformed_l4, 28, UDP4, .raw_udp_len = 1);
	EXPECT(udp_packets, 38, UDP4, .payload = 10, .raw_udp_len = -5);
	EXPECT(malformed_l4, 20 + 7, .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_ICMP, .raw_len = -1);
}

static void test_fragments(void **state)
{
	static const struct ps_frame_spec later4 = {UDP4, .ip_id = 77, .frag_offset = 100, .payload = 64};
	static const struct ps_frame_spec later6 = {
		UDP6, .exts = 1, .ext = {{.type = 44, .offset = 100, .id = 0xabcdef01}}, .payload = 64};
	struct ps_frag_val v;
	size_t n;

	(void)state;
	/* the first one has ports, and its datagram is longer than it is */
	EXPECT(udp_packets, 28 + 32, UDP4, .more = 1, .payload = 32, .raw_udp_len = 1000);
	EXPECT(udp_packets, 48 + 8 + 32, UDP6, .exts = 1, .ext = {{.type = 44, .more = 1}}, .payload = 32,
		.raw_udp_len = 1000);
	/* an atomic fragment is a whole packet */
	EXPECT(tcp_packets, 60 + 8, TCP6, .flags = PS_F_ACK, .exts = 1, .ext = {{.type = 44, .id = 5}});
	EXPECT(malformed_l4, 48 + 8, UDP6, .exts = 1, .ext = {{.type = 44}}, .raw_udp_len = 1);
	EXPECT(fragments, 20 + 64, UDP4, .ip_id = 77, .frag_offset = 100, .payload = 64);
	EXPECT(fragments, 48 + 64, UDP6, .exts = 1, .ext = {{.type = 44, .offset = 1, .more = 1}}, .payload = 64);
	/* what follows the fragment header of a later fragment is data, whatever it says */
	EXPECT(fragments, 48 + 64, .src = "fe80::1", .dst = "fe80::2", .proto = 60, .exts = 1,
		.ext = {{.type = 44, .offset = 1}}, .payload = 64);

	ps_rig_reset(rig);
	ps_rig_in(rig, &later4);
	ps_rig_in(rig, &later4);
	ps_rig_in(rig, &later6);
	assert_true(ps_rig_frag(rig, &later4, 77, &v));
	assert_int_equal(v.packets, 2);
	assert_int_equal(v.bytes, 2 * 84);
	assert_true(ps_rig_frag(rig, &later6, 0xabcdef01, &v));
	assert_int_equal(v.packets, 1);
	assert_int_equal(v.bytes, 112);
	free(ps_rig_conns(rig, &n));
	assert_int_equal(n, 0);
}

static const struct ps_frame_spec quoted_udp = {UDP4, .payload = 8};
static const struct ps_frame_spec quoted_udp6 = {
	UDP6, .exts = 2, .ext = {{.type = 0}, {.type = 60, .len = 1}}, .payload = 8};

/* Every length from 14 bytes up of valid frames: counted exactly once, and nowhere out of bounds. */
static void test_truncated_everywhere(void **state)
{
	static const struct ps_frame_spec specs[] = {
		{TCP4, .flags = PS_F_SYN, .wscale = 8, .payload = 20},
		{TCP4, .flags = PS_F_ACK, .ip_options = 12, .vlans = 2, .vid = {5, 6}, .payload = 3},
		{UDP4, .payload = 30},
		{TCP6, .flags = PS_F_SYN, .wscale = 1, .vlans = 1, .vid = {9}},
		{UDP6, .exts = 4,
			.ext = {{.type = 0}, {.type = 43, .len = 1}, {.type = 44, .id = 1}, {.type = 51, .len = 2}},
			.payload = 10},
		{UDP4, .vlans = 3, .vid = {1, 2, 3}},
		{.src = "10.0.0.9",
			.dst = "10.0.0.1",
			.proto = IPPROTO_ICMP,
			.icmp_type = 3,
			.icmp_code = 3,
			.quoted = &quoted_udp},
		{.src = "2001:db8::9",
			.dst = "2001:db8::1",
			.proto = IPPROTO_ICMPV6,
			.icmp_type = 1,
			.quoted = &quoted_udp6},
		{.ethertype = ETH_P_ARP, .payload = 28},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(specs); i++) {
		struct ps_frame whole, cut;
		uint64_t sent = 0;
		int verdict;

		ps_rig_reset(rig);
		ps_frame_make(&whole, &specs[i]);
		for (size_t len = 14; len <= whole.len; len++) {
			cut = whole;
			cut.len = len;
			assert_int_equal(ps_rig_ingress(rig, &cut), XDP_PASS);
			sent++;
			if (ps_rig_try_egress(rig, &cut, NULL, &verdict)) {
				assert_int_equal(verdict, -1);
				sent++;
			}
			assert_int_equal(ps_rig_stats(rig).packets, sent);
			ps_rig_check_sums(rig);
		}
		/* cut anywhere inside, an IP packet is malformed; only the whole one is not */
		if (specs[i].src && specs[i].vlans < 3) {
			struct ps_stats s = ps_rig_stats(rig);

			assert_int_equal(s.malformed_eth + s.malformed_ip + s.malformed_ext + s.malformed_l4, sent - 2);
		}
	}
}

/* The same prefixes with a length field that agrees: the cut is then inside the IP packet. */
static void test_short_packets(void **state)
{
	struct ps_frame_spec s = {TCP4, .flags = PS_F_SYN, .wscale = 3};

	(void)state;
	for (int cut = 0; cut <= 28; cut++) {
		struct ps_stats st;

		ps_rig_reset(rig);
		s.raw_len = -cut;
		assert_true(ps_rig_in(rig, &s));
		st = ps_rig_stats(rig);
		assert_int_equal(cut ? st.malformed_l4 : st.tcp_packets, 1);
		assert_int_equal(st.bytes, 48 - cut);
	}
}

static void test_segmentation(void **state)
{
	struct ps_frame f;
	struct ps_stats s;

	(void)state;
	/* three segments of 1000 bytes, seen as one at egress */
	ps_frame_make(&f, &(struct ps_frame_spec){TCP4, .flags = PS_F_ACK, .payload = 2500});
	assert_int_equal(ps_rig_egress(rig, &f, &(struct __sk_buff){.gso_segs = 3, .gso_size = 1000}), -1);
	s = ps_rig_stats(rig);
	assert_int_equal(s.packets, 3);
	assert_int_equal(s.tcp_packets, 3);
	assert_int_equal(s.bytes, 3 * 40 + 2500);

	/* the number of segments left open */
	ps_rig_reset(rig);
	assert_int_equal(ps_rig_egress(rig, &f, &(struct __sk_buff){.gso_size = 1000}), -1);
	assert_int_equal(ps_rig_stats(rig).packets, 3);

	/* merged on the way in, in generic mode: as many as fit the MTU */
	ps_rig_reset(rig);
	ps_rig_interface(rig, 1, 0, 1040);
	assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
	s = ps_rig_stats(rig);
	assert_int_equal(s.packets, 3);
	assert_int_equal(s.bytes, 3 * 40 + 2500);
	/* a jumbo frame that fits is one packet */
	ps_rig_reset(rig);
	ps_rig_interface(rig, 1, 0, 9000);
	assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
	assert_int_equal(ps_rig_stats(rig).packets, 1);
}

/* The interface that test runs come from (1) has no link header. */
static void expect_l3(const struct ps_frame_spec *spec, size_t counter, uint64_t bytes)
{
	for (int egress = 0; egress < 2; egress++) {
		struct ps_stats s;

		ps_rig_reset(rig);
		ps_rig_interface(rig, 1, PS_IFACE_L3, 1500);
		assert_true(egress ? ps_rig_out(rig, spec) : ps_rig_in(rig, spec));
		s = ps_rig_stats(rig);
		assert_int_equal(s.packets, 1);
		assert_int_equal(egress ? s.egress_packets : s.ingress_packets, 1);
		assert_int_equal(*(uint64_t *)((char *)&s + counter), 1);
		assert_int_equal(s.bytes, bytes);
		ps_rig_check_sums(rig);
	}
}

#define EXPECT_L3(counter, bytes, ...) \
	expect_l3(&(struct ps_frame_spec){.l3 = 1, __VA_ARGS__}, offsetof(struct ps_stats, counter), bytes)

static void test_without_link_header(void **state)
{
	static const struct ps_frame_ext hop = {.type = 0, .len = 1};
	struct ps_frame f;
	struct ps_stats s;

	(void)state;
	EXPECT_L3(tcp_packets, 40 + 100, TCP4, .flags = PS_F_ACK, .payload = 100);
	EXPECT_L3(tcp_packets, 48, TCP4, .flags = PS_F_SYN, .wscale = 8);
	EXPECT_L3(udp_packets, 28 + 9, UDP4, .ip_options = 0, .payload = 9, .padding = 4);
	EXPECT_L3(tcp_packets, 60, TCP6, .flags = PS_F_ACK);
	EXPECT_L3(udp_packets, 48 + 16, UDP6, .exts = 1, .ext = {hop});
	EXPECT_L3(icmp_packets, 28, .src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_ICMP, .icmp_type = 8);
	EXPECT_L3(fragments, 20 + 32, UDP4, .frag_offset = 10, .payload = 32);
	EXPECT_L3(malformed_ip, 40, TCP4, .flags = PS_F_ACK, .raw_ihl = 4);
	EXPECT_L3(not_ip, 40, TCP4, .flags = PS_F_ACK, .raw_version = 5);

	/* the connection and its window scale are read where they are */
	ps_rig_reset(rig);
	ps_rig_interface(rig, 1, PS_IFACE_L3, 1500);
	assert_true(IN(TCP4, .l3 = 1, .flags = PS_F_SYN, .wscale = 8));
	assert_int_equal(ps_rig_conn(rig, IPPROTO_TCP, "10.0.0.1", 1000, "10.0.0.2", 80).tcp.wscale[0], 7);

	/* super-packets: the kernel's segments on egress, the MTU's on ingress */
	ps_rig_reset(rig);
	ps_rig_interface(rig, 1, PS_IFACE_L3, 1040);
	ps_frame_make(&f, &(struct ps_frame_spec){TCP4, .l3 = 1, .flags = PS_F_ACK, .payload = 2500});
	assert_int_equal(ps_rig_egress(rig, &f, &(struct __sk_buff){.gso_size = 1000, .gso_segs = 3}), -1);
	assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
	s = ps_rig_stats(rig);
	assert_int_equal(s.packets, 6);
	assert_int_equal(s.bytes, 2 * (3 * 40 + 2500));

	/* another interface of the same host has one */
	ps_rig_reset(rig);
	ps_rig_interface(rig, 2, PS_IFACE_L3, 1500);
	ps_rig_interface(rig, 1, 0, 1500);
	assert_true(IN(UDP4));
	assert_true(OUT(UDP4));
	assert_int_equal(ps_rig_stats(rig).udp_packets, 2);
}

static void test_forwarded(void **state)
{
	struct ps_frame f;
	struct ps_stats s;
	size_t n;

	(void)state;
	ps_rig_interface(rig, 1, 0, 1500);
	ps_frame_make(&f, &(struct ps_frame_spec){UDP4});
	assert_int_equal(ps_rig_egress(rig, &f, &(struct __sk_buff){.ingress_ifindex = 1}), -1);
	s = ps_rig_stats(rig);
	assert_int_equal(s.forwarded, 1);
	assert_int_equal(s.packets, 0);
	assert_int_equal(s.udp_packets, 0);
	free(ps_rig_conns(rig, &n));
	assert_int_equal(n, 0);
	/* one that came in where nobody watches is counted here */
	assert_int_equal(ps_rig_egress(rig, &f, &(struct __sk_buff){.ingress_ifindex = 2}), -1);
	s = ps_rig_stats(rig);
	assert_int_equal(s.forwarded, 1);
	assert_int_equal(s.packets, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_padding_is_not_counted),
		TEST(test_vlans),
		TEST(test_ipv4_header),
		TEST(test_ipv6_header),
		TEST(test_extension_headers),
		TEST(test_l4_lengths),
		TEST(test_fragments),
		TEST(test_truncated_everywhere),
		TEST(test_short_packets),
		TEST(test_segmentation),
		TEST(test_without_link_header),
		TEST(test_forwarded),
	};

	return RUN(tests);
}
