/* JSON: what is taken, what is refused and how, exact writing of every number, records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/limits.h"

#define _value_ _cleanup_(ps_value_free) struct ps_value *
#define _buf_ _cleanup_(ps_buf_free) struct ps_buf

static struct ps_value *parse(const char *text)
{
	struct ps_error err = {0};
	struct ps_value *v = NULL;

	if (ps_json_parse(text, strlen(text), &v, &err))
		fail_msg("%s: %s", text, err.message);
	assert_string_equal(err.message, "");
	return v;
}

static void assert_writes(const struct ps_value *v, const char *want)
{
	_buf_ out = PS_BUF_INIT;

	ps_json_write(&out, v);
	assert_string_equal(ps_buf_str(&out), want);
}

static void reads_and_writes(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"null", "null"},
		{" true ", "true"},
		{"\t\r\n false\n", "false"},
		{"0", "0"},
		{"-0", "0"},
		{"-1", "-1"},
		{"9007199254740991", "9007199254740991"},
		{"-9007199254740991", "-9007199254740991"},
		{"1.5", "1.5"},
		{"0.1", "0.1"},
		{"1e3", "1000"},
		{"1E-2", "0.01"},
		{"3.0", "3"},
		{"\"\"", "\"\""},
		{"\"a\\\"b\\\\c\\/d\"", "\"a\\\"b\\\\c/d\""},
		{"\"\\b\\f\\n\\r\\t\\u001f\\u007f\"", "\"\\b\\f\\n\\r\\t\\u001f\\u007f\""},
		{"\"\\u00fc\\u20ac\\ud83d\\ude00\"", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\"\\\\u0000\"", "\"\\\\u0000\""}, /* a backslash, then letters */
		{"[]", "[]"},
		{"{}", "{}"},
		{"[1, [2, {\"a\": null}], \"x\"]", "[1,[2,{\"a\":null}],\"x\"]"},
		{"{\"b\": 1, \"a\": {\"c\": []}}", "{\"b\":1,\"a\":{\"c\":[]}}"},
		{"[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		_value_ v = parse(rows[i].in);

		assert_writes(v, rows[i].out);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text;
		const char *hint; /* that the message must have */
	} rows[] = {
		{"", "empty"},
		{"   \n", "empty"},
		{"{", "near byte 0"},
		{"[1,", "byte"},
		{"[1,]", "byte 3"},
		{"{\"a\":1,}", "byte 7"},
		{"{\"a\" 1}", "byte 5"},
		{"{a:1}", "near byte 2"},
		{"{'a':1}", "near byte 2"},
		{"{1:2}", "near byte 2"},
		{"[1 2]", "byte 3"},
		{"nul", "byte 0"},
		{"True", "byte 0"},
		{"NaN", "byte 0"},
		{"-Infinity", "digit"},
		{"01", "digit"},
		{"-01", "digit"},
		{"1.", "point"},
		{".5", "byte 0"},
		{"+1", "byte 0"},
		{"1e", "exponent"},
		{"1e+", "exponent"},
		{"0x10", "byte 1"},
		{"1e999", "too large"},
		{"1 2", "byte 2"},
		{"{} x", "byte 3"},
		{"[1]]", "byte 3"},
		{"]", "byte 0"},
		{"\"abc", "not closed"},
		{"\"abc\\\"", "not closed"},
		{"\"a\nb\"", "control character"},
		{"\"a\\x\"", "byte"},
		{"\"\\u12\"", "byte"},
		{"\"\\ud800\"", "byte"},
		{"\"\\udc00\"", "byte"},
		{"\"\\ud800\\u0041\"", "byte"},
		{"\"a\\u0000b\"", "U+0000"},
		{"\"\xff\"", "UTF-8"},
		{"\"\xed\xa0\x80\"", "UTF-8"},
		{"\"\xc0\x80\"", "UTF-8"},
		{"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deep"},
		{"/* c */ 1", "byte 0"},
		{"\xef\xbb\xbf"
		 "1]",
			"bracket"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_error err = {0};
		struct ps_value *v = (void *)&err;
		int ret = ps_json_parse(rows[i].text, strlen(rows[i].text), &v, &err);

		if (ret != -EINVAL)
			fail_msg("%s gave %d", rows[i].text, ret);
		assert_ptr_equal(v, &err); /* untouched */
		assert_int_equal(err.status, 400);
		assert_string_equal(err.code, "bad_json");
		if (!strstr(err.message, rows[i].hint))
			fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].text, err.message, rows[i].hint);
		assert_int_equal(ps_json_parse(rows[i].text, strlen(rows[i].text), &v, NULL), -EINVAL);
	}
}

static void a_nul_byte_is_no_white_space(void **state)
{
	struct ps_value *v = NULL;

	(void)state;
	assert_int_equal(ps_json_parse("1\0", 2, &v, NULL), -EINVAL);
	assert_int_equal(ps_json_parse("\"a\0b\"", 5, &v, NULL), -EINVAL);
	assert_int_equal(ps_json_parse("[1\0]", 4, &v, NULL), -EINVAL);
}

static void duplicate_keys_are_named(void **state)
{
	struct ps_error err = {0};
	struct ps_value *v = NULL;
	const char *text = "{\"a\":1,\"deep\":{\"dst_port\":1,\"x\":0,\"dst_port\":2}}";

	(void)state;
	assert_int_equal(ps_json_parse(text, strlen(text), &v, &err), -EINVAL);
	assert_string_equal(err.field, "dst_port");
	assert_non_null(strstr(err.message, "dst_port"));
}

/* What a double cannot hold must not come back as a neighbouring integer. */
static void large_integers_stay_reals(void **state)
{
	static const char *const rows[] = {
		"9007199254740992", "9007199254740993", "18446744073709551615", "-9007199254740993", "1e20"};
	int64_t i;

	(void)state;
	for (size_t n = 0; n < PS_ARRAY_SIZE(rows); n++) {
		_value_ v = parse(rows[n]);

		assert_int_equal(ps_value_kind(v), PS_VALUE_REAL);
		assert_false(ps_value_is_integer(v, &i));
		assert_int_equal(ps_value_as_uint(v, 42), 42);
	}
}

/* Every prefix of a document is refused, and read within its bounds (the sanitizer looks). */
static void prefixes(void **state)
{
	const char *text = "{\"k\\u00e9y\": [1.25e-3, \"\\ud83d\\ude00 \xe2\x82\xac\", true, null, {\"z\": -12}]}";
	size_t len = strlen(text);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		_cleanup_free_ char *exact = malloc(n ? n : 1);
		struct ps_value *v = NULL;

		assert_non_null(exact);
		memcpy(exact, text, n);
		assert_int_equal(ps_json_parse(exact, n, &v, NULL), -EINVAL);
		assert_null(v);
	}
}

static void limits(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_value *v = NULL;
	_value_ taken = NULL;

	(void)state;
	ps_buf_addc(&text, '[');
	for (int i = 0; i <= PS_VALUE_NODES_MAX; i++)
		ps_buf_adds(&text, "0,");
	ps_buf_adds(&text, "0]");
	assert_int_equal(ps_json_parse((const char *)text.data, text.len, &v, NULL), -EINVAL);

	ps_buf_reset(&text);
	ps_buf_addc(&text, '{');
	for (int i = 0; i < PS_VALUE_KEYS_MAX; i++)
		ps_buf_addf(&text, "%s\"%d\":0", i ? "," : "", i);
	ps_buf_addc(&text, '}');
	assert_int_equal(ps_json_parse((const char *)text.data, text.len, &taken, NULL), 0);
	assert_int_equal(ps_value_count(taken), PS_VALUE_KEYS_MAX);
	text.len--;
	ps_buf_adds(&text, ",\"more\":0}");
	assert_int_equal(ps_json_parse((const char *)text.data, text.len, &v, NULL), -EINVAL);

	ps_buf_reset(&text);
	for (int i = 0; i <= PS_VALUE_BYTES_MAX; i++)
		ps_buf_addc(&text, i ? ' ' : '1');
	assert_int_equal(ps_json_parse((const char *)text.data, text.len, &v, NULL), -EINVAL);
	assert_int_equal(ps_json_parse((const char *)text.data, text.len - 1, &v, NULL), 0);
	ps_value_free(&v);
}

static void writes_numbers_exactly(void **state)
{
	static const double reals[] = {
		0.1, 1.0 / 3, 1e-300, 123456789.125, 2.5e17, 5e-324, 1.7976931348623157e308, -0.75};
	_value_ most = ps_value_uint(UINT64_MAX);
	_value_ least = ps_value_int(INT64_MIN);
	_value_ odd = ps_value_int((1ll << 53) + 1);

	(void)state;
	assert_writes(most, "18446744073709551615");
	assert_writes(least, "-9223372036854775808");
	assert_writes(odd, "9007199254740993");
	assert_writes(NULL, "null");
	for (size_t i = 0; i < PS_ARRAY_SIZE(reals); i++) {
		_value_ v = ps_value_real(reals[i]);
		_buf_ out = PS_BUF_INIT;

		ps_json_write(&out, v);
		assert_true(strtod(ps_buf_str(&out), NULL) == reals[i]);
	}
}

static void writes_strings_that_are_not_utf8(void **state)
{
	_buf_ out = PS_BUF_INIT;

	(void)state;
	ps_json_string(&out, "a\0b\xff\xc3\xbc\xc3<\x01", 9);
	assert_string_equal(ps_buf_str(&out), "\"a\\u0000b\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd<\\u0001\"");
}

static void writes_pretty(void **state)
{
	_value_ v = parse("{\"a\":[1,{\"b\":[]}],\"c\":{}}");
	_buf_ out = PS_BUF_INIT;

	(void)state;
	ps_json_write_pretty(&out, v);
	assert_string_equal(
		ps_buf_str(&out), "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}\n");
}

/* --- Records --------------------------------------------------------------------------------- */

static struct ps_value *record_value(enum ps_record_type type, const void *record)
{
	_buf_ out = PS_BUF_INIT;

	ps_buf_addc(&out, '{');
	ps_json_record(&out, &ps_schemas[type], record);
	ps_buf_addc(&out, '}');
	return parse(ps_buf_str(&out));
}

static const char *text_of(const struct ps_value *v, const char *key)
{
	return ps_value_get_string(v, key, "(none)");
}

static void connection_record(void **state)
{
	struct ps_conn c = {
		.id = 0xabc,
		.proto = IPPROTO_UDP,
		.src_ip = {.family = 4, .word = {htonl(0xc0000201)}},
		.dst_ip = {.family = 6, .word = {htonl(0x20010db8), 0, 0, htonl(1)}},
		.src_port = 65535,
		.iface = "eth\"0",
		.view = PS_VIEW_INGRESS,
		.midstream = true,
		.state = PS_STATE_REPLIED,
		.history = "Dd",
		.first_seen = 1682944496123456789ull,
		.last_seen = 1682944496000000000ull,
		.duration = 1500000000,
		.end_reason = PS_END_TIMEOUT,
		.loss = 0.25,
		.verdict = PS_VERDICT_DROPPED,
		.rule_id = 0,
		.orig_bytes = UINT64_MAX,
	};
	_value_ v = record_value(PS_RECORD_CONN, &c);
	_buf_ out = PS_BUF_INIT;

	(void)state;
	assert_int_equal(ps_value_count(v), ps_schemas[PS_RECORD_CONN].n_fields);
	for (size_t i = 0; i < ps_value_count(v); i++)
		assert_string_equal(ps_value_key_at(v, i), ps_schemas[PS_RECORD_CONN].fields[i].name);
	assert_string_equal(text_of(v, "id"), "0000000000000abc");
	assert_string_equal(text_of(v, "proto"), "udp");
	assert_string_equal(text_of(v, "src_ip"), "192.0.2.1");
	assert_string_equal(text_of(v, "dst_ip"), "2001:db8::1");
	assert_int_equal(ps_value_get_int(v, "src_port", -1), 65535);
	assert_string_equal(text_of(v, "iface"), "eth\"0");
	assert_string_equal(text_of(v, "view"), "ingress");
	assert_true(ps_value_get_bool(v, "midstream", false));
	assert_false(ps_value_get_bool(v, "flipped", true));
	assert_string_equal(text_of(v, "state"), "replied");
	assert_string_equal(text_of(v, "history"), "Dd");
	assert_int_equal(ps_value_kind(ps_value_get(v, "community_id")), PS_VALUE_NULL);
	assert_string_equal(text_of(v, "first_seen"), "2023-05-01T12:34:56.123456Z");
	assert_string_equal(text_of(v, "last_seen"), "2023-05-01T12:34:56.000000Z");
	assert_true(ps_value_as_real(ps_value_get(v, "duration"), 0) == 1.5);
	assert_string_equal(text_of(v, "end_reason"), "timeout");
	assert_true(ps_value_as_real(ps_value_get(v, "loss"), 0) == 0.25);
	assert_string_equal(text_of(v, "verdict"), "drop");
	assert_int_equal(ps_value_get_int(v, "rule_id", -1), 0);
	ps_json_record(&out, &ps_schemas[PS_RECORD_CONN], &c);
	assert_non_null(strstr(ps_buf_str(&out), "\"orig_bytes\":18446744073709551615,"));
}

static void what_is_unknown_is_null(void **state)
{
	static const char *const nulls[] = {"connection", "iface-", "proto", "src_ip", "time", "rule_id", "direction"};
	struct ps_drop d = {.rule_id = -1};
	_value_ v = record_value(PS_RECORD_DROP, &d);

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(nulls); i++)
		assert_int_equal(ps_value_kind(ps_value_get(v, nulls[i])), PS_VALUE_NULL);
	assert_string_equal(text_of(v, "iface"), "");
	assert_int_equal(ps_value_get_int(v, "tcp_flags", -1), 0);
	assert_string_equal(text_of(v, "mode"), "enforce");
}

static void spans_are_decimal_seconds(void **state)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} rows[] = {
		{0, "\"duration\":0,"},
		{1, "\"duration\":0.000000001,"},
		{999999999, "\"duration\":0.999999999,"},
		{1000000000, "\"duration\":1,"},
		{61250000000ull, "\"duration\":61.25,"},
		{UINT64_MAX, "\"duration\":18446744073.709551615,"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_conn c = {.duration = rows[i].ns};
		_buf_ out = PS_BUF_INIT;

		ps_json_record(&out, &ps_schemas[PS_RECORD_CONN], &c);
		assert_non_null(strstr(ps_buf_str(&out), rows[i].want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(refuses),
		cmocka_unit_test(a_nul_byte_is_no_white_space),
		cmocka_unit_test(duplicate_keys_are_named),
		cmocka_unit_test(large_integers_stay_reals),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(limits),
		cmocka_unit_test(writes_numbers_exactly),
		cmocka_unit_test(writes_strings_that_are_not_utf8),
		cmocka_unit_test(writes_pretty),
		cmocka_unit_test(connection_record),
		cmocka_unit_test(what_is_unknown_is_null),
		cmocka_unit_test(spans_are_decimal_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
