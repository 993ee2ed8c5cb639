/* The lookout on a real bus: records of both publishers go in, findings come out on its own socket and by request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ai-worker/lookout.h"
#include "common/codec/msgpack.h"
#include "tests/unit/detect_rig.h"
#include "tests/unit/tempdir.h"

#define DEADLINE_S 20

struct stage {
	struct ps_bus *bus;
	struct ps_loop *loop;
	struct ps_endpoints where;
	struct ps_publisher *events, *state;
	struct ps_subscriber *findings;
	struct ps_lookout *lookout;
	uint64_t started;
	struct rig rig; /* for its records only */
	struct ps_value *heard[2];
	size_t n_heard;
	bool late;
};

/* The collector tells of a scan; what fell silent comes from the aggregator. */
static int on_timer(void *arg)
{
	struct stage *s = arg;

	s->rig.now = ps_clock_wall();
	if (ps_clock_boot() - s->started > DEADLINE_S * PS_NSEC) {
		s->late = true;
		ps_loop_stop(s->loop);
		return 0;
	}
	for (unsigned n = 0; n < 5; n++) {
		struct ps_conn scan = rig_conn(
			&s->rig, IPPROTO_TCP, "198.51.100.7", 40000, "192.0.2.1", (uint16_t)(1 + s->rig.id % 60000));
		struct ps_conn guess = rig_conn(&s->rig, IPPROTO_TCP, "198.51.100.8", 40000, "192.0.2.1", 22);

		strcpy(guess.history, "ShADadFf");
		guess.state = PS_TCP_TIME_WAIT;
		assert_int_equal(ps_publisher_record(s->events, PS_TOPIC_CONN_NEW, &scan, ps_clock_boot()), 0);
		assert_int_equal(ps_publisher_record(s->state, PS_TOPIC_CONN_END, &guess, ps_clock_boot()), 0);
	}
	(void)ps_publisher_flush(s->events, ps_clock_boot(), true);
	(void)ps_publisher_flush(s->state, ps_clock_boot(), true);
	return 0;
}

static int on_finding(void *arg)
{
	struct stage *s = arg;
	_cleanup_(ps_message_free) struct ps_message m = {0};

	if (ps_subscriber_next(s->findings, &m) != 1)
		return 0;
	assert_int_equal(m.topic, PS_TOPIC_FINDING);
	if (s->n_heard < PS_ARRAY_SIZE(s->heard))
		assert_int_equal(ps_msgpack_parse(m.payload, m.payload_len, &s->heard[s->n_heard++]), 0);
	if (s->n_heard == PS_ARRAY_SIZE(s->heard))
		ps_loop_stop(s->loop);
	return 0;
}

static int setup(void **state)
{
	static struct stage s;
	char dir[64];

	memset(&s, 0, sizeof(s));
	*state = &s;
	(void)snprintf(dir, sizeof(dir), "%s", tempdir);
	ps_detect_config_defaults(&s.rig.config);
	s.rig.config.grace = PS_NSEC / 10;
	assert_int_equal(ps_endpoints_default(dir, &s.where), 0);
	assert_int_equal(ps_bus_new(&s.bus), 0);
	assert_int_equal(ps_loop_new(&s.loop), 0);
	assert_int_equal(ps_publisher_new(s.bus, s.where.events, false, &s.events, NULL), 0);
	assert_int_equal(ps_publisher_new(s.bus, s.where.state, false, &s.state, NULL), 0);
	assert_int_equal(ps_lookout_new(s.bus, s.loop, &s.where, &s.rig.config, &s.lookout, NULL), 0);
	assert_int_equal(ps_subscriber_new(s.bus, s.where.findings, 1u << PS_TOPIC_FINDING, &s.findings, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	ps_loop_free(&s->loop);
	ps_lookout_free(&s->lookout);
	ps_subscriber_free(&s->findings);
	ps_publisher_free(&s->events);
	ps_publisher_free(&s->state);
	ps_bus_free(&s->bus);
	for (size_t i = 0; i < s->n_heard; i++)
		ps_value_free(&s->heard[i]);
	return 0;
}

static struct ps_value *ask(
	const struct stage *s, const char *name, struct ps_value *value, int *ret_code, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_value *body = NULL;

	if (name)
		assert_int_equal(ps_value_set(args, name, value), 0);
	*ret_code = ps_lookout_answer(s->lookout, args, &body, err);
	return body;
}

static void nothing_yet(void **state)
{
	struct stage *s = *state;
	int code;
	_cleanup_(ps_value_free) struct ps_value *body = ask(s, NULL, NULL, &code, NULL);

	assert_int_equal(code, 200);
	assert_int_equal(ps_value_count(ps_value_get(body, "findings")), 0);
	assert_int_equal(ps_value_get_uint(ps_value_get(body, "detect"), "records", 7), 0);
}

static void bad_arguments(void **state)
{
	struct stage *s = *state;
	struct ps_error err = {0};
	int code;

	assert_null(ask(s, "limit", ps_value_int(0), &code, &err));
	assert_int_equal(code, 400);
	assert_string_equal(err.field, "limit");
	assert_null(ask(s, "limit", ps_value_string("ten"), &code, &err));
	assert_int_equal(code, 400);
	assert_null(ask(s, "open", ps_value_int(1), &code, &err));
	assert_string_equal(err.field, "open");
}

static const struct ps_value *of_kind(const struct stage *s, const char *kind)
{
	for (size_t i = 0; i < s->n_heard; i++) {
		if (strcmp(ps_value_get_string(s->heard[i], "kind", ""), kind) == 0)
			return s->heard[i];
	}
	fail_msg("no %s was told", kind);
	return NULL;
}

static void from_both_publishers_to_both_outlets(void **state)
{
	struct stage *s = *state;
	_cleanup_(ps_value_free) struct ps_value *body = NULL, *one = NULL, *detect = NULL;
	const struct ps_value *scan, *listed;
	int code;

	s->started = ps_clock_boot();
	assert_int_equal(ps_loop_add_subscriber(s->loop, s->findings, on_finding, s), 0);
	assert_int_equal(ps_loop_add_timer(s->loop, PS_NSEC / 10, on_timer, s, NULL), 0);
	assert_int_equal(ps_loop_run(s->loop), 0);
	assert_false(s->late);
	scan = of_kind(s, "port_scan");
	assert_string_equal(ps_value_get_string(scan, "source", ""), "198.51.100.7");
	assert_true(ps_value_get_uint(scan, "first", 0) > RIG_START);
	assert_string_equal(ps_value_get_string(of_kind(s, "brute_force"), "target", ""), "192.0.2.1:22");

	body = ask(s, "open", ps_value_bool(true), &code, NULL);
	listed = ps_value_get(body, "findings");
	assert_int_equal(ps_value_count(listed), 2);
	assert_int_equal(ps_value_kind(ps_value_get(ps_value_at(listed, 0), "first")), PS_VALUE_STRING);
	one = ask(s, "limit", ps_value_int(1), &code, NULL);
	assert_int_equal(ps_value_count(ps_value_get(one, "findings")), 1);
	assert_string_equal(ps_value_get_string(ps_value_at(ps_value_get(one, "findings"), 0), "id", ""), "f-2");
	detect = ps_lookout_status(s->lookout);
	assert_int_equal(ps_value_get_uint(detect, "found", 0), 2);
	assert_int_equal(ps_value_get_uint(detect, "missed", 9), 0);
	assert_int_equal(ps_value_get_uint(detect, "malformed", 9), 0);
	assert_int_equal(ps_detect_count(ps_lookout_detect(s->lookout)), 2);
}

#define stage_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stage_test(nothing_yet),
		stage_test(bad_arguments),
		stage_test(from_both_publishers_to_both_outlets),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
