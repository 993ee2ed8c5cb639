/* Records in any order make the same table; what ended stays ended; nothing is met twice or lost while walking. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/model/conn_table.h"
#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/limits.h"
#include "tests/unit/memory_kernel.h"

static struct ps_conn rec(uint64_t id, uint64_t packets)
{
	struct ps_conn c;

	memset(&c, 0, sizeof(c));
	c.id = id;
	c.proto = 6;
	c.orig_packets = packets;
	c.orig_bytes = packets * 100;
	c.rule_id = -1;
	return c;
}

static int put(struct ps_conn_table *t, uint64_t id, uint64_t packets, bool end, uint64_t now)
{
	struct ps_conn c = rec(id, packets);

	c.end_reason = end ? PS_END_FIN : PS_END_NONE;
	return ps_conn_table_apply(t, &c, end, now);
}

static struct ps_conn_totals totals(const struct ps_conn_table *t)
{
	struct ps_conn_totals n;

	ps_conn_table_totals(t, &n);
	return n;
}

static void newest_wins(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	bool ended = true;

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	assert_null(ps_conn_table_find(t, 5, NULL));
	assert_int_equal(put(t, 5, 3, false, 1), PS_CHANGE_NEW);
	assert_int_equal(put(t, 5, 2, false, 1), PS_CHANGE_NONE);
	assert_int_equal(put(t, 5, 3, false, 1), PS_CHANGE_NONE);
	assert_int_equal(ps_conn_table_find(t, 5, &ended)->orig_packets, 3);
	assert_false(ended);
	assert_int_equal(put(t, 5, 9, false, 1), PS_CHANGE_UPDATE);
	assert_int_equal(ps_conn_table_find(t, 5, NULL)->orig_packets, 9);
	assert_int_equal(put(t, 0, 1, false, 1), -EINVAL);
	assert_int_equal(totals(t).live, 1);
}

static void same_counters_other_state(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	struct ps_conn c = rec(5, 3);

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	assert_int_equal(ps_conn_table_apply(t, &c, false, 1), PS_CHANGE_NEW);
	c.state = PS_TCP_ESTABLISHED;
	assert_int_equal(ps_conn_table_apply(t, &c, false, 1), PS_CHANGE_UPDATE);
	c.orig_bytes += 1; /* the byte counter may be seen after the packet counter */
	assert_int_equal(ps_conn_table_apply(t, &c, false, 1), PS_CHANGE_UPDATE);
	c.last_seen += 17; /* the wall clock was slewed: no news */
	assert_int_equal(ps_conn_table_apply(t, &c, false, 1), PS_CHANGE_NONE);
}

static void first_seen_does_not_wobble(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	struct ps_conn c = rec(5, 3);

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	c.first_seen = 1000 * MK_SEC;
	(void)ps_conn_table_apply(t, &c, false, 1);
	c.orig_packets++;
	c.first_seen += 250; /* another program read the clocks */
	assert_int_equal(ps_conn_table_apply(t, &c, false, 1), PS_CHANGE_UPDATE);
	assert_int_equal(ps_conn_table_find(t, 5, NULL)->first_seen, 1000 * MK_SEC);
	c.orig_packets++;
	c.first_seen = 5000 * MK_SEC; /* the wall clock was set */
	(void)ps_conn_table_apply(t, &c, false, 1);
	assert_int_equal(ps_conn_table_find(t, 5, NULL)->first_seen, 5000 * MK_SEC);
}

static void ended_stays_ended(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	bool ended = false;

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	assert_int_equal(put(t, 5, 3, false, 1), PS_CHANGE_NEW);
	assert_int_equal(put(t, 5, 7, true, 1), PS_CHANGE_END);
	assert_int_equal(put(t, 5, 8, false, 1), PS_CHANGE_NONE);
	assert_int_equal(ps_conn_table_find(t, 5, &ended)->orig_packets, 7);
	assert_true(ended);
	/* better final counters replace, worse ones do not */
	assert_int_equal(put(t, 5, 9, true, 2), PS_CHANGE_UPDATE);
	assert_int_equal(put(t, 5, 8, true, 2), PS_CHANGE_NONE);
	assert_int_equal(ps_conn_table_find(t, 5, NULL)->orig_packets, 9);
	/* the end before the beginning */
	assert_int_equal(put(t, 6, 4, true, 2), PS_CHANGE_END);
	assert_int_equal(put(t, 6, 1, false, 2), PS_CHANGE_NONE);
	/* an end with older counters ends all the same */
	assert_int_equal(put(t, 7, 4, false, 2), PS_CHANGE_NEW);
	assert_int_equal(put(t, 7, 2, true, 2), PS_CHANGE_END);
	assert_int_equal(ps_conn_table_find(t, 7, NULL)->orig_packets, 4);
	assert_int_equal(ps_conn_table_find(t, 7, NULL)->end_reason, PS_END_FIN);
	assert_int_equal(totals(t).live, 0);
	assert_int_equal(totals(t).ended, 3);
}

static void forgets_by_age_and_number(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	(void)put(t, 1, 1, true, 100);
	(void)put(t, 2, 1, true, 200);
	ps_conn_table_forget(t, 100 + PS_ENDED_NS - 1);
	assert_non_null(ps_conn_table_find(t, 1, NULL));
	ps_conn_table_forget(t, 100 + PS_ENDED_NS);
	assert_null(ps_conn_table_find(t, 1, NULL));
	assert_non_null(ps_conn_table_find(t, 2, NULL));
	for (uint64_t id = 10; id < 10 + PS_ENDED_MAX; id++)
		assert_int_equal(put(t, id, 1, true, 300), PS_CHANGE_END);
	assert_int_equal(totals(t).ended, PS_ENDED_MAX);
	assert_null(ps_conn_table_find(t, 2, NULL));
	assert_non_null(ps_conn_table_find(t, 10, NULL));
}

static void a_full_table_refuses_and_counts(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;

	(void)state;
	assert_int_equal(ps_conn_table_new(2, &t), 0);
	assert_int_equal(put(t, 1, 1, false, 1), PS_CHANGE_NEW);
	assert_int_equal(put(t, 2, 1, false, 1), PS_CHANGE_NEW);
	assert_int_equal(put(t, 3, 1, false, 1), -ENOSPC);
	assert_int_equal(put(t, 2, 2, false, 1), PS_CHANGE_UPDATE);
	assert_int_equal(totals(t).refused, 1);
	assert_int_equal(put(t, 1, 2, true, 1), PS_CHANGE_END);
	assert_int_equal(put(t, 3, 1, false, 1), PS_CHANGE_NEW);
	ps_conn_table_set_limit(t, 3);
	assert_int_equal(put(t, 4, 1, false, 1), PS_CHANGE_NEW);
}

static void count_ended(void *arg, const struct ps_conn *c)
{
	assert_int_equal(c->end_reason, PS_END_EVICTED);
	*(uint64_t *)arg += c->id;
}

static void unseen_ones_end(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	uint64_t sum = 0;
	bool ended;

	(void)state;
	assert_int_equal(ps_conn_table_new(10, &t), 0);
	for (uint64_t id = 1; id <= 4; id++)
		(void)put(t, id, 5, false, 1);
	ps_conn_table_mark(t);
	(void)put(t, 1, 5, false, 2); /* the same: seen */
	(void)put(t, 3, 6, false, 2);
	(void)put(t, 9, 1, false, 2); /* new: seen */
	assert_int_equal(ps_conn_table_end_unseen(t, PS_END_EVICTED, 2, count_ended, &sum), 2);
	assert_int_equal(sum, 2 + 4);
	assert_non_null(ps_conn_table_find(t, 2, &ended));
	assert_true(ended);
	assert_int_equal(totals(t).live, 3);
	assert_int_equal(ps_conn_table_end_unseen(t, PS_END_EVICTED, 2, NULL, NULL), 0);
}

/* Against the plainest table there is. */
static void like_an_array(void **state)
{
	enum {
		IDS = 3000
	};
	static struct {
		int64_t packets; /* -1 = unknown */
		bool ended;
	} model[IDS];
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	uint64_t rnd = 42;

	(void)state;
	assert_int_equal(ps_conn_table_new(IDS, &t), 0);
	for (int i = 0; i < IDS; i++)
		model[i].packets = -1;
	for (uint64_t step = 1; step < 200000; step++) {
		/* ids of few slots: multiples, as the kernel gives them */
		uint32_t i = mk_random(&rnd) % IDS;
		int64_t packets = (int64_t)(mk_random(&rnd) % 50);
		bool end = mk_random(&rnd) % 100 == 0, ended = false;
		const struct ps_conn *c;

		(void)put(t, 1 + (uint64_t)i * 8192, (uint64_t)packets, end, step * MK_SEC);
		if (!model[i].ended || end)
			model[i].packets = packets > model[i].packets ? packets : model[i].packets;
		model[i].ended |= end;
		c = ps_conn_table_find(t, 1 + (uint64_t)i * 8192, &ended);
		assert_non_null(c);
		assert_int_equal(c->orig_packets, model[i].packets);
		assert_int_equal(ended, model[i].ended);
		if (step % 1000 == 0) {
			ps_conn_table_forget(t, step * MK_SEC);
			for (int k = 0; k < IDS; k++) {
				if (model[k].ended && !ps_conn_table_find(t, 1 + (uint64_t)k * 8192, NULL)) {
					model[k].ended = false;
					model[k].packets = -1;
				}
				assert_int_equal(ps_conn_table_find(t, 1 + (uint64_t)k * 8192, NULL) != NULL,
					model[k].packets >= 0);
			}
		}
	}
}

static void walking_while_it_changes(void **state)
{
	enum {
		N = 5000
	};
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	static unsigned met[2 * N + 1];
	const struct ps_conn *c;
	size_t position = 0;
	uint64_t next = N + 1;
	bool ended;

	(void)state;
	memset(met, 0, sizeof(met));
	assert_int_equal(ps_conn_table_new(4 * N, &t), 0);
	for (uint64_t id = 1; id <= N; id++)
		(void)put(t, id, 1, false, 1);
	while ((c = ps_conn_table_next(t, &position, &ended))) {
		uint64_t id = c->id;

		met[id]++;
		/* every third one ends and a new one comes, while we walk */
		if (next <= 2 * N && id % 3 == 0) {
			(void)put(t, id, 2, true, 1);
			(void)put(t, next++, 1, false, 1);
		}
	}
	for (uint64_t id = 1; id <= N; id++)
		assert_int_equal(met[id], 1);
	for (uint64_t id = N + 1; id < next; id++)
		assert_true(met[id] <= 1);
}

/* Those that were seen in any span of time are found, living ones only, whatever happened to the table before. */
static void seen_in_a_span(void **state)
{
	enum {
		MANY = 3 * PS_CONN_BLOCK + 7
	};
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	static bool met[MANY + 1];
	uint64_t rnd = 9;

	(void)state;
	assert_int_equal(ps_conn_table_new(MANY, &t), 0);
	for (unsigned round = 0; round < 400; round++) {
		uint64_t from = mk_random(&rnd) % 1000, to = round % 3 ? from + mk_random(&rnd) % 300 : UINT64_MAX;
		size_t position = 0, n = 0;
		const struct ps_conn *c;

		for (unsigned i = 0; i < 60; i++) {
			struct ps_conn change = rec(1 + mk_random(&rnd) % MANY, round + 1);

			change.last_seen = mk_random(&rnd) % 1000;
			change.end_reason = PS_END_FIN;
			(void)ps_conn_table_apply(t, &change, mk_random(&rnd) % 4 == 0, round);
		}
		if (round % 50 == 49)
			ps_conn_table_forget(t, PS_ENDED_NS + round - 20);
		memset(met, 0, sizeof(met));
		while ((c = ps_conn_table_seen(t, &position, from, to))) {
			assert_false(met[c->id]);
			met[c->id] = true;
		}
		for (uint64_t id = 1; id <= MANY; id++) {
			bool ended = true;

			c = ps_conn_table_find(t, id, &ended);
			/* A time of zero counts as the first nanosecond. */
			assert_int_equal(met[id], c && !ended && PS_MAX(c->last_seen, 1ull) >= PS_MAX(from, 1ull) &&
							  c->last_seen <= PS_MAX(to, 1ull));
			n += met[id];
		}
		assert_true(round < 10 || to != UINT64_MAX || from > 900 || n > 0);
	}
	ps_conn_table_mark(t);
	assert_true(ps_conn_table_forget_unseen(t, NULL, NULL) > 0);
	assert_null(ps_conn_table_seen(t, &(size_t){0}, 0, UINT64_MAX));
}

/* Large enough for blocks and an index on huge pages: everybody is there, once, in the order of arrival. */
static void many(void **state)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	const uint64_t n = 150000;
	size_t position = 0, met = 0;
	const struct ps_conn *c;
	bool ended;

	(void)state;
	assert_int_equal(ps_conn_table_new(n, &t), 0);
	for (uint64_t id = 1; id <= n; id++)
		assert_int_equal(put(t, id * 7, id, false, 1), PS_CHANGE_NEW);
	for (uint64_t id = 1; id <= n; id++) {
		c = ps_conn_table_find(t, id * 7, NULL);
		assert_non_null(c);
		assert_int_equal(c->orig_packets, id);
	}
	for (; (c = ps_conn_table_next(t, &position, &ended)); met++) {
		assert_int_equal(c->id, (met + 1) * 7);
		assert_false(ended);
	}
	assert_int_equal(met, n);
	assert_int_equal(totals(t).live, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_wins),
		cmocka_unit_test(same_counters_other_state),
		cmocka_unit_test(first_seen_does_not_wobble),
		cmocka_unit_test(ended_stays_ended),
		cmocka_unit_test(forgets_by_age_and_number),
		cmocka_unit_test(a_full_table_refuses_and_counts),
		cmocka_unit_test(unseen_ones_end),
		cmocka_unit_test(like_an_array),
		cmocka_unit_test(walking_while_it_changes),
		cmocka_unit_test(seen_in_a_span),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
