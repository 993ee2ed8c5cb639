/* ICMP tunnels, and pings of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define INSIDE "10.0.0.5"
#define OUTSIDE "198.51.100.7"

static void sizes_that_keep_changing(void **state)
{
	static const uint64_t sizes[] = {60, 152, 1056, 84, 300, 900};
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 60; n++) {
		rig_ping(rig, INSIDE, OUTSIDE, true, sizes[n % PS_ARRAY_SIZE(sizes)]);
		rig_wait(rig, 1);
	}
	f = rig_expect_one(rig, PS_FINDING_ICMP_TUNNEL, INSIDE);
	rig_expect_target(f, OUTSIDE);
	assert_int_equal(f->count, 120);
	assert_int_equal(f->first, RIG_START);
	assert_true(f->rule.both && f->rule.protocol == IPPROTO_ICMP);
}

/* A download: short requests, long replies. */
static void replies_that_are_larger(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 60; n++) {
		rig_icmp(rig, "2001:db8::5", "2001:db8::7", 128, 100);
		rig_icmp(rig, "2001:db8::7", "2001:db8::5", 129, 1200);
		rig_wait(rig, 1);
	}
	f = rig_expect_one(rig, PS_FINDING_ICMP_TUNNEL, "2001:db8::5");
	assert_int_equal(rig_number(f, "reply_excess_percent"), 1100);
	assert_int_equal(f->rule.protocol, IPPROTO_ICMPV6);
}

/* The kernel forgot the record and began anew: what came before is not counted twice. */
static void a_record_that_began_anew(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 60; n++) {
		rig_ping(rig, INSIDE, OUTSIDE, true, n % 2 ? 60 : 1000);
		rig_wait(rig, 1);
		if (n == 29)
			rig->n_icmp = 0;
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_ICMP_TUNNEL, INSIDE)->count, 120);
}

/* --- what is none ---------------------------------------------------------------------------------- */

static void a_long_ping(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 1000; n++) {
		rig_ping(rig, INSIDE, OUTSIDE, n % 10 > 0, 84);
		rig_ping(rig, INSIDE, "198.51.100.8", true, 1428);
		rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

/* Somebody looks for the largest size that comes through. */
static void a_search_for_the_path_mtu(void **state)
{
	static const uint64_t sizes[] = {84, 1500, 1400, 1450, 1476, 1464};
	struct rig *rig = *state;

	for (unsigned n = 0; n < 60; n++) {
		rig_ping(rig, INSIDE, OUTSIDE, true, sizes[n / 10]);
		rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

/* ping and mtr at once: 84 and 64 bytes, now more of the one, now of the other. */
static void two_programs_that_ping(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 400; n++) {
		rig_ping(rig, INSIDE, OUTSIDE, true, n % 3 ? 84 : 64);
		rig_wait(rig, 0.7);
	}
	rig_expect_none(rig);
}

/* Some hosts cut the data of a long request. */
static void replies_that_are_cut(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 200; n++) {
		rig_icmp(rig, INSIDE, OUTSIDE, 8, 1428);
		rig_icmp(rig, OUTSIDE, INSIDE, 0, 96);
		rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

/* A record of days ago, heard for the first time. */
static void what_was_joined_late(void **state)
{
	struct rig *rig = *state;
	struct ps_icmp i = {.src_ip = rig_addr(INSIDE),
		.dst_ip = rig_addr(OUTSIDE),
		.icmp_type = 8,
		.packets = 100000,
		.bytes = 9000000,
		.first_seen = RIG_START - 1000 * PS_NSEC};
	struct ps_icmp reply = i;

	reply.src_ip = i.dst_ip;
	reply.dst_ip = i.src_ip;
	reply.icmp_type = 0;
	reply.bytes = 90000000;
	ps_detect_icmp(rig->detect, &i, rig->now);
	ps_detect_icmp(rig->detect, &reply, rig->now);
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(sizes_that_keep_changing),
		rig_test(replies_that_are_larger),
		rig_test(a_record_that_began_anew),
		rig_test(a_long_ping),
		rig_test(a_search_for_the_path_mtu),
		rig_test(two_programs_that_ping),
		rig_test(replies_that_are_cut),
		rig_test(what_was_joined_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
