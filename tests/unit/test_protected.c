/* Protected networks: from the configuration and the interface, kept, and named when they are wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/protected.h"
#include "tests/unit/rule_maker.h"
#include "tests/unit/tempdir.h"

#define _list_ _cleanup_(ps_protected_free) struct ps_protected

static const char *fresh_dir(void)
{
	static char dir[160];
	static int number;

	(void)snprintf(dir, sizeof(dir), "%s/protected%d", tempdir, number++);
	return dir;
}

static void both_origins(void **state)
{
	const char *dir = fresh_dir();
	_cleanup_(ps_value_free) struct ps_value *body =
		rm_json("[\"192.0.2.0/24\", {\"cidr\": \"10.0.0.0/8\", \"origin\": \"config\"}]");
	_cleanup_(ps_value_free) struct ps_value *shown = NULL,
						 *expected =
							 rm_json("[{\"cidr\": \"10.0.0.0/8\", \"origin\": \"config\"}, "
								 "{\"cidr\": \"2001:db8::1\", \"origin\": \"config\"},"
								 " {\"cidr\": \"192.0.2.0/24\", \"origin\": \"api\"}]");
	_list_ *p = NULL, *again = NULL;
	size_t n;

	(void)state;
	assert_int_equal(ps_protected_new(dir, "10.0.0.0/8, 2001:db8::1", RM_NOW, NULL, &p, NULL), 0);
	assert_int_equal(ps_protected_set(p, body, "me", RM_NOW, NULL), 0);
	shown = ps_protected_value(p);
	assert_true(ps_value_equal(shown, expected));
	/* the interface's are kept, the configuration's are whatever it says */
	assert_int_equal(ps_protected_new(dir, "", RM_NOW, NULL, &again, NULL), 0);
	(void)ps_protected_nets(again, &n);
	assert_int_equal(n, 1);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *body, *field, *says;
	} rows[] = {
		{"{}", "", "a list of networks"},
		{"[\"10.0.0.0/8\", \"nonsense\"]", "[1]", "nonsense"},
		{"[\"10.1.0.0/8\"]", "[0]", "did you mean 10.0.0.0/8"},
		{"[7]", "[0]", "neither an address nor a network"},
		{"[\"10.0.0.0/33\"]", "[0]", "10.0.0.0/33"},
	};
	_list_ *p = NULL;
	struct ps_error err = {0};
	size_t n;

	(void)state;
	assert_int_equal(ps_protected_new(fresh_dir(), NULL, RM_NOW, NULL, &p, NULL), 0);
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_cleanup_(ps_value_free) struct ps_value *body = rm_json(rows[i].body);

		assert_int_equal(ps_protected_set(p, body, "me", RM_NOW, &err), -EINVAL);
		assert_int_equal(err.status, 400);
		assert_string_equal(err.field, rows[i].field);
		if (!strstr(err.message, rows[i].says))
			fail_msg("%s: %s", rows[i].body, err.message);
	}
	(void)ps_protected_nets(p, &n);
	assert_int_equal(n, 0);
	ps_protected_free(&p);
	assert_int_equal(ps_protected_new(fresh_dir(), "10.0.0.0/8,oops", RM_NOW, NULL, &p, &err), -EINVAL);
	assert_string_equal(err.field, "protect");
}

static void a_broken_file_leaves_the_configuration(void **state)
{
	const char *dir = fresh_dir();
	_cleanup_(ps_value_free) struct ps_value *body = rm_json("[\"192.0.2.0/24\"]"), *warnings = ps_value_list();
	_list_ *p = NULL;
	char path[256];
	size_t n;

	(void)state;
	assert_int_equal(ps_protected_new(dir, NULL, RM_NOW, NULL, &p, NULL), 0);
	assert_int_equal(ps_protected_set(p, body, "me", RM_NOW, NULL), 0);
	ps_protected_free(&p);
	(void)snprintf(path, sizeof(path), "%s/protected.json", dir);
	{
		_cleanup_fclose_ FILE *f = fopen(path, "w");

		(void)fputs("{\"version\": 1, \"protected\": [\"192.0.2.", f);
	}
	assert_int_equal(ps_protected_new(dir, "10.0.0.0/8", RM_NOW, warnings, &p, NULL), 0);
	(void)ps_protected_nets(p, &n);
	assert_int_equal(n, 1);
	assert_int_equal(ps_value_count(warnings), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_origins),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_broken_file_leaves_the_configuration),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
