#include "aggregator/rule_shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "bpf/rule_match.h"
#include "common/base/cleanup.h"

/* --- One shape --------------------------------------------------------------------------------- */

static struct ps_shape_part part_of(const struct ps_rule_unit *u, uint8_t sport, uint8_t dport)
{
	return (struct ps_shape_part){
		.slen = u->slen,
		.dlen = u->dlen,
		.sport = sport,
		.dport = dport,
		.proto = (u->flags & PS_UNIT_PROTO) != 0,
		.family = u->family != PS_FAMILY_NONE,
	};
}

struct ps_rule_shape ps_rule_shape_of(const struct ps_rule_unit_pair *pair)
{
	struct ps_rule_shape s = {.outer = part_of(&pair->unit, pair->sport_len, pair->dport_len)};

	if (pair->unit.flags & PS_UNIT_QUOTED) {
		s.quoted = 1;
		s.inner = part_of(&pair->quoted, pair->inner_sport_len, pair->inner_dport_len);
	}
	return s;
}

static void prefix_mask(uint8_t len, __u64 to[2])
{
	to[0] = len >= 64 ? UINT64_MAX : len ? UINT64_MAX << (64 - len) : 0;
	to[1] = len > 64 ? UINT64_MAX << (128 - len) : 0;
}

static uint16_t port_mask(uint8_t len)
{
	return (uint16_t)(len ? 0xffffu << (16 - len) : 0);
}

static __u64 word_mask(const struct ps_shape_part *p)
{
	return ps_rule_word(port_mask(p->sport), port_mask(p->dport), p->proto ? 0xff : 0, p->family ? 0xff : 0);
}

void ps_rule_shape_tuple(const struct ps_rule_shape *shape, struct ps_rule_tuple *ret_tuple)
{
	*ret_tuple = (struct ps_rule_tuple){.word = word_mask(&shape->outer)};
	prefix_mask(shape->outer.slen, ret_tuple->saddr);
	prefix_mask(shape->outer.dlen, ret_tuple->daddr);
	if (shape->outer.slen > 64 || shape->outer.dlen > 64)
		ret_tuple->flags |= PS_TUPLE_WIDE;
	if (!shape->quoted)
		return;
	ret_tuple->flags |= PS_TUPLE_QUOTED;
	ret_tuple->inner_word = word_mask(&shape->inner);
	prefix_mask(shape->inner.slen, ret_tuple->inner_saddr);
	prefix_mask(shape->inner.dlen, ret_tuple->inner_daddr);
}

_Static_assert(sizeof(struct ps_rule_shape) == 16, "shapes are compared as 16 bytes");

/* The lengths of a shape, one by one. quoted is none of them: only like joins like. */
#define LENGTHS (2 * sizeof(struct ps_shape_part))

static const uint8_t *lengths(const struct ps_rule_shape *s)
{
	return (const uint8_t *)s;
}

bool ps_rule_shape_fits(const struct ps_rule_shape *unit, const struct ps_rule_shape *tuple)
{
	if (unit->quoted != tuple->quoted)
		return false;
	for (size_t i = 0; i < LENGTHS; i++)
		if (lengths(tuple)[i] > lengths(unit)[i])
			return false;
	return true;
}

/* A bit that says "tests the protocol" stands for eight of them, of which two or three tell rules apart. */
#define FLAG_BITS 2

static const uint8_t weight[LENGTHS] = {1, 1, 1, 1, FLAG_BITS, FLAG_BITS, 1, 1, 1, 1, FLAG_BITS, FLAG_BITS};

unsigned ps_rule_shape_loss(const struct ps_rule_shape *unit, const struct ps_rule_shape *tuple)
{
	unsigned loss = 0;

	for (size_t i = 0; i < LENGTHS; i++) {
		unsigned u = lengths(unit)[i], t = lengths(tuple)[i];

		loss += u > t ? (u - t) * weight[i] : 0;
	}
	return loss;
}

static struct ps_rule_shape meet(const struct ps_rule_shape *a, const struct ps_rule_shape *b)
{
	struct ps_rule_shape m = *a;

	for (size_t i = 0; i < LENGTHS; i++)
		((uint8_t *)&m)[i] = PS_MIN(lengths(a)[i], lengths(b)[i]);
	return m;
}

/* --- The plan ----------------------------------------------------------------------------------- */

struct entry {
	struct ps_rule_shape shape;
	uint64_t units; /* weighed: a spared shape counts more than its units */
	uint32_t group;
};

struct group {
	struct ps_rule_shape shape;
	uint64_t units;
	uint32_t into; /* itself, or the group that it joined */
};

struct ps_shape_plan {
	struct entry *entries;
	size_t n, room;
	uint32_t *table; /* 1 + entry by hash of its shape */
	size_t table_size;
	struct group *groups;
	size_t n_groups;
	uint32_t tuple_group[PS_RULE_TUPLES];
	unsigned tuples;
};

int ps_shape_plan_new(struct ps_shape_plan **ret_plan)
{
	_cleanup_(ps_shape_plan_free) struct ps_shape_plan *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->table_size = 256;
	p->table = calloc(p->table_size, sizeof(*p->table));
	if (!p->table)
		return -ENOMEM;
	*ret_plan = PS_TAKE(p);
	return 0;
}

void ps_shape_plan_free(struct ps_shape_plan **plan)
{
	if (!*plan)
		return;
	free((*plan)->entries);
	free((*plan)->table);
	free((*plan)->groups);
	free(*plan);
	*plan = NULL;
}

static uint64_t shape_hash(const struct ps_rule_shape *s)
{
	uint64_t w[2];

	memcpy(w, s, sizeof(w));
	return ps_rule_mix(ps_rule_mix(0, w[0]), w[1]);
}

/* Where the shape stands in the table, or would. */
static uint32_t *table_at(struct ps_shape_plan *p, const struct ps_rule_shape *shape)
{
	size_t i = shape_hash(shape) & (p->table_size - 1);

	while (p->table[i] && memcmp(&p->entries[p->table[i] - 1].shape, shape, sizeof(*shape)) != 0)
		i = (i + 1) & (p->table_size - 1);
	return &p->table[i];
}

static int table_grow(struct ps_shape_plan *p)
{
	uint32_t *table = calloc(2 * p->table_size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	free(p->table);
	p->table = table;
	p->table_size *= 2;
	for (size_t i = 0; i < p->n; i++)
		*table_at(p, &p->entries[i].shape) = (uint32_t)i + 1;
	return 0;
}

int ps_shape_plan_count(struct ps_shape_plan *p, const struct ps_rule_shape *shape)
{
	uint32_t *at = table_at(p, shape);

	if (!*at) {
		if (p->n == p->room) {
			size_t room = p->room ? 2 * p->room : 64;
			struct entry *entries = realloc(p->entries, room * sizeof(*entries));

			if (!entries)
				return -ENOMEM;
			p->entries = entries;
			p->room = room;
		}
		p->entries[p->n] = (struct entry){.shape = *shape};
		*at = (uint32_t)++p->n;
		if (2 * p->n > p->table_size && table_grow(p) < 0)
			return -ENOMEM;
		at = table_at(p, shape);
	}
	p->entries[*at - 1].units++;
	return (int)(*at - 1);
}

/*
 * Lengths that are kept, by how coarse it has to be: thousands of shapes become few enough to weigh each against each.
 * The last row leaves 144 shapes of either kind.
 */
static const struct {
	uint8_t addr, port; /* multiples of these */
	bool inner;         /* the quoted packet is looked at */
} grids[] = {{1, 1, true}, {4, 2, true}, {8, 4, true}, {16, 8, true}, {32, 16, true}, {64, 16, false}};

static void on_grid_part(struct ps_shape_part *p, uint8_t addr, uint8_t port)
{
	p->slen = (uint8_t)(p->slen / addr * addr);
	p->dlen = (uint8_t)(p->dlen / addr * addr);
	p->sport = (uint8_t)(p->sport / port * port);
	p->dport = (uint8_t)(p->dport / port * port);
}

static struct ps_rule_shape on_grid(const struct ps_rule_shape *s, size_t level)
{
	struct ps_rule_shape g = *s;

	on_grid_part(&g.outer, grids[level].addr, grids[level].port);
	on_grid_part(&g.inner, grids[level].addr, grids[level].port);
	if (!grids[level].inner)
		g.inner = (struct ps_shape_part){0};
	return g;
}

static uint32_t group_find(const struct ps_shape_plan *p, const struct ps_rule_shape *shape)
{
	uint32_t i = 0;

	while (i < p->n_groups && memcmp(&p->groups[i].shape, shape, sizeof(*shape)) != 0)
		i++;
	return i;
}

/* False: more groups than can be weighed. */
static bool group_on_grid(struct ps_shape_plan *p, size_t level)
{
	p->n_groups = 0;
	for (size_t i = 0; i < p->n; i++) {
		struct ps_rule_shape shape = on_grid(&p->entries[i].shape, level);
		uint32_t g = group_find(p, &shape);

		if (g == PS_SHAPE_GROUPS)
			return false;
		if (g == p->n_groups)
			p->groups[p->n_groups++] = (struct group){.shape = shape, .into = g};
		p->groups[g].units += p->entries[i].units;
		p->entries[i].group = g;
	}
	return true;
}

static bool is_alive(const struct ps_shape_plan *p, uint32_t g)
{
	return p->groups[g].into == g;
}

static uint32_t smallest_group(const struct ps_shape_plan *p)
{
	uint32_t best = 0;

	while (!is_alive(p, best))
		best++;
	for (uint32_t g = best + 1; g < p->n_groups; g++)
		if (is_alive(p, g) && p->groups[g].units < p->groups[best].units)
			best = g;
	return best;
}

/* What all units of the two lose when they look at what both have. It is asked of every two of hundreds. */
static uint64_t cost(const struct group *a, const struct group *b)
{
	unsigned loss_a = 0, loss_b = 0;

	for (size_t i = 0; i < LENGTHS; i++) {
		unsigned x = lengths(&a->shape)[i], y = lengths(&b->shape)[i];

		loss_a += x > y ? (x - y) * weight[i] : 0;
		loss_b += y > x ? (y - x) * weight[i] : 0;
	}
	return a->units * loss_a + b->units * loss_b;
}

/* False: nothing that it could join. */
static bool join(struct ps_shape_plan *p, uint32_t a)
{
	uint64_t best_cost = UINT64_MAX;
	uint32_t best = a;

	for (uint32_t g = 0; g < p->n_groups; g++) {
		uint64_t c;

		if (g == a || !is_alive(p, g) || p->groups[g].shape.quoted != p->groups[a].shape.quoted)
			continue;
		c = cost(&p->groups[a], &p->groups[g]);
		if (c < best_cost) {
			best_cost = c;
			best = g;
		}
	}
	if (best == a)
		return false;
	p->groups[best].shape = meet(&p->groups[a].shape, &p->groups[best].shape);
	p->groups[best].units += p->groups[a].units;
	p->groups[a].into = best;
	return true;
}

static uint32_t root(const struct ps_shape_plan *p, uint32_t g)
{
	while (!is_alive(p, g))
		g = p->groups[g].into;
	return g;
}

int ps_shape_plan_settle(struct ps_shape_plan *p)
{
	size_t alive, level = 0;

	_Static_assert(3 * 3 * 2 * 2 * 2 * 2 * 2 <= PS_SHAPE_GROUPS, "the last grid holds");
	if (!p->groups)
		p->groups = calloc(PS_SHAPE_GROUPS, sizeof(*p->groups));
	if (!p->groups)
		return -ENOMEM;
	while (!group_on_grid(p, level))
		level++;
	alive = p->n_groups;
	if (alive > PS_RULE_TUPLES)
		while (alive > PS_RULE_TUPLES_FULL) {
			uint32_t a = smallest_group(p);

			/* a lone one of its kind is as good as done: out of the way of the next search */
			if (!join(p, a))
				p->groups[a].units = UINT64_MAX / 4096;
			else
				alive--;
		}
	p->tuples = 0;
	for (uint32_t g = 0; g < p->n_groups; g++)
		if (is_alive(p, g))
			p->tuple_group[p->tuples++] = g;
	return 0;
}

unsigned ps_shape_plan_tuples(const struct ps_shape_plan *p)
{
	return p->tuples;
}

const struct ps_rule_shape *ps_shape_plan_tuple(const struct ps_shape_plan *p, unsigned tuple)
{
	return &p->groups[p->tuple_group[tuple]].shape;
}

unsigned ps_shape_plan_tuple_of(const struct ps_shape_plan *p, int shape)
{
	uint32_t g = root(p, p->entries[shape].group);
	unsigned t = 0;

	while (p->tuple_group[t] != g)
		t++;
	return t;
}

bool ps_shape_plan_spare(struct ps_shape_plan *p, unsigned tuple)
{
	uint32_t g = p->tuple_group[tuple];
	unsigned shapes = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (root(p, p->entries[i].group) != g)
			continue;
		shapes++;
		if (p->entries[i].units < UINT64_MAX / (4096ull * PS_SHAPE_SPARE))
			p->entries[i].units *= PS_SHAPE_SPARE;
	}
	return shapes > 1;
}
