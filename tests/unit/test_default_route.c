/* Which interface the routing tables name. The texts are what Linux 6.1 prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/default_route.h"

#define HEAD4 \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                         " \
	"           \n"
#define DEFAULT4(iface, flags, metric) iface "\t00000000\t010011AC\t" flags "\t0\t0\t" metric "\t00000000\t0\t0\t0\n"
#define NET4 "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
#define ZERO "00000000000000000000000000000000"
#define DEFAULT6(iface, metric, flags) \
	ZERO " 00 " ZERO " 00 fe80000000000000000000000000000a " metric " 00000002 00000000 " flags " " iface "\n"
#define NET6 "fd000000000000000000000000000000 40 " ZERO " 00 " ZERO " 00000100 00000001 00000000 00000001     eth9\n"
#define REJECT6 ZERO " 00 " ZERO " 00 " ZERO " ffffffff 00000001 00000000 00200200       lo\n"

static void check(const char *ipv4, const char *ipv6, const char *expected)
{
	char iface[PS_IFACE_SIZE] = "untouched";

	if (expected) {
		assert_int_equal(ps_default_route_parse(ipv4, ipv6, iface), 0);
		assert_string_equal(iface, expected);
	} else {
		assert_int_equal(ps_default_route_parse(ipv4, ipv6, iface), -ENOENT);
		assert_string_equal(iface, "untouched");
	}
}

static void one_route(void **state)
{
	(void)state;
	check(HEAD4 DEFAULT4("eth0", "0003", "0") NET4, NULL, "eth0");
	check(HEAD4 NET4 DEFAULT4("wlp0s20f3", "0003", "600"), "", "wlp0s20f3");
}

static void lowest_metric_wins(void **state)
{
	(void)state;
	check(HEAD4 DEFAULT4("wlan0", "0003", "600") DEFAULT4("eth0", "0003", "100"), NULL, "eth0");
	check(HEAD4 DEFAULT4("eth0", "0003", "100") DEFAULT4("wlan0", "0003", "600"), NULL, "eth0");
	check(HEAD4 DEFAULT4("a0", "0003", "100") DEFAULT4("b0", "0003", "100"), NULL, "a0");
}

static void routes_that_lead_nowhere(void **state)
{
	(void)state;
	check(HEAD4 DEFAULT4("eth0", "0002", "0"), NULL, NULL);
	check(HEAD4 DEFAULT4("eth0", "0201", "0"), NULL, NULL);
	check(HEAD4 DEFAULT4("lo", "0003", "0"), NULL, NULL);
	check(HEAD4 NET4, NET6, NULL);
	check(HEAD4, REJECT6, NULL);
}

static void a_split_default_is_none(void **state)
{
	(void)state;
	/* 0.0.0.0/1, as VPNs write it, is not the default route. */
	check(HEAD4 "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n" DEFAULT4("eth0", "0003", "0"), NULL,
		"eth0");
}

static void ipv6_stands_in(void **state)
{
	(void)state;
	check(HEAD4 NET4, REJECT6 DEFAULT6("eth6", "00000400", "00000003"), "eth6");
	check(NULL, DEFAULT6("slow", "00000400", "00000003") DEFAULT6("fast", "00000064", "00000003"), "fast");
	check(HEAD4 DEFAULT4("eth4", "0003", "900"), DEFAULT6("eth6", "00000001", "00000003"), "eth4");
}

static void rubbish_is_passed_over(void **state)
{
	char text[2000];

	(void)state;
	check(NULL, NULL, NULL);
	check("", "", NULL);
	check("no table at all", "\n\n\n", NULL);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	check(text, text, NULL);
	check(HEAD4 "eth0\t0000", NULL, NULL);
	/* an interface's name never overruns its field */
	check(HEAD4 DEFAULT4("a-name-of-far-too-many-letters", "0003", "0"), NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_route),
		cmocka_unit_test(lowest_metric_wins),
		cmocka_unit_test(routes_that_lead_nowhere),
		cmocka_unit_test(a_split_default_is_none),
		cmocka_unit_test(ipv6_stands_in),
		cmocka_unit_test(rubbish_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
