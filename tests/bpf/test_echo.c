/* SPDX-License-Identifier: MIT */
/* Echo requests and their replies: how many were answered, how long the last one took. */
#include "test_rig.h"

#define A "10.0.0.1"
#define B "10.0.0.2"
#define A6 "2001:db8::a"
#define B6 "2001:db8::b"
#define NS_PER_US 1000ull

static struct ps_frame_spec echo(bool v6, bool reply, uint16_t id, uint16_t seq)
{
	const char *a = v6 ? A6 : A, *b = v6 ? B6 : B;

	return (struct ps_frame_spec){.src = reply ? b : a,
		.dst = reply ? a : b,
		.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		.icmp_type = (uint8_t)(v6      ? 128 + reply
				       : reply ? 0
					       : 8),
		.echo_id = id,
		.echo_seq = seq};
}

/* A sends, so that from A's side requests leave and replies come in; from B's side the other way round. */
static void say(bool at_b, bool v6, bool reply, uint16_t id, uint16_t seq)
{
	struct ps_frame_spec s = echo(v6, reply, id, seq);

	assert_true(at_b == reply ? ps_rig_out(rig, &s) : ps_rig_in(rig, &s));
}

static struct ps_icmp_val requests(bool v6)
{
	struct ps_frame_spec s = echo(v6, false, 0, 0);
	struct ps_icmp_val v;

	assert_true(ps_rig_icmp(rig, &s, &v));
	return v;
}

static void expect(bool v6, uint64_t packets, uint64_t answered, uint32_t rtt_us)
{
	struct ps_icmp_val v = requests(v6);

	assert_int_equal(v.packets, packets);
	assert_int_equal(v.answered, answered);
	assert_int_equal(v.rtt_us, rtt_us);
}

static void test_pairs(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		bool at_b = how & 1, v6 = how & 2;
		struct ps_frame_spec reply = echo(v6, true, 7, 1);
		struct ps_icmp_val v;

		ps_rig_reset(rig);
		say(!at_b, v6, false, 7, 1);
		expect(v6, 1, 0, 0);
		ps_rig_time(rig, T0 + 1500 * NS_PER_US);
		say(!at_b, v6, true, 7, 1);
		expect(v6, 1, 1, 1500);
		/* sent again by the network: no second answer */
		say(!at_b, v6, true, 7, 1);
		expect(v6, 1, 1, 1500);
		say(!at_b, v6, false, 7, 2);
		ps_rig_time(rig, T0 + 9500 * NS_PER_US);
		say(!at_b, v6, true, 7, 2);
		expect(v6, 2, 2, 8000);
		/* the replies' record tells nothing of the kind */
		assert_true(ps_rig_icmp(rig, &reply, &v));
		assert_int_equal(v.packets, 3);
		assert_int_equal(v.answered, 0);
		assert_int_equal(v.rtt_us, 0);
	}
}

static void test_what_is_no_answer(void **state)
{
	struct ps_frame_spec s = echo(false, true, 7, 1);

	(void)state;
	say(false, false, true, 7, 1); /* before anybody asked */
	say(false, false, false, 7, 1);
	say(false, false, true, 8, 1);
	say(false, false, true, 7, 2);
	s.icmp_code = 1;
	ps_rig_in(rig, &s);
	s = echo(false, true, 7, 1);
	s.src = "10.0.0.3";
	ps_rig_in(rig, &s);
	s = echo(false, true, 7, 1);
	s.vlans = 1;
	s.vid[0] = 5;
	ps_rig_in(rig, &s);
	expect(false, 1, 0, 0);
	say(false, false, true, 7, 1);
	expect(false, 1, 1, 1);
}

/* As many as are measured at a time, of several programs, answered in any order; and both ways to count. */
static void test_several_on_their_way(void **state)
{
	(void)state;
	for (int swapped = 0; swapped < 2; swapped++) {
		ps_rig_reset(rig);
		for (unsigned i = 0; i < PS_ECHO_WAITING; i++) {
			ps_rig_time(rig, T0 + i * NS_PER_MS);
			say(false, false, false, 0x1234, swapped ? htons((uint16_t)i) : (uint16_t)i);
		}
		for (unsigned i = PS_ECHO_WAITING; i-- > 0;) {
			ps_rig_time(rig, T0 + i * NS_PER_MS + 40 * NS_PER_MS + i * NS_PER_US);
			say(false, false, true, 0x1234, swapped ? htons((uint16_t)i) : (uint16_t)i);
			expect(false, PS_ECHO_WAITING, PS_ECHO_WAITING - i, 40000 + i);
		}
	}
}

/* More than are measured: the number is still right, also of what is lost. */
static void test_more_on_their_way_than_are_measured(void **state)
{
	struct ps_icmp_val v;

	(void)state;
	for (uint16_t i = 0; i < 1000; i++)
		say(false, false, false, 9, i);
	ps_rig_time(rig, T0 + 5 * NS_PER_MS);
	for (uint16_t i = 0; i < 1000; i++)
		if (i % 4)
			say(false, false, true, 9, i);
	v = requests(false);
	assert_int_equal(v.packets, 1000);
	assert_int_equal(v.answered, 750);
	assert_int_equal(v.rtt_us, 5000);
}

/* Every fourth is lost, and no more is on its way than is measured. */
static void test_losses(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 1000; i++) {
		say(true, true, false, 9, i);
		if (i % 4)
			say(true, true, true, 9, i);
	}
	expect(true, 1000, 750, 1);
}

static void test_dropped_ones_are_not_paired(void **state)
{
	static const struct ps_rig_rule drop_requests = {
		.key = {.proto = IPPROTO_ICMP, .family = PS_FAMILY_IPV4, .sport = 0x0800, .direction = PS_DIR_EGRESS},
		.mask = {.proto = 0xff, .family = 0xff, .sport = 0xffff, .direction = 0xff},
		.icmp = true,
	};
	struct ps_rig_rule rule = drop_requests;
	struct ps_frame_spec ask = echo(false, false, 1, 1), reply = echo(false, true, 1, 1);

	(void)state;
	rule.key.sport = htons(8);
	ps_rig_rules(rig, &rule, 1);
	assert_false(ps_rig_out(rig, &ask));
	assert_true(ps_rig_in(rig, &reply));
	expect(false, 1, 0, 0);

	ps_rig_reset(rig);
	rule.key.sport = 0;
	rule.key.direction = PS_DIR_INGRESS;
	ps_rig_rules(rig, &rule, 1);
	assert_true(ps_rig_out(rig, &ask));
	assert_false(ps_rig_in(rig, &reply));
	expect(false, 1, 0, 0);
}

/* A flood of requests of others recycles records, but no reply ends in a stranger's. */
static void test_flood(void **state)
{
	char from[16];
	struct ps_icmp_val v;

	(void)state;
	for (unsigned i = 0; i < 2 * PS_ICMP_ENTRIES; i++) {
		struct ps_frame_spec s = echo(false, false, 7, 1);

		(void)snprintf(from, sizeof(from), "11.%u.%u.1", i / 256, i % 256);
		s.src = from;
		ps_rig_in(rig, &s);
		if (i % 64 == 0)
			say(true, false, false, 7, (uint16_t)i);
		if (i % 64 == 32)
			say(true, false, true, 7, (uint16_t)(i - 32));
	}
	v = requests(false);
	assert_int_equal(v.packets, v.answered);
	assert_int_equal(v.packets, 2 * PS_ICMP_ENTRIES / 64);
	assert_int_equal(ps_rig_stats(rig).icmp_packets, 2 * PS_ICMP_ENTRIES + 2 * (2 * PS_ICMP_ENTRIES / 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pairs),
		TEST(test_what_is_no_answer),
		TEST(test_several_on_their_way),
		TEST(test_more_on_their_way_than_are_measured),
		TEST(test_losses),
		TEST(test_dropped_ones_are_not_paired),
		TEST(test_flood),
	};

	return RUN(tests);
}
