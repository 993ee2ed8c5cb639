/* Arrays that come in pieces: the same elements however they are cut, and what is no array is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "gateway/array_split.h"

#define ELEMENT_MAX 64

/* Fed `step` bytes at a time, taken out whenever `every` elements are whole; what was taken, one array after the other.
 */
static int split(const char *text, size_t step, size_t every, struct ps_buf *ret_taken, struct ps_error *err)
{
	_cleanup_(ps_array_split_free) struct ps_array_split s;
	size_t len = strlen(text);
	int r = 0;

	ps_array_split_init(&s);
	for (size_t i = 0; r == 0 && i < len; i += step) {
		r = ps_array_split_feed(&s, text + i, PS_MIN(step, len - i), ELEMENT_MAX, err);
		if (r == 0 && s.n >= every)
			r = ps_array_split_take(&s, ret_taken);
	}
	if (r == 0)
		r = ps_array_split_end(&s, err);
	return r == 0 ? ps_array_split_take(&s, ret_taken) : r;
}

static void gives_whole_elements_however_it_is_cut(void **state)
{
	static const char text[] =
		" [ {\"a\":\"],}\\\"{\"} ,\n\t[1,[2]],\"x,]\" ,12, true,null ,{\"b\":{\"c\":[]}}] \n";

	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		_cleanup_(ps_buf_free) struct ps_buf taken = PS_BUF_INIT, singly = PS_BUF_INIT;

		assert_int_equal(split(text, step, 100, &taken, NULL), 0);
		assert_string_equal(
			ps_buf_str(&taken), "[{\"a\":\"],}\\\"{\"},[1,[2]],\"x,]\",12,true,null,{\"b\":{\"c\":[]}}]");
		if (step > 1)
			continue;
		assert_int_equal(split(text, step, 1, &singly, NULL), 0);
		assert_string_equal(ps_buf_str(&singly),
			"[{\"a\":\"],}\\\"{\"}][[1,[2]]][\"x,]\"][12][true][null][{\"b\":{\"c\":[]}}][]");
	}
}

static void an_empty_array_has_none(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf taken = PS_BUF_INIT;

	(void)state;
	assert_int_equal(split(" [ ] ", 1, 1, &taken, NULL), 0);
	assert_string_equal(ps_buf_str(&taken), "[]");
}

static void what_is_no_array_is_told(void **state)
{
	static const struct {
		const char *text, *code, *says;
	} rows[] = {
		{"", "bad_json", "empty"},
		{"{}", "bad_value", "no array"},
		{"[", "bad_json", "does not end"},
		{"[{}", "bad_json", "does not end"},
		{"[{},", "bad_json", "does not end"},
		{"[{\"a\":\"]}", "bad_json", "does not end"},
		{"[,{}]", "bad_json", "element is missing"},
		{"[{},]", "bad_json", "element is missing"},
		{"[{},,{}]", "bad_json", "element is missing"},
		{"[{}{}]", "bad_json", "comma"},
		{"[1 2]", "bad_json", "comma"},
		{"[1}", "bad_json", "comma"},
		{"[]]", "bad_json", "behind its end"},
		{"[{}] x", "bad_json", "behind its end"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		for (size_t step = 1; step < 4; step++) {
			_cleanup_(ps_buf_free) struct ps_buf taken = PS_BUF_INIT;
			struct ps_error err = {0};

			assert_int_equal(split(rows[i].text, step, 1, &taken, &err), -EINVAL);
			assert_int_equal(err.status, 400);
			assert_string_equal(err.code, rows[i].code);
			assert_non_null(strstr(err.message, rows[i].says));
		}
	}
}

static void a_long_element_is_refused_while_it_comes(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf taken = PS_BUF_INIT, text = PS_BUF_INIT;
	struct ps_error err = {0};

	(void)state;
	ps_buf_adds(&text, "[{},\"");
	for (int i = 0; i < 10 * ELEMENT_MAX; i++)
		ps_buf_addc(&text, 'x');
	assert_int_equal(split(ps_buf_str(&text), 7, 1, &taken, &err), -E2BIG);
	assert_int_equal(err.status, 413);
	assert_non_null(strstr(err.message, "number 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_whole_elements_however_it_is_cut),
		cmocka_unit_test(an_empty_array_has_none),
		cmocka_unit_test(what_is_no_array_is_told),
		cmocka_unit_test(a_long_element_is_refused_while_it_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
