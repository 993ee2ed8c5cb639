/* See value.h. */
#include "common/model/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/* Beyond this a double no longer tells neighbouring integers apart. */
#define REAL_EXACT 9007199254740992.0 /* 2^53 */

/* A map of up to this many keys is searched from end to end; a larger one has an index. */
#define MAP_LINEAR 16

struct entry {
	char *key;
	size_t len;
	uint64_t hash;
	struct ps_value *value;
};

struct ps_value {
	enum ps_value_kind kind;
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double d;
		struct {
			char *data;
			size_t len;
		} string;
		struct {
			struct ps_value **items;
			size_t n, cap;
		} list;
		struct {
			struct entry *entries;
			size_t n, cap;
			uint32_t *index;   /* open addressing, 1 + entry or 0; NULL while the map is small */
			size_t index_size; /* power of two, at least twice n */
		} map;
	};
};

static struct ps_value *value_new(enum ps_value_kind kind)
{
	struct ps_value *v = calloc(1, sizeof(*v));

	if (v)
		v->kind = kind;
	return v;
}

struct ps_value *ps_value_null(void)
{
	return value_new(PS_VALUE_NULL);
}

struct ps_value *ps_value_bool(bool b)
{
	struct ps_value *v = value_new(PS_VALUE_BOOL);

	if (v)
		v->b = b;
	return v;
}

struct ps_value *ps_value_int(int64_t i)
{
	struct ps_value *v = value_new(PS_VALUE_INT);

	if (v)
		v->i = i;
	return v;
}

struct ps_value *ps_value_uint(uint64_t u)
{
	struct ps_value *v;

	if (u <= INT64_MAX)
		return ps_value_int((int64_t)u);
	v = value_new(PS_VALUE_UINT);
	if (v)
		v->u = u;
	return v;
}

struct ps_value *ps_value_real(double d)
{
	struct ps_value *v = value_new(isfinite(d) ? PS_VALUE_REAL : PS_VALUE_NULL);

	if (v && v->kind == PS_VALUE_REAL)
		v->d = d;
	return v;
}

struct ps_value *ps_value_string_n(const char *s, size_t n)
{
	_cleanup_(ps_value_free) struct ps_value *v = value_new(PS_VALUE_STRING);

	if (!v || n == SIZE_MAX)
		return NULL;
	v->string.data = malloc(n + 1);
	if (!v->string.data)
		return NULL;
	if (n)
		memcpy(v->string.data, s, n);
	v->string.data[n] = '\0';
	v->string.len = n;
	return PS_TAKE(v);
}

struct ps_value *ps_value_string(const char *s)
{
	return s ? ps_value_string_n(s, strlen(s)) : ps_value_null();
}

struct ps_value *ps_value_list(void)
{
	return value_new(PS_VALUE_LIST);
}

struct ps_value *ps_value_map(void)
{
	return value_new(PS_VALUE_MAP);
}

void ps_value_free(struct ps_value **v)
{
	struct ps_value *old = *v;

	*v = NULL;
	if (!old)
		return;
	if (old->kind == PS_VALUE_STRING) {
		free(old->string.data);
	} else if (old->kind == PS_VALUE_LIST) {
		for (size_t i = 0; i < old->list.n; i++)
			ps_value_free(&old->list.items[i]);
		free(old->list.items);
	} else if (old->kind == PS_VALUE_MAP) {
		for (size_t i = 0; i < old->map.n; i++) {
			free(old->map.entries[i].key);
			ps_value_free(&old->map.entries[i].value);
		}
		free(old->map.entries);
		free(old->map.index);
	}
	free(old);
}

/* Room for one more element: doubles, so that building stays linear. */
static int grow(void **items, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 4;
	void *bigger;

	if (n < *cap)
		return 0;
	bigger = reallocarray(*items, want, size);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*cap = want;
	return 0;
}

int ps_value_append(struct ps_value *list, struct ps_value *child)
{
	_cleanup_(ps_value_free) struct ps_value *owned = child;
	void *items;
	int ret;

	if (!list || list->kind != PS_VALUE_LIST || !child)
		return -ENOMEM;
	items = list->list.items;
	ret = grow(&items, list->list.n, &list->list.cap, sizeof(struct ps_value *));
	list->list.items = items;
	if (ret)
		return ret;
	list->list.items[list->list.n++] = PS_TAKE(owned);
	return 0;
}

/* FNV-1a. Keys from outside may be made to collide, which is why the parsers bound the keys of a map. */
static uint64_t key_hash(const char *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3ull;
	return h;
}

static bool entry_is(const struct entry *e, const char *key, size_t len, uint64_t hash)
{
	return e->hash == hash && e->len == len && !memcmp(e->key, key, len);
}

static struct entry *map_find(const struct ps_value *map, const char *key, size_t len, uint64_t hash)
{
	if (!map->map.index) {
		for (size_t i = 0; i < map->map.n; i++)
			if (entry_is(&map->map.entries[i], key, len, hash))
				return &map->map.entries[i];
		return NULL;
	}
	for (size_t at = hash;; at++) {
		uint32_t one_more = map->map.index[at & (map->map.index_size - 1)];

		if (!one_more)
			return NULL;
		if (entry_is(&map->map.entries[one_more - 1], key, len, hash))
			return &map->map.entries[one_more - 1];
	}
}

static void index_add(struct ps_value *map, size_t entry)
{
	size_t at = map->map.entries[entry].hash;

	while (map->map.index[at & (map->map.index_size - 1)])
		at++;
	map->map.index[at & (map->map.index_size - 1)] = (uint32_t)entry + 1;
}

/* Makes the index anew for n entries and one to come. */
static int index_build(struct ps_value *map)
{
	size_t size = (size_t)4 * MAP_LINEAR;
	uint32_t *index;

	if (map->map.n >= UINT32_MAX / 4)
		return -ENOMEM;
	while (size < 4 * (map->map.n + 1))
		size *= 2;
	index = calloc(size, sizeof(*index));
	if (!index)
		return -ENOMEM;
	free(map->map.index);
	map->map.index = index;
	map->map.index_size = size;
	for (size_t i = 0; i < map->map.n; i++)
		index_add(map, i);
	return 0;
}

int ps_value_set_n(struct ps_value *map, const char *key, size_t key_len, struct ps_value *child)
{
	_cleanup_(ps_value_free) struct ps_value *owned = child;
	_cleanup_free_ char *copy = NULL;
	uint64_t hash = key_hash(key, key_len);
	struct entry *e;
	void *entries;
	int ret;

	if (!map || map->kind != PS_VALUE_MAP || !child || key_len == SIZE_MAX)
		return -ENOMEM;
	e = map_find(map, key, key_len, hash);
	if (e) {
		ps_value_free(&e->value);
		e->value = PS_TAKE(owned);
		return 0;
	}
	copy = malloc(key_len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, key_len);
	copy[key_len] = '\0';
	entries = map->map.entries;
	ret = grow(&entries, map->map.n, &map->map.cap, sizeof(struct entry));
	map->map.entries = entries;
	if (ret)
		return ret;
	if (map->map.n >= MAP_LINEAR && (!map->map.index || map->map.index_size < 2 * (map->map.n + 1))) {
		ret = index_build(map);
		if (ret)
			return ret;
	}
	map->map.entries[map->map.n] =
		(struct entry){.key = PS_TAKE(copy), .len = key_len, .hash = hash, .value = PS_TAKE(owned)};
	if (map->map.index)
		index_add(map, map->map.n);
	map->map.n++;
	return 0;
}

int ps_value_set(struct ps_value *map, const char *key, struct ps_value *child)
{
	return ps_value_set_n(map, key, strlen(key), child);
}

void ps_value_unset(struct ps_value *map, const char *key)
{
	size_t len = strlen(key);
	struct entry *e;

	if (!map || map->kind != PS_VALUE_MAP)
		return;
	e = map_find(map, key, len, key_hash(key, len));
	if (!e)
		return;
	free(e->key);
	ps_value_free(&e->value);
	map->map.n--;
	memmove(e, e + 1, (size_t)(&map->map.entries[map->map.n] - e) * sizeof(*e));
	if (!map->map.index)
		return;
	/* Every later entry has moved: same size, so no memory is needed. */
	memset(map->map.index, 0, map->map.index_size * sizeof(*map->map.index));
	for (size_t i = 0; i < map->map.n; i++)
		index_add(map, i);
}

struct ps_value *ps_value_copy(const struct ps_value *v)
{
	_cleanup_(ps_value_free) struct ps_value *copy = NULL;

	if (!v)
		return NULL;
	switch (v->kind) {
	case PS_VALUE_STRING:
		return ps_value_string_n(v->string.data, v->string.len);
	case PS_VALUE_LIST:
		copy = ps_value_list();
		for (size_t i = 0; i < v->list.n; i++)
			if (ps_value_append(copy, ps_value_copy(v->list.items[i])))
				return NULL;
		return PS_TAKE(copy);
	case PS_VALUE_MAP:
		copy = ps_value_map();
		for (size_t i = 0; i < v->map.n; i++) {
			const struct entry *e = &v->map.entries[i];

			if (ps_value_set_n(copy, e->key, e->len, ps_value_copy(e->value)))
				return NULL;
		}
		return PS_TAKE(copy);
	default:
		copy = value_new(v->kind);
		if (copy)
			*copy = *v;
		return PS_TAKE(copy);
	}
}

enum ps_value_kind ps_value_kind(const struct ps_value *v)
{
	return v ? v->kind : PS_VALUE_NULL;
}

const char *ps_value_kind_name(enum ps_value_kind kind)
{
	switch (kind) {
	case PS_VALUE_NULL:
		return "null";
	case PS_VALUE_BOOL:
		return "a boolean";
	case PS_VALUE_INT:
	case PS_VALUE_UINT:
	case PS_VALUE_REAL:
		return "a number";
	case PS_VALUE_STRING:
		return "a string";
	case PS_VALUE_LIST:
		return "a list";
	case PS_VALUE_MAP:
		return "an object";
	}
	return "unknown";
}

size_t ps_value_count(const struct ps_value *v)
{
	if (!v)
		return 0;
	if (v->kind == PS_VALUE_LIST)
		return v->list.n;
	return v->kind == PS_VALUE_MAP ? v->map.n : 0;
}

const struct ps_value *ps_value_get(const struct ps_value *map, const char *key)
{
	size_t len = strlen(key);
	const struct entry *e;

	if (!map || map->kind != PS_VALUE_MAP)
		return NULL;
	e = map_find(map, key, len, key_hash(key, len));
	return e ? e->value : NULL;
}

const struct ps_value *ps_value_at(const struct ps_value *list_or_map, size_t i)
{
	if (i >= ps_value_count(list_or_map))
		return NULL;
	if (list_or_map->kind == PS_VALUE_LIST)
		return list_or_map->list.items[i];
	return list_or_map->map.entries[i].value;
}

const char *ps_value_key_at(const struct ps_value *map, size_t i)
{
	if (!map || map->kind != PS_VALUE_MAP || i >= map->map.n)
		return NULL;
	return map->map.entries[i].key;
}

bool ps_value_as_bool(const struct ps_value *v, bool fallback)
{
	return v && v->kind == PS_VALUE_BOOL ? v->b : fallback;
}

bool ps_value_is_integer(const struct ps_value *v, int64_t *ret_i)
{
	if (!v)
		return false;
	if (v->kind == PS_VALUE_INT) {
		*ret_i = v->i;
		return true;
	}
	if (v->kind == PS_VALUE_REAL && fabs(v->d) < REAL_EXACT && v->d == trunc(v->d)) {
		*ret_i = (int64_t)v->d;
		return true;
	}
	return false;
}

int64_t ps_value_as_int(const struct ps_value *v, int64_t fallback)
{
	int64_t i;

	return ps_value_is_integer(v, &i) ? i : fallback;
}

uint64_t ps_value_as_uint(const struct ps_value *v, uint64_t fallback)
{
	int64_t i;

	if (v && v->kind == PS_VALUE_UINT)
		return v->u;
	return ps_value_is_integer(v, &i) && i >= 0 ? (uint64_t)i : fallback;
}

/* Is u one that a double holds exactly? Then *ret_d is it. */
static bool exact_real(uint64_t magnitude, double *ret_d)
{
	double d = (double)magnitude;

	if (d >= 18446744073709551616.0 || (uint64_t)d != magnitude)
		return false;
	*ret_d = d;
	return true;
}

double ps_value_as_real(const struct ps_value *v, double fallback)
{
	double d;

	if (!v)
		return fallback;
	if (v->kind == PS_VALUE_REAL)
		return v->d;
	if (v->kind == PS_VALUE_UINT)
		return exact_real(v->u, &d) ? d : fallback;
	if (v->kind != PS_VALUE_INT)
		return fallback;
	if (v->i >= 0)
		return exact_real((uint64_t)v->i, &d) ? d : fallback;
	return exact_real(-(uint64_t)v->i, &d) ? -d : fallback;
}

const char *ps_value_as_string(const struct ps_value *v, const char *fallback)
{
	return v && v->kind == PS_VALUE_STRING ? v->string.data : fallback;
}

size_t ps_value_string_len(const struct ps_value *v)
{
	return v && v->kind == PS_VALUE_STRING ? v->string.len : 0;
}

static bool equal_children(const struct ps_value *a, const struct ps_value *b)
{
	if (ps_value_count(a) != ps_value_count(b))
		return false;
	for (size_t i = 0; i < ps_value_count(a); i++) {
		const struct ps_value *other;

		if (a->kind == PS_VALUE_LIST) {
			other = b->list.items[i];
		} else {
			const struct entry *e = &a->map.entries[i];
			const struct entry *twin = map_find(b, e->key, e->len, e->hash);

			if (!twin)
				return false;
			other = twin->value;
		}
		if (!ps_value_equal(ps_value_at(a, i), other))
			return false;
	}
	return true;
}

bool ps_value_equal(const struct ps_value *a, const struct ps_value *b)
{
	enum ps_value_kind ka = ps_value_kind(a), kb = ps_value_kind(b);
	int64_t i, j;

	if (ps_value_is_integer(a, &i) && ps_value_is_integer(b, &j))
		return i == j;
	if (ka != kb)
		return false;
	switch (ka) {
	case PS_VALUE_NULL:
		return true;
	case PS_VALUE_BOOL:
		return a->b == b->b;
	case PS_VALUE_INT:
		return a->i == b->i;
	case PS_VALUE_UINT:
		return a->u == b->u;
	case PS_VALUE_REAL:
		return a->d == b->d;
	case PS_VALUE_STRING:
		return a->string.len == b->string.len && !memcmp(a->string.data, b->string.data, a->string.len);
	case PS_VALUE_LIST:
	case PS_VALUE_MAP:
		return equal_children(a, b);
	}
	return false;
}
