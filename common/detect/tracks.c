/* One block of rows; hash chains and order of touching are links between them. Row 0 stands for none. */
#include "common/detect/tracks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/limits.h"

struct row {
	uint64_t touched;
	uint32_t hash;
	uint32_t chain;
	uint32_t older, newer;
};

struct ps_tracks {
	size_t key_size, stride;
	size_t value_at; /* within a row */
	uint32_t limit;
	ps_track_fn drop;
	void *arg;
	uint64_t seed;

	uint8_t *rows; /* cap + 1 of them */
	uint32_t *heads;
	uint32_t cap, mask; /* mask + 1 heads */
	uint32_t n, free;   /* free: chain of rows that were used and are not */
	uint32_t fresh;     /* rows from here on were never used */
	uint32_t newest, oldest;
	uint64_t evicted;
};

static struct row *row_at(const struct ps_tracks *t, uint32_t i)
{
	return (struct row *)(void *)(t->rows + (size_t)i * t->stride);
}

static uint8_t *key_at(const struct ps_tracks *t, uint32_t i)
{
	return t->rows + (size_t)i * t->stride + sizeof(struct row);
}

static void *value_at(const struct ps_tracks *t, uint32_t i)
{
	return t->rows + (size_t)i * t->stride + t->value_at;
}

/* Keys come from the network, so the hash has a seed that nobody there knows. */
static uint32_t hash_of(const struct ps_tracks *t, const void *key)
{
	uint64_t h = t->seed;

	for (size_t at = 0; at < t->key_size; at += sizeof(uint64_t)) {
		unsigned __int128 product;
		uint64_t word;

		memcpy(&word, (const uint8_t *)key + at, sizeof(word));
		product = (unsigned __int128)(h ^ word ^ 0x9e3779b97f4a7c15ull) * (t->seed | 1);
		h = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (uint32_t)(h ^ h >> 32);
}

/* --- links ---------------------------------------------------------------------------------------- */

static void order_in(struct ps_tracks *t, uint32_t i)
{
	struct row *row = row_at(t, i);

	row->newer = 0;
	row->older = t->newest;
	if (t->newest)
		row_at(t, t->newest)->newer = i;
	else
		t->oldest = i;
	t->newest = i;
}

static void order_out(struct ps_tracks *t, uint32_t i)
{
	struct row *row = row_at(t, i);

	if (row->newer)
		row_at(t, row->newer)->older = row->older;
	else
		t->newest = row->older;
	if (row->older)
		row_at(t, row->older)->newer = row->newer;
	else
		t->oldest = row->newer;
}

static void chain_in(struct ps_tracks *t, uint32_t i)
{
	struct row *row = row_at(t, i);
	uint32_t *head = &t->heads[row->hash & t->mask];

	row->chain = *head;
	*head = i;
}

static void take_out(struct ps_tracks *t, uint32_t i)
{
	uint32_t *link = &t->heads[row_at(t, i)->hash & t->mask];

	while (*link != i)
		link = &row_at(t, *link)->chain;
	*link = row_at(t, i)->chain;
	order_out(t, i);
	row_at(t, i)->chain = t->free;
	t->free = i;
	t->n--;
}

static uint32_t find(const struct ps_tracks *t, const void *key, uint32_t hash)
{
	uint32_t i = t->heads[hash & t->mask];

	while (i && (row_at(t, i)->hash != hash || memcmp(key_at(t, i), key, t->key_size) != 0))
		i = row_at(t, i)->chain;
	return i;
}

/* --- size ----------------------------------------------------------------------------------------- */

/* Moves everything to a block of another size, the oldest first. */
static int resize(struct ps_tracks *t, uint32_t cap)
{
	struct ps_tracks old = *t;
	uint32_t heads = PS_TRACKS_FIRST;

	/* Twice as many as rows: who asks for what is not there mostly finds an empty chain, and touches no row. */
	while (heads < 2 * cap)
		heads *= 2;
	t->rows = malloc((size_t)(cap + 1) * t->stride);
	t->heads = calloc(heads, sizeof(*t->heads));
	if (!t->rows || !t->heads) {
		free(t->rows);
		free(t->heads);
		*t = old;
		return -ENOMEM;
	}
	t->cap = cap;
	t->mask = heads - 1;
	t->free = t->newest = t->oldest = 0;
	t->fresh = 1;
	for (uint32_t i = old.oldest; i; i = row_at(&old, i)->newer) {
		memcpy(row_at(t, t->fresh), row_at(&old, i), t->stride);
		chain_in(t, t->fresh);
		order_in(t, t->fresh++);
	}
	free(old.rows);
	free(old.heads);
	return 0;
}

static void drop_oldest(struct ps_tracks *t)
{
	uint32_t i = t->oldest;

	if (t->drop)
		t->drop(t->arg, key_at(t, i), value_at(t, i), row_at(t, i)->touched);
	take_out(t, i);
}

/* A free row, or 0. */
static uint32_t make_room(struct ps_tracks *t)
{
	uint32_t i;

	if (t->n == t->limit || (t->n == t->cap && resize(t, PS_MIN(t->cap * 2, t->limit)) < 0 && t->n > 0)) {
		drop_oldest(t);
		t->evicted++;
	}
	if (t->free) {
		i = t->free;
		t->free = row_at(t, i)->chain;
		return i;
	}
	return t->fresh <= t->cap ? t->fresh++ : 0;
}

/* --- the table ------------------------------------------------------------------------------------ */

int ps_tracks_new(
	size_t key_size, size_t value_size, size_t limit, ps_track_fn drop, void *arg, struct ps_tracks **ret_tracks)
{
	_cleanup_(ps_tracks_free) struct ps_tracks *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->key_size = key_size;
	t->value_at = sizeof(struct row) + key_size;
	t->stride = (t->value_at + value_size + 7) & ~(size_t)7;
	t->limit = (uint32_t)limit;
	t->drop = drop;
	t->arg = arg;
	/* Where the system put this: nothing that is visible depends on it. */
	t->seed = (uint64_t)(uintptr_t)t * 0xd1342543de82ef95ull;
	if (resize(t, PS_MIN(PS_TRACKS_FIRST, t->limit)) < 0)
		return -ENOMEM;
	*ret_tracks = PS_TAKE(t);
	return 0;
}

void ps_tracks_free(struct ps_tracks **tracks)
{
	if (!*tracks)
		return;
	free((*tracks)->rows);
	free((*tracks)->heads);
	ps_freep(tracks);
}

void *ps_tracks_find(const struct ps_tracks *t, const void *key)
{
	uint32_t i = find(t, key, hash_of(t, key));

	return i ? value_at(t, i) : NULL;
}

void *ps_tracks_get(struct ps_tracks *t, const void *key, uint64_t now)
{
	uint32_t hash = hash_of(t, key), i = find(t, key, hash);
	struct row *row;

	if (i) {
		order_out(t, i);
	} else {
		i = make_room(t);
		if (!i)
			return NULL;
		row = row_at(t, i);
		memset(row, 0, t->stride);
		row->hash = hash;
		memcpy(key_at(t, i), key, t->key_size);
		chain_in(t, i);
		t->n++;
	}
	order_in(t, i);
	row_at(t, i)->touched = now;
	return value_at(t, i);
}

/* Once it is an eighth full, half of the size will do. Without memory it stays as it is. */
static void shrink(struct ps_tracks *t)
{
	uint32_t cap = t->cap;

	while (cap / 2 >= PS_TRACKS_FIRST && t->n < cap / 8)
		cap /= 2;
	if (cap != t->cap)
		(void)resize(t, cap);
}

void ps_tracks_remove(struct ps_tracks *t, const void *key)
{
	uint32_t i = find(t, key, hash_of(t, key));

	if (i)
		take_out(t, i);
}

void ps_tracks_expire(struct ps_tracks *t, uint64_t before)
{
	while (t->oldest && row_at(t, t->oldest)->touched < before)
		drop_oldest(t);
	shrink(t);
}

void *ps_tracks_walk(const struct ps_tracks *t, uint32_t *cursor, const void **ret_key, uint64_t *ret_touched)
{
	uint32_t i = *cursor ? row_at(t, *cursor)->older : t->newest;

	if (!i)
		return NULL;
	*cursor = i;
	if (ret_key)
		*ret_key = key_at(t, i);
	if (ret_touched)
		*ret_touched = row_at(t, i)->touched;
	return value_at(t, i);
}

void ps_tracks_usage(const struct ps_tracks *t, struct ps_tracks_usage *sum)
{
	sum->tracks += t->n;
	sum->evicted += t->evicted;
	sum->bytes += (uint64_t)(t->cap + 1) * t->stride + (uint64_t)(t->mask + 1) * sizeof(*t->heads);
}
