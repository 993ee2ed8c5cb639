/* ICMP sweeps, and monitoring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define SWEEPER "198.51.100.7"

static void a_network_that_is_mostly_empty(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 1; n < 255; n++)
		rig_ping(rig, SWEEPER, rig_host(host, "192.0.2.", n), n % 10 == 0, 84);
	f = rig_expect_one(rig, PS_FINDING_ICMP_SWEEP, SWEEPER);
	rig_expect_target(f, "192.0.2.0/24");
	assert_int_equal(f->count, 229);
	assert_int_equal(rig_number(f, "silent"), 229);
	assert_int_equal(rig_number(f, "alive"), 25);
	assert_int_equal(f->n_connections, 0);
	assert_true(f->rule.echo && f->rule.protocol == IPPROTO_ICMP);
}

static void of_ipv6(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 40; n++)
		rig_ping(rig, "2001:db8::bad", rig_host(host, "2001:db8:1::", n), false, 104);
	assert_int_equal(rig_expect_one(rig, PS_FINDING_ICMP_SWEEP, "2001:db8::bad")->rule.protocol, IPPROTO_ICMPV6);
}

/* Whoever also talks to a host that is there all the time is not excused. */
static void beside_a_long_ping(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 200; n++) {
		rig_ping(rig, SWEEPER, "203.0.113.1", true, 84);
		rig_ping(rig, SWEEPER, rig_host(host, "192.0.2.", n), false, 84);
		rig_wait(rig, 1);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_ICMP_SWEEP, SWEEPER)->count, 200);
}

/* --- what is none ---------------------------------------------------------------------------------- */

/* Two hundred machines, once a minute, one in ten of which is switched off. */
static void a_monitoring_host(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned minute = 0; minute < 12; minute++) {
		for (unsigned n = 0; n < 200; n++) {
			rig_ping(rig, "10.0.0.9", rig_host(host, "10.0.1.", n), n % 10 > 0, 84);
			if (n % 50 == 49)
				rig_wait(rig, 1);
		}
		rig_wait(rig, 56);
	}
	rig_expect_none(rig);
}

static void its_first_round(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 200; n++)
		rig_ping(rig, "10.0.0.9", rig_host(host, "10.0.1.", n), true, 84);
	rig_expect_none(rig);
}

static void a_host_that_is_down(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 600; n++) {
		rig_ping(rig, "10.0.0.9", "10.0.1.1", false, 84);
		rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

static void fewer_than_the_threshold(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 19; n++)
		rig_ping(rig, SWEEPER, rig_host(host, "192.0.2.", n), false, 84);
	rig_expect_none(rig);
}

/* A group has no one address that could answer. */
static void groups(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 60; n++)
		rig_ping(rig, "10.0.0.9", rig_host(host, "239.0.0.", n), false, 84);
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_network_that_is_mostly_empty),
		rig_test(of_ipv6),
		rig_test(beside_a_long_ping),
		rig_test(a_monitoring_host),
		rig_test(its_first_round),
		rig_test(a_host_that_is_down),
		rig_test(fewer_than_the_threshold),
		rig_test(groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
