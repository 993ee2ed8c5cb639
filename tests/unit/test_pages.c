/* Memory for large tables is zeroed, aligned, and all there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/pages.h"

static void zeroed_and_aligned(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 3; n++) {
		size_t bytes = n * PS_PAGES_HUGE;
		char *at = ps_pages_new(bytes);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % PS_PAGES_HUGE, 0);
		for (size_t i = 0; i < bytes; i += 1000)
			assert_int_equal(at[i], 0);
		memset(at, 0x5a, bytes);
		assert_int_equal(at[bytes - 1], 0x5a);
		ps_pages_free(at, bytes);
	}
}

static void side_by_side(void **state)
{
	char *a = ps_pages_new(PS_PAGES_HUGE), *b = ps_pages_new(PS_PAGES_HUGE);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_true(a + PS_PAGES_HUGE <= b || b + PS_PAGES_HUGE <= a);
	memset(a, 1, PS_PAGES_HUGE);
	memset(b, 2, PS_PAGES_HUGE);
	ps_pages_free(a, PS_PAGES_HUGE);
	assert_int_equal(b[0], 2);
	assert_int_equal(b[PS_PAGES_HUGE - 1], 2);
	ps_pages_free(b, PS_PAGES_HUGE);
	ps_pages_free(NULL, PS_PAGES_HUGE);
}

static void too_much_is_refused(void **state)
{
	(void)state;
	assert_null(ps_pages_new((size_t)1 << 60));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_and_aligned),
		cmocka_unit_test(side_by_side),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
