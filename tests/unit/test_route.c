/* The table of routes and the way from a path to its row. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/limits.h"
#include "gateway/http.h"
#include "gateway/route.h"

static void finds(void **state)
{
	static const struct {
		unsigned method;
		const char *path;
		const char *pattern;
		const char *op;
		const char *param;
	} cases[] = {
		{PS_HTTP_GET, "/", "/", "", NULL},
		{PS_HTTP_GET, "/assets/app.js", "/assets/{name}", "", "app.js"},
		{PS_HTTP_GET, "/api/connections", "/api/connections", "conns.list", NULL},
		{PS_HTTP_GET, "/api/connections/", "/api/connections", "conns.list", NULL},
		{PS_HTTP_HEAD, "/api/stats", "/api/stats", "stats", NULL},
		{PS_HTTP_GET, "/api/connections/00000000000000ff", "/api/connections/{id}", "conns.get",
			"00000000000000ff"},
		{PS_HTTP_GET, "/api/filters/7", "/api/filters/{id}", "rules.get", "7"},
		{PS_HTTP_PUT, "/api/filters/7", "/api/filters/{id}", "rules.update", "7"},
		{PS_HTTP_PATCH, "/api/filters/7", "/api/filters/{id}", "rules.update", "7"},
		{PS_HTTP_DELETE, "/api/filters/7", "/api/filters/{id}", "rules.delete", "7"},
		{PS_HTTP_POST, "/api/filters/7/enable", "/api/filters/{id}/enable", "rules.enable", "7"},
		{PS_HTTP_POST, "/api/filters/%37/disable", "/api/filters/{id}/disable", "rules.disable", "7"},
		{PS_HTTP_POST, "/api/ai/analyze", "/api/ai/analyze", "analyze", NULL},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		const struct ps_route *route = NULL;
		_cleanup_free_ char *param = NULL;
		unsigned allow = 0;

		assert_int_equal(ps_route_find(cases[i].method, cases[i].path, &route, &param, &allow), 0);
		assert_string_equal(route->pattern, cases[i].pattern);
		assert_string_equal(route->op, cases[i].op);
		if (cases[i].param)
			assert_string_equal(param, cases[i].param);
		else
			assert_null(param);
		assert_true(allow & PS_HTTP_OPTIONS);
	}
}

static void unknown_paths(void **state)
{
	static const char *const paths[] = {"", "//", "/api", "/api/", "/api/connection", "/api/connectionss",
		"/api//connections", "/api/filters//enable", "/api/filters/7/enable/now", "/api/filters/%zz",
		"/API/stats", "/assets/", "/assets/a/b", "*", "http://elsewhere/"};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(paths); i++) {
		const struct ps_route *route = NULL;
		char *param = NULL;
		unsigned allow = 0;

		assert_int_equal(ps_route_find(PS_HTTP_GET, paths[i], &route, &param, &allow), -ENOENT);
		assert_null(param);
	}
}

static void wrong_method_knows_the_right_ones(void **state)
{
	const struct ps_route *route = NULL;
	char *param = NULL;
	unsigned allow = 0;

	(void)state;
	assert_int_equal(ps_route_find(PS_HTTP_DELETE, "/api/stats", &route, &param, &allow), -EPERM);
	assert_int_equal(allow, PS_HTTP_GET | PS_HTTP_HEAD | PS_HTTP_OPTIONS);
	assert_int_equal(ps_route_find(PS_HTTP_OPTIONS, "/api/filters/7", &route, &param, &allow), -EPERM);
	assert_int_equal(
		allow, PS_HTTP_GET | PS_HTTP_HEAD | PS_HTTP_PUT | PS_HTTP_PATCH | PS_HTTP_DELETE | PS_HTTP_OPTIONS);
	assert_int_equal(ps_route_find(0, "/api/filters/7/enable", &route, &param, &allow), -EPERM);
	assert_int_equal(allow, PS_HTTP_POST | PS_HTTP_OPTIONS);
	assert_null(route);
}

/* What the table promises, for every row that anybody adds. */
static void rows_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < ps_n_routes; i++) {
		const struct ps_route *r = &ps_routes[i];

		assert_int_equal(r->pattern[0], '/');
		assert_true(r->method && !(r->method & (r->method - 1)));
		assert_true(r->body_max <= PS_HTTP_BODY_RULES);
		assert_true(r->part == PS_PARTS || (r->op[0] && r->timeout_ms > 0));
		for (size_t k = 0; k < i; k++)
			assert_false(ps_routes[k].method == r->method && !strcmp(ps_routes[k].pattern, r->pattern));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(unknown_paths),
		cmocka_unit_test(wrong_method_knows_the_right_ones),
		cmocka_unit_test(rows_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
