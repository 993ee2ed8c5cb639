/* Records as REST and replay show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/codec/record_json.h"
#include "common/model/value.h"

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static struct ps_value *parsed(struct ps_buf *b)
{
	struct ps_value *v = NULL;

	assert_int_equal(b->error, 0);
	assert_int_equal(ps_json_parse((const char *)b->data, b->len, &v, NULL), 0);
	return v;
}

/* A reply of n ICMP records. */
static void connection(void **state)
{
	struct ps_conn c = {.id = 0xabc,
		.proto = 17,
		.src_port = 12345,
		.dst_port = 53,
		.orig_packets = 1,
		.orig_bytes = 64,
		.ip_id = 1234,
		.rule_id = -1,
		.last_seen = 1682944496ull * PS_NSEC};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	c.src_ip = addr("192.168.1.100");
	c.dst_ip = addr("8.8.8.8");
	ps_record_json(&b, PS_RECORD_CONN, &c);
	v = parsed(&b);
	assert_string_equal(ps_value_key_at(v, 0), "key");
	assert_string_equal(ps_value_key_at(v, 1), "info");
	assert_string_equal(ps_value_get_string(v, "key", ""), "192.168.1.100:12345 -> 8.8.8.8:53 (UDP)");
	assert_string_equal(ps_value_get_string(v, "info", ""),
		"Packets: 1, Bytes: 64, IP ID: 1234, Last Seen: 2023-05-01T12:34:56Z");
	/* Beside them every field of the schema, once. */
	assert_int_equal(ps_value_count(v), ps_schemas[PS_RECORD_CONN].n_fields + 2);
	assert_string_equal(ps_value_get_string(v, "id", ""), "0000000000000abc");
	assert_int_equal(ps_value_kind(ps_value_get(v, "rule_id")), PS_VALUE_NULL);
	assert_string_equal(ps_value_get_string(v, "community_id", ""), "1:8mwINSCnpXZ99maItp5xx+7Pm7c=");
}

static void icmp(void **state)
{
	struct ps_icmp i = {.icmp_type = 8, .packets = 3, .bytes = 252};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	i.src_ip = addr("10.0.0.1");
	i.dst_ip = addr("10.0.0.2");
	ps_record_json(&b, PS_RECORD_ICMP, &i);
	v = parsed(&b);
	assert_non_null(strstr(ps_value_get_string(v, "key", ""), "10.0.0.1 -> 10.0.0.2"));
	assert_non_null(strstr(ps_value_get_string(v, "info", ""), "Packets: 3, Bytes: 252"));
	assert_int_equal(ps_value_get_int(v, "icmp_type", -1), 8);
	assert_int_equal(ps_value_count(v), ps_schemas[PS_RECORD_ICMP].n_fields + 2);
	assert_string_equal(ps_value_get_string(v, "community_id", ""), "1:YcMyyWJfhc95EW1GfXt6jlZ3DiQ=");
}

/* A record that brings its own community id (another seed, say) keeps it. */
static void a_given_id_stays(void **state)
{
	struct ps_conn c = {.proto = 6, .community_id = "1:given"};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	c.src_ip = addr("10.0.0.1");
	c.dst_ip = addr("10.0.0.2");
	ps_record_json(&b, PS_RECORD_CONN, &c);
	v = parsed(&b);
	assert_string_equal(ps_value_get_string(v, "community_id", ""), "1:given");
}

static void a_drop_has_its_fields_alone(void **state)
{
	struct ps_drop d = {.rule_id = 3, .generation = 7, .connection = 0xabc, .mode = PS_DROP_SHADOW};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)state;
	ps_record_json(&b, PS_RECORD_DROP, &d);
	v = parsed(&b);
	assert_int_equal(ps_value_count(v), ps_schemas[PS_RECORD_DROP].n_fields);
	assert_int_equal(ps_value_get_int(v, "rule_id", -1), 3);
	assert_int_equal(ps_value_get_int(v, "generation", -1), 7);
	assert_string_equal(ps_value_get_string(v, "connection", ""), "0000000000000abc");
	assert_string_equal(ps_value_get_string(v, "mode", ""), "shadow");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection),
		cmocka_unit_test(icmp),
		cmocka_unit_test(a_given_id_stays),
		cmocka_unit_test(a_drop_has_its_fields_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
