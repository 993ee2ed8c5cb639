/* Services by number, and kinds of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/traits.h"

static void services(void **state)
{
	(void)state;
	assert_string_equal(ps_service_name(IPPROTO_TCP, 22), "ssh");
	assert_int_equal(ps_service_traits(IPPROTO_TCP, 22), PS_SERVICE_LOGIN);
	assert_int_equal(ps_service_traits(IPPROTO_UDP, 22), 0);
	assert_null(ps_service_name(IPPROTO_TCP, 443));
	assert_int_equal(ps_service_traits(IPPROTO_UDP, 123), PS_SERVICE_AMPLIFIES | PS_SERVICE_PERIODIC);
	assert_int_equal(ps_service_traits(IPPROTO_UDP, 161), PS_SERVICE_POLLED | PS_SERVICE_PERIODIC);
}

/* The search relies on their order. */
static void every_row_is_found(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
		const char *name;
	} rows[] = {
#define PS_SERVICE(proto, port, name, what) {IPPROTO_##proto, port, name},
#include "common/detect/traits.def"
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		const char *name = ps_service_name(rows[i].proto, rows[i].port);

		if (!name || strcmp(name, rows[i].name) != 0)
			fail_msg("%u %s", rows[i].port, rows[i].name);
	}
	assert_null(ps_service_name(IPPROTO_TCP, 65535));
	assert_null(ps_service_name(0, 0));
}

static void addresses(void **state)
{
	static const struct {
		const char *text;
		bool group, private;
	} rows[] = {
		{"224.0.0.251", true, false},
		{"239.255.255.255", true, false},
		{"255.255.255.255", true, false},
		{"223.255.255.255", false, false},
		{"240.0.0.1", false, false},
		{"ff02::1", true, false},
		{"fe80::1", false, true},
		{"fec0::1", false, false},
		{"fd00::1", false, true},
		{"fc00::1", false, true},
		{"fe00::1", false, false},
		{"::1", false, true},
		{"::2", false, false},
		{"2001:db8::1", false, false},
		{"10.255.255.255", false, true},
		{"11.0.0.0", false, false},
		{"172.15.255.255", false, false},
		{"172.16.0.0", false, true},
		{"172.31.255.255", false, true},
		{"172.32.0.0", false, false},
		{"192.168.0.1", false, true},
		{"192.169.0.1", false, false},
		{"100.64.0.1", false, true},
		{"100.128.0.1", false, false},
		{"127.0.0.1", false, true},
		{"169.254.1.1", false, true},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_addr a = {0};

		assert_int_equal(ps_addr_parse(rows[i].text, strlen(rows[i].text), &a), 0);
		if (ps_addr_is_group(&a) != rows[i].group || ps_addr_is_private(&a) != rows[i].private)
			fail_msg("%s", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services),
		cmocka_unit_test(every_row_is_found),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
