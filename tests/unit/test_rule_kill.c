/*
 * A process that is killed at any system call of a change leaves the old set or the new one, never less: a child makes
 * the change, traced, and is killed at its first system call, at its second, and so on, each time from the same
 * beginning. PS_KILL_STEP: only at each so many-th (for slow machines).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/rule_store.h"
#include "common/base/clock.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/rule_maker.h"
#include "tests/unit/tempdir.h"

#define _result_ _cleanup_(ps_rule_result_clear) struct ps_rule_result

struct stage {
	char dir[160];
	struct memory_kernel k;
	struct ps_rule_store *s;
	uint64_t boot;
};

static void open_stage(struct stage *st)
{
	assert_int_equal(ps_rule_store_new(st->dir, "boot", RM_NOW, st->boot, &st->s, NULL), 0);
	assert_true(ps_rule_store_attach(st->s, &st->k.view, RM_NOW, st->boot, NULL) >= 0);
}

static struct ps_rule_actor me(const struct stage *st)
{
	return (struct ps_rule_actor){.who = "test", .time = RM_NOW, .boot = st->boot};
}

static struct ps_rule_array addresses(size_t n, uint32_t first)
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

/* A new directory with so many rules, and one more change in the log if there is one. */
static void set_up(struct stage *st, size_t n)
{
	static int number;
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = addresses(n, 0x0a000000);
	_result_ res = {0};
	struct ps_rule_actor a;

	memset(st, 0, sizeof(*st));
	(void)snprintf(st->dir, sizeof(st->dir), "%s/kill%d", tempdir, number++);
	mk_init(&st->k, 1, 1);
	st->boot = ps_clock_boot();
	open_stage(st);
	a = me(st);
	assert_int_equal(ps_rule_store_replace(st->s, &rules, &a, &res, NULL), 0);
}

static void tear_down(struct stage *st)
{
	ps_rule_store_free(&st->s);
	mk_free(&st->k);
}

/* --- the changes ------------------------------------------------------------------------------------ */

static int do_create(struct stage *st)
{
	_cleanup_(ps_value_free) struct ps_value *body = rm_json("{\"src_ip\": \"192.0.2.1\", \"enabled\": true}");
	struct ps_rule_actor a = me(st);
	_result_ res = {0};

	return ps_rule_store_create(st->s, body, &a, &res, NULL);
}

static int do_delete(struct stage *st)
{
	struct ps_rule_actor a = me(st);
	_result_ res = {0};

	return ps_rule_store_delete(st->s, 0, &a, &res, NULL);
}

static int do_replace(struct stage *st)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = addresses(7, 0x0b000000);
	struct ps_rule_actor a = me(st);
	_result_ res = {0};

	return ps_rule_store_replace(st->s, &rules, &a, &res, NULL);
}

static int do_pending(struct stage *st)
{
	struct ps_rule_actor a = me(st);
	_result_ res = {0};

	a.confirm_within = 3600;
	return ps_rule_store_delete(st->s, 0, &a, &res, NULL);
}

static int do_confirm(struct stage *st)
{
	struct ps_rule_actor a = me(st);
	_result_ res = {0};
	int r = do_pending(st);

	return r < 0 ? r : ps_rule_store_confirm(st->s, -1, &a, &res, NULL);
}

static int do_import(struct stage *st)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = addresses(7, 0x0b000000);
	struct ps_rule_actor a = me(st);
	_result_ res = {0};

	return ps_rule_store_import(st->s, &rules, &a, &res, NULL);
}

static int do_rollback(struct stage *st)
{
	int r = do_pending(st);

	ps_rule_store_tick(st->s, RM_NOW + 3600 * PS_NSEC, st->boot + 3600 * PS_NSEC, NULL, NULL);
	return r;
}

/* --- the killing -------------------------------------------------------------------------------------- */

/* Runs the change in a child that is killed at its stop number `at` (each call has two: before and behind). True: it
 * was done before. */
static bool run_until(struct stage *st, int (*change)(struct stage *), unsigned at)
{
	pid_t child = fork();
	unsigned stops = 0;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		(void)raise(SIGSTOP);
		_exit(change(st) < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return true;
		}
		assert_true(WIFSTOPPED(status));
		if (++stops < at)
			continue;
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		return false;
	}
}

struct outcome {
	size_t n;
	int32_t first;
	uint32_t addr;
};

static struct outcome outcome_of(const struct ps_rule_store *s)
{
	struct outcome o = {0};
	const struct ps_rule *rules = ps_rule_store_rules(s, &o.n);

	o.first = o.n ? rules[0].id : -1;
	o.addr = o.n ? rules[0].src_ip.addr.word[0] : 0;
	return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->n == b->n && a->first == b->first && a->addr == b->addr;
}

/* What the next start finds. */
static struct outcome next_start(struct stage *st)
{
	struct outcome o;

	ps_rule_store_free(&st->s);
	assert_int_equal(ps_rule_store_new(st->dir, "boot", RM_NOW, st->boot, &st->s, NULL), 0);
	assert_int_equal(ps_value_count(ps_rule_store_warnings(st->s)), 0);
	o = outcome_of(st->s);
	/* and it can go on from there */
	assert_true(ps_rule_store_attach(st->s, &st->k.view, RM_NOW, st->boot, NULL) >= 0);
	return o;
}

static unsigned kill_everywhere(const char *what, size_t n, int (*change)(struct stage *))
{
	const char *step = getenv("PS_KILL_STEP");
	unsigned by = step ? (unsigned)PS_MAX(atoi(step), 1) : 1, points = 0, news = 0;
	struct outcome after;
	bool done = false;

	{
		struct stage st;

		set_up(&st, n);
		assert_int_equal(change(&st), 0);
		after = outcome_of(st.s);
		tear_down(&st);
	}
	for (unsigned at = 1; !done; at += by) {
		struct stage st;
		struct outcome before, found;

		set_up(&st, n);
		before = outcome_of(st.s);
		done = run_until(&st, change, at);
		found = next_start(&st);
		/* A change for a while that was undone passes through what it was for. */
		if (!same(&found, &before) && !same(&found, &after) && change != do_rollback)
			fail_msg("%s, killed at stop %u: %zu rules, first %d", what, at, found.n, found.first);
		if (done)
			assert_true(same(&found, &after));
		else
			points++;
		news += same(&found, &after);
		if (same(&found, &before))
			assert_true(do_create(&st) >= 0);
		tear_down(&st);
	}
	print_message("%s: %u points, %u with the new set\n", what, points, news);
	return points;
}

static void at_every_system_call(void **state)
{
	unsigned points = 0;

	(void)state;
	points += kill_everywhere("one more rule, written whole", 3, do_create);
	points += kill_everywhere("one rule less, written whole", 3, do_delete);
	points += kill_everywhere("one more rule, in the log", PS_RULES_SMALL + 1, do_create);
	points += kill_everywhere("one rule less, in the log", PS_RULES_SMALL + 5, do_delete);
	points += kill_everywhere("a whole set", 3, do_replace);
	points += kill_everywhere("a whole set in the place of a large one", PS_RULES_SMALL + 1, do_replace);
	points += kill_everywhere("a change for a while", 3, do_pending);
	points += kill_everywhere("and its confirmation", 3, do_confirm);
	points += kill_everywhere("a list", 3, do_import);
	points += kill_everywhere("a change that is undone", 3, do_rollback);
	points += kill_everywhere("a list to a large set", PS_RULES_SMALL + 1, do_import);
	print_message("%u points in all\n", points);
	if (!getenv("PS_KILL_STEP"))
		assert_true(points >= 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_every_system_call),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
