/* What is asked of a list of connections: arguments, cursors, which connections match. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/conn_query.h"
#include "common/codec/json.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/some_conn.h"

static uint64_t rnd = 5;

static int parse(const char *text, struct ps_conn_query *q, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = NULL;

	assert_int_equal(ps_json_parse(text, strlen(text), &args, NULL), 0);
	return ps_conn_query_parse(args, q, err);
}

/* Without arguments, and with all of them null or empty: the last hundred that were seen. */
static void nothing_asked(void **state)
{
	static const char *nothing[] = {
		"{}",
		"{\"limit\": null, \"offset\": null, \"port\": null, \"sort\": null, \"order\": null, \"proto\": null, "
		"\"state\": null, \"ip\": null, \"q\": null, \"cursor\": null, \"ended\": null}",
		"{\"sort\": \"\", \"order\": \"\", \"proto\": \"\", \"state\": \"\", \"ip\": \"\", \"q\": \"\", "
		"\"cursor\": \"\"}",
	};

	(void)state;
	for (size_t i = 0; i <= PS_ARRAY_SIZE(nothing); i++) {
		struct ps_conn_query q;
		struct ps_conn c = some_conn(&rnd, 16, "S", 50);

		if (i < PS_ARRAY_SIZE(nothing))
			assert_int_equal(parse(nothing[i], &q, NULL), 0);
		else
			assert_int_equal(ps_conn_query_parse(NULL, &q, NULL), 0);
		assert_int_equal(q.limit, 100);
		assert_int_equal(q.offset, 0);
		assert_string_equal(q.order.field->name, "last_seen");
		assert_true(q.order.descending);
		assert_false(q.ended || q.has_cursor);
		assert_true(ps_conn_query_matches(&q, &c));
	}
}

static void bad_arguments_are_named(void **state)
{
	static const struct {
		const char *args, *field;
	} bad[] = {
		{"{\"limit\": 0}", "limit"},
		{"{\"limit\": 1001}", "limit"},
		{"{\"limit\": \"x\"}", "limit"},
		{"{\"limit\": 1.5}", "limit"},
		{"{\"offset\": -1}", "offset"},
		{"{\"offset\": 2000001}", "offset"},
		{"{\"port\": 65536}", "port"},
		{"{\"port\": \"\"}", "port"},
		{"{\"sort\": \"colour\"}", "sort"},
		{"{\"order\": \"up\"}", "order"},
		{"{\"proto\": \"smtp\"}", "proto"},
		{"{\"proto\": 6}", "proto"},
		{"{\"state\": \"tired\"}", "state"},
		{"{\"ip\": \"10.0.0\"}", "ip"},
		{"{\"cursor\": \"x\"}", "cursor"},
		{"{\"cursor\": \"last_seen.d.00.0000000000000001\"}", "cursor"},
		{"{\"cursor\": \"last_seen.a.0000000000000000.0000000000000001\"}", "cursor"},
		{"{\"cursor\": \"last_seen.d.000000000000000g.0000000000000001\"}", "cursor"},
		{"{\"cursor\": \"last_seen.d.0000000000000001.000000000000000g\"}", "cursor"},
		{"{\"cursor\": \"id.d.0000000000000001.0000000000000001\"}", "cursor"},
		{"{\"cursor\": \"id.d.00000000000000g1.0000000000000001\", \"sort\": \"id\"}", "cursor"},
		{"{\"cursor\": \"proto.d.0006.0000000000000001\", \"sort\": \"proto\"}", "cursor"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
		struct ps_error err = {0};
		struct ps_conn_query q;

		assert_int_equal(parse(bad[i].args, &q, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
		assert_int_equal(err.status, 400);
	}
}

/* Each filter lets its connection through, and not the one that differs in just this. */
static void each_filter_alone(void **state)
{
	struct ps_conn c = {.proto = IPPROTO_TCP,
		.state = PS_TCP_ESTABLISHED,
		.src_port = 40000,
		.dst_port = 443,
		.src_ip = {.family = 4, .word = {htonl(0x0a000001)}},
		.dst_ip = {.family = 4, .word = {htonl(0xc0000201)}}};
	static const struct {
		const char *args;
		bool matches;
	} asked[] = {
		{"{\"proto\": \"tcp\"}", true},
		{"{\"proto\": \"udp\"}", false},
		{"{\"proto\": \"6\"}", true},
		{"{\"proto\": \"0\"}", false},
		{"{\"state\": \"established\"}", true},
		{"{\"state\": \"time_wait\"}", false},
		{"{\"port\": 443}", true},
		{"{\"port\": \"40000\"}", true},
		{"{\"port\": 0}", false},
		{"{\"port\": 44}", false},
		{"{\"ip\": \"192.0.2.1\"}", true},
		{"{\"ip\": \"10.0.0.1\"}", true},
		{"{\"ip\": \"10.0.0.2\"}", false},
		{"{\"ip\": \"::1\"}", false},
		{"{\"q\": \"192.0.2.1:443\"}", true},
		{"{\"q\": \"(tCp)\"}", true},
		{"{\"q\": \"(udp)\"}", false},
		{"{\"proto\": \"tcp\", \"port\": 443, \"ip\": \"10.0.0.1\", \"q\": \"-> 192\"}", true},
		{"{\"proto\": \"tcp\", \"port\": 443, \"ip\": \"10.0.0.1\", \"q\": \"-> 193\"}", false},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(asked); i++) {
		struct ps_conn_query q;

		assert_int_equal(parse(asked[i].args, &q, NULL), 0);
		if (ps_conn_query_matches(&q, &c) != asked[i].matches)
			fail_msg("%s", asked[i].args);
	}
}

/* A cursor that was written is read back: the row's field and id, or the list and the place in it. */
static void cursors_come_back(void **state)
{
	const struct ps_schema *schema = &ps_schemas[PS_RECORD_CONN];

	(void)state;
	for (size_t f = 0; f < 2 * schema->n_fields; f++) {
		const struct ps_field *field = &schema->fields[f / 2];
		struct ps_conn c = some_conn(&rnd, rnd, "S", 50);
		char head[128], args[512], cursor[PS_CURSOR_TEXT];
		struct ps_conn_query q;

		(void)snprintf(
			head, sizeof(head), "\"sort\": \"%s\", \"order\": \"%s\"", field->name, f % 2 ? "asc" : "desc");
		(void)snprintf(args, sizeof(args), "{%s}", head);
		assert_int_equal(parse(args, &q, NULL), 0);
		if (ps_conn_order_is_fixed(&q.order))
			ps_conn_query_cursor(&q, &c, cursor);
		else
			ps_conn_query_walk_cursor(&q, 0x123456789abcdef0, 77, cursor);
		(void)snprintf(args, sizeof(args), "{%s, \"cursor\": \"%s\"}", head, cursor);
		assert_int_equal(parse(args, &q, NULL), 0);
		assert_true(q.has_cursor);
		if (ps_conn_order_is_fixed(&q.order)) {
			assert_int_equal(ps_conn_order_compare(&q.order, &q.cursor, &c), 0);
		} else {
			assert_int_equal(q.walk.list, 0x123456789abcdef0);
			assert_int_equal(q.walk.at, 77);
		}
		(void)snprintf(args, sizeof(args), "{\"sort\": \"%s\", \"order\": \"%s\", \"cursor\": \"%s\"}",
			field->name, f % 2 ? "desc" : "asc", cursor);
		assert_int_equal(parse(args, &q, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked),
		cmocka_unit_test(bad_arguments_are_named),
		cmocka_unit_test(each_filter_alone),
		cmocka_unit_test(cursors_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
