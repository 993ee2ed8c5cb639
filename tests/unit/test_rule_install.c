/* Two halves: what is in force is never touched, and one store makes the other one visible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/rule_install.h"
#include "tests/unit/memory_kernel.h"

static struct ps_rule_set *set_of(uint16_t port)
{
	struct ps_rule_set *set = NULL;
	struct ps_rule r;

	ps_rule_defaults(&r);
	r.id = 0;
	r.enabled = port != 0;
	r.protocol = IPPROTO_TCP;
	r.dst_port = ps_ports_one(port);
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, &r, 1, 0, NULL), 0);
	return set;
}

static void halves_take_turns(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_cleanup_(ps_rule_set_free) struct ps_rule_set *a = set_of(22), *b = set_of(80), *none = set_of(0);
	_cleanup_free_ struct ps_rule_slot *before = calloc(PS_RULE_SLOTS, sizeof(*before));

	(void)state;
	mk_init(&k, 1, 1);
	/* maps that nobody wrote yet are not an empty set in force */
	assert_false(ps_rule_install_current(&k.view, none, 0));
	assert_int_equal(ps_rule_install_generation(&k.view, 0), 0);
	assert_int_equal(ps_rule_install(&k.view, a, 0), 1);
	assert_int_equal(k.runtime.active_set, 1);
	assert_true(ps_rule_install_current(&k.view, a, 0));
	assert_false(ps_rule_install_current(&k.view, b, 0));
	memcpy(before, k.slots + PS_RULE_SLOTS, sizeof(*before) * PS_RULE_SLOTS);
	assert_int_equal(ps_rule_install(&k.view, b, 0), 2);
	assert_int_equal(k.runtime.active_set, 0);
	assert_memory_equal(before, k.slots + PS_RULE_SLOTS, sizeof(*before) * PS_RULE_SLOTS);
	assert_int_equal(k.sets[1].generation, 1);
	assert_true(ps_rule_install_current(&k.view, b, 0));
	assert_int_equal(ps_rule_install(&k.view, none, 0), 3);
	assert_true(ps_rule_install_current(&k.view, none, 0));
	assert_int_equal(k.sets[1].tuples, 0);
}

static void generation_is_never_zero(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_cleanup_(ps_rule_set_free) struct ps_rule_set *a = set_of(22), *b = set_of(80);

	(void)state;
	mk_init(&k, 1, 1);
	(void)ps_rule_install(&k.view, a, 0);
	k.sets[k.runtime.active_set].generation = UINT32_MAX;
	assert_int_equal(ps_rule_install(&k.view, b, 0), 1);
}

static void hits(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;

	(void)state;
	mk_init(&k, 1, 1);
	k.hits[6] = k.hits[7] = k.hits[8] =
		(struct ps_rule_hits){.packets = 3, .bytes = 180, .first_hit = 1, .last_hit = 2};
	ps_rule_install_clear_hits(&k.view, 7);
	assert_int_equal(ps_rule_install_hits(&k.view, 7).packets, 0);
	assert_int_equal(ps_rule_install_hits(&k.view, 7).last_hit, 0);
	assert_int_equal(ps_rule_install_hits(&k.view, 6).packets, 3);
	assert_int_equal(ps_rule_install_hits(&k.view, 8).bytes, 180);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_take_turns),
		cmocka_unit_test(generation_is_never_zero),
		cmocka_unit_test(hits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
