/* Attempts: answered, failed, tried again, forgotten, too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/detect/incidents.h"
#include "common/detect/probes.h"
#include "tests/unit/detect_rig.h"

#define GRACE (3 * PS_NSEC)
#define WINDOW (60 * PS_NSEC)

static int64_t failed;
static uint64_t last_when;

static void count(void *arg, const struct ps_track_key *key, bool in, uint64_t when)
{
	(void)arg;
	(void)key;
	failed += in ? 1 : -1;
	last_when = when;
}

static struct ps_track_key key_of(uint16_t port)
{
	return (struct ps_track_key){.a = rig_addr("10.0.0.1"), .b = rig_addr("10.0.0.2"), .port = port, .proto = 6};
}

static void try_port(struct ps_probes *p, uint16_t port, uint64_t now)
{
	struct ps_track_key key = key_of(port);

	ps_probes_sent(p, &key, port, now);
}

static struct ps_probes *make(size_t limit)
{
	struct ps_probes *p = NULL;

	failed = 0;
	assert_int_equal(ps_probes_new(limit, count, NULL, &p), 0);
	return p;
}

static void a_life(void **state)
{
	_cleanup_(ps_probes_free) struct ps_probes *p = make(10);
	struct ps_track_key one = key_of(1);

	(void)state;
	try_port(p, 1, 100 * PS_NSEC);
	try_port(p, 1, 102 * PS_NSEC); /* the same again does not begin the grace anew */
	ps_probes_tick(p, 103 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 0);
	ps_probes_tick(p, 104 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 1);
	assert_int_equal(last_when, 100 * PS_NSEC);
	try_port(p, 1, 150 * PS_NSEC); /* tried again: remembered for longer */
	ps_probes_tick(p, 205 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 1);
	ps_probes_tick(p, 211 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 0);
	ps_probes_answered(p, &one);
	assert_int_equal(failed, 0);
}

static void answered_in_time_and_late(void **state)
{
	_cleanup_(ps_probes_free) struct ps_probes *p = make(10);
	struct ps_track_key one = key_of(1), two = key_of(2);

	(void)state;
	try_port(p, 1, 100 * PS_NSEC);
	try_port(p, 2, 100 * PS_NSEC);
	ps_probes_answered(p, &one);
	ps_probes_tick(p, 110 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 1);
	ps_probes_answered(p, &two);
	ps_probes_answered(p, &two);
	assert_int_equal(failed, 0);
}

/* What makes room while it waits has not failed; what makes room when it has failed is forgotten, and told. */
static void more_than_the_limit(void **state)
{
	_cleanup_(ps_probes_free) struct ps_probes *p = make(5);

	(void)state;
	for (uint16_t port = 1; port <= 8; port++)
		try_port(p, port, 100 * PS_NSEC);
	ps_probes_tick(p, 110 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 5);
	for (uint16_t port = 11; port <= 13; port++)
		try_port(p, port, 120 * PS_NSEC);
	ps_probes_tick(p, 130 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 5);
	ps_probes_tick(p, 400 * PS_NSEC, GRACE, WINDOW);
	assert_int_equal(failed, 0);
}

static void cites_the_source(void **state)
{
	_cleanup_(ps_probes_free) struct ps_probes *p = make(100);
	struct ps_track_key other = {.a = rig_addr("10.9.9.9"), .b = rig_addr("10.0.0.2"), .port = 7, .proto = 6};
	struct ps_finding f = {0};

	(void)state;
	for (uint16_t port = 1; port <= 30; port++)
		try_port(p, port, 100 * PS_NSEC);
	ps_probes_sent(p, &other, 777, 101 * PS_NSEC);
	ps_probes_tick(p, 110 * PS_NSEC, GRACE, WINDOW);
	ps_probes_cite(p, &other.b, &f);
	assert_int_equal(f.n_connections, 0);
	ps_probes_cite(p, &other.a, &f);
	assert_int_equal(f.n_connections, 1);
	assert_int_equal(f.connections[0], 777);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life),
		cmocka_unit_test(answered_in_time_and_late),
		cmocka_unit_test(more_than_the_limit),
		cmocka_unit_test(cites_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
