/* When a part that died is started again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/backoff.h"
#include "cli/limits.h"

#define MS 1000000ull
#define S (1000 * MS)

/* It dies `lived` after its start; the next start follows the wait. Returns the wait. */
static uint64_t die(struct ps_backoff *b, uint64_t *now, uint64_t lived)
{
	uint64_t wait;

	ps_backoff_started(b, *now);
	*now += lived;
	wait = ps_backoff_died(b, *now);
	*now += wait;
	return wait;
}

static void first_restart_is_at_once(void **state)
{
	struct ps_backoff b = {0};
	uint64_t now = 7 * S;

	(void)state;
	assert_int_equal(die(&b, &now, 5 * MS), 0);
}

static void crash_at_start_doubles_to_ten_seconds(void **state)
{
	static const uint64_t waits[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct ps_backoff b = {0};
	uint64_t now = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		assert_int_equal(die(&b, &now, 50 * MS), waits[i] * MS);
	for (int i = 0; i < 100; i++)
		assert_int_equal(die(&b, &now, 50 * MS), 10 * S);
}

static void health_forgives(void **state)
{
	struct ps_backoff b = {0};
	uint64_t now = 1;

	(void)state;
	for (int i = 0; i < 20; i++)
		(void)die(&b, &now, 1 * MS);
	assert_int_equal(die(&b, &now, PS_BACKOFF_HEALTHY_NS), 0);
	assert_int_equal(die(&b, &now, 1 * MS), 100 * MS);
	assert_int_equal(die(&b, &now, PS_BACKOFF_HEALTHY_NS - 1), 200 * MS);
}

/* Killed every few seconds, it is back well within two. */
static void killed_again_and_again(void **state)
{
	struct ps_backoff b = {0};
	uint64_t now = 1;

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_true(die(&b, &now, 3 * S) <= PS_BACKOFF_LIVED_WAIT_NS);
	/* but one that then crashes at start is held back */
	assert_int_equal(die(&b, &now, 1 * MS), 10 * S);
}

static void clock_that_stands_still(void **state)
{
	struct ps_backoff b = {0};

	(void)state;
	ps_backoff_started(&b, 10 * S);
	assert_int_equal(ps_backoff_died(&b, 9 * S), 0);
	assert_int_equal(ps_backoff_died(&b, 9 * S), 100 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_restart_is_at_once),
		cmocka_unit_test(crash_at_start_doubles_to_ten_seconds),
		cmocka_unit_test(health_forgives),
		cmocka_unit_test(killed_again_and_again),
		cmocka_unit_test(clock_that_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
