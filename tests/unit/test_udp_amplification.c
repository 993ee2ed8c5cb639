/* UDP amplification from both ends, and services that answer much in good order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/detect_rig.h"

#define VICTIM "192.0.2.1"
#define REFLECTOR "198.51.100.7"

/* Our name server is made to send to someone who never asked. */
static void as_reflector(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;

	for (uint16_t n = 0; n < 200; n++)
		(void)rig_udp(rig, VICTIM, (uint16_t)(1024 + n * 7), REFLECTOR, 53, 60, 3000);
	f = rig_expect_one(rig, PS_FINDING_UDP_AMPLIFICATION, VICTIM);
	rig_expect_target(f, REFLECTOR ":53");
	assert_int_equal(f->count, 600000);
	assert_int_equal(rig_number(f, "factor"), 50);
	assert_int_equal(f->n_connections, PS_FINDING_CONNECTIONS_MAX);
	assert_true(f->rule.rate_limit && f->rule.dst_port == 53 && ps_addr_equal(&f->rule.src, &f->source));
}

/* One connection that grows, told of once a second. */
static void in_one_long_exchange(void **state)
{
	struct rig *rig = *state;
	struct ps_conn c = rig_udp(rig, VICTIM, 80, REFLECTOR, 123, 60, 480);

	for (unsigned n = 0; n < 100; n++) {
		rig_wait(rig, 1);
		c.orig_bytes += 36;
		c.resp_bytes += 4800;
		rig_update(rig, &c);
		rig_update(rig, &c);
	}
	assert_int_equal(rig_expect_one(rig, PS_FINDING_UDP_AMPLIFICATION, VICTIM)->count, 480 + 100 * 4800);
}

/* We are the victim: answers of many name servers to questions that we did not ask. */
static void as_victim_of_many(void **state)
{
	struct rig *rig = *state;
	const struct ps_finding *f;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 250; n++)
		(void)rig_udp(rig, rig_host(host, "203.0.113.", n), 11211, VICTIM, 4444, 1400, 0);
	f = rig_expect_one(rig, PS_FINDING_UDP_AMPLIFICATION, "");
	rig_expect_target(f, VICTIM);
	assert_int_equal(f->count, 250 * 1400);
	assert_int_equal(rig_number(f, "port"), 11211);
	assert_true(f->rule.src_port == 11211 && ps_addr_equal(&f->rule.dst, &f->target.addr));
}

static void as_victim_of_one(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 100; n++)
		(void)rig_udp(rig, REFLECTOR, 53, VICTIM, (uint16_t)(2000 + n), 3000, 0);
	(void)rig_expect_one(rig, PS_FINDING_UDP_AMPLIFICATION, REFLECTOR);
}

/* --- what is none ---------------------------------------------------------------------------------- */

static void a_busy_resolver(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 5000; n++) {
		(void)rig_udp(rig, "10.0.0.53", (uint16_t)(1024 + n), rig_host(host, "203.0.113.", n % 50), 53, 70,
			n % 7 ? 180 : 1232);
		(void)rig_udp(rig, rig_host(host, "10.0.1.", n % 100), 40000, "10.0.0.53", 53, 70, 200);
		if (n % 100 == 0)
			rig_wait(rig, 1);
	}
	rig_expect_none(rig);
}

static void network_time(void **state)
{
	struct rig *rig = *state;
	char host[PS_ADDR_TEXT];

	for (unsigned n = 0; n < 10000; n++) {
		(void)rig_udp(rig, rig_host(host, "10.0.1.", n % 250), 123, "10.0.0.123", 123, 76, 76);
		if (n % 250 == 0)
			rig_wait(rig, 64);
	}
	rig_expect_none(rig);
}

/* Downloads, calls and games over UDP. */
static void other_services(void **state)
{
	struct rig *rig = *state;

	for (uint16_t n = 0; n < 100; n++)
		(void)rig_udp(rig, "10.0.0.5", (uint16_t)(50000 + n), REFLECTOR, 443, 5000, 5000000);
	rig_expect_none(rig);
}

/* A manager reads long tables; the agents' answers are large, and asked for. */
static void snmp_tables(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 500; n++)
		(void)rig_udp(rig, "10.0.0.9", (uint16_t)(30000 + n), "10.0.1.1", 161, 90, 1400);
	rig_expect_none(rig);
}

static void a_few_large_answers(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 15; n++)
		(void)rig_udp(rig, "10.0.0.53", (uint16_t)(1024 + n), REFLECTOR, 53, 60, 3000);
	rig_expect_none(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(as_reflector),
		rig_test(in_one_long_exchange),
		rig_test(as_victim_of_many),
		rig_test(as_victim_of_one),
		rig_test(a_busy_resolver),
		rig_test(network_time),
		rig_test(other_services),
		rig_test(snmp_tables),
		rig_test(a_few_large_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
