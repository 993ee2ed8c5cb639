/* Password guessing, and work that looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define GUESSER "198.51.100.7"
#define SERVER "192.0.2.1"

static void guesses(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 30; n++)
		rig_session(rig, GUESSER, SERVER, 22, 3, 3700, 3100);
	f = rig_expect_one(rig, PS_FINDING_BRUTE_FORCE, GUESSER);
	rig_expect_target(f, SERVER ":22");
	assert_int_equal(f->count, 30);
	assert_int_equal(f->first, RIG_START);
	assert_int_equal(f->n_connections, PS_FINDING_CONNECTIONS_MAX);
	assert_int_equal(f->rule.dst_port, 22);
	assert_non_null(strstr(f->title, "ssh"));
}

/* Many servers, few tries at each, is another sight than ten at one; ten at each of three are one incident. */
static void at_several_servers(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (unsigned n = 0; n < 12; n++) {
		rig_session(rig, GUESSER, SERVER, 22, 1, 3700, 3100);
		rig_session(rig, GUESSER, "192.0.2.2", 22, 1, 3700, 3100);
		rig_session(rig, GUESSER, "192.0.2.3", 3306, 1, 700, 600);
	}
	f = rig_expect_one(rig, PS_FINDING_BRUTE_FORCE, GUESSER);
	assert_int_equal(f->count, 36);
}

static void told_by_a_single_record(void **state)
{
	struct rig *rig = *state;

	/* The beginnings were lost; the records of the ends hold everything. */
	for (unsigned n = 0; n < 12; n++) {
		struct ps_conn c = rig_conn(rig, IPPROTO_TCP, GUESSER, (uint16_t)(40000 + n), SERVER, 5432);

		rig_wait(rig, 1);
		c.orig_bytes = c.resp_bytes = 900;
		rig_close(rig, &c);
		/* and again, from the other socket */
		ps_detect_conn(rig->detect, PS_DETECT_END, &c, rig->now);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_BRUTE_FORCE, GUESSER)->count, 12);
}

/* --- what is none ---------------------------------------------------------------------------------- */

static void a_few_logins(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 9; n++)
		rig_session(rig, "10.0.0.5", SERVER, 22, 5, 3700, 3100);
	rig_expect_none(rig);
}

static void sessions_that_do_work(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 50; n++)
		rig_session(rig, "10.0.0.5", SERVER, 22, 1, 40000, 9000);
	rig_expect_none(rig);
}

static void a_web_server_is_no_login(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 200; n++)
		rig_session(rig, "10.0.0.5", SERVER, n % 2 ? 80 : 443, 0.2, 700, 4000);
	rig_expect_none(rig);
}

static void one_login_a_minute(void **state)
{
	struct rig *rig = *state;

	rig->config.beacon_max = 30 * PS_NSEC; /* a job every minute is what that detector is for */
	rig_teardown(state);
	rig_begin(rig);
	for (unsigned n = 0; n < 60; n++)
		rig_session(rig, "10.0.0.5", SERVER, 22, 60, 3700, 3100);
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(guesses),
		rig_test(at_several_servers),
		rig_test(told_by_a_single_record),
		rig_test(a_few_logins),
		rig_test(sessions_that_do_work),
		rig_test(a_web_server_is_no_login),
		rig_test(one_login_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
