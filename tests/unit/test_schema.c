/* The schema tables: names, words and numbers both ways, what everything else relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/limits.h"
#include "common/model/schema.h"

static void tables_are_sound(void **state)
{
	(void)state;
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		const struct ps_schema *s = &ps_schemas[t];
		size_t end = 0;

		assert_true(s->n_fields > 10 && s->n_fields <= PS_BUS_FIELDS_MAX);
		for (size_t i = 0; i < s->n_fields; i++) {
			const struct ps_field *f = &s->fields[i];

			assert_ptr_equal(ps_schema_find(s, f->name, strlen(f->name)), f); /* no name twice */
			assert_true(f->offset >= end && f->offset < s->size);             /* in order, inside */
			end = f->offset + 1u;
			assert_true(f->doc && strlen(f->doc) > 2);
			for (const char *c = f->name; *c; c++)
				assert_true(islower(*c) || isdigit(*c) || *c == '_');
		}
		assert_null(ps_schema_find(s, "", 0));
		assert_null(ps_schema_find(s, "proto2", 6));
	}
	assert_non_null(ps_schema_find(&ps_schemas[PS_RECORD_CONN], "protocol", 5)); /* "proto": the length counts */
	assert_string_equal(ps_schemas[PS_RECORD_CONN].name, "connection");
	assert_string_equal(ps_schemas[PS_RECORD_ICMP].name, "icmp");
	assert_string_equal(ps_schemas[PS_RECORD_DROP].name, "drop");
}

static void words_go_both_ways(void **state)
{
	static const enum ps_kind kinds[] = {
		PS_KIND_VIEW, PS_KIND_STATE, PS_KIND_END, PS_KIND_VERDICT, PS_KIND_DIRECTION, PS_KIND_MODE};
	static const size_t counts[] = {2, 10, 5, 3, 3, 2};

	(void)state;
	for (size_t k = 0; k < PS_ARRAY_SIZE(kinds); k++) {
		size_t n = 0;

		for (unsigned v = 0; v < 300; v++) {
			const char *word = ps_enum_name(kinds[k], v);
			uint8_t back = 0xee;

			if (!word)
				continue;
			n++;
			assert_int_equal(ps_enum_parse(kinds[k], word, strlen(word), &back), 0);
			assert_int_equal(back, v);
			assert_int_equal(ps_enum_parse(kinds[k], word, strlen(word) - 1, &back), -EINVAL);
		}
		assert_int_equal(n, counts[k]);
	}
	assert_null(ps_enum_name(PS_KIND_U8, 0));
	assert_string_equal(ps_enum_name(PS_KIND_STATE, PS_TCP_ESTABLISHED), "established");
	assert_string_equal(ps_enum_name(PS_KIND_STATE, PS_STATE_REPLIED), "replied");
	assert_null(ps_enum_name(PS_KIND_STATE, PS_TCP_NONE));
	assert_null(ps_enum_name(PS_KIND_END, PS_END_NONE));
	assert_string_equal(ps_enum_name(PS_KIND_VERDICT, 0), "pass");
	assert_string_equal(ps_enum_name(PS_KIND_MODE, PS_DROP_ENFORCED), "enforce");
	assert_string_equal(ps_enum_name(PS_KIND_MODE, PS_DROP_SHADOW), "shadow");
	/* every TCP state of the kernel has a word */
	for (unsigned v = PS_TCP_SYN_SENT; v < PS_TCP_STATES; v++)
		assert_non_null(ps_enum_name(PS_KIND_STATE, v));
}

static void protocols(void **state)
{
	static const char *const bad[] = {"", "TCP", "tcp ", "256", "-1", "1000", "1x", "0x6", "sctp", "any"};
	char buf[8];
	uint8_t p = 0;

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		const char *word = ps_proto_name((uint8_t)v, buf);

		assert_int_equal(ps_proto_parse(word, strlen(word), &p), 0);
		assert_int_equal(p, v);
	}
	assert_string_equal(ps_proto_name(IPPROTO_ICMPV6, buf), "icmpv6");
	assert_string_equal(ps_proto_name(47, buf), "47");
	p = 9;
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
		assert_int_equal(ps_proto_parse(bad[i], strlen(bad[i]), &p), -EINVAL);
	assert_int_equal(p, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(words_go_both_ways),
		cmocka_unit_test(protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
