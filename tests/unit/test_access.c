/* Who may ask what: Host, Origin, token. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/access.h"

static const struct ps_access plain = {.hostname = "edge1", .allow_host = "", .cors_origin = ""};

static const struct ps_tokens tokens = {
	.n = 2, .token = {{"0123456789abcdef", PS_SCOPE_ADMIN}, {"only-for-reading-1", PS_SCOPE_READ}}};

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

/* A request from this host that nothing is wrong with. */
static struct ps_http_request request(unsigned method)
{
	return (struct ps_http_request){
		.method = method,
		.headers.host = "localhost:8080",
		.peer = addr("127.0.0.1"),
		.local = addr("127.0.0.1"),
	};
}

static void hosts(void **state)
{
	static const char *const good[] = {"localhost", "localhost:8080", "LocalHost:1", "127.0.0.1", "127.0.0.1:8080",
		"[::1]", "[::1]:8080", "192.0.2.7:80", "edge1", "EDGE1:8080", "edge1.", "box.example.org", "other:99"};
	static const char *const bad[] = {"", ":8080", "evil.example", "localhost.evil.example",
		"127.0.0.1.evil.example", "edge1x", "edge", "[::1", "[::1]x", "localhost:80:80", "localhost:x",
		"localhost@evil", "box.example", "box.example.org,other", "0x7f000001", "2130706433"};
	struct ps_access policy = plain;

	(void)state;
	policy.allow_host = "box.example.org, other";
	for (size_t i = 0; i < PS_ARRAY_SIZE(good); i++)
		assert_true(ps_access_host_ok(&policy, good[i]));
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
		assert_false(ps_access_host_ok(&policy, bad[i]));
	policy.hostname = "";
	assert_false(ps_access_host_ok(&policy, "."));
	assert_false(ps_access_host_ok(&policy, ""));
}

static void rebinding_is_refused(void **state)
{
	struct ps_http_request req = request(PS_HTTP_GET);
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_access_check(&plain, &req, NULL), 0);
	req.headers.host = "rebind.evil.example:8080";
	assert_int_equal(ps_access_check(&plain, &req, &err), -EACCES);
	assert_int_equal(err.status, 403);
	assert_string_equal(err.code, "bad_host");
	req.headers.host = NULL; /* HTTP/1.0: no browser */
	assert_int_equal(ps_access_check(&plain, &req, NULL), 0);
}

static void foreign_pages_change_nothing(void **state)
{
	static const char *const foreign[] = {"http://evil.example", "null", "http://localhost:9999",
		"http://localhost", "file://", "https://localhost:8080.evil.example"};
	struct ps_http_request req = request(PS_HTTP_POST);
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_access_check(&plain, &req, NULL), 0); /* curl */
	req.headers.origin = "http://localhost:8080";
	assert_int_equal(ps_access_check(&plain, &req, NULL), 0);
	for (size_t i = 0; i < PS_ARRAY_SIZE(foreign); i++) {
		req.method = PS_HTTP_POST;
		req.headers.origin = foreign[i];
		assert_int_equal(ps_access_check(&plain, &req, &err), -EACCES);
		assert_string_equal(err.code, "bad_origin");
		req.method = PS_HTTP_GET; /* answered, but without CORS no page can read it */
		assert_int_equal(ps_access_check(&plain, &req, NULL), 0);
		assert_null(ps_access_cors(&plain, &req));
	}
	req.method = PS_HTTP_DELETE;
	req.headers.origin = NULL;
	req.headers.sec_fetch_site = "cross-site";
	assert_int_equal(ps_access_check(&plain, &req, NULL), -EACCES);
	req.headers.sec_fetch_site = "same-origin";
	assert_int_equal(ps_access_check(&plain, &req, NULL), 0);
}

static void cors_names_exactly(void **state)
{
	struct ps_http_request req = request(PS_HTTP_POST);
	struct ps_access policy = plain;

	(void)state;
	policy.cors_origin = "https://noc.example,http://10.0.0.1:3000";
	req.headers.origin = "https://noc.example";
	assert_string_equal(ps_access_cors(&policy, &req), "https://noc.example");
	assert_int_equal(ps_access_check(&policy, &req, NULL), 0);
	req.headers.origin = "http://noc.example";
	assert_null(ps_access_cors(&policy, &req));
	assert_int_equal(ps_access_check(&policy, &req, NULL), -EACCES);
	req.headers.origin = "https://noc.example:444";
	assert_null(ps_access_cors(&policy, &req));

	assert_int_equal(ps_access_check_origins("", NULL), 0);
	assert_int_equal(ps_access_check_origins("https://noc.example,http://[::1]:3000", NULL), 0);
	assert_int_equal(ps_access_check_origins("*", NULL), -EINVAL);
	assert_int_equal(ps_access_check_origins("null", NULL), -EINVAL);
	assert_int_equal(ps_access_check_origins("noc.example", NULL), -EINVAL);
	assert_int_equal(ps_access_check_origins("https://noc.example/", NULL), -EINVAL);
	assert_int_equal(ps_access_check_origins("https://", NULL), -EINVAL);
}

static void token_from_elsewhere(void **state)
{
	struct ps_http_request req = request(PS_HTTP_GET);
	struct ps_access policy = plain;
	struct ps_error err = {0};

	(void)state;
	policy.tokens = &tokens;
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0); /* loopback */
	req.peer = req.local = addr("192.0.2.1");
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0); /* this host by its own address */
	req.peer = addr("192.0.2.2");
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, &err), -EACCES);
	assert_int_equal(err.status, 401);
	assert_string_equal(err.code, "token_needed");
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_OPEN, 1, NULL), 0); /* the page, which asks for it */
	req.headers.authorization = "Bearer 0123456789abcdef";
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0);
	req.headers.authorization = "bearer  0123456789abcdef";
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0);
	req.method = PS_HTTP_OPTIONS;
	req.headers.authorization = NULL;
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0); /* preflight */
}

static void wrong_tokens(void **state)
{
	static const char *const wrong[] = {"", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef",
		"Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0",
		"Bearer 0123456789abcdef "};
	struct ps_http_request req = request(PS_HTTP_GET);
	struct ps_access policy = plain;

	(void)state;
	policy.tokens = &tokens;
	policy.token_always = true; /* from this host too */
	for (size_t i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
		struct ps_error err = {0};

		req.headers.authorization = wrong[i];
		assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, &err), -EACCES);
		assert_string_equal(err.code, "bad_token");
		assert_null(strstr(err.message, tokens.token[0].text));
	}
	req.headers.authorization = NULL;
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), -EACCES);
}

static void scopes(void **state)
{
	struct ps_http_request req = request(PS_HTTP_POST);
	struct ps_access policy = plain;
	struct ps_error err = {0};

	(void)state;
	policy.tokens = &tokens;
	policy.token_always = true;
	req.headers.authorization = "Bearer only-for-reading-1";
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 1, NULL), 0);
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_ADMIN, 1, &err), -EACCES);
	assert_int_equal(err.status, 403);
	assert_string_equal(err.code, "scope");
	req.headers.authorization = "Bearer 0123456789abcdef";
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_ADMIN, 1, NULL), 0);
}

/* After ten wrong ones not even the right one is looked at, from that address and for a while. */
static void guessing(void **state)
{
	struct ps_http_request req = request(PS_HTTP_GET);
	struct ps_access policy = plain;
	struct ps_error err = {0};

	(void)state;
	policy.tokens = &tokens;
	req.peer = addr("2001:db8::1");
	req.local = addr("2001:db8:1::1");
	req.headers.authorization = "Bearer 0000000000000000";
	for (int i = 0; i < PS_FAILURES_ALLOWED; i++) {
		assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 5, &err), -EACCES);
		assert_int_equal(err.status, 401);
	}
	req.headers.authorization = "Bearer 0123456789abcdef";
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 5, &err), -EACCES);
	assert_int_equal(err.status, 429);
	req.peer = addr("2001:db8::2"); /* the same /64 */
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 5, NULL), -EACCES);
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 5 + PS_FAILURES_WINDOW_NS, NULL), 0);
	req.peer = addr("192.0.2.9");
	assert_int_equal(ps_access_token(&policy, &req, PS_SCOPE_READ, 5, NULL), 0);
	assert_int_equal(policy.failures.total, PS_FAILURES_ALLOWED);
}

static void nobody_known_is_not_local(void **state)
{
	struct ps_http_request req = {0};

	(void)state;
	assert_false(ps_access_is_local(&req));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(rebinding_is_refused),
		cmocka_unit_test(foreign_pages_change_nothing),
		cmocka_unit_test(cors_names_exactly),
		cmocka_unit_test(token_from_elsewhere),
		cmocka_unit_test(wrong_tokens),
		cmocka_unit_test(scopes),
		cmocka_unit_test(guessing),
		cmocka_unit_test(nobody_known_is_not_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
