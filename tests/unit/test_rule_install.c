/* Two halves: what is in force is never touched, one store makes the other one visible, and a deadline takes it back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"
#include "aggregator/rule_install.h"
#include "common/base/clock.h"
#include "tests/unit/memory_kernel.h"

#define NOW 1000000000ull

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

#define _set_ _cleanup_(ps_rule_set_free) struct ps_rule_set

static uint32_t install(struct memory_kernel *k, struct ps_rule_set *set, uint64_t confirm_by)
{
	assert_int_equal(ps_rule_install_prepare(&k->view, set, NOW, NULL), 0);
	return ps_rule_install(&k->view, set, confirm_by);
}

/* The half says what the set says, page by page. */
static void assert_half_is(const struct memory_kernel *k, unsigned half, const struct ps_rule_set *set)
{
	const struct ps_rule_image *image = set->image;
	struct ps_rule_head head = k->heads[half];

	head.generation = 0;
	assert_memory_equal(&head, image->head, sizeof(head));
	for (uint32_t c = 0; c < image->chunks; c++)
		assert_memory_equal(k->view.rule_chunks[half][c], image->chunk[c], sizeof(*image->chunk[c]));
}

static void halves_take_turns(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *a = set_of(22), *b = set_of(80), *none = set_of(0);

	(void)state;
	mk_init(&k, 1, 1);
	/* maps that nobody wrote yet are not an empty set in force */
	assert_false(ps_rule_install_current(&k.view, none, NOW));
	assert_int_equal(ps_rule_install_generation(&k.view, NOW), 0);
	assert_int_equal(install(&k, a, 0), 1);
	assert_int_equal(k.runtime.rule_switch, 1);
	assert_true(ps_rule_install_current(&k.view, a, NOW));
	assert_false(ps_rule_install_current(&k.view, b, NOW));
	assert_half_is(&k, 1, a);
	assert_int_equal(install(&k, b, 0), 2);
	assert_int_equal(k.runtime.rule_switch, 0);
	assert_half_is(&k, 1, a);
	assert_half_is(&k, 0, b);
	assert_int_equal(k.heads[1].generation, 1);
	assert_true(ps_rule_install_current(&k.view, b, NOW));
	/* what is in force already keeps its generation */
	assert_int_equal(install(&k, b, 0), 2);
	assert_int_equal(install(&k, none, 0), 3);
	assert_true(ps_rule_install_current(&k.view, none, NOW));
	assert_int_equal(k.heads[1].tuples, 0);
}

static void generation_is_never_zero(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *a = set_of(22), *b = set_of(80);

	(void)state;
	mk_init(&k, 1, 1);
	(void)install(&k, a, 0);
	k.heads[k.runtime.rule_switch & 1].generation = UINT32_MAX;
	assert_int_equal(install(&k, b, 0), 1);
	assert_int_equal(install(&k, a, 0), 2);
}

static void unconfirmed_set_gives_way(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *a = set_of(22), *b = set_of(80), *c = set_of(443);
	struct ps_error err = {0};

	(void)state;
	mk_init(&k, 1, 1);
	(void)install(&k, a, 0);
	assert_int_equal(ps_rule_install_confirm(&k.view, NOW), -ENOENT);
	assert_int_equal(ps_rule_install_revert(&k.view), -ENOENT);
	assert_int_equal(install(&k, b, NOW + 100), 2);
	assert_int_equal(ps_rule_install_pending(&k.view).confirm_by, NOW + 100);
	assert_int_equal(ps_rule_install_pending(&k.view).generation, 2);
	assert_int_equal(ps_rule_install_pending(&k.view).before, 1);
	/* both halves are in use */
	assert_int_equal(ps_rule_install_prepare(&k.view, c, NOW + 99, &err), -EBUSY);
	assert_string_equal(err.code, "confirm_pending");
	assert_int_equal(err.status, 409);
	assert_int_equal(ps_rule_install_generation(&k.view, NOW + 99), 2);
	assert_false(ps_rule_install_settle(&k.view, NOW + 99));
	/* its time is up: the set before, under its own generation */
	assert_int_equal(ps_rule_install_generation(&k.view, NOW + 100), 1);
	assert_true(ps_rule_install_current(&k.view, a, NOW + 100));
	assert_int_equal(ps_rule_install_confirm(&k.view, NOW + 100), -ETIME);
	assert_true(ps_rule_install_settle(&k.view, NOW + 100));
	assert_false(ps_rule_install_settle(&k.view, NOW + 100));
	assert_int_equal(k.runtime.rule_switch, 1);
	/* no generation comes again */
	assert_int_equal(ps_rule_install_prepare(&k.view, c, NOW + 101, NULL), 0);
	assert_int_equal(ps_rule_install(&k.view, c, 0), 3);
}

static void confirmed_or_taken_back(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *a = set_of(22), *b = set_of(80), *c = set_of(443);

	(void)state;
	mk_init(&k, 1, 1);
	(void)install(&k, a, 0);
	(void)install(&k, b, NOW + 100);
	assert_int_equal(ps_rule_install_confirm(&k.view, NOW + 99), 0);
	assert_int_equal(ps_rule_install_pending(&k.view).confirm_by, 0);
	assert_int_equal(ps_rule_install_generation(&k.view, NOW + 1000), 2);
	(void)install(&k, c, NOW + 100);
	assert_int_equal(ps_rule_install_revert(&k.view), 0);
	assert_true(ps_rule_install_current(&k.view, b, NOW));
	assert_int_equal(ps_rule_install_generation(&k.view, NOW), 2);
	/* one that nobody settled is settled by the next */
	(void)install(&k, c, NOW - 1);
	assert_int_equal(ps_rule_install_prepare(&k.view, a, NOW, NULL), 0);
	(void)ps_rule_install(&k.view, a, 0);
	assert_true(ps_rule_install_current(&k.view, a, NOW));
}

/* A change costs a copy of what it touched, and both halves follow. */
static void changes_reach_both_halves(void **state)
{
	enum {
		N = 3000
	};
	_cleanup_(mk_free) struct memory_kernel k;
	_cleanup_free_ struct ps_rule *rules = calloc(N, sizeof(*rules));
	_set_ *set = NULL;

	(void)state;
	mk_init(&k, 1, 1);
	assert_int_equal(ps_rule_set_new(&set), 0);
	for (int32_t i = 0; i < N; i++) {
		ps_rule_defaults(&rules[i]);
		rules[i].id = i;
		rules[i].enabled = true;
		rules[i].src_ip.addr.family = PS_FAMILY_IPV4;
		rules[i].src_ip.addr.word[0] = htonl(0x0a000000u + (uint32_t)i * 77);
		rules[i].src_ip.len = 32;
	}
	assert_int_equal(ps_rule_set_compile(set, rules, N, 0, NULL), 0);
	(void)install(&k, set, 0);
	for (int i = 0; i < 40; i++) {
		struct ps_rule before = rules[i * 7];

		rules[i * 7].dst_ip = rules[i].src_ip;
		assert_int_equal(ps_rule_set_change(set, rules, N, &before, &rules[i * 7], 0, NULL), 0);
		assert_true(set->undo != NULL);
		(void)install(&k, set, 0);
		assert_half_is(&k, k.runtime.rule_switch & 1, set);
	}
	/* another's set in the meantime: everything is copied */
	{
		_set_ *other = set_of(22);
		struct ps_rule before = rules[0];

		(void)install(&k, other, 0);
		rules[0].src_port = ps_ports_one(7);
		assert_int_equal(ps_rule_set_change(set, rules, N, &before, &rules[0], 0, NULL), 0);
		(void)install(&k, set, 0);
		assert_half_is(&k, k.runtime.rule_switch & 1, set);
	}
}

static void deadlines_and_rates_are_in_the_rows(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *set = NULL;
	struct ps_rule r;

	(void)state;
	mk_init(&k, 1, 1);
	ps_rule_defaults(&r);
	r.id = 9;
	r.enabled = true;
	r.expires_at = 50 * NOW;
	r.confirm_by = 40 * NOW;
	r.rate_limit = 100;
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, &r, 1, 10 * (int64_t)NOW, NULL), 0);
	(void)install(&k, set, 0);
	assert_int_equal(k.row[9].until[1], 30 * NOW);
	assert_int_equal(k.row[9].rate_ns[1], 10000000);
	/* the wall clock was put right a little: the same set, the deadline follows */
	assert_int_equal(ps_rule_set_compile(set, &r, 1, 10 * (int64_t)NOW + 1000, NULL), 0);
	assert_int_equal(install(&k, set, 0), 1);
	assert_int_equal(k.row[9].until[1], 30 * NOW - 1000);
	/* another deadline is another set */
	r.confirm_by = 0;
	assert_int_equal(ps_rule_set_compile(set, &r, 1, 10 * (int64_t)NOW, NULL), 0);
	assert_int_equal(install(&k, set, 0), 2);
	assert_int_equal(k.row[9].until[0], 40 * NOW);
}

static void asks_for_room(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *set = NULL;
	struct ps_error err = {0};
	struct ps_rule r;

	(void)state;
	mk_init(&k, 1, 1);
	ps_rule_defaults(&r);
	r.id = PS_RULES_MAX - 1;
	r.enabled = true;
	assert_int_equal(ps_rule_set_new(&set), 0);
	assert_int_equal(ps_rule_set_compile(set, &r, 1, 0, NULL), 0);
	k.no_room = true;
	assert_int_equal(ps_rule_install_prepare(&k.view, set, NOW, &err), -ETIMEDOUT);
	assert_int_equal(err.status, 503);
	k.no_room = false;
	assert_int_equal(ps_rule_install_prepare(&k.view, set, NOW, NULL), 0);
	assert_int_equal(k.view.rule_row_chunks, PS_ROW_CHUNKS);
	assert_int_equal(k.view.rule_unit_chunks, 1);
	assert_int_equal(ps_rule_install_hits(&k.view, PS_RULES_MAX - 1).packets, 0);
}

static void hits(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;

	(void)state;
	mk_init(&k, 1, 1);
	k.row[6].hits = k.row[7].hits = k.row[8].hits =
		(struct ps_rule_hits){.packets = 3, .bytes = 180, .first_hit = 1, .last_hit = 2};
	ps_rule_install_clear_hits(&k.view, 7);
	assert_int_equal(ps_rule_install_hits(&k.view, 7).packets, 0);
	assert_int_equal(ps_rule_install_hits(&k.view, 7).last_hit, 0);
	assert_int_equal(ps_rule_install_hits(&k.view, 6).packets, 3);
	assert_int_equal(ps_rule_install_hits(&k.view, 8).bytes, 180);
	/* where there is no row yet, there were no hits */
	assert_int_equal(ps_rule_install_hits(&k.view, PS_ROW_CHUNK).packets, 0);
	ps_rule_install_clear_hits(&k.view, PS_ROW_CHUNK);
}

/* Slow packets may still read the half that was in force: it is written no sooner than that after the switch. A change
 * that comes later than that waits for nothing. */
static void a_half_rests_before_it_is_written(void **state)
{
	_cleanup_(mk_free) struct memory_kernel k;
	_set_ *a = set_of(22), *b = set_of(80);
	uint64_t began, switched, least = UINT64_MAX;

	(void)state;
	mk_init(&k, 1, 1);
	(void)install(&k, a, 0);
	for (int i = 1; i < 10; i++) {
		switched = k.view.rule_switched;
		(void)install(&k, i % 2 ? b : a, 0);
		assert_true(k.view.rule_switched - switched >= PS_RULE_GRACE_NS);
	}
	for (int i = 0; i < 50 && least >= PS_RULE_GRACE_NS; i++) { /* others may have the processor meanwhile */
		k.view.rule_switched -= PS_RULE_GRACE_NS;
		began = ps_clock_boot();
		(void)install(&k, i % 2 ? b : a, 0);
		least = PS_MIN(least, ps_clock_boot() - began);
	}
	assert_true(least < PS_RULE_GRACE_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_take_turns),
		cmocka_unit_test(generation_is_never_zero),
		cmocka_unit_test(unconfirmed_set_gives_way),
		cmocka_unit_test(confirmed_or_taken_back),
		cmocka_unit_test(changes_reach_both_halves),
		cmocka_unit_test(deadlines_and_rates_are_in_the_rows),
		cmocka_unit_test(asks_for_room),
		cmocka_unit_test(hits),
		cmocka_unit_test(a_half_rests_before_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
