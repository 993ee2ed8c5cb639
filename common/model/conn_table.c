#include "common/model/conn_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/pages.h"
#include "common/limits.h"

enum entry_state {
	ENTRY_FREE,
	ENTRY_LIVE,
	ENTRY_ENDED,
};

struct entry {
	struct ps_conn conn;
	uint64_t ended_at;
	uint32_t next; /* ended: next to be forgotten */
	uint32_t pass; /* of the last record */
	uint8_t state; /* enum entry_state */
};

/*
 * What is asked for most, those seen last, is found by their times alone, which stand close together: a walk through a
 * million of them reads 8 MB and not half a gigabyte.
 */
struct block {
	uint64_t seen[PS_CONN_BLOCK]; /* last_seen of a living connection, at least 1; 0 = none lives here */
	struct entry entry[PS_CONN_BLOCK];
};

/*
 * Blocks of a small table are allocated one by one. Those behind the first SLAB_BLOCKS stand side by side in slabs of
 * huge pages: what a new connection costs here is mostly that its memory is touched for the first time.
 */
#define SLAB_BYTES (4 * PS_PAGES_HUGE)
#define SLAB_BLOCKS (SLAB_BYTES / sizeof(struct block))

#define NOTHING UINT32_MAX

/*
 * The index: open addressing, linear. The hash beside the entry's number spares a look at the record for nearly every
 * stranger, and says where the cell belongs when others move.
 */
struct cell {
	uint32_t entry; /* NOTHING = empty */
	uint32_t hash;
};

#define CELLS_MIN 1024u

struct ps_conn_table {
	struct cell *cells;
	size_t mask; /* cells - 1 */
	size_t used;
	struct block **blocks;
	uint64_t *latest; /* of each block: nobody in it was seen later */
	size_t n_blocks, cap_blocks;
	uint32_t *vacant; /* entries that are free, the next one to be used last; room for all */
	size_t n_vacant;
	uint32_t oldest, newest; /* list of the ended */
	uint32_t pass;
	size_t limit;
	struct ps_conn_totals totals;
};

static struct entry *entry_at(const struct ps_conn_table *t, uint32_t i)
{
	return &t->blocks[i / PS_CONN_BLOCK]->entry[i % PS_CONN_BLOCK];
}

static uint64_t *seen_at(const struct ps_conn_table *t, uint32_t i)
{
	return &t->blocks[i / PS_CONN_BLOCK]->seen[i % PS_CONN_BLOCK];
}

static void seen_set(struct ps_conn_table *t, uint32_t i, uint64_t last_seen)
{
	uint64_t *latest = &t->latest[i / PS_CONN_BLOCK];

	*seen_at(t, i) = PS_MAX(last_seen, (uint64_t)1);
	*latest = PS_MAX(*latest, last_seen);
}

/* Ids of one table count in steps of its size: spread them over all bits. */
static uint32_t id_hash(uint64_t id)
{
	id *= 0x9e3779b97f4a7c15ull;
	return (uint32_t)(id ^ id >> 32);
}

static int cells_make(size_t n, struct cell **ret_cells)
{
	size_t bytes = n * sizeof(struct cell);
	struct cell *cells = bytes < PS_PAGES_HUGE ? malloc(bytes) : ps_pages_new(bytes);

	if (!cells)
		return -ENOMEM;
	memset(cells, 0xff, bytes);
	*ret_cells = cells;
	return 0;
}

static void cells_free(struct cell *cells, size_t n)
{
	size_t bytes = n * sizeof(*cells);

	if (bytes < PS_PAGES_HUGE)
		free(cells);
	else
		ps_pages_free(cells, bytes);
}

int ps_conn_table_new(size_t limit, struct ps_conn_table **ret_table)
{
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = calloc(1, sizeof(*t));

	if (!t || cells_make(CELLS_MIN, &t->cells) < 0)
		return -ENOMEM;
	t->mask = CELLS_MIN - 1;
	t->oldest = t->newest = NOTHING;
	t->limit = limit;
	*ret_table = PS_TAKE(t);
	return 0;
}

void ps_conn_table_free(struct ps_conn_table **table)
{
	struct ps_conn_table *t = *table;

	if (!t)
		return;
	for (size_t i = 0; i < t->n_blocks && i < SLAB_BLOCKS; i++)
		free(t->blocks[i]);
	for (size_t i = SLAB_BLOCKS; i < t->n_blocks; i += SLAB_BLOCKS)
		ps_pages_free(t->blocks[i], SLAB_BYTES);
	free(t->blocks);
	free(t->latest);
	free(t->vacant);
	cells_free(t->cells, t->mask + 1);
	free(t);
	*table = NULL;
}

void ps_conn_table_set_limit(struct ps_conn_table *t, size_t limit)
{
	t->limit = limit;
}

/* The cell of that id, or the empty one where it would stand. */
static size_t cell_find(const struct ps_conn_table *t, uint64_t id)
{
	uint32_t hash = id_hash(id);
	size_t i = hash & t->mask;

	for (;; i = (i + 1) & t->mask) {
		const struct cell *c = &t->cells[i];

		if (c->entry == NOTHING)
			return i;
		if (c->hash == hash && entry_at(t, c->entry)->conn.id == id)
			return i;
	}
}

static int cells_grow(struct ps_conn_table *t)
{
	size_t n = (t->mask + 1) * 2;
	struct cell *cells = NULL;

	if (cells_make(n, &cells) < 0)
		return -ENOMEM;
	for (size_t i = 0; i <= t->mask; i++) {
		size_t to;

		if (t->cells[i].entry == NOTHING)
			continue;
		to = t->cells[i].hash & (n - 1);
		while (cells[to].entry != NOTHING)
			to = (to + 1) & (n - 1);
		cells[to] = t->cells[i];
	}
	cells_free(t->cells, t->mask + 1);
	t->cells = cells;
	t->mask = n - 1;
	return 0;
}

/* Closes the gap that a removed cell would leave in the runs behind it. */
static void cell_remove(struct ps_conn_table *t, size_t hole)
{
	size_t i = hole;

	for (;;) {
		size_t home;

		i = (i + 1) & t->mask;
		if (t->cells[i].entry == NOTHING)
			break;
		home = t->cells[i].hash & t->mask;
		if (((i - home) & t->mask) < ((i - hole) & t->mask))
			continue;
		t->cells[hole] = t->cells[i];
		hole = i;
	}
	t->cells[hole].entry = NOTHING;
	t->used--;
}

/* Memory for the next one, zeroed. */
static struct block *block_make(const struct ps_conn_table *t)
{
	if (t->n_blocks < SLAB_BLOCKS)
		return calloc(1, sizeof(struct block));
	if (t->n_blocks % SLAB_BLOCKS == 0)
		return ps_pages_new(SLAB_BYTES);
	return t->blocks[t->n_blocks - 1] + 1;
}

/* Room for twice as many. */
static int blocks_grow(struct ps_conn_table *t)
{
	size_t cap = t->cap_blocks ? t->cap_blocks * 2 : 16;
	struct block **blocks = realloc(t->blocks, cap * sizeof(*blocks));
	uint64_t *latest;
	uint32_t *vacant;

	if (!blocks)
		return -ENOMEM;
	t->blocks = blocks;
	latest = realloc(t->latest, cap * sizeof(*latest));
	if (!latest)
		return -ENOMEM;
	t->latest = latest;
	vacant = realloc(t->vacant, cap * PS_CONN_BLOCK * sizeof(*vacant));
	if (!vacant)
		return -ENOMEM;
	t->vacant = vacant;
	t->cap_blocks = cap;
	return 0;
}

static int block_add(struct ps_conn_table *t)
{
	uint32_t first = (uint32_t)(t->n_blocks * PS_CONN_BLOCK);
	struct block *block;

	if (first >= NOTHING - PS_CONN_BLOCK || (t->n_blocks == t->cap_blocks && blocks_grow(t) < 0))
		return -ENOMEM;
	block = block_make(t);
	if (!block)
		return -ENOMEM;
	t->latest[t->n_blocks] = 0;
	t->blocks[t->n_blocks++] = block;
	for (uint32_t i = PS_CONN_BLOCK; i-- > 0;)
		t->vacant[t->n_vacant++] = first + i;
	return 0;
}

static int entry_add(struct ps_conn_table *t, uint64_t id, uint32_t *ret_entry)
{
	uint32_t i;
	size_t at;

	/* At most half full: an id that is not there is then known after two and a half cells. */
	if ((t->used + 1) * 2 > t->mask + 1 && cells_grow(t) < 0)
		return -ENOMEM;
	if (t->n_vacant == 0 && block_add(t) < 0)
		return -ENOMEM;
	at = cell_find(t, id);
	i = t->vacant[--t->n_vacant];
	t->cells[at] = (struct cell){.entry = i, .hash = id_hash(id)};
	t->used++;
	*ret_entry = i;
	return 0;
}

static void forget_oldest(struct ps_conn_table *t)
{
	uint32_t i = t->oldest;
	struct entry *e = entry_at(t, i);

	cell_remove(t, cell_find(t, e->conn.id));
	t->oldest = e->next;
	if (t->oldest == NOTHING)
		t->newest = NOTHING;
	t->totals.ended--;
	e->state = ENTRY_FREE;
	t->vacant[t->n_vacant++] = i;
}

/* Appends an entry that is in the index to the list of the ended. */
static void entry_end(struct ps_conn_table *t, struct entry *e, uint64_t now)
{
	uint32_t i = t->cells[cell_find(t, e->conn.id)].entry;

	*seen_at(t, i) = 0;
	e->state = ENTRY_ENDED;
	e->ended_at = now;
	e->next = NOTHING;
	if (t->newest == NOTHING)
		t->oldest = i;
	else
		entry_at(t, t->newest)->next = i;
	t->newest = i;
	if (++t->totals.ended > PS_ENDED_MAX)
		forget_oldest(t);
}

void ps_conn_table_prefetch(const struct ps_conn_table *t, uint64_t id)
{
	__builtin_prefetch(&t->cells[id_hash(id) & t->mask]);
}

/* In its callers: GCC 12 takes a function that only prefetches for one without effect, and leaves out calls of it. */
static inline __attribute__((always_inline)) void entry_prefetch(const struct ps_conn_table *t, uint32_t i)
{
	const char *e = (const char *)entry_at(t, i);

	for (size_t line = 0; line < sizeof(struct entry); line += 64)
		__builtin_prefetch(e + line, 1);
	__builtin_prefetch(seen_at(t, i), 1);
}

size_t ps_conn_table_prefetch_record(const struct ps_conn_table *t, uint64_t id, size_t strangers)
{
	uint32_t hash = id_hash(id);

	for (size_t i = hash & t->mask; t->cells[i].entry != NOTHING; i = (i + 1) & t->mask) {
		if (t->cells[i].hash != hash)
			continue;
		entry_prefetch(t, t->cells[i].entry);
		return strangers;
	}
	if (strangers < t->n_vacant)
		entry_prefetch(t, t->vacant[t->n_vacant - 1 - strangers]);
	return strangers + 1;
}

/* <0: a is older than b, 0: as old, >0: newer. */
static int compare_age(const struct ps_conn *a, const struct ps_conn *b)
{
	uint64_t pa = a->orig_packets + a->resp_packets, pb = b->orig_packets + b->resp_packets;
	uint64_t ba = a->orig_bytes + a->resp_bytes, bb = b->orig_bytes + b->resp_bytes;

	if (pa != pb)
		return pa < pb ? -1 : 1;
	if (ba != bb)
		return ba < bb ? -1 : 1;
	return 0;
}

/* Could a reader tell them apart? Times are left out: they are converted anew for each record, and move with the clock.
 */
static bool same_content(const struct ps_conn *a, const struct ps_conn *b)
{
	return compare_age(a, b) == 0 && a->state == b->state && a->verdict == b->verdict && a->rule_id == b->rule_id &&
	       a->orig_dropped_packets == b->orig_dropped_packets &&
	       a->resp_dropped_packets == b->resp_dropped_packets && a->orig_tcp_flags == b->orig_tcp_flags &&
	       a->resp_tcp_flags == b->resp_tcp_flags && a->rtt_us == b->rtt_us &&
	       a->rtt_handshake_us == b->rtt_handshake_us && a->flipped == b->flipped &&
	       memcmp(a->history, b->history, sizeof(a->history)) == 0;
}

/* Two programs read the clocks a moment apart: that is no reason for the beginning to move. A step of the clock is. */
#define WOBBLE_NS 1000000ull

static void replace_conn(struct ps_conn *known, const struct ps_conn *c)
{
	uint64_t first = known->first_seen;

	*known = *c;
	if (c->first_seen - first + WOBBLE_NS < 2 * WOBBLE_NS)
		known->first_seen = first;
}

static int apply_known(struct ps_conn_table *t, uint32_t at, const struct ps_conn *c, bool end, uint64_t now)
{
	struct entry *e = entry_at(t, at);
	int age = compare_age(c, &e->conn);

	e->pass = t->pass;
	if (e->state == ENTRY_ENDED) {
		if (!end || age <= 0)
			return PS_CHANGE_NONE;
		replace_conn(&e->conn, c);
		return PS_CHANGE_UPDATE;
	}
	if (!end) {
		if (age < 0 || same_content(c, &e->conn))
			return PS_CHANGE_NONE;
		replace_conn(&e->conn, c);
		seen_set(t, at, c->last_seen);
		return PS_CHANGE_UPDATE;
	}
	if (age >= 0)
		replace_conn(&e->conn, c);
	else
		e->conn.end_reason = c->end_reason;
	entry_end(t, e, now);
	t->totals.live--;
	return PS_CHANGE_END;
}

int ps_conn_table_apply(struct ps_conn_table *t, const struct ps_conn *c, bool end, uint64_t now)
{
	uint32_t at;
	struct entry *e;
	int r;

	if (!c->id)
		return -EINVAL;
	at = t->cells[cell_find(t, c->id)].entry;
	if (at != NOTHING)
		return apply_known(t, at, c, end, now);
	if (!end && t->totals.live >= t->limit) {
		t->totals.refused++;
		return -ENOSPC;
	}
	r = entry_add(t, c->id, &at);
	if (r < 0)
		return r;
	e = entry_at(t, at);
	e->conn = *c;
	e->pass = t->pass;
	e->state = ENTRY_LIVE;
	if (end) {
		entry_end(t, e, now);
		return PS_CHANGE_END;
	}
	seen_set(t, at, c->last_seen);
	t->totals.live++;
	return PS_CHANGE_NEW;
}

const struct ps_conn *ps_conn_table_find(const struct ps_conn_table *t, uint64_t id, bool *ret_ended)
{
	uint32_t at = t->cells[cell_find(t, id)].entry;
	const struct entry *e;

	if (at == NOTHING)
		return NULL;
	e = entry_at(t, at);
	if (ret_ended)
		*ret_ended = e->state == ENTRY_ENDED;
	return &e->conn;
}

const struct ps_conn *ps_conn_table_next(const struct ps_conn_table *t, size_t *position, bool *ret_ended)
{
	while (*position < t->n_blocks * PS_CONN_BLOCK) {
		const struct entry *e = entry_at(t, (uint32_t)(*position)++);

		if (e->state == ENTRY_FREE)
			continue;
		*ret_ended = e->state == ENTRY_ENDED;
		return &e->conn;
	}
	return NULL;
}

const struct ps_conn *ps_conn_table_seen(const struct ps_conn_table *t, size_t *position, uint64_t from, uint64_t to)
{
	size_t left = t->n_blocks * PS_CONN_BLOCK - *position;

	from = PS_MAX(from, (uint64_t)1);
	to = PS_MAX(to, (uint64_t)1);
	while (left) {
		size_t b = (left - 1) / PS_CONN_BLOCK;
		const struct block *block = t->blocks[b];

		if (t->latest[b] + !t->latest[b] < from) {
			left = b * PS_CONN_BLOCK;
			continue;
		}
		for (size_t i = (left - 1) % PS_CONN_BLOCK + 1; i-- > 0;) {
			if (block->seen[i] < from || block->seen[i] > to)
				continue;
			*position = t->n_blocks * PS_CONN_BLOCK - (b * PS_CONN_BLOCK + i);
			return &block->entry[i].conn;
		}
		left = b * PS_CONN_BLOCK;
	}
	return NULL;
}

void ps_conn_table_forget(struct ps_conn_table *t, uint64_t now)
{
	while (t->oldest != NOTHING && entry_at(t, t->oldest)->ended_at + PS_ENDED_NS <= now)
		forget_oldest(t);
}

void ps_conn_table_mark(struct ps_conn_table *t)
{
	t->pass++;
}

size_t ps_conn_table_end_unseen(struct ps_conn_table *t, uint8_t reason, uint64_t now, ps_conn_fn fn, void *arg)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_blocks * PS_CONN_BLOCK; i++) {
		struct entry *e = entry_at(t, (uint32_t)i);

		if (e->state != ENTRY_LIVE || e->pass == t->pass)
			continue;
		e->conn.end_reason = reason;
		if (fn)
			fn(arg, &e->conn);
		t->totals.live--;
		entry_end(t, e, now);
		n++;
	}
	return n;
}

size_t ps_conn_table_forget_unseen(struct ps_conn_table *t, ps_conn_fn fn, void *arg)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_blocks * PS_CONN_BLOCK; i++) {
		struct entry *e = entry_at(t, (uint32_t)i);

		if (e->state != ENTRY_LIVE || e->pass == t->pass)
			continue;
		if (fn)
			fn(arg, &e->conn);
		cell_remove(t, cell_find(t, e->conn.id));
		*seen_at(t, (uint32_t)i) = 0;
		t->totals.live--;
		e->state = ENTRY_FREE;
		t->vacant[t->n_vacant++] = (uint32_t)i;
		n++;
	}
	return n;
}

void ps_conn_table_totals(const struct ps_conn_table *t, struct ps_conn_totals *ret_totals)
{
	*ret_totals = t->totals;
}
