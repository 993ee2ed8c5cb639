/* What the files of a host say, as they look on real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/host_facts.h"

static const char *text(const struct ps_addr *a)
{
	static char buf[PS_ADDR_TEXT];

	return ps_addr_format(a, buf);
}

static void name_servers(void **state)
{
	struct ps_host_facts f = {0};
	bool loopback = false;

	(void)state;
	ps_host_facts_resolv(&f,
		"# nameserver 10.0.0.1\nsearch example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # x\n"
		"nameserver fe80::1%eth0\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver",
		&loopback);
	assert_false(loopback);
	assert_int_equal(f.n_dns, 3);
	assert_string_equal(text(&f.dns[0]), "192.0.2.53");
	assert_string_equal(text(&f.dns[1]), "2001:db8::53");
	assert_string_equal(text(&f.dns[2]), "fe80::1");
	ps_host_facts_resolv(&f, "nameserver 127.0.0.53\n", &loopback);
	assert_true(loopback);
	assert_int_equal(f.n_dns, 3);
}

static void default_routes(void **state)
{
	struct ps_host_facts f = {0};

	(void)state;
	ps_host_facts_route4(&f, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
				 "eth0\t00000000\tFE0200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
				 "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
				 "eth1\t00000000\t010200C0\t0000\t0\t0\t0\t00000000\t0\t0\t0\n");
	assert_int_equal(f.n_gateway, 1);
	assert_string_equal(text(&f.gateway[0]), "192.0.2.254");
	ps_host_facts_route6(&f, "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				 "fe800000000000000000000000000254 00000400 00000001 00000000 00000003     eth0\n"
				 "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
				 "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
				 "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				 "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
	assert_int_equal(f.n_gateway, 2);
	assert_string_equal(text(&f.gateway[1]), "fe80::254");
}

static void more_than_there_is_room_for(void **state)
{
	struct ps_host_facts f = {0};
	bool loopback = false;

	(void)state;
	for (int i = 0; i < 20; i++) {
		char line[64];

		(void)snprintf(line, sizeof(line), "nameserver 192.0.2.%d\n", i + 1);
		ps_host_facts_resolv(&f, line, &loopback);
	}
	assert_int_equal(f.n_dns, PS_HOST_DNS_MAX);
}

static void this_host(void **state)
{
	struct ps_host_facts f;

	(void)state;
	ps_host_facts_read(&f);
	for (size_t i = 0; i < f.n_local; i++) {
		assert_false(ps_addr_is_loopback(&f.local[i].addr));
		assert_true(f.local[i].len <= ps_net_bits(f.local[i].addr.family));
		assert_true(ps_host_facts_is_local(&f, &f.local[i].addr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_servers),
		cmocka_unit_test(default_routes),
		cmocka_unit_test(more_than_there_is_room_for),
		cmocka_unit_test(this_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
