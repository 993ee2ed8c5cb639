/* The ring of events against a plain list: what is kept is whole and in order, what is not is counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/event_ring.h"

static const struct ps_event_meta drop = {.topic = PS_TOPIC_DROP}, rule = {.topic = PS_TOPIC_RULE};

static void an_event_is_text(void **state)
{
	_cleanup_(ps_event_ring_free) struct ps_event_ring *r = NULL;
	static const char expected[] = "id: 0000cafe-1\nevent: rule\ndata: {\"a\":1}\n\n";
	const struct ps_event *e;

	(void)state;
	assert_int_equal(ps_event_ring_new(4096, 8, 0xcafe, &r), 0);
	assert_int_equal(ps_event_ring_first(r), ps_event_ring_next(r));
	assert_int_equal(ps_event_ring_add(r, &rule, "rule", "{\"a\":1}", 7), 0);
	e = ps_event_ring_get(r, 1);
	assert_int_equal(e->len, sizeof(expected) - 1);
	assert_memory_equal(ps_event_ring_text(r, e), expected, e->len);
	assert_int_equal(e->ordinal, 1);
}

/* Sizes of every kind: after each step the newest ones are there, whole, and gone + kept = total. */
static void keeps_the_newest(void **state)
{
	_cleanup_(ps_event_ring_free) struct ps_event_ring *r = NULL;
	static char text[900];
	unsigned seed = 7;

	(void)state;
	assert_int_equal(ps_event_ring_new(8192, 16, 1, &r), 0);
	for (uint64_t n = 1; n < 20000; n++) {
		size_t len = (size_t)(rand_r(&seed) % 800) + 16, held = 0;
		uint64_t kept[2] = {0, 0};

		memset(text, 'a' + (int)(n % 26), len);
		assert_int_equal(ps_event_ring_add(r, n % 3 ? &drop : &rule, "x", text, len), 0);
		assert_int_equal(ps_event_ring_next(r), n + 1);
		assert_true(ps_event_ring_next(r) - ps_event_ring_first(r) <= 16);
		for (uint64_t i = ps_event_ring_first(r); i <= n; i++) {
			const struct ps_event *e = ps_event_ring_get(r, i);
			const char *data = ps_event_ring_text(r, e);
			char id[64];

			(void)snprintf(id, sizeof(id), "id: 00000001-%llu\n", (unsigned long long)i);
			assert_memory_equal(data, id, strlen(id));
			assert_int_equal(data[e->len - 3], 'a' + (int)(i % 26));
			assert_memory_equal(data + e->len - 2, "\n\n", 2);
			held += e->len;
			kept[e->meta.topic == PS_TOPIC_RULE]++;
		}
		assert_true(held <= 8192);
		assert_true(n < 16 || held > 8192 / 4); /* it does not throw away what it could keep */
		assert_int_equal(ps_event_ring_gone(r, PS_TOPIC_RULE) + kept[1], ps_event_ring_total(r, PS_TOPIC_RULE));
		assert_int_equal(ps_event_ring_gone(r, PS_TOPIC_DROP) + kept[0], ps_event_ring_total(r, PS_TOPIC_DROP));
	}
}

static void one_that_is_too_large_is_counted(void **state)
{
	_cleanup_(ps_event_ring_free) struct ps_event_ring *r = NULL;
	static char text[2000];

	(void)state;
	assert_int_equal(ps_event_ring_new(4096, 8, 1, &r), 0);
	assert_int_equal(ps_event_ring_add(r, &rule, "rule", "{}", 2), 0);
	memset(text, 'x', sizeof(text));
	assert_int_equal(ps_event_ring_add(r, &drop, "drop", text, sizeof(text)), -E2BIG);
	assert_int_equal(ps_event_ring_total(r, PS_TOPIC_DROP), 1);
	assert_int_equal(ps_event_ring_gone(r, PS_TOPIC_DROP), 1);
	assert_int_equal(ps_event_ring_first(r), ps_event_ring_next(r));
	assert_int_equal(ps_event_ring_add(r, &rule, "rule", "{}", 2), 0);
	assert_int_equal(ps_event_ring_get(r, ps_event_ring_first(r))->ordinal, 2);
}

static void ids(void **state)
{
	static const char *const bad[] = {
		"", "0000cafe", "0000cafe-", "0000cafe-3", "0000cafe-1x", "0000beef-1", "-1", "x-1"};
	_cleanup_(ps_event_ring_free) struct ps_event_ring *r = NULL;
	uint64_t number = 0;

	(void)state;
	assert_int_equal(ps_event_ring_new(4096, 8, 0xcafe, &r), 0);
	assert_int_equal(ps_event_ring_add(r, &rule, "rule", "{}", 2), 0);
	assert_int_equal(ps_event_ring_add(r, &rule, "rule", "{}", 2), 0);
	assert_int_equal(ps_event_ring_parse(r, "0000cafe-2", &number), 0);
	assert_int_equal(number, 2);
	for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
		assert_int_equal(ps_event_ring_parse(r, bad[i], &number), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_text),
		cmocka_unit_test(keeps_the_newest),
		cmocka_unit_test(one_that_is_too_large_is_counted),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
