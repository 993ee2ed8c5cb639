#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"

static void grows_and_keeps_what_was_written(void **state)
{
	(void)state;
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	for (int i = 0; i < 10000; i++)
		ps_buf_addf(&b, "%d,", i);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4 + 9000 * 5);
	const char *s = ps_buf_str(&b);
	assert_non_null(s);
	assert_int_equal(strlen(s), b.len);
	assert_memory_equal(s, "0,1,2,", 6);
	assert_string_equal(s + b.len - 10, "9998,9999,");
}

static void every_way_of_writing(void **state)
{
	(void)state;
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	assert_string_equal(ps_buf_str(&b), "");
	ps_buf_add(&b, "a\0b", 3);
	ps_buf_adds(&b, "cd");
	ps_buf_addc(&b, 'e');
	ps_buf_addf(&b, "%s", "");
	uint8_t *p = ps_buf_reserve(&b, 2);
	assert_non_null(p);
	assert_int_equal(b.len, 6);
	memcpy(p, "fg", 2);
	b.len += 2;
	assert_memory_equal(ps_buf_str(&b), "a\0bcdefg", 9);
	ps_buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 8);
	assert_int_equal(b.error, 0);
}

static void a_formatted_text_of_every_length_around_the_growth_is_whole(void **state)
{
	(void)state;
	for (int n = 0; n < 600; n++) {
		_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
		ps_buf_addc(&b, '<');
		ps_buf_addf(&b, "%*s", n, "x");
		assert_int_equal(b.len, 1 + (n ? n : 1));
		assert_int_equal(ps_buf_str(&b)[b.len - 1], 'x');
	}
}

static void the_limit_is_sticky_and_exact(void **state)
{
	(void)state;
	_cleanup_(ps_buf_free) struct ps_buf b = {.limit = 300};
	for (int i = 0; i < 300; i++)
		ps_buf_addc(&b, 'x');
	assert_int_equal(b.error, 0);
	assert_non_null(ps_buf_str(&b)); /* the NUL is not content */
	ps_buf_addf(&b, "%s", "y");
	assert_int_equal(b.error, -E2BIG);
	ps_buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 300);
	assert_null(ps_buf_str(&b));
	assert_null(ps_buf_reserve(&b, 0));

	ps_buf_reset(&b);
	ps_buf_addf(&b, "%300s", "z");
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 300);
	assert_int_equal(ps_buf_str(&b)[299], 'z');
	ps_buf_addc(&b, 'x');
	ps_buf_reset(&b);
	ps_buf_addf(&b, "%301s", "z");
	assert_int_equal(b.error, -E2BIG);
	assert_int_equal(b.len, 0);
}

static void absurd_sizes_are_refused(void **state)
{
	(void)state;
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	ps_buf_addc(&b, 'x');
	assert_null(ps_buf_reserve(&b, SIZE_MAX));
	assert_int_equal(b.error, -ENOMEM);
	assert_int_equal(b.len, 1);
	ps_buf_free(&b);
	ps_buf_adds(&b, "again");
	assert_string_equal(ps_buf_str(&b), "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_keeps_what_was_written),
		cmocka_unit_test(every_way_of_writing),
		cmocka_unit_test(a_formatted_text_of_every_length_around_the_growth_is_whole),
		cmocka_unit_test(the_limit_is_sticky_and_exact),
		cmocka_unit_test(absurd_sizes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
