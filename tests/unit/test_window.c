/* Moving sums: what comes, what leaves, what is taken back, and times out of order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/detect/window.h"

#define SPAN 700u /* seven slots of 100 */

static uint64_t whole(const struct ps_window *w, uint64_t now)
{
	return ps_window_sum(w, SPAN, now > SPAN ? now - SPAN : 0, now);
}

static void holds_its_span_and_no_more(void **state)
{
	struct ps_window w = {0};

	(void)state;
	for (uint64_t t = 0; t < 5000; t += 10)
		ps_window_add(&w, SPAN, t, 1);
	/* 4290 … 4990: the slots 42 to 49, all of the first of them */
	assert_int_equal(whole(&w, 4990), 80);
	assert_int_equal(ps_window_sum(&w, SPAN, 4900, 4990), 10);
	assert_int_equal(ps_window_sum(&w, SPAN, 4300, 4399), 10);
	assert_int_equal(whole(&w, 5400), 30);
	assert_int_equal(whole(&w, 9000), 0);
}

static void what_is_too_old_is_not_taken(void **state)
{
	struct ps_window w = {0};

	(void)state;
	ps_window_add(&w, SPAN, 5000, 1);
	ps_window_add(&w, SPAN, 4000, 7);
	ps_window_add(&w, SPAN, 4350, 2);
	assert_int_equal(whole(&w, 5000), 3);
}

static void takes_back_where_it_was_added(void **state)
{
	struct ps_window w = {0};

	(void)state;
	ps_window_add(&w, SPAN, 1000, 5);
	ps_window_add(&w, SPAN, 1500, 5);
	ps_window_take(&w, SPAN, 1000, 3);
	assert_int_equal(ps_window_sum(&w, SPAN, 1000, 1099), 2);
	ps_window_take(&w, SPAN, 1000, 9);
	assert_int_equal(whole(&w, 1500), 5);
	ps_window_take(&w, SPAN, 100, 9);
	assert_int_equal(whole(&w, 1500), 5);
}

static void a_jump_empties_it(void **state)
{
	struct ps_window w = {0};

	(void)state;
	ps_window_add(&w, SPAN, 1000, 5);
	ps_window_add(&w, SPAN, 1700000000000000000ull, 1);
	assert_int_equal(whole(&w, 1700000000000000000ull), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_its_span_and_no_more),
		cmocka_unit_test(what_is_too_old_is_not_taken),
		cmocka_unit_test(takes_back_where_it_was_added),
		cmocka_unit_test(a_jump_empties_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
