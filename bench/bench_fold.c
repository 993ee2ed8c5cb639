/* SPDX-License-Identifier: MIT */
/*
 * Records folded into the table of connections as the aggregator does it, a batch asked for ahead; into the same table
 * one by one; and one by one into what one would write first: a hash with chains, as many buckets as connections, each
 * connection allocated by itself, a newer record copied over the older one. Connections that began one after the other
 * report in another order. PS_BENCH_ROUNDS, PS_BENCH_BITS (2^n connections): other numbers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/limits.h"
#include "bench/records.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "common/model/conn_table.h"

static uint32_t mask;

/* Another connection each time: a walk through all of them, first in the order in which they begin, then in any. */
static uint64_t id_of(uint64_t k, bool begin)
{
	return 0x100000000ull + (begin ? k : (k * 2654435761u + 12345) & mask);
}

/* --- ours --------------------------------------------------------------------------------------------- */

static void fold(struct ps_conn_table *t, struct ps_conn *batch, uint64_t from, uint64_t packets, bool begin, bool ask)
{
	size_t strangers = 0;

	for (unsigned i = 0; i < PS_FEED_BATCH; i++) {
		batch[i].id = id_of(from + i, begin);
		batch[i].orig_packets = packets;
		if (ask)
			ps_conn_table_prefetch(t, batch[i].id);
	}
	for (unsigned i = 0; ask && i < PS_FEED_BATCH; i++)
		strangers = ps_conn_table_prefetch_record(t, batch[i].id, strangers);
	for (unsigned i = 0; i < PS_FEED_BATCH; i++)
		if (ps_conn_table_apply(t, &batch[i], false, 1) < 0)
			exit(1);
}

static double pass(struct ps_conn_table *t, struct ps_conn *batch, uint64_t packets, bool begin, bool ask)
{
	uint64_t began = ps_bench_cpu();

	for (uint64_t k = 0; k <= mask; k += PS_FEED_BATCH)
		fold(t, batch, k, packets, begin, ask);
	return (double)(ps_bench_cpu() - began) / ((double)mask + 1);
}

/* --- an ordinary table -------------------------------------------------------------------------------- */

struct node {
	struct node *next;
	struct ps_conn conn;
};

static struct node **bucket_of(struct node **buckets, uint64_t id)
{
	return &buckets[id * 0x9e3779b97f4a7c15ull >> 32 & mask];
}

static void ordinary_fold(struct node **buckets, const struct ps_conn *c)
{
	struct node **at = bucket_of(buckets, c->id), *n = *at;

	while (n && n->conn.id != c->id)
		n = n->next;
	if (!n) {
		n = malloc(sizeof(*n));
		if (!n)
			exit(1);
		n->next = *at;
		n->conn = *c;
		*at = n;
	} else if (c->orig_packets + c->resp_packets > n->conn.orig_packets + n->conn.resp_packets) {
		n->conn = *c;
	}
}

static double ordinary_pass(struct node **buckets, struct ps_conn *batch, uint64_t packets, bool begin)
{
	uint64_t began = ps_bench_cpu();

	for (uint64_t k = 0; k <= mask; k++) {
		struct ps_conn *c = &batch[k % PS_FEED_BATCH];

		c->id = id_of(k, begin);
		c->orig_packets = packets;
		ordinary_fold(buckets, c);
	}
	return (double)(ps_bench_cpu() - began) / ((double)mask + 1);
}

static void ordinary_free(struct node **buckets)
{
	for (uint64_t i = 0; i <= mask; i++) {
		while (buckets[i]) {
			struct node *n = buckets[i];

			buckets[i] = n->next;
			free(n);
		}
	}
	free(buckets);
}

static double resident(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	long all = 0, pages = 0;

	if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2)
		return 0;
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

int main(void)
{
	static double ns[3][PS_BENCH_ROUNDS_MAX];
	static struct ps_conn batch[PS_FEED_BATCH];
	unsigned rounds = ps_bench_rounds(7);
	unsigned bits = (unsigned)ps_bench_size("PS_BENCH_BITS", 20);
	_cleanup_(ps_conn_table_free) struct ps_conn_table *t = NULL;
	uint64_t packets = 100;
	struct node **buckets;
	double before, bytes;

	ps_bench_pin();
	mask = (1u << bits) - 1;
	for (uint32_t i = 0; i < PS_FEED_BATCH; i++)
		ps_bench_record(i, &batch[i]);
	before = resident();
	if (ps_conn_table_new((size_t)mask + 1, &t) < 0)
		return 1;
	(void)pass(t, batch, packets, true, true);
	bytes = (resident() - before) / ((double)mask + 1);
	buckets = calloc((size_t)mask + 1, sizeof(struct node *));
	if (!buckets)
		return 1;
	(void)ordinary_pass(buckets, batch, packets, true);
	for (unsigned round = 0; round < rounds; round++) {
		ns[0][round] = pass(t, batch, ++packets, false, true);
		ns[1][round] = pass(t, batch, ++packets, false, false);
		ns[2][round] = ordinary_pass(buckets, batch, packets, false);
	}
	ordinary_free(buckets);
	ps_bench_series("fold.own", "ns", ns[0], rounds);
	ps_bench_series("fold.unbatched", "ns", ns[1], rounds);
	ps_bench_series("fold.ordinary", "ns", ns[2], rounds);
	ps_bench_series("fold.bytes", "B", &bytes, 1);
	return 0;
}
