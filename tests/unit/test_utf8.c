/* UTF-8: what is a character and what is not (RFC 3629). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/utf8.h"

static void characters(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
		{"a", 1},
		{"\x7f", 1},
		{"\xc2\x80", 2},
		{"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3},
		{"\xed\x9f\xbf", 3},
		{"\xee\x80\x80", 3},
		{"\xef\xbf\xbf", 3},
		{"\xf0\x90\x80\x80", 4},
		{"\xf4\x8f\xbf\xbf", 4},
		{"\x80", 0},     /* a tail without a head */
		{"\xc0\xaf", 0}, /* overlong */
		{"\xc1\xbf", 0},
		{"\xe0\x9f\xbf", 0},
		{"\xf0\x8f\xbf\xbf", 0},
		{"\xed\xa0\x80", 0},     /* a surrogate */
		{"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
		{"\xf5\x80\x80\x80", 0},
		{"\xff", 0},
		{"\xc3", 0}, /* cut off */
		{"\xe2\x82", 0},
		{"\xf0\x9f\x98", 0},
		{"\xc3\x28", 0},
		{"\xe2\x28\xa1", 0},
		{"\xe2\x82\x28", 0},
		{"\xf0\x9f\x98\x28", 0},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].bytes);

		assert_int_equal(ps_utf8_char(rows[i].bytes, len), rows[i].n);
		assert_int_equal(ps_utf8_valid(rows[i].bytes, len), rows[i].n != 0);
	}
	assert_int_equal(ps_utf8_char("", 0), 0);
	assert_true(ps_utf8_valid("", 0));
	assert_true(ps_utf8_valid("gr\xc3\xbc\xc3\x9f \xe2\x82\xac", 10));
	assert_false(ps_utf8_valid("gr\xc3\xbc\xc3", 5));
}

static void cuts_between_characters(void **state)
{
	const char *s = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	(void)state;
	for (size_t max = 0; max < PS_ARRAY_SIZE(want); max++)
		assert_int_equal(ps_utf8_cut(s, 10, max), want[max]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters),
		cmocka_unit_test(cuts_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
