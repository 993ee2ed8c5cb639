/* The smallest network that holds all addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/range.h"

static struct ps_addr addr(const char *text)
{
	struct ps_addr a = {0};

	assert_int_equal(ps_addr_parse(text, strlen(text), &a), 0);
	return a;
}

static void the_smallest_network(void **state)
{
	static const struct {
		const char *addrs[3];
		const char *target;
	} rows[] = {
		{{"192.0.2.1"}, "192.0.2.1:22"},
		{{"192.0.2.1", "192.0.2.1"}, "192.0.2.1:22"},
		{{"192.0.2.4", "192.0.2.5"}, "192.0.2.4/31"},
		{{"192.0.2.200", "192.0.2.1", "192.0.2.90"}, "192.0.2.0/24"},
		{{"10.0.0.1", "203.0.113.9"}, "0.0.0.0/0"},
		{{"2001:db8::1", "2001:db8::ffff"}, "2001:db8::/112"},
		{{"2001:db8::1", "2001:db8:8000::1"}, "2001:db8::/32"},
	};
	char text[PS_FINDING_TARGET_TEXT];

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_range range = {0};
		struct ps_finding_target target;

		for (size_t k = 0; k < 3 && rows[i].addrs[k]; k++) {
			struct ps_addr a = addr(rows[i].addrs[k]);

			ps_range_add(&range, &a);
		}
		target = ps_range_target(&range, 22);
		assert_string_equal(ps_finding_target(&target, text), rows[i].target);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
