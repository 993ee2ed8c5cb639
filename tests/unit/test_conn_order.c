/* The order of connections: by every field one order, and keys that agree with it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/conn_order.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/some_conn.h"

#define N 40

static struct ps_conn conn[N];

static int setup(void **state)
{
	uint64_t rnd = 11;

	(void)state;
	for (uint64_t i = 0; i < N; i++)
		conn[i] = some_conn(&rnd, i + 1, "S", 5);
	return 0;
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

/* Rows compare as their connections do; the other direction is the other way round; equal is only one and the same. */
static void rows_and_directions(const struct ps_field *field, const struct ps_conn *a, const struct ps_conn *b)
{
	const struct ps_conn_order up = {.field = field}, down = {.field = field, .descending = true};
	const struct ps_conn_row ra = ps_conn_row_of(&up, a), rb = ps_conn_row_of(&up, b);
	int r = sign(ps_conn_order_compare(&up, a, b));

	assert_int_equal(r == 0, a == b);
	assert_int_equal(sign(ps_conn_order_compare(&up, b, a)), -r);
	assert_int_equal(sign(ps_conn_order_compare(&down, a, b)), -r);
	assert_int_equal(sign(ps_conn_row_compare(&up, &ra, &rb)), r);
}

/* What a key promises, in both directions. */
static void keys(const struct ps_field *field, const struct ps_conn *a, const struct ps_conn *b)
{
	for (int descending = 0; descending < 2; descending++) {
		const struct ps_conn_order o = {.field = field, .descending = descending};
		uint64_t ka, kb;
		bool whole = ps_conn_order_key(&o, a, &ka) && ps_conn_order_key(&o, b, &kb);

		(void)ps_conn_order_key(&o, b, &kb);
		if (ka != kb)
			assert_int_equal(sign(ps_conn_order_compare(&o, a, b)), ka < kb ? -1 : 1);
		else if (whole)
			assert_memory_equal(
				(const char *)a + field->offset, (const char *)b + field->offset, field->size);
	}
}

static void by_every_field(void **state)
{
	const struct ps_schema *schema = &ps_schemas[PS_RECORD_CONN];

	(void)state;
	for (size_t f = 0; f < schema->n_fields; f++) {
		const struct ps_conn_order o = {.field = &schema->fields[f]};

		for (size_t i = 0; i < N; i++) {
			for (size_t j = 0; j < N; j++) {
				rows_and_directions(o.field, &conn[i], &conn[j]);
				keys(o.field, &conn[i], &conn[j]);
				if (ps_conn_order_compare(&o, &conn[i], &conn[j]) >= 0)
					continue;
				for (size_t k = 0; k < N; k++)
					assert_true(ps_conn_order_compare(&o, &conn[j], &conn[k]) >= 0 ||
						    ps_conn_order_compare(&o, &conn[i], &conn[k]) < 0);
			}
		}
	}
}

/* A cursor by a field that moves would lose rows. */
static void what_a_connection_keeps(void **state)
{
	static const struct {
		const char *field;
		bool fixed;
	} fields[] = {{"id", true}, {"first_seen", true}, {"proto", true}, {"last_seen", false}, {"src_ip", false},
		{"dst_port", false}, {"orig_bytes", false}, {"state", false}, {"iface", false}};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(fields); i++) {
		const struct ps_conn_order o = {
			.field = ps_schema_find(&ps_schemas[PS_RECORD_CONN], fields[i].field, strlen(fields[i].field))};

		assert_non_null(o.field);
		assert_int_equal(ps_conn_order_is_fixed(&o), fields[i].fixed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(by_every_field, setup),
		cmocka_unit_test(what_a_connection_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
