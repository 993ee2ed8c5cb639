/* The bounded table: against a plain list, at its limit, and as it grows and shrinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/tracks.h"

#define KEYS 512u

static struct ps_tracks *make(size_t limit, ps_track_fn fn, void *arg)
{
	struct ps_tracks *t = NULL;

	assert_int_equal(ps_tracks_new(sizeof(uint64_t), sizeof(uint64_t), limit, fn, arg, &t), 0);
	return t;
}

static void put(struct ps_tracks *t, uint64_t key, uint64_t value, uint64_t now)
{
	uint64_t *v = ps_tracks_get(t, &key, now);

	assert_non_null(v);
	*v = value;
}

static void made_zeroed_found_removed(void **state)
{
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(10, NULL, NULL);
	uint64_t key = 7, other = 8, *v = ps_tracks_get(t, &key, 1);

	(void)state;
	assert_int_equal(*v, 0);
	*v = 42;
	assert_int_equal(*(uint64_t *)ps_tracks_find(t, &key), 42);
	assert_int_equal(*(uint64_t *)ps_tracks_get(t, &key, 2), 42);
	assert_null(ps_tracks_find(t, &other));
	ps_tracks_remove(t, &other);
	ps_tracks_remove(t, &key);
	assert_null(ps_tracks_find(t, &key));
	assert_int_equal(*(uint64_t *)ps_tracks_get(t, &key, 3), 0);
}

static void dropped(void *arg, const void *key, void *value, uint64_t touched)
{
	uint64_t *log = arg;

	(void)touched;
	assert_int_equal(*(const uint64_t *)key * 10, *(uint64_t *)value);
	log[++log[0]] = *(const uint64_t *)key;
}

static void the_oldest_makes_room(void **state)
{
	uint64_t log[8] = {0}, one = 1;
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(3, dropped, log);
	struct ps_tracks_usage usage = {0};

	(void)state;
	for (uint64_t k = 1; k <= 3; k++)
		put(t, k, k * 10, k);
	(void)ps_tracks_get(t, &one, 4);
	put(t, 4, 40, 5);
	put(t, 5, 50, 6);
	assert_int_equal(log[0], 2);
	assert_int_equal(log[1], 2);
	assert_int_equal(log[2], 3);
	assert_non_null(ps_tracks_find(t, &one));
	ps_tracks_usage(t, &usage);
	assert_int_equal(usage.tracks, 3);
	assert_int_equal(usage.evicted, 2);
}

static void expires_what_was_touched_before(void **state)
{
	uint64_t log[8] = {0}, two = 2;
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(10, dropped, log);

	(void)state;
	for (uint64_t k = 1; k <= 4; k++)
		put(t, k, k * 10, k);
	(void)ps_tracks_get(t, &two, 9);
	ps_tracks_expire(t, 4);
	assert_int_equal(log[0], 2);
	assert_int_equal(log[1], 1);
	assert_int_equal(log[2], 3);
}

static void walks_from_the_newest(void **state)
{
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(1000, NULL, NULL);
	const void *key;
	uint64_t touched;
	uint32_t cursor = 0;

	(void)state;
	for (uint64_t k = 1; k <= 300; k++)
		put(t, k, k, k);
	for (uint64_t k = 300; k > 0; k--) {
		uint64_t *v = ps_tracks_walk(t, &cursor, &key, &touched);

		assert_int_equal(*v, k);
		assert_int_equal(*(const uint64_t *)key, k);
		assert_int_equal(touched, k);
	}
	assert_null(ps_tracks_walk(t, &cursor, NULL, NULL));
}

static void gives_memory_back(void **state)
{
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(100000, NULL, NULL);
	struct ps_tracks_usage empty = {0}, full = {0}, after = {0};

	(void)state;
	ps_tracks_usage(t, &empty);
	for (uint64_t k = 1; k <= 100000; k++)
		put(t, k, k, k);
	ps_tracks_usage(t, &full);
	assert_int_equal(full.tracks, 100000);
	ps_tracks_expire(t, 99990);
	ps_tracks_usage(t, &after);
	assert_int_equal(after.tracks, 11);
	assert_true(after.bytes < full.bytes / 100 && after.bytes >= empty.bytes);
	for (uint64_t k = 99990; k <= 100000; k++)
		assert_int_equal(*(uint64_t *)ps_tracks_find(t, &k), k);
}

/* The reference: an array of every key there can be. */
struct plain {
	bool there[KEYS];
	uint64_t value[KEYS], touched[KEYS];
};

static void compare(const struct ps_tracks *t, const struct plain *p)
{
	size_t n = 0, walked = 0;
	uint32_t cursor = 0;
	uint64_t before = UINT64_MAX, touched;

	for (uint64_t k = 0; k < KEYS; k++) {
		const uint64_t *v = ps_tracks_find(t, &k);

		assert_int_equal(v != NULL, p->there[k]);
		if (v)
			assert_int_equal(*v, p->value[k]);
		n += p->there[k];
	}
	while (ps_tracks_walk(t, &cursor, NULL, &touched)) {
		assert_true(touched <= before);
		before = touched;
		walked++;
	}
	assert_int_equal(walked, n);
}

static void as_a_plain_list_would(void **state)
{
	_cleanup_(ps_tracks_free) struct ps_tracks *t = make(KEYS, NULL, NULL);
	static struct plain p;

	(void)state;
	srandom(4);
	for (uint64_t now = 1; now < 20000; now++) {
		uint64_t key = (uint64_t)random() % KEYS;

		if (random() % 3) {
			put(t, key, now, now);
			p.there[key] = true;
			p.value[key] = p.touched[key] = now;
		} else {
			ps_tracks_remove(t, &key);
			p.there[key] = false;
		}
		if (now % 1000 == 0) {
			uint64_t before = now - (uint64_t)random() % 400;

			ps_tracks_expire(t, before);
			for (unsigned k = 0; k < KEYS; k++)
				p.there[k] = p.there[k] && p.touched[k] >= before;
			compare(t, &p);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_zeroed_found_removed),
		cmocka_unit_test(the_oldest_makes_room),
		cmocka_unit_test(expires_what_was_touched_before),
		cmocka_unit_test(walks_from_the_newest),
		cmocka_unit_test(gives_memory_back),
		cmocka_unit_test(as_a_plain_list_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
