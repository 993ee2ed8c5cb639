/* SPDX-License-Identifier: MIT */
/* Connections: one record for both directions, exact counters, flags; what is reported of them and when. */
#include "test_rig.h"

#define A "10.0.0.1"
#define B "10.0.0.2"
#define A6 "2001:db8::a"
#define B6 "2001:db8::b"
#define UDP_AB .src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53
#define UDP_BA .src = B, .dst = A, .proto = IPPROTO_UDP, .sport = 53, .dport = 5000
#define UDP6_AB .src = A6, .dst = B6, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53
#define UDP6_BA .src = B6, .dst = A6, .proto = IPPROTO_UDP, .sport = 53, .dport = 5000
#define TCP_AB .src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 5000, .dport = 80
#define TCP_BA .src = B, .dst = A, .proto = IPPROTO_TCP, .sport = 80, .dport = 5000

static size_t conns(void)
{
	size_t n;

	free(ps_rig_conns(rig, &n));
	return n;
}

static void check_both_ways(const struct ps_conn_raw *c, const char *a, uint16_t aport, const char *b, uint16_t bport)
{
	int sa = ps_rig_side(c, a, aport), sb = ps_rig_side(c, b, bport);

	assert_int_equal(sa + sb, 1);
	assert_int_equal(c->packets[sa], 2);
	assert_int_equal(c->packets[sb], 1);
	assert_int_equal(!!(c->flags & PS_CONN_ORIG1), sa == 1);
	assert_true(c->flags & PS_CONN_REPLIED);
	assert_true(c->flags & PS_CONN_CONFIRMED);
}

static void test_one_record_both_ways(void **state)
{
	struct ps_conn_raw c;
	int sa;

	(void)state;
	assert_true(IN(UDP_AB, .payload = 10));
	assert_true(OUT(UDP_BA, .payload = 100));
	assert_true(IN(UDP_AB, .payload = 11));
	assert_int_equal(conns(), 1);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	check_both_ways(&c, A, 5000, B, 53);
	sa = ps_rig_side(&c, A, 5000);
	assert_int_equal(c.bytes[sa], 38 + 39);
	assert_int_equal(c.bytes[!sa], 128);
	assert_int_equal(c.first_seen, T0);
	assert_int_equal(c.ifindex, 1);

	/* from the higher side first */
	ps_rig_reset(rig);
	IN(UDP_BA);
	OUT(UDP_AB);
	IN(UDP_BA);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	check_both_ways(&c, B, 53, A, 5000);
}

static void test_ipv6(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(UDP6_AB);
	OUT(UDP6_BA);
	IN(UDP6_AB);
	assert_int_equal(conns(), 1);
	c = ps_rig_conn(rig, IPPROTO_UDP, A6, 5000, B6, 53);
	assert_true(c.flags & PS_CONN_IPV6);
	check_both_ways(&c, A6, 5000, B6, 53);
	/* differing in the last word only */
	IN(.src = "2001:db8::1:a", .dst = B6, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53);
	assert_int_equal(conns(), 2);
}

/* Two connections with one digest: the second must not be counted in the first. */
static void test_ipv6_digest_is_not_believed(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	for (int word = 0; word < 8; word++) {
		ps_rig_reset(rig);
		IN(UDP6_AB);
		c = ps_rig_conn(rig, IPPROTO_UDP, A6, 5000, B6, 53);
		rig->cold[c.slot].addr6[word / 4][word % 4] ^= 1;
		IN(UDP6_AB);
		assert_int_equal(rig->hot[c.slot].packets[0] + rig->hot[c.slot].packets[1], 1);
		assert_int_equal(ps_rig_stats(rig).untracked, 1);
		assert_int_equal(conns(), 1);
	}
}

static void test_what_makes_a_connection_another(void **state)
{
	(void)state;
	IN(UDP_AB);
	IN(UDP_AB);
	assert_int_equal(conns(), 1);
	IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5001, .dport = 53);
	IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54);
	IN(.src = A, .dst = "10.0.0.3", .proto = IPPROTO_UDP, .sport = 5000, .dport = 53);
	IN(.src = A, .dst = B, .proto = IPPROTO_TCP, .flags = PS_F_SYN, .sport = 5000, .dport = 53);
	IN(UDP_AB, .vlans = 1, .vid = {5});
	IN(UDP_AB, .vlans = 2, .vid = {5, 6});
	IN(UDP_AB, .vlans = 2, .vid = {6, 5});
	/* the ports change places, the addresses don't */
	IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 53, .dport = 5000);
	assert_int_equal(conns(), 9);
	assert_int_equal(ps_rig_stats(rig).conns_new, 9);
}

static void test_to_itself(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(.src = A, .dst = A, .proto = IPPROTO_UDP, .sport = 7, .dport = 7);
	IN(.src = A, .dst = A, .proto = IPPROTO_UDP, .sport = 7, .dport = 7);
	assert_int_equal(conns(), 1);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 7, A, 7);
	assert_int_equal(c.packets[0], 2);
	assert_int_equal(c.packets[1], 0);
	assert_false(c.flags & PS_CONN_REPLIED);
}

static void test_ids_are_unique(void **state)
{
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	size_t n;

	(void)state;
	for (uint16_t port = 1; port <= 200; port++)
		IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = port, .dport = 53);
	all = ps_rig_conns(rig, &n);
	assert_int_equal(n, 200);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i].id, 1000000 + all[i].slot + 1);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(all[i].id, all[j].id);
	}
}

static void test_carry_of_packets(void **state)
{
	struct ps_conn_raw c;
	int sa;

	(void)state;
	IN(UDP_AB);
	OUT(UDP_BA);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	sa = ps_rig_side(&c, A, 5000);
	rig->hot[c.slot].packets[sa] = 0xffffffff;
	rig->hot[c.slot].packets[!sa] = 0xffffffff;
	IN(UDP_AB);
	OUT(UDP_BA);
	OUT(UDP_BA);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	assert_int_equal(c.packets[sa], 0x100000000);
	assert_int_equal(c.packets[!sa], 0x100000001);
}

static void test_confirmed_bit(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(UDP_AB);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	assert_false(rig->tags[c.slot / 8].confirmed >> (8 * (c.slot % 8)) & 1);
	OUT(UDP_BA);
	assert_true(rig->tags[c.slot / 8].confirmed == 1ull << (8 * (c.slot % 8)));
}

static void test_ingress_only(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	ps_rig_interface(rig, 1, PS_IFACE_INGRESS_ONLY, 1500);
	for (int i = 0; i < 9; i++)
		IN(UDP_AB);
	c = ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53);
	assert_true(c.flags & PS_CONN_INGRESS_ONLY);
	assert_false(c.flags & PS_CONN_CONFIRMED);
	/* TCP: a SYN and its sender's ACK */
	IN(TCP_AB, .flags = PS_F_SYN, .seq = 100);
	assert_false(ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80).flags & PS_CONN_CONFIRMED);
	IN(TCP_AB, .flags = PS_F_ACK, .seq = 101, .ack = 1);
	c = ps_rig_conn(rig, IPPROTO_TCP, A, 5000, B, 80);
	assert_true(c.flags & PS_CONN_CONFIRMED);
	assert_int_equal(c.tcp.state, PS_TCP_ESTABLISHED);
	/* midstream: the fourth packet */
	for (int i = 0; i < 4; i++) {
		IN(.src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 6000, .dport = 80, .flags = PS_F_ACK);
		c = ps_rig_conn(rig, IPPROTO_TCP, A, 6000, B, 80);
		assert_int_equal(!!(c.flags & PS_CONN_CONFIRMED), i == 3);
	}
}

/* --- Events --- */

static void test_new_and_update_events(void **state)
{
	struct ps_rig_event e;
	int sa;

	(void)state;
	IN(UDP_AB, .payload = 10, .ip_id = 0x1234);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_NEW, &e), 1);
	assert_int_equal(e.head.size, offsetof(struct ps_event_conn, conn.tcp));
	assert_int_equal(e.head.time, T0);
	sa = ps_rig_side(&e.conn.conn, A, 5000);
	assert_int_equal(e.conn.conn.packets[sa], 1);
	assert_int_equal(e.conn.conn.bytes[sa], 38);
	assert_int_equal(e.conn.conn.packets[!sa], 0);
	assert_int_equal(e.conn.conn.ip_id, 0x1234);
	assert_int_equal(e.conn.conn.proto, IPPROTO_UDP);
	assert_int_equal(e.conn.conn.end_reason, PS_END_NONE);
	assert_int_equal(e.conn.conn.ifindex, 1);

	/* nothing more within the interval */
	for (int i = 0; i < 50; i++) {
		ps_rig_time(rig, T0 + (uint64_t)i * 19 * NS_PER_MS);
		IN(UDP_AB);
	}
	assert_int_equal(ps_rig_drain(rig), 0);
	ps_rig_time(rig, T0 + NS_PER_S + 2 * NS_PER_MS);
	OUT(UDP_BA, .ip_id = 0x4321);
	IN(UDP_AB);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_UPDATE, &e), 1);
	assert_int_equal(e.conn.conn.packets[sa], 51);
	assert_int_equal(e.conn.conn.packets[!sa], 1);
	assert_int_equal(e.conn.conn.ip_id, 0x4321);
	assert_int_equal(e.conn.conn.first_seen, T0);
	assert_int_equal(e.conn.conn.last_seen, T0 + NS_PER_S + 2 * NS_PER_MS);
}

static void test_report_after_long_silence(void **state)
{
	(void)state;
	IN(UDP_AB);
	ps_rig_drain(rig);
	/* as far away as the stamp's wrap, so that it looks the same */
	ps_rig_time(rig, T0 + (1ull << 36));
	IN(UDP_AB);
	assert_int_equal(ps_rig_drain(rig), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_UPDATE, NULL), 1);
}

static void test_interval_is_settable(void **state)
{
	(void)state;
	rig->runtime->report_interval = 100 * NS_PER_MS;
	IN(UDP_AB);
	for (int i = 1; i <= 100; i++) {
		ps_rig_time(rig, T0 + (uint64_t)i * 10 * NS_PER_MS);
		IN(UDP_AB);
	}
	ps_rig_drain(rig);
	assert_in_range(ps_rig_count(rig, PS_EV_CONN_UPDATE, NULL), 9, 10);
}

static void test_events_count_as_produced_or_lost(void **state)
{
	struct ps_stats s;
	size_t got;

	(void)state;
	/* far more than the ring holds, and nobody reads */
	for (uint32_t i = 0; i < 12000; i++) {
		char from[32];

		snprintf(from, sizeof(from), "10.%u.%u.%u", 1 + i / 65536, i / 256 % 256, i % 256);
		IN(.src = from, .dst = B, .proto = IPPROTO_UDP, .sport = 9, .dport = 9);
	}
	got = ps_rig_drain(rig);
	s = ps_rig_stats(rig);
	assert_int_equal(s.conns_new, s.ev_conn_new);
	assert_true(s.lost_conn_new > 0);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_NEW, NULL), s.ev_conn_new - s.lost_conn_new);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_END, NULL), s.ev_conn_end - s.lost_conn_end);
	assert_int_equal(got, s.ev_conn_new - s.lost_conn_new + s.ev_conn_end - s.lost_conn_end);
	assert_int_equal(s.packets, 12000);
	assert_int_equal(s.conns_new + s.untracked, 12000);
}

static void test_state_changes_are_reported_at_once(void **state)
{
	struct ps_rig_event e;

	(void)state;
	IN(TCP_AB, .flags = PS_F_SYN, .seq = 100);
	OUT(TCP_BA, .flags = PS_F_SYN | PS_F_ACK, .seq = 500, .ack = 101);
	IN(TCP_AB, .flags = PS_F_ACK, .seq = 101, .ack = 501);
	IN(TCP_AB, .flags = PS_F_ACK, .seq = 101, .ack = 501, .payload = 5);
	assert_int_equal(ps_rig_drain(rig), 3);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_NEW, &e), 1);
	assert_int_equal(e.head.size, sizeof(struct ps_event_conn));
	assert_int_equal(e.conn.conn.tcp.state, PS_TCP_SYN_SENT);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_UPDATE, &e), 2);
	assert_int_equal(e.conn.conn.tcp.state, PS_TCP_ESTABLISHED);
	assert_true(e.conn.conn.flags & PS_CONN_CONFIRMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_record_both_ways),
		TEST(test_ipv6),
		TEST(test_ipv6_digest_is_not_believed),
		TEST(test_what_makes_a_connection_another),
		TEST(test_to_itself),
		TEST(test_ids_are_unique),
		TEST(test_carry_of_packets),
		TEST(test_confirmed_bit),
		TEST(test_ingress_only),
		TEST(test_new_and_update_events),
		TEST(test_report_after_long_silence),
		TEST(test_interval_is_settable),
		TEST(test_events_count_as_produced_or_lost),
		TEST(test_state_changes_are_reported_at_once),
	};

	return RUN(tests);
}
