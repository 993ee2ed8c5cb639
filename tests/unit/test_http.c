/* Requests and responses: methods, targets, queries, headers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/http.h"

static void methods(void **state)
{
	char text[PS_HTTP_METHODS_TEXT];

	(void)state;
	assert_int_equal(ps_http_method_parse("GET"), PS_HTTP_GET);
	assert_int_equal(ps_http_method_parse("DELETE"), PS_HTTP_DELETE);
	assert_int_equal(ps_http_method_parse("get"), 0);
	assert_int_equal(ps_http_method_parse("TRACE"), 0);
	assert_string_equal(
		ps_http_methods_format(PS_HTTP_GET | PS_HTTP_HEAD | PS_HTTP_OPTIONS, text), "GET, HEAD, OPTIONS");
	assert_string_equal(ps_http_methods_format(0x7f, text), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
	assert_string_equal(ps_http_methods_format(0, text), "");
}

static void query_reads_and_decodes(void **state)
{
	_cleanup_(ps_query_free) struct ps_query q = {0};

	(void)state;
	assert_int_equal(ps_query_parse("limit=5&q=two%20words+more&empty=&alone&utf=%C3%A4", &q, NULL), 0);
	assert_int_equal(q.n, 5);
	assert_string_equal(ps_query_get(&q, "limit"), "5");
	assert_string_equal(ps_query_get(&q, "q"), "two words more");
	assert_string_equal(ps_query_get(&q, "empty"), "");
	assert_string_equal(ps_query_get(&q, "alone"), "");
	assert_string_equal(ps_query_get(&q, "utf"), "\xc3\xa4");
	assert_null(ps_query_get(&q, "Limit"));
}

static void query_without_anything(void **state)
{
	struct ps_query q = {0};

	(void)state;
	assert_int_equal(ps_query_parse(NULL, &q, NULL), 0);
	assert_int_equal(q.n, 0);
	assert_int_equal(ps_query_parse("", &q, NULL), 0);
	assert_int_equal(ps_query_parse("&&", &q, NULL), 0);
	assert_int_equal(q.n, 0);
	ps_query_free(&q);
}

static void query_refuses(void **state)
{
	static const char *const bad[] = {"q=%", "q=%4", "q=%zz", "q=%00", "%ff%=1", "a=1&a=2",
		"a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=&l=&m=&n=&o=&p=&r="};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		struct ps_query q = {.n = 77};
		struct ps_error err = {0};

		assert_int_equal(ps_query_parse(bad[i], &q, &err), -EINVAL);
		assert_int_equal(err.status, 400);
		assert_string_equal(err.code, "bad_query");
		assert_int_equal(q.n, 77); /* outputs change only on success */
	}
}

static void query_names_the_field(void **state)
{
	struct ps_query q;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_query_parse("limit=1&port=%g1", &q, &err), -EINVAL);
	assert_string_equal(err.field, "port");
}

static void target_splits(void **state)
{
	_cleanup_(ps_http_request_free) struct ps_http_request req = {0};

	(void)state;
	assert_int_equal(ps_http_request_target(&req, "/api/connections?limit=5&q=a?b", NULL), 0);
	assert_string_equal(req.path, "/api/connections");
	assert_string_equal(ps_query_get(&req.query, "q"), "a?b");
	assert_int_equal(ps_http_request_target(&req, "/", NULL), 0);
	assert_string_equal(req.path, "/");
	assert_int_equal(req.query.n, 0);
}

static void encode_is_decoded_again(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	char text[64];

	(void)state;
	ps_percent_encode(&out, "a b&c=d/\xc3\xa4~%");
	assert_string_equal(ps_buf_str(&out), "a%20b%26c%3Dd%2F%C3%A4~%25");
	(void)snprintf(text, sizeof(text), "%s", ps_buf_str(&out));
	assert_int_equal(ps_percent_decode(text, true), 0);
	assert_string_equal(text, "a b&c=d/\xc3\xa4~%");
}

static void response_headers(void **state)
{
	_cleanup_(ps_http_response_free) struct ps_http_response resp = {0};

	(void)state;
	ps_http_response_header(&resp, "Location", "/api/filters/%d", 7);
	assert_int_equal(resp.error, 0);
	assert_string_equal(ps_http_response_get(&resp, "Location"), "/api/filters/7");
	assert_null(ps_http_response_get(&resp, "Link"));
	/* A value that would begin a header of its own. */
	ps_http_response_header(&resp, "Link", "%s", "x\r\nSet-Cookie: a=b");
	assert_int_equal(resp.error, -EINVAL);
	assert_int_equal(resp.n_headers, 1);
}

static void response_headers_have_a_limit(void **state)
{
	_cleanup_(ps_http_response_free) struct ps_http_response resp = {0};

	(void)state;
	for (int i = 0; i < PS_HTTP_HEADERS_MAX; i++)
		ps_http_response_header(&resp, "X-Test", "%d", i);
	assert_int_equal(resp.error, 0);
	ps_http_response_header(&resp, "X-Test", "one too many");
	assert_int_equal(resp.error, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods),
		cmocka_unit_test(query_reads_and_decodes),
		cmocka_unit_test(query_without_anything),
		cmocka_unit_test(query_refuses),
		cmocka_unit_test(query_names_the_field),
		cmocka_unit_test(target_splits),
		cmocka_unit_test(encode_is_decoded_again),
		cmocka_unit_test(response_headers),
		cmocka_unit_test(response_headers_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
