/* What a record of a connection tells that those before did not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/detect/sight.h"
#include "tests/unit/detect_rig.h"

struct stage {
	struct rig rig;
	struct ps_sights *sights;
	struct ps_sight sight;
};

static int setup(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	s.rig.now = RIG_START;
	assert_int_equal(ps_sights_new(&s.sights), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	ps_sights_free(&s->sights);
	return 0;
}

static bool see(struct stage *s, enum ps_detect_event event, const struct ps_conn *c)
{
	return ps_sights_see(s->sights, event, c, s->rig.now, &s->sight);
}

static void expect(const struct stage *s, bool begun, bool answered, bool closed, uint64_t orig, uint64_t resp)
{
	assert_int_equal(s->sight.begun, begun);
	assert_int_equal(s->sight.answered, answered);
	assert_int_equal(s->sight.closed, closed);
	assert_int_equal(s->sight.orig_bytes, orig);
	assert_int_equal(s->sight.resp_bytes, resp);
}

static void each_thing_once(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	assert_true(see(s, PS_DETECT_NEW, &c));
	expect(s, true, false, false, 60, 0);
	assert_false(see(s, PS_DETECT_UPDATE, &c));
	strcpy(c.history, "ShA");
	c.state = PS_TCP_ESTABLISHED;
	c.orig_bytes = 100;
	c.resp_bytes = 50;
	assert_true(see(s, PS_DETECT_UPDATE, &c));
	expect(s, false, true, false, 40, 50);
	strcpy(c.history, "ShADdFf");
	c.state = PS_TCP_TIME_WAIT;
	assert_true(see(s, PS_DETECT_UPDATE, &c));
	expect(s, false, false, true, 0, 0);
	assert_false(see(s, PS_DETECT_END, &c));
}

/* An older record of the other socket comes later. */
static void older_records_say_nothing(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_UDP, "10.0.0.1", 1, "10.0.0.2", 53), old = c;

	c.orig_bytes = 500;
	c.resp_bytes = 900;
	c.resp_packets = 1;
	assert_true(see(s, PS_DETECT_UPDATE, &c));
	expect(s, true, true, false, 500, 900);
	assert_false(see(s, PS_DETECT_NEW, &old));
}

static void all_at_once(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	strcpy(c.history, "ShADadR");
	c.state = PS_TCP_CLOSE;
	s->rig.now += 5 * PS_NSEC;
	assert_true(see(s, PS_DETECT_END, &c));
	expect(s, true, true, true, 60, 0);
}

/* What was there before us: only what changes from now on. */
static void joined_late(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	strcpy(c.history, "ShADad");
	c.state = PS_TCP_ESTABLISHED;
	c.orig_bytes = 5000000;
	s->rig.now += 60 * PS_NSEC;
	assert_false(see(s, PS_DETECT_UPDATE, &c));
	c.orig_bytes += 100;
	c.state = PS_TCP_CLOSE;
	assert_true(see(s, PS_DETECT_UPDATE, &c));
	expect(s, false, false, true, 100, 0);
}

/* Before a '^' upper case was the other side. */
static void roles_that_were_swapped(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	strcpy(c.history, "HA^S");
	assert_true(see(s, PS_DETECT_NEW, &c));
	expect(s, true, false, false, 60, 0);
	strcpy(c.history, "HA^SA");
	assert_true(see(s, PS_DETECT_UPDATE, &c));
	assert_true(s->sight.answered);
}

static void a_refusal_is_no_answer(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	strcpy(c.history, "Sr");
	c.state = PS_TCP_CLOSE;
	assert_true(see(s, PS_DETECT_NEW, &c));
	expect(s, true, false, true, 60, 0);
}

static void without_an_id_it_is_none(void **state)
{
	struct stage *s = *state;
	struct ps_conn c = rig_conn(&s->rig, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 22);

	c.id = 0;
	assert_false(see(s, PS_DETECT_NEW, &c));
}

#define stage_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stage_test(each_thing_once),
		stage_test(older_records_say_nothing),
		stage_test(all_at_once),
		stage_test(joined_late),
		stage_test(roles_that_were_swapped),
		stage_test(a_refusal_is_no_answer),
		stage_test(without_an_id_it_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
