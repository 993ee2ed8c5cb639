/* Pages of the ICMP table: each entry once, whatever its key. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/icmp_query.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

static int parse(const char *text, struct ps_icmp_query *q, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &args, NULL), 0);
	return ps_icmp_query_parse(args, q, err);
}

static void pages(void **state)
{
	enum {
		N = 250
	};
	_cleanup_(ps_icmp_table_free) struct ps_icmp_table *t = NULL;
	char cursor[PS_ICMP_CURSOR_TEXT] = "", args[256];
	unsigned met[N] = {0};

	(void)state;
	assert_int_equal(ps_icmp_table_new(&t), 0);
	for (unsigned i = 0; i < N; i++) {
		struct ps_icmp icmp;

		memset(&icmp, 0, sizeof(icmp));
		icmp.src_ip = (struct ps_addr){.family = i % 2 ? 4 : 6, .word = {htonl(0x0a000000 + i / 4)}};
		icmp.dst_ip = (struct ps_addr){.family = i % 2 ? 4 : 6, .word = {htonl(0x0a000000)}};
		icmp.icmp_type = (uint8_t)i;
		icmp.vlan = (uint16_t)(i % 3);
		icmp.packets = i;
		assert_int_equal(ps_icmp_table_apply(t, &icmp), 1);
	}
	do {
		struct ps_icmp_page page;
		struct ps_icmp_query q;

		(void)snprintf(args, sizeof(args), "{\"limit\": 40, \"cursor\": \"%s\"}", cursor);
		assert_int_equal(parse(args, &q, NULL), 0);
		ps_icmp_query_run(&q, t, &page);
		assert_int_equal(page.total, N);
		assert_true(page.n <= 40);
		for (size_t i = 0; i < page.n; i++)
			met[page.row[i]->packets]++;
		(void)snprintf(cursor, sizeof(cursor), "%s", page.next);
	} while (*cursor);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(met[i], 1);
}

static void bad_arguments(void **state)
{
	static const char *const bad[] = {"{\"limit\": 0}", "{\"limit\": 1001}", "{\"limit\": \"no\"}",
		"{\"cursor\": \"x\"}", "{\"cursor\": \"10.0.0.1,10.0.0.2,256,0,0,0\"}",
		"{\"cursor\": \"10.0.0.1,10.0.0.2,1,0,0,0x\"}", "{\"cursor\": \"10.0.0.1,10.0.0.2,1,0,0\"}"};
	struct ps_icmp_query q;
	struct ps_error err;

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], &q, &err), -EINVAL);
		assert_int_equal(err.status, 400);
	}
	assert_int_equal(ps_icmp_query_parse(NULL, &q, NULL), 0);
	assert_int_equal(q.limit, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages),
		cmocka_unit_test(bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
