/* Beacons, even and with jitter, and what calls at even intervals in good faith or at none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/unit/detect_rig.h"

#define INSIDE "10.0.0.5"
#define OUTSIDE "198.51.100.7"

static uint64_t dice = 1;

/* -1 to 1 */
static double any(void)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(dice >> 33) / (double)(1u << 30) - 1;
}

static void call(struct rig *rig, double wait, uint64_t bytes)
{
	rig_session(rig, INSIDE, OUTSIDE, 443, 0, 400, bytes);
	rig_wait(rig, wait);
}

static void at_even_intervals(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 30; n++)
		call(rig, 60, 900);
	f = rig_expect_one(rig, PS_FINDING_BEACONING, INSIDE);
	rig_expect_target(f, OUTSIDE ":443");
	assert_int_equal(f->count, 30);
	assert_int_equal(f->first, RIG_START);
	assert_int_equal(rig_number(f, "interval_ms"), 60000);
	assert_int_equal(rig_number(f, "jitter_percent"), 0);
	assert_int_equal(f->severity, PS_SEVERITY_MEDIUM);
	assert_int_equal(f->n_connections, PS_FINDING_CONNECTIONS_MAX);
	assert_true(f->rule.both && f->rule.dst_port == 443);
}

static void with_jitter(void **state)
{
	struct rig *rig = *state;

	dice = 1;
	for (unsigned n = 0; n < 40; n++)
		call(rig, 30 + 5 * any(), 900);
	(void)rig_expect_one(rig, PS_FINDING_BEACONING, INSIDE);
}

/* One call in the middle was lost. */
static void with_a_gap(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 12; n++)
		call(rig, n == 5 ? 40 : 20, 900);
	(void)rig_expect_one(rig, PS_FINDING_BEACONING, INSIDE);
}

/* Two connections at once are one call; over UDP, and over IPv6 too. */
static void in_pairs_over_udp(void **state)
{
	struct rig *rig = *state;

	for (uint16_t n = 0; n < 20; n++) {
		(void)rig_udp(rig, "2001:db8::5", (uint16_t)(40000 + n), "2001:db8::7", 8443, 200, 300);
		(void)rig_udp(rig, "2001:db8::5", (uint16_t)(50000 + n), "2001:db8::7", 8443, 200, 300);
		rig_wait(rig, 45);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_BEACONING, "2001:db8::5")->count, 20);
}

static void within_the_network_it_matters_less(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 20; n++) {
		rig_session(rig, INSIDE, "10.0.0.9", 8080, 0, 400, 900);
		rig_wait(rig, 15);
	}
	f = rig_expect_one(rig, PS_FINDING_BEACONING, INSIDE);
	assert_int_equal(f->severity, PS_SEVERITY_LOW);
	assert_true(f->confidence < 0.5);
}

/* --- what is none ---------------------------------------------------------------------------------- */

static void people(void **state)
{
	struct rig *rig = *state;

	dice = 1;
	for (unsigned n = 0; n < 2000; n++)
		call(rig, 20 * (1.05 + any()), 900);
	rig_expect_none(rig);
}

static void a_busy_client(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 3000; n++)
		call(rig, 0.8, 900);
	rig_expect_none(rig);
}

static void a_backup_every_hour(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 48; n++) {
		rig_session(rig, INSIDE, OUTSIDE, 873, 120, 500000000, 20000);
		rig_wait(rig, 3480);
	}
	rig_expect_none(rig);
}

/* Even where intervals of an hour are looked at: it carries much. */
static void a_backup_every_hour_with_a_longer_look(void **state)
{
	struct rig *rig = *state;

	rig->config.beacon_max = 7200 * PS_NSEC;
	rig_teardown(state);
	rig_begin(rig);
	a_backup_every_hour(state);
	for (unsigned n = 0; n < 12; n++)
		call(rig, 3600, 900);
	(void)rig_expect_one(rig, PS_FINDING_BEACONING, INSIDE);
}

static void network_time(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 100; n++) {
		(void)rig_udp(rig, INSIDE, 123, OUTSIDE, 123, 76, 76);
		(void)rig_udp(rig, INSIDE, (uint16_t)(40000 + n), "198.51.100.8", 123, 76, 76);
		rig_wait(rig, 64);
	}
	rig_expect_none(rig);
}

static void downloads_at_even_intervals(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 100; n++)
		call(rig, 60, 1000000);
	rig_expect_none(rig);
}

static void fewer_than_the_threshold(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 9; n++)
		call(rig, 60, 900);
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(at_even_intervals),
		rig_test(with_jitter),
		rig_test(with_a_gap),
		rig_test(in_pairs_over_udp),
		rig_test(within_the_network_it_matters_less),
		rig_test(people),
		rig_test(a_busy_client),
		rig_test(a_backup_every_hour),
		rig_test(a_backup_every_hour_with_a_longer_look),
		rig_test(network_time),
		rig_test(downloads_at_even_intervals),
		rig_test(fewer_than_the_threshold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
