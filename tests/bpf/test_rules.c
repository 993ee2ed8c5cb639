/* SPDX-License-Identifier: MIT */
/* Rules: each thing that can be tested, precedence, what a verdict is remembered for and when it is taken again. */
#include "test_rig.h"

#define A "10.0.0.1"
#define B "10.0.0.2"
#define A6 "2001:db8::a"
#define B6 "2001:db8::b"
#define UDP_AB .src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53
#define UDP_BA .src = B, .dst = A, .proto = IPPROTO_UDP, .sport = 53, .dport = 5000
#define TCP_AB .src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 5000, .dport = 80
#define TCP_BA .src = B, .dst = A, .proto = IPPROTO_TCP, .sport = 80, .dport = 5000
#define PING .src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 8

static void use(const struct ps_rig_rule *rules, size_t n)
{
	ps_rig_rules(rig, rules, n);
}

#define USE(...) \
	use((const struct ps_rig_rule[]){__VA_ARGS__}, PS_ARRAY_SIZE(((const struct ps_rig_rule[]){__VA_ARGS__})))
#define PROTO(p) .key.proto = (p), .mask.proto = 0xff
#define FAMILY(f) .key.family = (f), .mask.family = 0xff
#define SPORT(p) .key.sport = htons(p), .mask.sport = 0xffff
#define DPORT(p) .key.dport = htons(p), .mask.dport = 0xffff
#define DIR(d) .key.direction = (d), .mask.direction = 0xff
#define FLAGS(f, m) .key.tcp_flags = (f), .mask.tcp_flags = (m)

static void use_addr(const char *src, const char *dst)
{
	struct ps_rig_rule r = {.id = 1};

	if (src) {
		ps_rig_addr(r.key.saddr, src);
		memset(r.mask.saddr, 0xff, 16);
		r.key.family = ps_rig_family(src);
	}
	if (dst) {
		ps_rig_addr(r.key.daddr, dst);
		memset(r.mask.daddr, 0xff, 16);
		r.key.family = ps_rig_family(dst);
	}
	r.mask.family = 0xff;
	use(&r, 1);
}

static void test_addresses(void **state)
{
	(void)state;
	use_addr(A, NULL);
	assert_false(IN(UDP_AB));
	assert_false(IN(PING));
	assert_false(IN(.src = A, .dst = B, .proto = 47));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .frag_offset = 5, .payload = 8));
	assert_true(IN(UDP_BA));
	assert_true(IN(.src = "10.0.0.3", .dst = A, .proto = 47));
	use_addr(NULL, B);
	assert_false(IN(UDP_AB));
	assert_true(IN(UDP_BA));
	use_addr(A, B);
	assert_false(IN(TCP_AB, .flags = PS_F_SYN));
	assert_true(IN(.src = A, .dst = "10.0.0.3", .proto = IPPROTO_UDP));
	use_addr(A6, NULL);
	assert_false(IN(.src = A6, .dst = B6, .proto = IPPROTO_UDP));
	assert_true(IN(.src = "2001:db8::b:a", .dst = B6, .proto = IPPROTO_UDP));
	/* a prefix, as a mask */
	USE({.id = 1, FAMILY(4), .key.saddr = {htonl(0x0a000000)}, .mask.saddr = {htonl(0xffffff00)}});
	assert_false(IN(UDP_AB));
	assert_true(IN(.src = "10.0.1.1", .dst = B, .proto = IPPROTO_UDP));
}

static void test_ports_and_protocols(void **state)
{
	(void)state;
	USE({.id = 3, PROTO(IPPROTO_TCP), DPORT(23)}, {.id = 4, PROTO(IPPROTO_UDP), SPORT(123)});
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 9, .dport = 23, .flags = PS_F_SYN));
	assert_false(IN(.src = A6, .dst = B6, .proto = IPPROTO_TCP, .sport = 9, .dport = 23, .flags = PS_F_SYN));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 23, .dport = 9, .flags = PS_F_SYN));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 9, .dport = 23));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 123, .dport = 9));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 123, .dport = 9, .flags = PS_F_SYN));
	assert_int_equal(ps_rig_hits(rig, 3).packets, 2);
	assert_int_equal(ps_rig_hits(rig, 3).bytes, 40 + 60);
	assert_int_equal(ps_rig_hits(rig, 4).packets, 1);
	assert_int_equal(ps_rig_hits(rig, 3).first_hit, T0);
	USE({.id = 1, PROTO(47)});
	assert_false(IN(.src = A, .dst = B, .proto = 47));
	assert_true(IN(.src = A, .dst = B, .proto = 50));
}

static void test_tcp_flags(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_TCP), FLAGS(PS_F_SYN, PS_F_SYN | PS_F_ACK)});
	assert_false(IN(TCP_AB, .flags = PS_F_SYN));
	assert_false(IN(TCP_AB, .flags = PS_F_SYN | PS_F_PSH));
	assert_true(IN(TCP_AB, .flags = PS_F_SYN | PS_F_ACK));
	assert_true(IN(TCP_AB, .flags = PS_F_ACK));
	/* in the middle of an established connection too, whatever is remembered of it */
	assert_false(IN(TCP_AB, .flags = PS_F_SYN));
	assert_true(IN(TCP_AB, .flags = PS_F_ACK));
	/* no flags at all */
	USE({.id = 2, PROTO(IPPROTO_TCP), FLAGS(0, 0xff)});
	assert_false(IN(TCP_AB, .flags = 0));
	assert_true(IN(TCP_AB, .flags = PS_F_ACK));
	assert_true(IN(UDP_AB));
	assert_true(IN(PING));
}

static void test_icmp_type_and_code(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_ICMP), SPORT(8), DPORT(0), .icmp = true});
	assert_false(IN(PING));
	assert_true(IN(PING, .icmp_code = 1));
	assert_true(IN(.src = B, .dst = A, .proto = IPPROTO_ICMP, .icmp_type = 0));
	/* type alone */
	USE({.id = 1, PROTO(IPPROTO_ICMP), SPORT(3), .icmp = true});
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 1));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 4));
	assert_true(IN(PING));
	/* echo replies have type 0: what is no echo reply but unreadable must not pass for one */
	USE({.id = 1, PROTO(IPPROTO_ICMP), SPORT(0), .icmp = true});
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 0));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .frag_offset = 3, .payload = 8));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 8, .raw_len = -8));
}

static void test_icmp_is_counted_as_dropped(void **state)
{
	static const struct ps_frame_spec ping = {PING};
	struct ps_icmp_val v;

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_ICMP)});
	ps_rig_in(rig, &ping);
	ps_rig_in(rig, &ping);
	assert_true(ps_rig_icmp(rig, &ping, &v));
	assert_int_equal(v.packets, 2);
	assert_int_equal(v.dropped, 2);
	assert_int_equal(ps_rig_stats(rig).dropped_packets, 2);
	assert_int_equal(ps_rig_stats(rig).dropped_bytes, 56);
}

static const struct ps_frame_spec quoted_udp = {
	.src = B, .dst = A, .proto = IPPROTO_UDP, .sport = 5000, .dport = 33434, .payload = 4};
static const struct ps_frame_spec quoted_tcp = {
	.src = B, .dst = A, .proto = IPPROTO_TCP, .sport = 5000, .dport = 80, .flags = PS_F_SYN};
static const struct ps_frame_spec quoted_fragment = {
	.src = B, .dst = A, .proto = IPPROTO_UDP, .frag_offset = 9, .payload = 8};
#define ERROR(t, q) .src = "192.0.2.1", .dst = B, .proto = IPPROTO_ICMP, .icmp_type = (t), .quoted = &(q)
#define INNER_PROTO(p) .inner.proto = (p), .inner_mask.proto = 0xff

static void test_quoted_packet(void **state)
{
	struct ps_rig_rule r = {.id = 1, PROTO(IPPROTO_ICMP)};

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_ICMP), SPORT(3), INNER_PROTO(IPPROTO_UDP), .icmp = true});
	assert_false(IN(ERROR(3, quoted_udp)));
	assert_true(IN(ERROR(3, quoted_tcp)));
	assert_true(IN(ERROR(11, quoted_udp)));
	assert_true(IN(ERROR(8, quoted_udp)));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 3));
	/* ports */
	USE({.id = 1,
		PROTO(IPPROTO_ICMP),
		INNER_PROTO(IPPROTO_UDP),
		.inner.dport = htons(33434),
		.inner_mask.dport = 0xffff});
	assert_false(IN(ERROR(11, quoted_udp)));
	assert_true(IN(ERROR(11, quoted_tcp)));
	USE({.id = 1, PROTO(IPPROTO_ICMP), .inner.sport = htons(1), .inner_mask.sport = 0xffff});
	assert_true(IN(ERROR(11, quoted_fragment)));
	/* addresses */
	r.inner.family = PS_FAMILY_IPV4;
	r.inner_mask.family = 0xff;
	ps_rig_addr(r.inner.daddr, A);
	memset(r.inner_mask.daddr, 0xff, 16);
	use(&r, 1);
	assert_false(IN(ERROR(3, quoted_udp)));
	assert_false(IN(ERROR(12, quoted_tcp)));
	ps_rig_addr(r.inner.daddr, B);
	use(&r, 1);
	assert_true(IN(ERROR(3, quoted_udp)));
}

static void test_direction(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), DIR(PS_DIR_INGRESS)});
	assert_false(IN(UDP_AB));
	assert_true(OUT(UDP_AB));
	assert_false(IN(UDP_AB));
	assert_true(OUT(UDP_BA));
	assert_false(IN(UDP_BA));
	USE({.id = 1, PROTO(IPPROTO_UDP), DIR(PS_DIR_EGRESS)});
	assert_true(IN(UDP_AB));
	assert_false(OUT(UDP_AB));
	USE({.id = 1, PROTO(IPPROTO_UDP)});
	assert_false(IN(UDP_AB));
	assert_false(OUT(UDP_AB));
}

static void test_first_match_decides(void **state)
{
	(void)state;
	USE({.id = 7, PROTO(IPPROTO_UDP), DPORT(53), .action = PS_RULE_ACTION_ALLOW}, {.id = 2, PROTO(IPPROTO_UDP)});
	assert_true(IN(UDP_AB));
	assert_true(IN(UDP_AB));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = 54));
	assert_int_equal(ps_rig_hits(rig, 7).packets, 2);
	assert_int_equal(ps_rig_hits(rig, 2).packets, 1);
	assert_int_equal(ps_rig_stats(rig).dropped_packets, 1);
	USE({.id = 2, PROTO(IPPROTO_UDP)}, {.id = 7, PROTO(IPPROTO_UDP), DPORT(53), .action = PS_RULE_ACTION_ALLOW});
	assert_false(IN(UDP_AB));
	/* a third combination in between, which matches too */
	USE({.id = 1, PROTO(IPPROTO_UDP), SPORT(5000), .action = PS_RULE_ACTION_ALLOW}, {.id = 2, PROTO(IPPROTO_UDP)},
		{.id = 3, DPORT(53), PROTO(IPPROTO_UDP)});
	assert_true(IN(UDP_AB));
}

static void test_many_tuples(void **state)
{
	struct ps_rig_rule r[PS_RULE_TUPLES] = {0};

	(void)state;
	/* as many combinations as there can be: prefixes of source and destination */
	for (size_t i = 0; i < PS_RULE_TUPLES; i++) {
		r[i].id = (uint32_t)i;
		r[i].mask.saddr[0] = htonl(0xffffffff << (i % 32));
		r[i].mask.daddr[0] = htonl(0xffffffff << (i / 32));
		r[i].key.saddr[0] = htonl(0x0b000000 + (uint32_t)i) & r[i].mask.saddr[0];
		r[i].key.daddr[0] = htonl(0x0c000000) & r[i].mask.daddr[0];
	}
	/* the last one is the only one for this */
	r[PS_RULE_TUPLES - 1].mask.saddr[0] = r[PS_RULE_TUPLES - 1].key.saddr[0] = 0;
	r[PS_RULE_TUPLES - 1].mask.daddr[0] = r[PS_RULE_TUPLES - 1].key.daddr[0] = 0;
	r[PS_RULE_TUPLES - 1].mask.dport = 0xffff;
	r[PS_RULE_TUPLES - 1].key.dport = htons(53);
	use(r, PS_RULE_TUPLES);
	assert_false(IN(UDP_AB));
	assert_int_equal(ps_rig_hits(rig, PS_RULE_TUPLES - 1).packets, 1);
	assert_true(IN(.src = "172.16.0.1", .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54));
	assert_false(IN(.src = "11.0.0.0", .dst = "12.0.0.0", .proto = IPPROTO_UDP));
	assert_int_equal(ps_rig_hits(rig, 0).packets, 1);
}

/* An established connection is cut, and let through again, with its next packet. */
static void test_new_generation_recuts(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_TCP), DPORT(81)});
	assert_true(IN(TCP_AB, .flags = PS_F_SYN, .seq = 1));
	assert_true(OUT(TCP_BA, .flags = PS_F_SYN | PS_F_ACK, .seq = 9, .ack = 2));
	assert_true(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10));
	USE({.id = 2, PROTO(IPPROTO_TCP), DPORT(80)});
	assert_false(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10, .payload = 10));
	assert_false(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10, .payload = 10));
	assert_true(OUT(TCP_BA, .flags = PS_F_ACK, .seq = 10, .ack = 2));
	c = ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80);
	assert_int_equal(c.dropped[ps_rig_side(&c, A, 5000)], 2);
	assert_int_equal(c.dropped[ps_rig_side(&c, B, 80)], 0);
	assert_int_equal(c.packets[ps_rig_side(&c, A, 5000)], 4);
	assert_int_equal(c.verdict[ps_rig_side(&c, A, 5000)] & (PS_VERDICT_RULE | PS_VERDICT_DROP | PS_VERDICT_ID),
		PS_VERDICT_RULE | PS_VERDICT_DROP | 2);
	assert_int_equal(ps_rig_hits(rig, 2).packets, 2);
	use(NULL, 0);
	assert_true(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10, .payload = 10));
	c = ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80);
	assert_int_equal(c.verdict[0], 0);
	assert_int_equal(c.verdict[1], 0);
}

/* A verdict that a slow CPU stores late, made with the set before, must not live on under the new one's name. */
static void test_late_verdict_of_an_old_generation(void **state)
{
	struct ps_conn_raw c;
	uint32_t stale;
	int side;

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_TCP), DPORT(81)});
	IN(UDP_AB);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	side = ps_rig_side(&c, A, 5000);
	stale = rig->hot[c.slot].verdict[side];
	USE({.id = 2, PROTO(IPPROTO_UDP), DPORT(53)});
	assert_false(IN(UDP_AB));
	rig->hot[c.slot].verdict[side] = stale;
	assert_false(IN(UDP_AB));
}

static void test_dropped_packets_confirm_nothing(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_TCP), SPORT(80)}, {.id = 2, PROTO(IPPROTO_UDP), SPORT(53)});
	assert_true(IN(TCP_AB, .flags = PS_F_SYN, .seq = 1));
	assert_false(OUT(TCP_BA, .flags = PS_F_SYN | PS_F_ACK, .seq = 9, .ack = 2));
	c = ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80);
	assert_int_equal(c.tcp.state, PS_TCP_SYN_SENT);
	assert_int_equal(c.packets[0] + c.packets[1], 2);
	assert_true(IN(UDP_AB));
	assert_false(OUT(UDP_BA));
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	assert_false(c.flags & (PS_CONN_REPLIED | PS_CONN_CONFIRMED));
	/* and a reset that never arrives closes nothing */
	USE({.id = 1, PROTO(IPPROTO_TCP), FLAGS(PS_F_RST, PS_F_RST)});
	assert_false(IN(TCP_AB, .flags = PS_F_RST, .seq = 2));
	assert_int_equal(ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80).tcp.state, PS_TCP_SYN_SENT);
}

static void test_neighbour_discovery_is_guarded(void **state)
{
	(void)state;
	USE({.id = 1});
	for (uint8_t type = 133; type <= 137; type++)
		assert_true(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = type));
	assert_false(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 128));
	assert_false(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 132));
	assert_false(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 138));
	/* the same numbers in IPv4 are nothing special */
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 135));
	USE({.id = 1, PROTO(IPPROTO_ICMPV6), SPORT(135), .icmp = true});
	assert_false(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 135));
	assert_true(IN(.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_ICMPV6, .icmp_type = 136));
}

static void test_malformed_and_not_ip(void **state)
{
	(void)state;
	/* tests nothing: drops what can't be read, but never what is not IP */
	USE({.id = 1});
	assert_false(IN(UDP_AB, .raw_len = 1));
	assert_false(IN(UDP_AB, .raw_version = 7));
	assert_false(IN(UDP_AB, .raw_udp_len = -1));
	assert_true(IN(.ethertype = 0x0806, .payload = 28));
	assert_true(IN(UDP_AB, .vlans = 3, .vid = {1, 2, 3}));
	assert_int_equal(ps_rig_hits(rig, 1).packets, 3);
	/* by source, which a bad length leaves readable */
	use_addr(A, NULL);
	assert_false(IN(UDP_AB, .raw_len = 1));
	assert_true(IN(UDP_AB, .raw_version = 7));
	/* ports that were not read are none */
	USE({.id = 1, SPORT(7)});
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 7, .raw_len = -6));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 7));
	use(NULL, 0);
	assert_true(IN(UDP_AB, .raw_len = 1));
}

static void test_forwarded_packets_are_only_enforced(void **state)
{
	struct ps_conn_raw c;
	struct ps_frame f;
	struct __sk_buff from1 = {.ingress_ifindex = 1};

	(void)state;
	ps_rig_interface(rig, 1, 0, 1500);
	USE({.id = 1, PROTO(IPPROTO_UDP), DIR(PS_DIR_EGRESS)});
	ps_frame_make(&f, &(struct ps_frame_spec){UDP_AB});
	assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
	assert_int_equal(ps_rig_egress(rig, &f, &from1), 2);
	/* the one verdict does not stand in for the other */
	assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
	assert_int_equal(ps_rig_egress(rig, &f, &from1), 2);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	assert_int_equal(c.packets[0] + c.packets[1], 2);
	assert_int_equal(ps_rig_stats(rig).packets, 2);
	assert_int_equal(ps_rig_stats(rig).forwarded, 2);
	assert_int_equal(ps_rig_stats(rig).dropped_packets, 2);
	assert_int_equal(ps_rig_hits(rig, 1).packets, 2);
}

static void test_drop_events(void **state)
{
	struct ps_rig_event e;

	(void)state;
	USE({.id = 42, PROTO(IPPROTO_UDP)}, {.id = 43, PROTO(IPPROTO_ICMP)});
	for (int i = 0; i < 10; i++)
		IN(UDP_AB, .ip_id = 9, .payload = 2);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, &e), 1);
	assert_int_equal(e.head.size, sizeof(struct ps_event_drop));
	assert_int_equal(e.drop.conn_id, ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53).id);
	assert_int_equal(e.drop.rule_id, 42);
	assert_int_equal(e.drop.generation, rig->view.rule_heads[rig->runtime->rule_switch & 1].generation);
	assert_int_equal(e.drop.bytes, 30);
	assert_int_equal(e.drop.ip_id, 9);
	assert_int_equal(e.drop.key.dport, htons(53));
	assert_int_equal(e.drop.key.direction, PS_DIR_INGRESS);
	/* another connection speaks for itself, and updates are not held back */
	IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = 2);
	ps_rig_time(rig, T0 + NS_PER_S + 2 * NS_PER_MS);
	IN(UDP_AB);
	IN(UDP_AB);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, NULL), 3);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_UPDATE, NULL), 1);
	/* without a connection: once a rule and interval, from whomever */
	ps_rig_forget_events(rig);
	IN(PING);
	IN(.src = B, .dst = A, .proto = IPPROTO_ICMP, .icmp_type = 8);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, &e), 1);
	assert_int_equal(e.drop.conn_id, 0);
	assert_int_equal(e.drop.rule_id, 43);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses),
		TEST(test_ports_and_protocols),
		TEST(test_tcp_flags),
		TEST(test_icmp_type_and_code),
		TEST(test_icmp_is_counted_as_dropped),
		TEST(test_quoted_packet),
		TEST(test_direction),
		TEST(test_first_match_decides),
		TEST(test_many_tuples),
		TEST(test_new_generation_recuts),
		TEST(test_late_verdict_of_an_old_generation),
		TEST(test_dropped_packets_confirm_nothing),
		TEST(test_neighbour_discovery_is_guarded),
		TEST(test_malformed_and_not_ip),
		TEST(test_forwarded_packets_are_only_enforced),
		TEST(test_drop_events),
	};

	return RUN(tests);
}
