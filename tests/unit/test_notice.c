/* What passes by itself is not told; what lasts is, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/notice.h"
#include "common/base/clock.h"

static void what_passes_is_not_told(void **state)
{
	struct ps_notice n = {0};

	(void)state;
	assert_false(ps_notice_due(&n, NULL, 1));
	assert_false(ps_notice_due(&n, "no maps", 2));
	assert_false(ps_notice_due(&n, "no maps", 2 + PS_NOTICE_NS - 1));
	assert_false(ps_notice_due(&n, "no programs", 2 + PS_NOTICE_NS));
	assert_false(ps_notice_due(&n, NULL, 3 + PS_NOTICE_NS));
	assert_false(ps_notice_due(&n, NULL, 3 + 9 * PS_NOTICE_NS));
}

static void what_lasts_is_told_once(void **state)
{
	struct ps_notice n = {0};

	(void)state;
	assert_false(ps_notice_due(&n, "no maps", PS_NSEC));
	assert_true(ps_notice_due(&n, "no maps", PS_NSEC + PS_NOTICE_NS));
	assert_string_equal(n.text, "no maps");
	assert_false(ps_notice_due(&n, "no maps", 100 * PS_NSEC));
	/* Another one, and the first one again, are new. */
	assert_false(ps_notice_due(&n, "no programs", 101 * PS_NSEC));
	assert_true(ps_notice_due(&n, "no programs", 101 * PS_NSEC + PS_NOTICE_NS));
	assert_false(ps_notice_due(&n, NULL, 110 * PS_NSEC));
	assert_false(ps_notice_due(&n, "no maps", 111 * PS_NSEC));
	assert_true(ps_notice_due(&n, "no maps", 111 * PS_NSEC + PS_NOTICE_NS));
}

static void a_long_text_is_cut_and_still_the_same(void **state)
{
	struct ps_notice n = {0};
	char text[400];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[399] = '\0';
	assert_false(ps_notice_due(&n, text, 1));
	assert_true(ps_notice_due(&n, text, 1 + PS_NOTICE_NS));
	assert_false(ps_notice_due(&n, text, 1 + 2 * PS_NOTICE_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_passes_is_not_told),
		cmocka_unit_test(what_lasts_is_told_once),
		cmocka_unit_test(a_long_text_is_cut_and_still_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
