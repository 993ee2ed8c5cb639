/* The API document holds together: every route is in it, and every schema that is named. (tests/e2e/test_openapi.py
 * holds it against the program.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/model/schema.h"
#include "gateway/http.h"
#include "gateway/openapi.h"
#include "gateway/param.h"
#include "gateway/route.h"

static void every_route(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *doc = ps_openapi();
	const struct ps_value *paths = ps_value_get(doc, "paths");
	size_t operations = 0;

	(void)state;
	assert_non_null(doc);
	assert_string_equal(ps_value_get_string(doc, "openapi", ""), "3.1.0");
	for (size_t i = 0; i < ps_n_routes; i++) {
		const struct ps_route *r = &ps_routes[i];
		const struct ps_value *path = ps_value_get(paths, r->pattern), *operation = NULL;
		char method[PS_HTTP_METHODS_TEXT];
		size_t n_params = strchr(r->pattern, '{') != NULL;

		(void)ps_http_methods_format(r->method, method);
		for (size_t k = 0; k < ps_value_count(path); k++) {
			if (!strcasecmp(ps_value_key_at(path, k), method))
				operation = ps_value_at(path, k);
		}
		assert_non_null(operation);
		operations++;
		for (const struct ps_param *p = r->params; p && p->name; p++)
			n_params++;
		assert_int_equal(ps_value_count(ps_value_get(operation, "parameters")), n_params);
		assert_int_equal(ps_value_get(operation, "requestBody") != NULL, r->body[0] != '\0');
		assert_int_equal(ps_value_get(operation, "security") != NULL, r->scope == PS_SCOPE_OPEN);
		assert_non_null(ps_value_get(ps_value_get(operation, "responses"), "default"));
		assert_true(ps_value_count(ps_value_get(operation, "responses")) > 1);
	}
	assert_int_equal(operations, ps_n_routes);
}

static unsigned refs;

static void check_refs(const struct ps_value *schemas, const struct ps_value *v)
{
	const char *ref = ps_value_get_string(v, "$ref", NULL);

	if (ref) {
		static const char prefix[] = "#/components/schemas/";

		assert_memory_equal(ref, prefix, sizeof(prefix) - 1);
		if (!ps_value_get(schemas, ref + sizeof(prefix) - 1))
			fail_msg("%s is not there", ref);
		refs++;
	}
	for (size_t i = 0; i < ps_value_count(v); i++)
		check_refs(schemas, ps_value_at(v, i));
}

static void every_schema(void **state)
{
	_cleanup_(ps_value_free) struct ps_value *doc = ps_openapi();
	const struct ps_value *schemas = ps_value_get(ps_value_get(doc, "components"), "schemas");
	const struct ps_value *conn = ps_value_get(schemas, "Connection");
	const struct ps_value *mode = ps_value_get(ps_value_get(ps_value_get(schemas, "Drop"), "properties"), "mode");

	(void)state;
	check_refs(schemas, doc);
	assert_true(refs > 50);
	assert_int_equal(ps_value_count(ps_value_get(conn, "properties")), ps_schemas[PS_RECORD_CONN].n_fields + 2);
	assert_string_equal(
		ps_value_get_string(ps_value_get(ps_value_get(conn, "properties"), "midstream"), "type", ""),
		"boolean");
	assert_string_equal(ps_value_as_string(ps_value_at(ps_value_get(mode, "enum"), 1), ""), "shadow");
	assert_non_null(ps_value_get(ps_value_get(ps_value_get(schemas, "Rule"), "properties"), "confirm_within"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route),
		cmocka_unit_test(every_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
