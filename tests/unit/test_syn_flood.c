/* SYN floods from one source and from many, and crowds that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define SERVER "192.0.2.1"

static void from_one_source(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 500; n++)
		(void)rig_syn(rig, "198.51.100.7", SERVER, 443);
	f = rig_expect_one(rig, PS_FINDING_SYN_FLOOD, "198.51.100.7");
	rig_expect_target(f, SERVER ":443");
	assert_int_equal(f->count, 500);
	assert_int_equal(f->first, RIG_START);
	assert_int_equal(f->n_connections, PS_FINDING_CONNECTIONS_MAX);
	assert_int_equal(f->connections[0], 500);
	assert_true(f->rule.syn && f->rule.dst_port == 443 && !f->rule.rate_limit);
}

static void from_forged_sources(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 2000; n++) {
		(void)snprintf(host, sizeof(host), "%u.%u.7.9", 11 + n / 250, n % 250);
		(void)rig_syn(rig, host, SERVER, 80);
		if (n % 200 == 199)
			rig_wait(rig, 1);
	}
	f = rig_expect_one(rig, PS_FINDING_SYN_FLOOD, "");
	rig_expect_target(f, SERVER ":80");
	assert_int_equal(f->count, 2000);
	assert_true(f->rule.rate_limit > 0 && !f->rule.src.family);
}

/* It goes on for minutes: one incident, the sum of all of them, told at every power of ten. */
static void that_lasts(void **state)
{
	struct rig *rig = *state;

	for (unsigned second = 0; second < 100; second++) {
		for (unsigned n = 0; n < 50; n++)
			(void)rig_syn(rig, "198.51.100.7", SERVER, 443);
		rig_wait(rig, 1);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_SYN_FLOOD, "198.51.100.7")->count, 5000);
	assert_int_equal(rig->n_told, 2);
	assert_true(rig->told[0].count >= 100 && rig->told[0].count < 200);
	assert_true(rig->told[1].count >= 1000 && rig->told[1].count < 1100);
}

static void severity_follows_the_rate(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 20000; n++)
		(void)rig_syn(rig, "198.51.100.7", SERVER, 443);
	assert_int_equal(rig_expect_one(rig, PS_FINDING_SYN_FLOOD, "198.51.100.7")->severity, PS_SEVERITY_CRITICAL);
}

/* --- what is none ---------------------------------------------------------------------------------- */

static void a_crowd_that_is_served(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 3000; n++) {
		struct ps_conn c = rig_syn(rig, rig_host(host, "10.0.0.", n % 250), SERVER, 443);

		rig_answer(rig, &c);
		if (n % 300 == 0)
			rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

/* Some are lost on the way: fewer than the share. */
static void a_crowd_on_a_bad_line(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 1000; n++) {
		struct ps_conn c = rig_syn(rig, "198.51.100.7", SERVER, 443);

		if (n % 10 >= 5)
			rig_answer(rig, &c);
		if (n % 100 == 0)
			rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

static void fewer_than_the_threshold(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 99; n++)
		(void)rig_syn(rig, "198.51.100.7", SERVER, 443);
	rig_expect_none(rig);
}

/* A client that retries all day: never a hundred within the window. */
static void a_service_that_is_down(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 1000; n++) {
		(void)rig_syn(rig, "10.0.0.5", SERVER, 443);
		rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(from_one_source),
		rig_test(from_forged_sources),
		rig_test(that_lasts),
		rig_test(severity_follows_the_rate),
		rig_test(a_crowd_that_is_served),
		rig_test(a_crowd_on_a_bad_line),
		rig_test(fewer_than_the_threshold),
		rig_test(a_service_that_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
