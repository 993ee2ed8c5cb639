/* The link from one page of a list to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/listing.h"

static void link_keeps_the_query(void **state)
{
	_cleanup_(ps_query_free) struct ps_query q = {0};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	(void)state;
	assert_int_equal(ps_query_parse("limit=5&cursor=old&offset=7&q=a%26b", &q, NULL), 0);
	ps_listing_link(&out, "/api/connections", &q, "n/ew");
	assert_string_equal(ps_buf_str(&out), "</api/connections?limit=5&q=a%26b&cursor=n%2Few>; rel=\"next\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_keeps_the_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
