/* CSV: RFC 4180, and nothing that a spreadsheet would run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "gateway/export.h"

static void a_line(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_drop d = {.time = 1682944496ull * PS_NSEC,
		.rule_id = -1,
		.connection = 0xabc,
		.direction = 1,
		.iface = "eth0",
		.proto = 6,
		.src_port = 1234,
		.dst_port = 22,
		.bytes = 60};
	struct ps_drop with = d;

	(void)state;
	assert_int_equal(ps_addr_parse("10.0.0.1", 8, &with.src_ip), 0);
	ps_export_csv(&out, &ps_schemas[PS_RECORD_DROP], &with);
	assert_non_null(strstr(ps_buf_str(&out), "2023-05-01T12:34:56.000000Z,,"));
	assert_non_null(strstr(ps_buf_str(&out), ",0000000000000abc,ingress,eth0,tcp,10.0.0.1,1234,,22,"));
	assert_string_equal(ps_buf_str(&out) + out.len - 2, "\r\n");
}

static void text_of_every_kind(void **state)
{
	static const struct {
		const char *text, *cell;
	} cases[] = {
		{"plain", "plain"},
		{"a,b", "\"a,b\""},
		{"say \"hi\"", "\"say \"\"hi\"\"\""},
		{"back\\slash", "back\\slash"},
		{"=1+1", "'=1+1"},
		{"@cmd,x", "\"'@cmd,x\""},
		{"-5", "-5"},
		{"a\nb", "a?b"},
		{"a\x01"
		 "b",
			"a?b"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
		_cleanup_free_ char *expected = NULL;
		struct ps_conn c = {.rule_id = -1};

		strcpy(c.history, cases[i].text);
		ps_export_csv(&out, &ps_schemas[PS_RECORD_CONN], &c);
		assert_true(asprintf(&expected, ",%s,", cases[i].cell) > 0);
		if (!strstr(ps_buf_str(&out), expected))
			fail_msg("%s: %s", cases[i].text, ps_buf_str(&out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line),
		cmocka_unit_test(text_of_every_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
