/* Incidents: one for each source and kind, told when they grow, closed when they don't, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/detect/incidents.h"
#include "tests/unit/detect_rig.h"

#define QUIET (300 * PS_NSEC)

struct stage {
	struct ps_incidents *in;
	struct ps_finding told[RIG_TOLD];
	size_t n_told;
	size_t all_told; /* also those that found no room in told */
};

static void hear(void *arg, const struct ps_finding *f)
{
	struct stage *s = arg;

	s->all_told++;
	if (s->n_told < RIG_TOLD)
		s->told[s->n_told++] = *f;
}

static int setup(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	assert_int_equal(ps_incidents_new(hear, &s, &s.in), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	ps_incidents_free(&s->in);
	return 0;
}

static struct ps_finding draft(enum ps_finding_kind kind, const char *source, const char *target, uint64_t count)
{
	struct ps_finding f = {.kind = kind, .count = count, .first = 10, .last = 20};

	if (*source)
		f.source = rig_addr(source);
	f.target.addr = rig_addr(target);
	f.target.prefix = 32;
	ps_draft_title(&f, "%s", target);
	return f;
}

static void told_at_powers_of_ten(void **state)
{
	struct stage *s = *state;
	struct ps_finding f = draft(PS_FINDING_PORT_SCAN, "10.0.0.1", "10.0.0.2", 5);
	static const uint64_t told[] = {5, 10, 100, 1000, 1000000};

	ps_incidents_report(s->in, &f, 5, 100);
	for (unsigned n = 6; n <= 1000; n++)
		ps_incidents_report(s->in, &f, 1, 100);
	ps_incidents_report(s->in, &f, 999000, 100);
	assert_int_equal(s->n_told, PS_ARRAY_SIZE(told));
	for (size_t i = 0; i < s->n_told; i++)
		assert_int_equal(s->told[i].count, told[i]);
	assert_int_equal(ps_incidents_count(s->in), 1);
}

static void one_for_each_source_and_kind(void **state)
{
	static const struct {
		enum ps_finding_kind kind;
		const char *source, *target;
		size_t count;
	} rows[] = {
		{PS_FINDING_PORT_SCAN, "10.0.0.1", "10.0.0.2", 1},
		{PS_FINDING_PORT_SCAN, "10.0.0.1", "10.0.0.3", 1},
		{PS_FINDING_SYN_FLOOD, "10.0.0.1", "10.0.0.2", 2},
		{PS_FINDING_PORT_SCAN, "10.0.0.4", "10.0.0.2", 3},
		{PS_FINDING_SYN_FLOOD, "", "10.0.0.2", 4},
		{PS_FINDING_SYN_FLOOD, "", "10.0.0.3", 5},
		{PS_FINDING_SYN_FLOOD, "", "10.0.0.3", 5},
	};
	struct stage *s = *state;

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_finding f = draft(rows[i].kind, rows[i].source, rows[i].target, 3);

		ps_incidents_report(s->in, &f, 3, 100);
		assert_int_equal(ps_incidents_count(s->in), rows[i].count);
		assert_true(ps_incidents_at(s->in, 0)->open);
	}
	assert_int_equal(ps_incidents_at(s->in, 0)->id, 5);
	assert_int_equal(ps_incidents_at(s->in, 4)->id, 1);
	assert_null(ps_incidents_at(s->in, 5));
}

/* The texts are those of the largest report, the sum is of all. */
static void the_largest_speaks(void **state)
{
	struct stage *s = *state;
	struct ps_finding a = draft(PS_FINDING_BRUTE_FORCE, "10.0.0.1", "10.0.0.2", 30),
			  b = draft(PS_FINDING_BRUTE_FORCE, "10.0.0.1", "10.0.0.3", 20);
	const struct ps_finding *f;

	ps_draft_cite(&a, 1);
	ps_draft_cite(&b, 1);
	ps_draft_cite(&b, 2);
	b.first = 5;
	b.last = 50;
	b.severity = PS_SEVERITY_HIGH;
	ps_incidents_report(s->in, &a, 30, 100);
	ps_incidents_report(s->in, &b, 20, 100);
	f = ps_incidents_at(s->in, 0);
	assert_string_equal(f->title, "10.0.0.2");
	assert_int_equal(f->count, 50);
	assert_int_equal(f->first, 5);
	assert_int_equal(f->last, 50);
	assert_int_equal(f->severity, PS_SEVERITY_HIGH);
	assert_int_equal(f->n_connections, 2);
	assert_int_equal(ps_incidents_room(s->in, &a), PS_FINDING_CONNECTIONS_MAX - 2);
	b.count = 31;
	ps_incidents_report(s->in, &b, 1, 100);
	assert_string_equal(f->title, "10.0.0.3");
}

static void closes_when_quiet(void **state)
{
	struct stage *s = *state;
	struct ps_finding f = draft(PS_FINDING_PORT_SCAN, "10.0.0.1", "10.0.0.2", 5);

	ps_incidents_report(s->in, &f, 5, PS_NSEC);
	ps_incidents_report(s->in, &f, 1, 100 * PS_NSEC);
	/* Said again without more of it, it does not stay open. */
	ps_incidents_report(s->in, &f, 0, 300 * PS_NSEC);
	ps_incidents_tick(s->in, 399 * PS_NSEC, QUIET);
	assert_int_equal(s->n_told, 1);
	ps_incidents_tick(s->in, 400 * PS_NSEC, QUIET);
	assert_int_equal(s->n_told, 2);
	assert_false(s->told[1].open);
	ps_incidents_tick(s->in, 900 * PS_NSEC, QUIET);
	assert_int_equal(s->n_told, 2);
	ps_incidents_report(s->in, &f, 5, 1000 * PS_NSEC);
	assert_int_equal(ps_incidents_count(s->in), 2);
	assert_int_equal(ps_incidents_at(s->in, 0)->id, 2);
}

static void patience_keeps_it_open(void **state)
{
	struct stage *s = *state;
	struct ps_finding f = draft(PS_FINDING_BEACONING, "10.0.0.1", "10.0.0.2", 5);

	ps_incidents_report_slow(s->in, &f, 5, 1000 * PS_NSEC, PS_NSEC);
	ps_incidents_tick(s->in, 1000 * PS_NSEC, QUIET);
	assert_true(ps_incidents_at(s->in, 0)->open);
	ps_incidents_tick(s->in, 1001 * PS_NSEC, QUIET);
	assert_false(ps_incidents_at(s->in, 0)->open);
}

/* Full of open ones: refused and counted. As soon as some are closed, the oldest of those go. */
static void bounded(void **state)
{
	struct stage *s = *state;
	struct ps_detect_totals totals = {0};
	struct ps_finding f = draft(PS_FINDING_PORT_SCAN, "10.0.0.1", "10.0.0.2", 5);
	unsigned n = 0;

	for (; n < PS_INCIDENTS_MAX + 3; n++) {
		f.source.word[0] = n + 1;
		ps_incidents_report(s->in, &f, 5, n < 10 ? PS_NSEC : 200 * PS_NSEC);
	}
	ps_incidents_totals(s->in, &totals);
	assert_int_equal(totals.found, PS_INCIDENTS_MAX);
	assert_int_equal(totals.open, PS_INCIDENTS_MAX);
	assert_int_equal(totals.refused, 3);
	ps_incidents_tick(s->in, 350 * PS_NSEC, QUIET);
	for (; n < PS_INCIDENTS_MAX + 8; n++) {
		f.source.word[0] = n + 1;
		ps_incidents_report(s->in, &f, 5, 350 * PS_NSEC);
	}
	ps_incidents_totals(s->in, &totals);
	assert_int_equal(totals.refused, 3);
	assert_int_equal(totals.open, PS_INCIDENTS_MAX - 10 + 5);
	assert_int_equal(ps_incidents_count(s->in), PS_INCIDENTS_MAX);
	assert_int_equal(ps_incidents_at(s->in, PS_INCIDENTS_MAX - 1)->id, 6);
	assert_int_equal(ps_incidents_at(s->in, 0)->id, PS_INCIDENTS_MAX + 5);
}

static void confidence(void **state)
{
	(void)state;
	assert_true(ps_draft_confidence(20, 20) == 0.5);
	assert_true(ps_draft_confidence(40, 20) == 0.75);
	assert_true(ps_draft_confidence(1000000, 20) == 0.99);
	assert_true(ps_draft_confidence(3, 20) == 0.5);
}

static void the_latest_connections(void **state)
{
	struct ps_recent recent = {0};
	struct ps_finding f = {0};

	(void)state;
	for (uint64_t id = 1; id <= 30; id++)
		ps_recent_add(&recent, id);
	ps_recent_remove(&recent, 29);
	ps_draft_cite_recent(&f, &recent);
	assert_int_equal(f.n_connections, 19);
	assert_int_equal(f.connections[0], 30);
	assert_int_equal(f.connections[1], 28);
	assert_int_equal(f.connections[18], 11);
}

#define stage_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stage_test(told_at_powers_of_ten),
		stage_test(one_for_each_source_and_kind),
		stage_test(the_largest_speaks),
		stage_test(closes_when_quiet),
		stage_test(patience_keeps_it_open),
		stage_test(bounded),
		cmocka_unit_test(confidence),
		cmocka_unit_test(the_latest_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
