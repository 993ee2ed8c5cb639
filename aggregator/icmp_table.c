#include "aggregator/icmp_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/limits.h"
#include "common/base/cleanup.h"

struct entry {
	struct ps_icmp icmp;
	uint32_t pass;
};

/* Twice as many cells as there can be entries: runs stay short. Cells hold 1 + index. */
#define CELLS (2 * PS_ICMP_ENTRIES)
_Static_assert((CELLS & (CELLS - 1)) == 0, "CELLS is a mask plus one");
_Static_assert(PS_ICMP_ENTRIES < UINT16_MAX, "an index fits a cell");

struct ps_icmp_table {
	uint16_t cells[CELLS];
	struct entry *entries; /* dense */
	size_t n, cap;
	uint32_t pass;
};

int ps_icmp_table_new(struct ps_icmp_table **ret_table)
{
	struct ps_icmp_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret_table = t;
	return 0;
}

void ps_icmp_table_free(struct ps_icmp_table **table)
{
	if (!*table)
		return;
	free((*table)->entries);
	free(*table);
	*table = NULL;
}

int ps_icmp_compare(const struct ps_icmp *a, const struct ps_icmp *b)
{
	int r = ps_addr_compare(&a->src_ip, &b->src_ip);

	if (!r)
		r = ps_addr_compare(&a->dst_ip, &b->dst_ip);
	if (!r)
		r = (a->icmp_type > b->icmp_type) - (a->icmp_type < b->icmp_type);
	if (!r)
		r = (a->icmp_code > b->icmp_code) - (a->icmp_code < b->icmp_code);
	if (!r)
		r = (a->vlan > b->vlan) - (a->vlan < b->vlan);
	if (!r)
		r = (a->inner_vlan > b->inner_vlan) - (a->inner_vlan < b->inner_vlan);
	return r;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static size_t home(const struct ps_icmp *i)
{
	uint64_t h = mix(i->src_ip.family, (uint64_t)i->icmp_type << 8 | i->icmp_code);

	for (int w = 0; w < 4; w++)
		h = mix(h, (uint64_t)i->src_ip.word[w] << 32 | i->dst_ip.word[w]);
	h = mix(h, (uint64_t)i->vlan << 16 | i->inner_vlan);
	return h & (CELLS - 1);
}

/* The cell of that key, or the empty one where it would stand. */
static size_t cell_find(const struct ps_icmp_table *t, const struct ps_icmp *icmp)
{
	size_t i = home(icmp);

	while (t->cells[i] && ps_icmp_compare(&t->entries[t->cells[i] - 1].icmp, icmp) != 0)
		i = (i + 1) & (CELLS - 1);
	return i;
}

static int room(struct ps_icmp_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	struct entry *entries;

	if (t->n < t->cap)
		return 0;
	if (t->n >= PS_ICMP_ENTRIES)
		return -ENOSPC;
	cap = PS_MIN(cap, (size_t)PS_ICMP_ENTRIES);
	entries = realloc(t->entries, cap * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	t->cap = cap;
	return 0;
}

/*
 * Older news of the same entry has fewer packets. Fewer packets at a later time are news: the kernel gave the entry up
 * and began another one. Later by more than the clocks of two programs and the kernel's coarse one differ.
 */
#define LATER_NS 100000000ull

static bool is_news(const struct ps_icmp *known, const struct ps_icmp *icmp)
{
	if (icmp->packets != known->packets)
		return icmp->packets > known->packets || icmp->last_seen > known->last_seen + LATER_NS;
	return icmp->bytes != known->bytes || icmp->dropped_packets != known->dropped_packets ||
	       icmp->ip_id != known->ip_id || icmp->connection != known->connection || icmp->answered > known->answered;
}

int ps_icmp_table_apply(struct ps_icmp_table *t, const struct ps_icmp *icmp)
{
	size_t at = cell_find(t, icmp);
	struct entry *e;
	int r;

	if (!t->cells[at]) {
		r = room(t);
		if (r < 0)
			return r;
		t->entries[t->n] = (struct entry){.icmp = *icmp, .pass = t->pass};
		t->cells[at] = (uint16_t)++t->n;
		return 1;
	}
	e = &t->entries[t->cells[at] - 1];
	e->pass = t->pass;
	if (!is_news(&e->icmp, icmp))
		return 0;
	e->icmp = *icmp;
	return 1;
}

void ps_icmp_table_mark(struct ps_icmp_table *t)
{
	t->pass++;
}

void ps_icmp_table_drop_unseen(struct ps_icmp_table *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->entries[i].pass == t->pass)
			t->entries[kept++] = t->entries[i];
	}
	if (kept == t->n)
		return;
	t->n = kept;
	memset(t->cells, 0, sizeof(t->cells));
	for (size_t i = 0; i < t->n; i++)
		t->cells[cell_find(t, &t->entries[i].icmp)] = (uint16_t)(i + 1);
}

size_t ps_icmp_table_count(const struct ps_icmp_table *t)
{
	return t->n;
}

const struct ps_icmp *ps_icmp_table_at(const struct ps_icmp_table *t, size_t i)
{
	return i < t->n ? &t->entries[i].icmp : NULL;
}
