/* The value tree: ownership, exactness of numbers, maps small and large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/model/value.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *

static void leaves(void **state)
{
	_value_ n = ps_value_null();
	_value_ b = ps_value_bool(true);
	_value_ i = ps_value_int(INT64_MIN);
	_value_ u = ps_value_uint(UINT64_MAX);
	_value_ small = ps_value_uint(INT64_MAX);
	_value_ nan_is_null = ps_value_real(NAN);
	_value_ inf_is_null = ps_value_real(-INFINITY);
	_value_ null_string = ps_value_string(NULL);
	_value_ s = ps_value_string_n("a\0b", 3);

	(void)state;
	assert_int_equal(ps_value_kind(n), PS_VALUE_NULL);
	assert_int_equal(ps_value_kind(NULL), PS_VALUE_NULL);
	assert_true(ps_value_as_bool(b, false));
	assert_true(ps_value_as_int(i, 0) == INT64_MIN);
	assert_int_equal(ps_value_kind(u), PS_VALUE_UINT);
	assert_true(ps_value_as_uint(u, 0) == UINT64_MAX);
	assert_int_equal(ps_value_kind(small), PS_VALUE_INT);
	assert_int_equal(ps_value_kind(nan_is_null), PS_VALUE_NULL);
	assert_int_equal(ps_value_kind(inf_is_null), PS_VALUE_NULL);
	assert_int_equal(ps_value_kind(null_string), PS_VALUE_NULL);
	assert_int_equal(ps_value_string_len(s), 3);
	assert_memory_equal(ps_value_as_string(s, NULL), "a\0b", 4);
}

/* A fallback comes back whenever the value is of another kind or would have to be rounded. */
static void conversions(void **state)
{
	const double two53 = 9007199254740992.0;
	_value_ three = ps_value_real(3.0);
	_value_ half = ps_value_real(2.5);
	_value_ big = ps_value_real(two53);
	_value_ below = ps_value_real(two53 - 1);
	_value_ huge = ps_value_real(1e300);
	_value_ odd = ps_value_int((1ll << 53) + 1);
	_value_ negative = ps_value_int(-7);
	_value_ lowest = ps_value_int(INT64_MIN);
	_value_ most = ps_value_uint(UINT64_MAX);
	_value_ text = ps_value_string("12");
	int64_t i = 99;

	(void)state;
	assert_true(ps_value_is_integer(three, &i));
	assert_int_equal(i, 3);
	assert_false(ps_value_is_integer(half, &i));
	assert_int_equal(i, 3);
	assert_int_equal(ps_value_as_int(big, -1), -1);
	assert_true(ps_value_as_int(below, -1) == (1ll << 53) - 1);
	assert_int_equal(ps_value_as_int(huge, -1), -1);
	assert_int_equal(ps_value_as_uint(negative, 5), 5);
	assert_int_equal(ps_value_as_int(most, 6), 6);
	assert_int_equal(ps_value_as_int(text, 7), 7);
	assert_true(ps_value_as_real(odd, 0.5) == 0.5);
	assert_true(ps_value_as_real(most, 0.5) == 0.5);
	assert_true(ps_value_as_real(negative, 0.5) == -7.0);
	assert_true(ps_value_as_real(lowest, 0.5) == -9223372036854775808.0);
	assert_true(ps_value_as_real(text, 0.5) == 0.5);
	assert_true(ps_value_as_bool(three, true));
	assert_null(ps_value_as_string(three, NULL));
	assert_false(ps_value_is_integer(NULL, &i));
}

static void lists(void **state)
{
	_value_ list = ps_value_list();
	_value_ not_list = ps_value_int(1);

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ps_value_append(list, ps_value_int(i)), 0);
	assert_int_equal(ps_value_count(list), 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ps_value_as_int(ps_value_at(list, (size_t)i), -1), i);
	assert_null(ps_value_at(list, 1000));
	assert_null(ps_value_key_at(list, 0));
	assert_null(ps_value_get(list, "0"));
	/* the child is freed all the same: the leak checker looks */
	assert_int_equal(ps_value_append(not_list, ps_value_string("lost")), -ENOMEM);
	assert_int_equal(ps_value_append(list, NULL), -ENOMEM);
	assert_int_equal(ps_value_append(NULL, ps_value_string("lost")), -ENOMEM);
	assert_int_equal(ps_value_count(list), 1000);
}

static char *key_of(int i, char buf[static 32])
{
	(void)snprintf(buf, 32, "key-%d", i);
	return buf;
}

/* Across the size at which a map gets an index, and across each growth of it. */
static void maps(void **state)
{
	_value_ map = ps_value_map();
	_value_ list = ps_value_list();
	char key[32];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		assert_null(ps_value_get(map, key_of(i, key)));
		assert_int_equal(ps_value_set(map, key_of(i, key), ps_value_int(i)), 0);
		assert_int_equal(ps_value_count(map), i + 1);
		assert_int_equal(ps_value_get_int(map, key_of(i / 2, key), -1), i / 2);
	}
	assert_int_equal(ps_value_set(map, "key-17", ps_value_string("new")), 0);
	assert_int_equal(ps_value_count(map), 3000);
	assert_string_equal(ps_value_get_string(map, "key-17", ""), "new");
	assert_string_equal(ps_value_key_at(map, 17), "key-17");
	assert_null(ps_value_key_at(map, 3000));
	assert_int_equal(ps_value_set(list, "x", ps_value_null()), -ENOMEM);
	assert_int_equal(ps_value_set(map, "x", NULL), -ENOMEM);
	assert_null(ps_value_get(map, "x"));
	/* a key is bytes: what looks alike up to its length is another */
	assert_int_equal(ps_value_set_n(map, "key-1x", 5, ps_value_string("replaced")), 0);
	assert_string_equal(ps_value_get_string(map, "key-1", ""), "replaced");
	assert_int_equal(ps_value_count(map), 3000);
}

static void unset(void **state)
{
	char key[32];

	(void)state;
	for (int n = 1; n <= 40; n++) {
		for (int gone = 0; gone < n; gone++) {
			_value_ map = ps_value_map();

			for (int i = 0; i < n; i++)
				assert_int_equal(ps_value_set(map, key_of(i, key), ps_value_int(i)), 0);
			ps_value_unset(map, "not there");
			ps_value_unset(map, key_of(gone, key));
			assert_int_equal(ps_value_count(map), n - 1);
			for (int i = 0; i < n; i++)
				assert_int_equal(ps_value_get_int(map, key_of(i, key), -1), i == gone ? -1 : i);
			assert_int_equal(ps_value_set(map, key_of(gone, key), ps_value_int(7)), 0);
			assert_string_equal(ps_value_key_at(map, (size_t)n - 1), key_of(gone, key));
		}
	}
}

static struct ps_value *tree(void)
{
	_value_ root = ps_value_map();
	_value_ list = ps_value_list();

	assert_int_equal(ps_value_append(list, ps_value_int(1)), 0);
	assert_int_equal(ps_value_append(list, ps_value_string("two")), 0);
	assert_int_equal(ps_value_append(list, ps_value_real(2.5)), 0);
	assert_int_equal(ps_value_append(list, ps_value_bool(false)), 0);
	assert_int_equal(ps_value_append(list, ps_value_uint(UINT64_MAX)), 0);
	assert_int_equal(ps_value_set(root, "list", PS_TAKE(list)), 0);
	assert_int_equal(ps_value_set(root, "none", ps_value_null()), 0);
	assert_int_equal(ps_value_set(root, "map", ps_value_map()), 0);
	return PS_TAKE(root);
}

static void copies_are_deep(void **state)
{
	_value_ a = tree();
	_value_ b = ps_value_copy(a);

	(void)state;
	assert_true(ps_value_equal(a, b));
	ps_value_free(&a);
	assert_null(a);
	a = tree();
	assert_true(ps_value_equal(a, b));
	assert_int_equal(ps_value_set(b, "none", ps_value_int(0)), 0);
	assert_false(ps_value_equal(a, b));
	assert_null(ps_value_copy(NULL));
}

static void equality(void **state)
{
	_value_ i3 = ps_value_int(3);
	_value_ r3 = ps_value_real(3.0);
	_value_ r35 = ps_value_real(3.5);
	_value_ ab = ps_value_map();
	_value_ ba = ps_value_map();
	_value_ s1 = ps_value_string_n("a\0b", 3);
	_value_ s2 = ps_value_string_n("a\0c", 3);
	_value_ null = ps_value_null();

	(void)state;
	assert_true(ps_value_equal(i3, r3));
	assert_false(ps_value_equal(i3, r35));
	assert_false(ps_value_equal(s1, s2));
	assert_true(ps_value_equal(NULL, null));
	assert_int_equal(ps_value_set(ab, "a", ps_value_int(1)) | ps_value_set(ab, "b", ps_value_int(2)), 0);
	assert_int_equal(ps_value_set(ba, "b", ps_value_int(2)) | ps_value_set(ba, "a", ps_value_int(1)), 0);
	assert_true(ps_value_equal(ab, ba));
	assert_int_equal(ps_value_set(ba, "c", ps_value_null()), 0);
	assert_false(ps_value_equal(ab, ba));
	ps_value_unset(ba, "b");
	assert_false(ps_value_equal(ab, ba)); /* as many, but others */
}

/* Twice the entries must not take four times as long: 200,000 keys and elements within seconds, sanitizers included. */
static void building_is_not_quadratic(void **state)
{
	uint64_t start = ps_clock_boot();
	_value_ map = ps_value_map();
	_value_ list = ps_value_list();
	char key[32];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		if (ps_value_set(map, key_of(i, key), ps_value_int(i)) || ps_value_append(list, ps_value_int(i)))
			fail();
	}
	assert_int_equal(ps_value_get_int(map, "key-199999", -1), 199999);
	assert_true(ps_clock_boot() - start < 10 * PS_NSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves),
		cmocka_unit_test(conversions),
		cmocka_unit_test(lists),
		cmocka_unit_test(maps),
		cmocka_unit_test(unset),
		cmocka_unit_test(copies_are_deep),
		cmocka_unit_test(equality),
		cmocka_unit_test(building_is_not_quadratic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
