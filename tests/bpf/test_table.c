/* SPDX-License-Identifier: MIT */
/* The connection table when it is full: what is given up, in which order, and what never is. One bucket of eight slots.
 */
#include "test_rig.h"

#define SERVER "10.0.0.1"
#define SLOTS 8

static int load_tiny(void **state)
{
	(void)state;
	rig = ps_rig_new(&(struct ps_rig_options){.buckets = 1});
	return 0;
}

static void at(uint64_t ms)
{
	ps_rig_time(rig, T0 + ms * NS_PER_MS);
}

/* Half-open: a packet of the client alone. */
static void open_udp(uint16_t port)
{
	assert_true(IN(.src = "10.0.0.9", .dst = SERVER, .proto = IPPROTO_UDP, .sport = port, .dport = 53));
}

static void open_confirmed(uint16_t port)
{
	open_udp(port);
	assert_true(OUT(.src = SERVER, .dst = "10.0.0.9", .proto = IPPROTO_UDP, .sport = 53, .dport = port));
}

#define CLIENT(port) .src = "10.0.0.9", .dst = SERVER, .proto = IPPROTO_TCP, .sport = (port), .dport = 80
#define ANSWER(port) .src = SERVER, .dst = "10.0.0.9", .proto = IPPROTO_TCP, .sport = 80, .dport = (port)

static void open_tcp(uint16_t port)
{
	IN(CLIENT(port), .flags = PS_F_SYN, .seq = 1);
	OUT(ANSWER(port), .flags = PS_F_SYN | PS_F_ACK, .seq = 9, .ack = 2);
	IN(CLIENT(port), .flags = PS_F_ACK, .seq = 2, .ack = 10);
}

static bool is_there(uint16_t port)
{
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	size_t n, hits = 0;

	all = ps_rig_conns(rig, &n);
	for (size_t i = 0; i < n; i++)
		hits += ps_rig_side(&all[i], "10.0.0.9", port) >= 0;
	assert_true(hits <= 1);
	return hits;
}

/* Every tag byte is empty or live, and only the living are confirmed. */
static void check_tags(void)
{
	for (int s = 0; s < SLOTS; s++) {
		uint8_t tag = rig->tags->tags >> (8 * s) & 0xff, confirmed = rig->tags->confirmed >> (8 * s) & 0xff;

		assert_true(tag == PS_TAG_EMPTY || (tag & PS_TAG_LIVE));
		assert_true(confirmed == 0 || (confirmed == 1 && (tag & PS_TAG_LIVE)));
	}
}

static void test_confirmed_are_never_given_up(void **state)
{
	struct ps_stats s;

	(void)state;
	for (uint16_t p = 1; p <= SLOTS; p++)
		open_confirmed(p);
	for (uint16_t p = 100; p < 150; p++)
		open_udp(p);
	s = ps_rig_stats(rig);
	assert_int_equal(s.untracked, 50);
	assert_int_equal(s.conns_new, SLOTS);
	assert_int_equal(s.conns_recycled, 0);
	assert_int_equal(s.packets, 2 * SLOTS + 50);
	for (uint16_t p = 1; p <= SLOTS; p++)
		assert_true(is_there(p));
	check_tags();
}

static void test_flood_recycles_half_open_only(void **state)
{
	struct ps_stats s;

	(void)state;
	open_confirmed(1);
	open_tcp(2);
	for (uint16_t p = 100; p < 1100; p++) {
		at(p);
		open_udp(p);
	}
	s = ps_rig_stats(rig);
	assert_int_equal(s.untracked, 0);
	assert_int_equal(s.conns_new, 1002);
	assert_int_equal(s.conns_evicted, 1002 - SLOTS);
	assert_int_equal(s.conns_recycled, 1002 - SLOTS);
	assert_true(is_there(1));
	assert_true(is_there(2));
	assert_true(is_there(1099));
	check_tags();
}

static void test_idle_goes_before_active(void **state)
{
	struct ps_rig_event e;

	(void)state;
	for (uint16_t p = 1; p <= 4; p++)
		open_confirmed(p);
	for (uint16_t p = 11; p <= 14; p++) {
		at(p);
		open_udp(p);
	}
	/* number 11 is the oldest, but heard again */
	at(100);
	open_udp(11);
	at(200);
	open_udp(50);
	assert_false(is_there(12));
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_END, &e), 1);
	assert_int_equal(e.conn.conn.end_reason, PS_END_EVICTED);
	assert_true(ps_rig_side(&e.conn.conn, "10.0.0.9", 12) >= 0);
	assert_int_equal(e.conn.conn.packets[0] + e.conn.conn.packets[1], 1);
	at(300);
	open_udp(51);
	assert_false(is_there(13));
	at(400);
	open_udp(52);
	assert_false(is_there(14));
	at(500);
	open_udp(53);
	assert_false(is_there(11));
	assert_int_equal(ps_rig_stats(rig).conns_evicted, 4);
}

static void test_closed_goes_before_half_open(void **state)
{
	struct ps_rig_event e;

	(void)state;
	for (uint16_t p = 1; p <= 4; p++)
		open_confirmed(p);
	at(1);
	for (uint16_t p = 11; p <= 13; p++)
		open_udp(p);
	at(1000);
	open_tcp(20);
	for (uint16_t p = 11; p <= 13; p++)
		assert_true(is_there(p));
	/* closed just now, and yet the first to go */
	IN(CLIENT(20), .flags = PS_F_RST, .seq = 2);
	open_udp(50);
	assert_false(is_there(20));
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_END, &e), 1);
	assert_int_equal(e.conn.conn.end_reason, PS_END_RST);
	assert_int_equal(e.head.size, sizeof(struct ps_event_conn));
	assert_int_equal(ps_rig_stats(rig).conns_recycled, 1);
	assert_int_equal(ps_rig_stats(rig).conns_evicted, 0);
	check_tags();
}

static void test_successor_is_not_confirmed_by_inheritance(void **state)
{
	(void)state;
	for (uint16_t p = 1; p <= SLOTS; p++)
		open_tcp(p);
	assert_int_equal(rig->tags->confirmed, 0x0101010101010101ull);
	IN(CLIENT(3), .flags = PS_F_RST, .seq = 2);
	open_udp(50);
	assert_true(is_there(50));
	assert_int_equal(__builtin_popcountll(rig->tags->confirmed), SLOTS - 1);
	check_tags();
}

/* A late packet may leave the mark on a slot that is empty by then. */
static void test_stale_mark_protects_nobody(void **state)
{
	(void)state;
	rig->tags->confirmed = 0x0101010101010101ull;
	for (uint16_t p = 1; p <= SLOTS; p++)
		open_udp(p);
	assert_int_equal(rig->tags->confirmed, 0);
	open_udp(50);
	assert_int_equal(ps_rig_stats(rig).untracked, 0);
}

/* What user space is expiring is neither found nor touched. */
static void test_dying_is_left_alone(void **state)
{
	struct ps_conn_hot before;
	struct ps_conn_raw c;

	(void)state;
	open_udp(1);
	c = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.9", 1, SERVER, 53);
	rig->tags->tags = (rig->tags->tags & ~(0xffull << (8 * c.slot))) | (uint64_t)PS_TAG_DYING << (8 * c.slot);
	before = rig->hot[c.slot];
	open_udp(1);
	for (uint16_t p = 100; p < 200; p++)
		open_udp(p);
	assert_memory_equal(&before, &rig->hot[c.slot], sizeof(before));
	assert_int_equal(rig->tags->tags >> (8 * c.slot) & 0xff, PS_TAG_DYING);
}

static uint8_t tag_of(uint16_t port, uint32_t *ret_slot)
{
	*ret_slot = ps_rig_conn(rig, IPPROTO_UDP, "10.0.0.9", port, SERVER, 53).slot;
	return rig->tags->tags >> (8 * *ret_slot) & 0xff;
}

/* Seven bits of a hash are soon the same. */
static void test_strangers_of_one_tag_are_told_apart(void **state)
{
	uint32_t slot, other;
	uint16_t twin;
	uint8_t tag;

	(void)state;
	open_confirmed(1);
	tag = tag_of(1, &slot);
	for (twin = 100; twin < 5100; twin++) {
		at(twin);
		open_udp(twin);
		if (tag_of(twin, &other) == tag)
			break;
	}
	assert_true(twin < 5100);
	assert_true(other != slot);
	for (int i = 0; i < 10; i++) {
		open_udp(1);
		open_confirmed(twin);
	}
	assert_int_equal(rig->hot[slot].packets[0] + rig->hot[slot].packets[1], 2 + 10);
	assert_int_equal(rig->hot[other].packets[0] + rig->hot[other].packets[1], 1 + 20);
	check_tags();
}

/* As full as the product's tables are planned to be: everybody is found again, and next to nobody is without a slot. */
static void test_planned_load(void **state)
{
	struct ps_rig *tiny = rig;
	const uint32_t buckets = 1024, n = buckets * PS_BUCKET_SLOTS * PS_TABLE_LOAD_PERCENT / 100;
	_cleanup_free_ struct ps_conn_raw *all = NULL;
	struct ps_stats s;
	size_t found;

	(void)state;
	rig = ps_rig_new(&(struct ps_rig_options){.buckets = buckets});
	for (uint32_t i = 0; i < n; i++)
		open_confirmed((uint16_t)(1000 + i));
	s = ps_rig_stats(rig);
	all = ps_rig_conns(rig, &found);
	assert_in_range(s.untracked, 0, n / 500);
	assert_int_equal(found, s.conns_new);
	assert_int_equal(2 * found + s.untracked, s.packets);
	for (size_t i = 0; i < found; i++)
		assert_true(all[i].packets[0] == 1 && all[i].packets[1] == 1);
	print_message("%u connections, %llu packets untracked\n", n, (unsigned long long)s.untracked);
	ps_rig_free(&rig);
	rig = tiny;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_confirmed_are_never_given_up),
		TEST(test_flood_recycles_half_open_only),
		TEST(test_idle_goes_before_active),
		TEST(test_closed_goes_before_half_open),
		TEST(test_successor_is_not_confirmed_by_inheritance),
		TEST(test_stale_mark_protects_nobody),
		TEST(test_dying_is_left_alone),
		TEST(test_strangers_of_one_tag_are_told_apart),
		TEST(test_planned_load),
	};

	(void)load;
	return ps_rig_skip() ?: cmocka_run_group_tests(tests, load_tiny, unload);
}
