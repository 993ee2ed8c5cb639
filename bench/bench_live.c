/* SPDX-License-Identifier: MIT */
/*
 * What the whole product adds to a packet that goes on into the stack: the same packets through "read and pass" and
 * through everything, on our table and on the kernel's LRU hash, rounds interleaved, in CPU time a packet. And what a
 * connection takes in the kernel, and how long it takes to read them all.
 *
 * The packets enter at the loopback interface of a network namespace made for it and end in a drop at nft's ingress
 * hook, or, without nft, at the IP layer, being meant for another host. PS_BENCH_ROUNDS, PS_BENCH_BITS (2^n
 * connections), PS_BENCH_REPEAT: other numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/abi.h"

#include "bench_live_own.skel.h"
#include "bench_live_lru.skel.h"

#include "bench/live.h"
#include "bench/live_rig.h"
#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"

static unsigned bits = 20;
static uint32_t repeat = 400000;
static unsigned rounds = 7;

struct figure {
	const char *name;
	struct ps_live *live;
	const char *program;
	struct ps_rule_set *set; /* NULL: leave what is in force */
	enum bench_draw draw;
	unsigned bits;
	uint32_t payload;
	double ns[PS_BENCH_ROUNDS_MAX];
};

static void go(struct figure *f, unsigned round)
{
	struct bench_live *b = f->live->settings;
	bool tracked = !strcmp(f->program, "bench_all");
	uint64_t before = ps_live_dropped(f->live);
	uint32_t sent[BENCH_HOT];

	if (f->set)
		(void)ps_rule_install(&f->live->rig->view, f->set, 0);
	b->draw = f->draw;
	b->bits = f->bits;
	b->payload = f->payload;
	b->next = 0;
	b->state = round * 7919 + 1;
	memcpy(sent, b->sent, sizeof(sent));
	(void)ps_live_run(f->live, f->program, repeat / 4 + 1);
	f->ns[round] = ps_live_run(f->live, f->program, repeat);
	if (!tracked) /* what the table never saw is sent again, or each connection would have a gap */
		memcpy(b->sent, sent, sizeof(sent));
	if (ps_live_dropped(f->live) != before)
		ps_bench_note(f->name, "a rule dropped some of these packets");
	ps_live_forget_events(f->live);
}

static void measure(struct figure *figures, size_t n)
{
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++)
			go(&figures[i], round);
	for (size_t i = 0; i < n; i++)
		ps_bench_series(figures[i].name, "ns", figures[i].ns, rounds);
}

/* Few connections, many rules. */
static void hot(struct ps_live *own, struct ps_live *lru)
{
	unsigned few = bits < 10 ? bits : 10;
	struct ps_rule_set *none = ps_bench_mixed_set(own->rig, 0, 0);
	struct figure f[] = {
		{"live.hot.pass", own, "bench_pass", NULL, BENCH_UNIFORM, few, PS_LIVE_PAYLOAD, {0}},
		{"live.hot.parse", own, "bench_parse", NULL, BENCH_UNIFORM, few, PS_LIVE_PAYLOAD, {0}},
		{"live.hot.0", own, "bench_all", none, BENCH_UNIFORM, few, PS_LIVE_PAYLOAD, {0}},
		{"live.hot.10k", own, "bench_all", ps_bench_mixed_set(own->rig, 10000, 0), BENCH_UNIFORM, few,
			PS_LIVE_PAYLOAD, {0}},
		{"live.hot.100k", own, "bench_all", ps_bench_mixed_set(own->rig, 10000, 90000), BENCH_UNIFORM, few,
			PS_LIVE_PAYLOAD, {0}},
		{"live.hot.lru", lru, "bench_all", NULL, BENCH_UNIFORM, few, PS_LIVE_PAYLOAD, {0}},
	};

	measure(f, PS_ARRAY_SIZE(f));
	(void)ps_rule_install(&own->rig->view, none, 0);
}

/* All connections, no rules. */
static void cold(struct ps_live *own, struct ps_live *lru)
{
	struct figure f[] = {
		{"live.uniform.parse", own, "bench_parse", NULL, BENCH_UNIFORM, bits, 0, {0}},
		{"live.uniform.own", own, "bench_all", NULL, BENCH_UNIFORM, bits, 0, {0}},
		{"live.uniform.lru", lru, "bench_all", NULL, BENCH_UNIFORM, bits, 0, {0}},
		{"live.zipf.parse", own, "bench_parse", NULL, BENCH_ZIPF, bits, 0, {0}},
		{"live.zipf.own", own, "bench_all", NULL, BENCH_ZIPF, bits, 0, {0}},
		{"live.zipf.lru", lru, "bench_all", NULL, BENCH_ZIPF, bits, 0, {0}},
	};

	measure(f, PS_ARRAY_SIZE(f));
}

/* The curve: the same packets over more and more connections. */
static void sizes(struct ps_live *own, struct ps_live *lru)
{
	for (unsigned b = 10; b <= bits; b += 2) {
		char names[3][32];
		struct figure f[] = {
			{names[0], own, "bench_parse", NULL, BENCH_UNIFORM, b, 0, {0}},
			{names[1], own, "bench_all", NULL, BENCH_UNIFORM, b, 0, {0}},
			{names[2], lru, "bench_all", NULL, BENCH_UNIFORM, b, 0, {0}},
		};

		(void)snprintf(names[0], sizeof(names[0]), "size.parse.%u", 1u << b);
		(void)snprintf(names[1], sizeof(names[1]), "size.own.%u", 1u << b);
		(void)snprintf(names[2], sizeof(names[2]), "size.lru.%u", 1u << b);
		measure(f, PS_ARRAY_SIZE(f));
	}
}

static void memory(struct ps_live *own, struct ps_live *lru)
{
	static const char *const tables[] = {"ps_tags", "ps_hot", "ps_cold", "ps_tcp", "ps_locks"};
	double ours = 0, theirs = ps_live_map_bytes(lru, "ps_conns"), n = own->rig->slots;

	for (size_t i = 0; i < PS_ARRAY_SIZE(tables); i++)
		ours += ps_live_map_bytes(own, tables[i]);
	ours /= n * PS_TABLE_LOAD_PERCENT / 100; /* sized so that this many are guaranteed */
	theirs /= n;
	ps_bench_series("memory.own", "B", &ours, 1);
	ps_bench_series("memory.lru", "B", &theirs, 1);
}

/* Every record as a snapshot needs it: copied whole. */
static void snapshot(struct ps_live *own, struct ps_live *lru)
{
	double ours[PS_BENCH_ROUNDS_MAX], theirs[PS_BENCH_ROUNDS_MAX];

	for (unsigned round = 0; round < rounds; round++) {
		ours[round] = ps_live_read_mapped(own, 1ull << bits);
		theirs[round] = ps_live_read_batches(lru, 1ull << bits);
	}
	ps_bench_series("snapshot.own", "ms", ours, rounds);
	ps_bench_series("snapshot.lru", "ms", theirs, rounds);
}

int main(int argc, char **argv)
{
	struct ps_live *own, *lru;
	const void *object;
	size_t size = 0;

	rounds = ps_bench_rounds(rounds);
	bits = (unsigned)ps_bench_size("PS_BENCH_BITS", bits);
	repeat = (uint32_t)ps_bench_size("PS_BENCH_REPEAT", repeat);
	if (ps_rig_skip())
		return 77;
	ps_bench_pin();
	ps_live_namespace();
	object = bench_live_own__elf_bytes(&size);
	own = ps_live_new(object, size, PS_RIG_OWN, bits);
	object = bench_live_lru__elf_bytes(&size);
	lru = ps_live_new(object, size, PS_RIG_LRU, bits);
	if (argc < 2 || !strcmp(argv[1], "hot"))
		hot(own, lru);
	if (argc < 2 || !strcmp(argv[1], "cold"))
		cold(own, lru);
	if (argc < 2 || !strcmp(argv[1], "memory"))
		memory(own, lru);
	if (argc < 2 || !strcmp(argv[1], "snapshot"))
		snapshot(own, lru);
	if (argc < 2 || !strcmp(argv[1], "sizes"))
		sizes(own, lru);
	ps_live_free(&own);
	ps_live_free(&lru);
	return 0;
}
