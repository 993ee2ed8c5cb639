/* Rules that come in pieces: they count on, one set at a time, and are forgotten when no more come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/rule_stage.h"
#include "common/base/cleanup.h"

#define BOOT 1000000000ull
#define NOW 1700000000000000000ull

static int add(struct ps_rule_stage *stage, uint64_t id, const char *json, uint64_t boot, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_rule like;

	ps_rule_defaults(&like);
	assert_int_equal(ps_value_set(args, "json", ps_value_string(json)), 0);
	return ps_rule_stage_add(stage, id, args, &like, boot, NOW, err);
}

static void pieces_become_one_set(void **state)
{
	_cleanup_(ps_rule_stage_drop) struct ps_rule_stage stage = {0};
	_cleanup_(ps_rule_bulk_free) struct ps_rule_bulk bulk = {0};
	struct ps_error err = {0};
	uint64_t id;

	(void)state;
	assert_int_equal(add(&stage, 0, "[{\"comment\":\"a\"},{\"comment\":\"b\"}]", BOOT, &err), 0);
	id = stage.id;
	assert_true(id != 0);
	assert_int_equal(add(&stage, id, "[{\"comment\":\"c\",\"id\":7}]", BOOT + 5, &err), 0);
	assert_int_equal(ps_rule_stage_take(&stage, id, &bulk, &err), 0);
	assert_int_equal(bulk.rules.n, 3);
	assert_string_equal(bulk.rules.rules[2].comment, "c");
	assert_int_equal(bulk.rules.rules[2].id, 7);
	assert_int_equal(ps_rule_stage_take(&stage, id, &bulk, &err), -ENOENT);
	assert_int_equal(err.status, 404);
}

static void a_wrong_rule_is_named_by_its_place_in_all(void **state)
{
	_cleanup_(ps_rule_stage_drop) struct ps_rule_stage stage = {0};
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(add(&stage, 0, "[{},{}]", BOOT, &err), 0);
	assert_int_equal(add(&stage, stage.id, "[{},{\"dst_port\":70000}]", BOOT, &err), -EINVAL);
	assert_non_null(strstr(err.message, "rule number 4"));
	assert_string_equal(err.field, "dst_port");
	assert_int_equal(stage.id, 0);
	assert_int_equal(add(&stage, 0, "[{},{]", BOOT + 1, &err), -EINVAL);
	assert_non_null(strstr(err.message, "rule number 2"));
}

static void one_at_a_time_and_not_for_ever(void **state)
{
	_cleanup_(ps_rule_stage_drop) struct ps_rule_stage stage = {0};
	struct ps_error err = {0};
	uint64_t id;

	(void)state;
	assert_int_equal(add(&stage, 0, "[{}]", BOOT, &err), 0);
	id = stage.id;
	assert_int_equal(add(&stage, 0, "[{}]", BOOT + 1, &err), -EBUSY);
	assert_int_equal(err.status, 503);
	assert_int_equal(add(&stage, id + 1, "[{}]", BOOT + 1, &err), -ENOENT);
	ps_rule_stage_expire(&stage, BOOT + PS_STAGE_SILENT_NS);
	assert_int_equal(stage.id, id);
	ps_rule_stage_expire(&stage, BOOT + PS_STAGE_SILENT_NS + 1);
	assert_int_equal(stage.id, 0);
	assert_int_equal(add(&stage, id, "[{}]", BOOT + 1, &err), -ENOENT);
	/* Who begins after the other fell silent needs no tick in between. */
	assert_int_equal(add(&stage, 0, "[{}]", BOOT, &err), 0);
	assert_int_equal(add(&stage, 0, "[{}]", BOOT + PS_STAGE_SILENT_NS + 1, &err), 0);
	assert_int_equal(stage.bulk.rules.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_become_one_set),
		cmocka_unit_test(a_wrong_rule_is_named_by_its_place_in_all),
		cmocka_unit_test(one_at_a_time_and_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
