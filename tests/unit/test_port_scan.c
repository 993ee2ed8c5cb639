/* Port scans of every shape, and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define SCANNER "198.51.100.7"
#define HOST "192.0.2.1"

static void vertical(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (uint16_t port = 1; port <= 250; port++) {
		struct ps_conn c = rig_syn(rig, SCANNER, HOST, port);

		if (port % 3 == 0)
			rig_refuse(rig, &c);
	}
	f = rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER);
	rig_expect_target(f, HOST);
	assert_int_equal(f->count, 250);
	assert_int_equal(rig_number(f, "ports"), 250);
	assert_int_equal(rig_number(f, "hosts"), 1);
	assert_int_equal(f->n_connections, PS_FINDING_CONNECTIONS_MAX);
	assert_int_equal(f->first, RIG_START);
	assert_true(f->open && f->confidence > 0.9);
	assert_true(f->rule.proposed && ps_addr_equal(&f->rule.src, &f->source));
	/* The same ports again are no more. */
	for (uint16_t port = 1; port <= 250; port++)
		(void)rig_syn(rig, SCANNER, HOST, port);
	assert_int_equal(rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER)->count, 250);
}

static void horizontal(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 1; n <= 60; n++) {
		(void)rig_syn(rig, SCANNER, rig_host(host, "192.0.2.", n), 445);
		rig_wait(rig, 1);
	}
	f = rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER);
	rig_expect_target(f, "192.0.2.0/26");
	assert_int_equal(f->count, 60);
	assert_int_equal(rig_number(f, "hosts"), 60);
	assert_int_equal(rig_number(f, "port"), 445);
}

static void of_ipv6(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 1; n <= 30; n++)
		(void)rig_syn(rig, "2001:db8::bad", rig_host(host, "2001:db8:1::", n), 22);
	rig_expect_target(rig_expect_one(rig, PS_FINDING_PORT_SCAN, "2001:db8::bad"), "2001:db8:1::/123");
}

static void below_the_threshold_it_is_none(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port < rig->config.scan_ports; port++)
		(void)rig_syn(rig, SCANNER, HOST, port);
	rig_expect_none(rig);
	(void)rig_syn(rig, SCANNER, HOST, 1000);
	(void)rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER);
}

/* Nineteen ports an hour are below any window. */
static void too_slow_for_the_window(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 100; port++) {
		(void)rig_syn(rig, SCANNER, HOST, port);
		rig_wait(rig, 20);
	}
	rig_expect_none(rig);
}

/* One incident while it goes on, told at 10, 100 and 1000, and once more when it is over; then another one. */
static void one_incident_that_grows_and_closes(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 1500; port++) {
		(void)rig_syn(rig, SCANNER, HOST, port);
		if (port % 10 == 0)
			rig_wait(rig, 1);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER)->count, 1500);
	rig_wait(rig, 400);
	assert_int_equal(rig->n_told, 4);
	assert_int_equal(rig->told[0].count, 20);
	assert_int_equal(rig->told[1].count, 100);
	assert_int_equal(rig->told[2].count, 1000);
	assert_int_equal(rig->told[3].count, 1500);
	assert_true(rig->told[2].open && !rig->told[3].open);
	assert_int_equal(rig->told[3].id, 1);
	assert_int_equal(rig->told[2].severity, PS_SEVERITY_HIGH);
	for (uint16_t port = 1; port <= 30; port++)
		(void)rig_syn(rig, SCANNER, HOST, port);
	rig_wait(rig, 10);
	assert_int_equal(ps_detect_count(rig->detect), 2);
	assert_int_equal(ps_detect_finding(rig->detect, 0)->id, 2);
}

static void fin_null_and_xmas(void **state)
{
	static const uint8_t flags[] = {0x01, 0x00, 0x29};
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 30; port++) {
		struct ps_conn c = rig_conn(rig, IPPROTO_TCP, SCANNER, 40000, HOST, port);

		c.midstream = true;
		c.orig_tcp_flags = flags[port % 3];
		c.state = PS_TCP_ESTABLISHED;
		strcpy(c.history, port % 3 ? "" : "F");
		rig_new_conn(rig, &c);
	}
	(void)rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER);
}

static void udp(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 30; port++)
		(void)rig_udp(rig, SCANNER, 40000, HOST, port, 40, 0);
	(void)rig_expect_one(rig, PS_FINDING_PORT_SCAN, SCANNER);
}

/* --- what is none ---------------------------------------------------------------------------------- */

/* A proxy: hundreds of connections a minute to hundreds of hosts, some of which are down. */
static void a_busy_web_proxy(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 1200; n++) {
		(void)rig_host(host, n % 2 ? "203.0.113." : "198.18.0.", n % 250);
		if (n % 20 == 0)
			(void)rig_syn(rig, "10.0.0.80", host, 443);
		else
			rig_session(rig, "10.0.0.80", host, 443, 0, 800, 20000);
		if (n % 5 == 0)
			rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

static void its_clients(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 600; n++) {
		rig_session(rig, rig_host(host, "10.0.1.", n % 20), "10.0.0.80", 3128, 0, 900, 15000);
		if (n % 7 == 0)
			rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

/* Late answers of a name server, each to another port; traceroute; a talk to a group. */
static void udp_that_is_not_answered_by_nature(void **state)
{
	struct rig *rig = *state;

	for (uint16_t n = 0; n < 90; n++) {
		(void)rig_udp(rig, "192.0.2.53", 53, "10.0.0.5", (uint16_t)(50000 + n), 300, 0);
		(void)rig_udp(rig, "192.0.2.53", 5353, "10.0.0.5", (uint16_t)(50000 + n), 300, 0);
		(void)rig_udp(rig, "10.0.0.5", 45000, "203.0.113.9", (uint16_t)(33434 + n), 60, 0);
		(void)rig_udp(rig, "10.0.0.5", 45000, "239.1.2.3", (uint16_t)(1000 + n), 60, 0);
	}
	rig_expect_none(rig);
}

/* Where only ingress is watched no UDP answer is ever seen. */
static void udp_where_answers_are_not_watched(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 60; port++) {
		struct ps_conn c = rig_conn(rig, IPPROTO_UDP, "203.0.113.9", 4000, HOST, port);

		c.view = PS_VIEW_INGRESS;
		rig_new_conn(rig, &c);
	}
	rig_expect_none(rig);
}

/* Connections that were there before we came. */
static void what_was_joined_midstream(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port <= 60; port++) {
		struct ps_conn c = rig_conn(rig, IPPROTO_TCP, HOST, 443, "10.0.0.5", (uint16_t)(50000 + port));

		c.midstream = true;
		c.orig_tcp_flags = 0x11;
		c.state = PS_TCP_ESTABLISHED;
		strcpy(c.history, "A");
		rig_new_conn(rig, &c);
	}
	rig_expect_none(rig);
}

/* An answer that comes after the grace takes the attempt back. */
static void answers_that_come_late(void **state)
{
	struct rig *rig = *state;
	struct ps_conn c[15];

	for (uint16_t n = 0; n < 15; n++)
		c[n] = rig_syn(rig, SCANNER, HOST, (uint16_t)(n + 1));
	rig_wait(rig, 8);
	for (unsigned n = 0; n < 15; n++)
		rig_answer(rig, &c[n]);
	for (uint16_t n = 0; n < 15; n++)
		(void)rig_syn(rig, SCANNER, HOST, (uint16_t)(n + 100));
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(vertical),
		rig_test(horizontal),
		rig_test(of_ipv6),
		rig_test(below_the_threshold_it_is_none),
		rig_test(too_slow_for_the_window),
		rig_test(one_incident_that_grows_and_closes),
		rig_test(fin_null_and_xmas),
		rig_test(udp),
		rig_test(a_busy_web_proxy),
		rig_test(its_clients),
		rig_test(udp_that_is_not_answered_by_nature),
		rig_test(udp_where_answers_are_not_watched),
		rig_test(what_was_joined_midstream),
		rig_test(answers_that_come_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
