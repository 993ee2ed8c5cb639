/* What begins and ends by itself: confirmation and its deadline, expiry, restart and reboot; and many rules at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/rule_install.h"
#include "aggregator/rule_store.h"
#include "common/base/clock.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/rule_maker.h"
#include "tests/unit/tempdir.h"

#define SEC PS_NSEC
#define HITS(id) f->k.row[id].hits
#define _result_ _cleanup_(ps_rule_result_clear) struct ps_rule_result

struct fixture {
	char dir[160];
	struct memory_kernel k;
	struct ps_rule_store *s;
	uint64_t time, boot;
	char told[8][16]; /* what happened by itself, newest last */
	unsigned n_told;
};

static void open_store(struct fixture *f, const char *boot_id)
{
	ps_rule_store_free(&f->s);
	assert_int_equal(ps_rule_store_new(f->dir, boot_id, f->time, f->boot, &f->s, NULL), 0);
	assert_true(ps_rule_store_attach(f->s, &f->k.view, f->time, f->boot, NULL) >= 0);
}

static int setup(void **state)
{
	static int number;
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "%s/time%d", tempdir, number++);
	mk_init(&f->k, 1, 1);
	f->boot = ps_clock_boot();
	f->time = RM_NOW;
	open_store(f, "boot");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_rule_store_free(&f->s);
	mk_free(&f->k);
	free(f);
	return 0;
}

static struct ps_rule_actor me(const struct fixture *f)
{
	return (struct ps_rule_actor){.who = "test", .time = f->time, .boot = f->boot};
}

static void told(void *arg, const char *action, const struct ps_rule_result *res)
{
	struct fixture *f = arg;

	assert_true(res->changed);
	assert_true(f->n_told < PS_ARRAY_SIZE(f->told));
	(void)snprintf(f->told[f->n_told++], sizeof(f->told[0]), "%s", action);
}

static void pass(struct fixture *f, uint64_t seconds)
{
	f->time += seconds * SEC;
	f->boot += seconds * SEC;
	ps_rule_store_tick(f->s, f->time, f->boot, told, f);
}

static int create(struct fixture *f, const char *text, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = rm_json(text);
	const struct ps_rule_actor a = me(f);
	_result_ res = {0};
	int r = ps_rule_store_create(f->s, body, &a, &res, err);

	return r < 0 ? r : res.after.id;
}

static size_t count(const struct fixture *f)
{
	size_t n;

	(void)ps_rule_store_rules(f->s, &n);
	return n;
}

static void a_new_rule_that_is_not_confirmed_goes(void **state)
{
	struct fixture *f = *state;
	struct ps_rule_actor a;
	_result_ res = {0};
	struct ps_error err = {0};

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true, \"confirm_within\": 60}", NULL), 0);
	assert_int_equal(ps_rule_store_find(f->s, 0)->confirm_by, f->time + 60 * SEC);
	/* others may come meanwhile */
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.2\", \"enabled\": true, \"confirm_within\": 100}", NULL), 1);
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.3\", \"enabled\": true}", NULL), 2);
	pass(f, 59);
	assert_int_equal(count(f), 3);
	pass(f, 1);
	assert_int_equal(count(f), 2);
	assert_null(ps_rule_store_find(f->s, 0));
	assert_int_equal(f->n_told, 1);
	assert_string_equal(f->told[0], "rollback");
	/* one is confirmed, and stays */
	a = me(f);
	assert_int_equal(ps_rule_store_confirm(f->s, 1, &a, &res, &err), 0);
	assert_int_equal(res.after.confirm_by, 0);
	pass(f, 100);
	assert_int_equal(count(f), 2);
	a = me(f);
	ps_rule_result_clear(&res);
	assert_int_equal(ps_rule_store_confirm(f->s, 1, &a, &res, &err), -ENOENT);
	assert_int_equal(err.status, 409);
	assert_int_equal(ps_rule_store_confirm(f->s, 0, &a, &res, &err), -ENOENT);
	assert_int_equal(err.status, 404);
}

static int delete_within(struct fixture *f, int64_t id, uint32_t seconds, struct ps_error *err)
{
	struct ps_rule_actor a = me(f);
	_result_ res = {0};

	a.confirm_within = seconds;
	return ps_rule_store_delete(f->s, id, &a, &res, err);
}

static void a_deletion_that_is_not_confirmed_comes_back(void **state)
{
	struct fixture *f = *state;
	struct ps_error err = {0};
	uint32_t revision;

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true}", NULL), 0);
	HITS(0).packets = 9;
	revision = ps_rule_store_revision(f->s);
	assert_int_equal(delete_within(f, 0, 30, NULL), 0);
	assert_int_equal(count(f), 0);
	/* both halves are in use */
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.2\", \"enabled\": true}", &err), -EBUSY);
	assert_int_equal(err.status, 409);
	assert_string_equal(err.code, "confirm_pending");
	/* a restart of ours does not change that */
	open_store(f, "boot");
	assert_int_equal(count(f), 0);
	assert_int_equal(create(f, "{}", &err), -EBUSY);
	pass(f, 30);
	assert_int_equal(count(f), 1);
	assert_int_equal(HITS(0).packets, 9);
	assert_string_equal(f->told[0], "rollback");
	assert_int_equal(ps_rule_store_revision(f->s), revision);
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.2\", \"enabled\": true}", &err), 1);
	/* and the next start agrees */
	open_store(f, "boot");
	assert_int_equal(count(f), 2);
}

static void a_deletion_that_is_confirmed_stays(void **state)
{
	struct fixture *f = *state;
	struct ps_rule_actor a;
	_result_ res = {0};

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true}", NULL), 0);
	HITS(0).packets = 9;
	assert_int_equal(delete_within(f, 0, 30, NULL), 0);
	open_store(f, "boot");
	pass(f, 10);
	a = me(f);
	assert_int_equal(ps_rule_store_confirm(f->s, -1, &a, &res, NULL), 0);
	assert_int_equal(HITS(0).packets, 0);
	pass(f, 60);
	assert_int_equal(count(f), 0);
	assert_int_equal(f->n_told, 0);
	open_store(f, "boot");
	assert_int_equal(count(f), 0);
	assert_int_equal(create(f, "{}", NULL), 0);
}

static void a_reboot_undoes_what_was_not_confirmed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true}", NULL), 0);
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.2\", \"enabled\": true, \"confirm_within\": 3600}", NULL), 1);
	assert_int_equal(delete_within(f, 0, 3600, NULL), 0);
	/* new maps, a new clock */
	mk_free(&f->k);
	mk_init(&f->k, 1, 2);
	f->boot = 5 * SEC;
	open_store(f, "another boot");
	pass(f, 1);
	assert_int_equal(count(f), 1);
	assert_non_null(ps_rule_store_find(f->s, 0));
}

static void new_maps_get_both_sets(void **state)
{
	struct fixture *f = *state;
	struct ps_rule_pending waits;

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true}", NULL), 0);
	assert_int_equal(delete_within(f, 0, 600, NULL), 0);
	(void)ps_rule_store_attach(f->s, NULL, 0, 0, NULL);
	mk_free(&f->k);
	mk_init(&f->k, 1, 2);
	assert_int_equal(ps_rule_store_attach(f->s, &f->k.view, f->time, f->boot, NULL), 1);
	waits = ps_rule_install_pending(&f->k.view);
	assert_int_equal(waits.confirm_by, f->boot + 600 * SEC);
	pass(f, 600);
	assert_int_equal(count(f), 1);
}

static void a_rule_whose_time_is_up_is_listed_for_an_hour(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.1\", \"enabled\": true, \"ttl\": 60}", NULL), 0);
	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.2\", \"enabled\": true}", NULL), 1);
	pass(f, 59);
	assert_int_equal(f->n_told, 0);
	pass(f, 1);
	assert_int_equal(f->n_told, 1);
	assert_string_equal(f->told[0], "expire");
	assert_true(ps_rule_expired(ps_rule_store_find(f->s, 0), f->time));
	pass(f, 3598);
	assert_int_equal(count(f), 2);
	open_store(f, "boot");
	assert_int_equal(count(f), 2);
	pass(f, 2);
	assert_int_equal(count(f), 1);
	assert_int_equal(f->n_told, 2);
	open_store(f, "boot");
	assert_int_equal(count(f), 1);
	assert_int_equal(ps_rule_store_rules(f->s, &(size_t){0})->id, 1);
}

static void a_rule_that_was_seen_by_another(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ps_value_free) struct ps_value *body = rm_json("{\"comment\": \"x\"}");
	struct ps_rule_actor a = me(f);
	struct ps_error err = {0};
	_result_ res = {0};

	assert_int_equal(create(f, "{}", NULL), 0);
	assert_int_equal(create(f, "{}", NULL), 1);
	a.conditional = true;
	a.if_generation = ps_rule_store_find(f->s, 0)->generation;
	assert_int_equal(ps_rule_store_update(f->s, 0, body, &a, &res, &err), 0);
	assert_true(res.after.generation > a.if_generation);
	ps_rule_result_clear(&res);
	assert_int_equal(ps_rule_store_delete(f->s, 0, &a, &res, &err), -ESTALE);
	assert_int_equal(err.status, 412);
}

static void promote_and_guard(void **state)
{
	struct fixture *f = *state;
	const struct ps_guard_flow ssh = {.kind = PS_GUARD_SSH,
		.proto = 6,
		.local = {.family = 4, .word = {htonl(0xc0000201)}},
		.local_port = 22,
		.remote = {.family = 4, .word = {htonl(0xcb007107)}},
		.remote_port = 50000};
	const struct ps_guard guard = {.flows = &ssh, .n_flows = 1, .now = f->time};
	_cleanup_(ps_value_free) struct ps_value *report = ps_value_list();
	struct ps_rule_actor a = me(f);
	struct ps_error err = {0};
	_result_ res = {0};

	assert_int_equal(
		create(f, "{\"src_ip\": \"203.0.113.0/24\", \"enabled\": true, \"mode\": \"shadow\"}", NULL), 0);
	a.guard = &guard;
	a.report = report;
	assert_int_equal(ps_rule_store_promote(f->s, 0, &a, &res, &err), -EPERM);
	assert_int_equal(err.status, 409);
	assert_string_equal(err.code, "lockout");
	assert_int_equal(ps_value_count(report), 1);
	assert_int_equal(ps_rule_store_find(f->s, 0)->mode, PS_MODE_SHADOW);
	a.force = true;
	assert_int_equal(ps_rule_store_promote(f->s, 0, &a, &res, &err), 0);
	assert_int_equal(ps_rule_store_find(f->s, 0)->mode, PS_MODE_ENFORCE);
}

static struct ps_rule_array addresses(uint32_t first, size_t n)
{
	struct ps_rule_array rules = {0};

	assert_int_equal(ps_rule_array_reserve(&rules, n + 1), 0);
	for (; rules.n < n; rules.n++) {
		struct ps_rule *rule = &rules.rules[rules.n];

		ps_rule_defaults(rule);
		rule->enabled = true;
		rule->src_ip =
			(struct ps_net){.addr = {.family = 4, .word = {htonl(first + (uint32_t)rules.n)}}, .len = 32};
	}
	return rules;
}

static void all_rules_at_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = addresses(0x0a000000, 100);
	struct ps_rule_actor a = me(f);
	struct ps_error err = {0};
	_result_ res = {0};

	assert_int_equal(create(f, "{\"src_ip\": \"10.9.9.9\", \"enabled\": true}", NULL), 0);
	assert_int_equal(create(f, "{\"src_ip\": \"10.9.9.8\", \"enabled\": true}", NULL), 1);
	HITS(0).packets = 5;
	HITS(1).packets = 6;
	HITS(7).packets = 7;    /* left by one that was */
	rules.rules[50].id = 0; /* keeps its counters */
	rules.rules[51].id = 200;
	assert_int_equal(ps_rule_store_replace(f->s, &rules, &a, &res, &err), 0);
	assert_int_equal(res.n_before, 2);
	assert_int_equal(res.n_after, 100);
	assert_int_equal(count(f), 100);
	assert_int_equal(HITS(0).packets, 5);
	assert_int_equal(HITS(7).packets, 0);
	assert_non_null(ps_rule_store_find(f->s, 200));
	open_store(f, "boot");
	assert_int_equal(count(f), 100);
	/* an id twice */
	rules = addresses(0x0b000000, 2);
	rules.rules[0].id = rules.rules[1].id = 3;
	assert_int_equal(ps_rule_store_replace(f->s, &rules, &a, &res, &err), -EINVAL);
	assert_string_equal(err.field, "id");
	assert_int_equal(count(f), 100);
	/* for a minute */
	rules.rules[0].id = 4;
	a.confirm_within = 60;
	assert_int_equal(ps_rule_store_replace(f->s, &rules, &a, &res, &err), 0);
	assert_int_equal(count(f), 2);
	open_store(f, "boot");
	assert_int_equal(count(f), 2);
	pass(f, 60);
	assert_int_equal(count(f), 100);
	assert_string_equal(f->told[0], "rollback");
	assert_int_equal(HITS(0).packets, 5);
}

static void lists_come_to_what_is_there(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = addresses(0x0a000000, 50),
							   more = addresses(0x0a000019, 50);
	struct ps_rule_actor a = me(f);
	_result_ res = {0};

	assert_int_equal(create(f, "{\"src_ip\": \"10.0.0.3\", \"enabled\": true}", NULL), 0);
	assert_int_equal(ps_rule_store_import(f->s, &rules, &a, &res, NULL), 0);
	assert_int_equal(res.added, 49);
	assert_int_equal(res.duplicates, 1);
	assert_int_equal(res.first_id, 1);
	assert_int_equal(res.last_id, 49);
	a.confirm_within = 60;
	assert_int_equal(ps_rule_store_import(f->s, &more, &a, &res, NULL), 0);
	assert_int_equal(res.added, 25);
	assert_int_equal(count(f), 75);
	pass(f, 60);
	assert_int_equal(count(f), 50);
	open_store(f, "boot");
	assert_int_equal(count(f), 50);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_new_rule_that_is_not_confirmed_goes),
		TEST(a_deletion_that_is_not_confirmed_comes_back),
		TEST(a_deletion_that_is_confirmed_stays),
		TEST(a_reboot_undoes_what_was_not_confirmed),
		TEST(new_maps_get_both_sets),
		TEST(a_rule_whose_time_is_up_is_listed_for_an_hour),
		TEST(a_rule_that_was_seen_by_another),
		TEST(promote_and_guard),
		TEST(all_rules_at_once),
		TEST(lists_come_to_what_is_there),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
