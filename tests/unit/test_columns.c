/* Columns by name, and records as table rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cli/columns.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define NOW 1700000010000000000ull /* 2023-11-14T22:13:30Z */

static const char record[] = "{\"id\":\"0000000000000001\",\"proto\":\"tcp\",\"src_ip\":\"10.0.0.1\",\"src_port\":4000,"
			     "\"dst_ip\":\"2001:db8::1\","
			     "\"dst_port\":443,\"state\":\"established\",\"midstream\":true,\"loss\":0.0125,\"rtt_us\":"
			     "0,\"rtt_handshake_us\":812,"
			     "\"duration\":3.25,\"rule_id\":null,"
			     "\"last_seen\":\"2023-11-14T22:13:28.000000Z\",\"orig_bytes\":9007199254740991,\"resp_"
			     "bytes\":18446744073709551615}";

static void check(const char *list, const char *expected)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_columns c;
	struct ps_error err = {0};

	if (ps_columns_choose(&ps_schemas[PS_RECORD_CONN], list, &c, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ps_json_parse(record, strlen(record), &v, &err), 0);
	ps_columns_begin(&c, t);
	ps_columns_add(&c, t, v, NOW);
	assert_int_equal(ps_table_render(t, false, &out), 0);
	assert_string_equal(ps_buf_str(&out), expected);
}

static void every_kind(void **state)
{
	(void)state;
	check("proto,src,dst", "PROTO  SRC            DST\ntcp    10.0.0.1:4000  [2001:db8::1]:443\n");
	check("midstream,loss,duration", "MIDSTREAM    LOSS  DURATION\nyes        1.25 %     3.2 s\n");
	check("last_seen", "LAST SEEN\n2.0 s ago\n");
	check("orig_bytes,rule_id", "      ORIG BYTES  RULE ID\n9007199254740991        -\n");
	/* beyond 2^53 JSON is not exact, but the size is right */
	check("resp_bytes", "          RESP BYTES\n18446744073709551616\n");
	check("rtt_us,rtt_handshake_us", "RTT US  RTT HANDSHAKE US\n     -               812\n");
	check("history", "HISTORY\n-\n");
	check("src_port,,state", "SRC PORT  STATE\n    4000  established\n");
}

static void unknown_names(void **state)
{
	struct ps_columns c;
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_CONN], "proto,nonsense", &c, &err), -EINVAL);
	assert_string_equal(err.field, "fields");
	assert_non_null(strstr(err.message, "nonsense"));
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_CONN], "", &c, &err), -EINVAL);
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_CONN], ",", &c, NULL), -EINVAL);
	/* ICMP has addresses, but no ports of its own */
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_ICMP], "dst_port", &c, NULL), -EINVAL);
}

static void all_fields(void **state)
{
	(void)state;
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		struct ps_columns c;

		assert_int_equal(ps_columns_choose(&ps_schemas[t], "all", &c, NULL), 0);
		assert_int_equal(c.n, ps_schemas[t].n_fields);
	}
}

/* More columns than fit are left out, not written beyond the end. */
static void too_many(void **state)
{
	struct ps_columns c;

	(void)state;
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_CONN], "all,all,all", &c, NULL), 0);
	assert_int_equal(c.n, PS_TABLE_COLUMNS_MAX);
}

static void chosen_schema(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_field fields[PS_TABLE_COLUMNS_MAX * 2];
	struct ps_schema chosen;
	struct ps_columns c;
	struct ps_conn conn = {.proto = 17, .src_port = 53, .dst_port = 54};

	(void)state;
	assert_int_equal(ps_columns_choose(&ps_schemas[PS_RECORD_CONN], "proto,src,dst_port", &c, NULL), 0);
	ps_columns_schema(&c, fields, &chosen);
	ps_json_record(&out, &chosen, &conn);
	assert_string_equal(ps_buf_str(&out), "\"proto\":\"udp\",\"src_ip\":null,\"src_port\":53,\"dst_port\":54");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(all_fields),
		cmocka_unit_test(too_many),
		cmocka_unit_test(chosen_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
