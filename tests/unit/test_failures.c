/* Who gave wrong tokens of late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/failures.h"

static struct ps_addr v4(uint32_t n)
{
	return (struct ps_addr){.family = 4, .word = {n}};
}

static void a_window(void **state)
{
	static struct ps_failures f;
	const struct ps_addr a = v4(1), b = v4(2);
	uint64_t now = 1000;

	(void)state;
	for (int i = 1; i < PS_FAILURES_ALLOWED; i++) {
		ps_failures_add(&f, &a, now + (uint64_t)i);
		assert_false(ps_failures_blocked(&f, &a, now + 50));
	}
	ps_failures_add(&f, &a, now + 50);
	assert_true(ps_failures_blocked(&f, &a, now + 50));
	assert_false(ps_failures_blocked(&f, &b, now + 50));
	assert_true(ps_failures_blocked(&f, &a, now + PS_FAILURES_WINDOW_NS));
	assert_false(ps_failures_blocked(&f, &a, now + PS_FAILURES_WINDOW_NS + 1));
	ps_failures_add(&f, &a, now + PS_FAILURES_WINDOW_NS + 2); /* a new window */
	assert_false(ps_failures_blocked(&f, &a, now + PS_FAILURES_WINDOW_NS + 2));
	assert_int_equal(f.total, PS_FAILURES_ALLOWED + 1);
}

/* Of more addresses than there is room for, the one that was silent longest is forgotten; memory does not grow. */
static void many_addresses(void **state)
{
	static struct ps_failures f;
	uint64_t now = 5;

	(void)state;
	for (uint32_t n = 1; n <= PS_FAILURES_MAX; n++) {
		struct ps_addr a = v4(n);

		for (int i = 0; i < PS_FAILURES_ALLOWED; i++)
			ps_failures_add(&f, &a, now++);
	}
	for (uint32_t n = 1; n <= PS_FAILURES_MAX; n++) {
		struct ps_addr a = v4(n);

		assert_true(ps_failures_blocked(&f, &a, now));
	}
	struct ps_addr first = v4(1), second = v4(2), fresh = v4(9999);

	ps_failures_add(&f, &fresh, now);
	assert_false(ps_failures_blocked(&f, &first, now));
	assert_true(ps_failures_blocked(&f, &second, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window),
		cmocka_unit_test(many_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
