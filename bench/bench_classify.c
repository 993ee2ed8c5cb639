/*
 * What it costs to find the rule: random packets through the loaded program, step by step, rounds interleaved, least
 * and middle time of each. PS_BENCH_ROUNDS, PS_BENCH_REPEAT: other numbers; a smoke run is PS_BENCH_ROUNDS=1
 * PS_BENCH_REPEAT=1000.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/abi.h"

#include "bench_mutate.skel.h"

#include "bench/linear.h"
#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "harness.h"

#define ROUNDS_MAX 51
#define HOT_FLOWS 1024u

static unsigned rounds = 9;
static uint32_t repeat = 1000000;

static int program(struct ps_rig *rig, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(rig->object, name));
}

/* ns a packet. */
static double run(int program_fd, uint32_t flows, uint32_t times)
{
	uint64_t state = 1;
	struct ps_frame f;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = (int)times);

	ps_frame_make(&f, &(struct ps_frame_spec){.src = "10.0.0.1",
				  .dst = "10.0.0.2",
				  .proto = IPPROTO_UDP,
				  .sport = 1,
				  .dport = 2,
				  .payload = 18});
	memcpy(f.data, &state, sizeof(state));
	memcpy(f.data + sizeof(state), &flows, sizeof(flows));
	opts.data_in = f.data;
	opts.data_size_in = (uint32_t)f.len;
	if (bpf_prog_test_run_opts(program_fd, &opts) != 0) {
		(void)fprintf(stderr, "cannot run: %s\n", strerror(errno));
		exit(1);
	}
	return opts.duration;
}

struct figure {
	const char *id, *name, *program;
	struct ps_rule_set *set; /* NULL = no rules */
	double ns[ROUNDS_MAX];
};

/* A smoke run is not to wait for the compiler of rules. */
static size_t sized(size_t n)
{
	return getenv("PS_BENCH_SMOKE") ? n / 100 : n;
}

static struct ps_rule_set *tuples(struct ps_rig *rig, size_t n, unsigned combinations)
{
	_cleanup_free_ struct ps_rule *rules = calloc(n + 1, sizeof(*rules));

	ps_bench_tuples(rules, n, combinations);
	return ps_bench_set(rig, rules, n);
}

static void measure(struct ps_rig *rig, struct figure *figures, size_t n, uint32_t flows)
{
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++) {
			struct figure *f = &figures[i];
			bool slow = !strcmp(f->program, "bench_linear"); /* a hundred times the others */
			uint32_t times = slow ? repeat / 50 + 1 : repeat;

			(void)ps_rule_install(&rig->view, f->set, 0);
			(void)run(program(rig, f->program), flows, times / 20 + 1);
			f->ns[round] = run(program(rig, f->program), flows, times);
		}
}

static struct ps_rig *open_rig(void)
{
	size_t size = 0;
	const void *bytes = bench_mutate__elf_bytes(&size);
	struct ps_rig *rig;

	rig = ps_rig_new(&(struct ps_rig_options){.object = bytes, .object_size = size, .buckets = 8192});
	ps_rig_interface(rig, 1, 0, 1500);
	return rig;
}

static void tell(struct figure *f, struct figure *reference, double goal, const char *note)
{
	char text[160];
	double ours = ps_bench_min(f->ns, rounds), theirs = ps_bench_min(reference->ns, rounds);

	(void)snprintf(text, sizeof(text), "%s; median %.1f and %.1f ns", note, ps_bench_median(f->ns, rounds),
		ps_bench_median(reference->ns, rounds));
	ps_bench_result(f->id, f->name, ours, theirs, goal, text);
}

/* UDP between the networks that all packets are from and to, each to a port of its own. */
static void fill_linear(struct ps_rig *rig)
{
	struct bench_rule *r = ps_rig_memory(rig, "bench_rules");

	for (unsigned i = 0; i < BENCH_RULES; i++)
		r[i] = (struct bench_rule){.saddr = htonl(0x0a000000),
			.smask = htonl(0xff000000),
			.daddr = htonl(0x0a000000),
			.dmask = htonl(0xff000000),
			.dport = htons((uint16_t)(i + 1)),
			.proto = IPPROTO_UDP};
}

static void random_keys(void)
{
	struct ps_rig *rig = open_rig();
	struct figure f[] = {
		{"5.pass", "mutate and pass", "bench_pass", tuples(rig, 0, 16), {0}},
		{"5.parse", "parse", "bench_parse", tuples(rig, 0, 16), {0}},
		{"5.16", "classify, random keys, 100,000 rules in 16 tuples", "bench_classify",
			tuples(rig, sized(100000), 16), {0}},
		{"5.64", "classify, random keys, 100,000 rules in 64 tuples", "bench_classify",
			tuples(rig, sized(100000), 64), {0}},
		{"5.1k", "classify, random keys, 1,000 rules in 16 tuples", "bench_classify",
			tuples(rig, sized(1000), 16), {0}},
		{"5.10k", "classify, random keys, 10,000 mixed rules", "bench_classify",
			ps_bench_mixed_set(rig, sized(10000), 0), {0}},
		{"5.110k", "classify, random keys, 10,000 mixed rules and 100,000 addresses", "bench_classify",
			ps_bench_mixed_set(rig, sized(10000), sized(100000)), {0}},
		{"5.linear", "1,000 rules one by one", "bench_linear", tuples(rig, 0, 16), {0}},
	};
	struct figure *parse = &f[1];
	size_t linear = PS_ARRAY_SIZE(f) - 1;

	fill_linear(rig);
	measure(rig, f, PS_ARRAY_SIZE(f), 0);
	ps_bench_series("classify.parse", "ns", parse->ns, rounds);
	ps_bench_series("classify.16", "ns", f[2].ns, rounds);
	ps_bench_series("classify.10k", "ns", f[5].ns, rounds);
	ps_bench_series("classify.linear", "ns", f[linear].ns, rounds);
	tell(&f[0], parse, 1, "the floor of the method");
	for (size_t i = 2; i < linear; i++)
		tell(&f[i], parse, i == 3 ? 20 : 3, "with parse, over parse alone");
	ps_rig_free(&rig);
}

static void remembered(void)
{
	struct ps_rig *rig = open_rig();
	struct figure f[] = {
		{"1.run.0", "1,024 hot flows, no rules", "bench_full", tuples(rig, 0, 16), {0}},
		{"1.run.10k", "1,024 hot flows, 10,000 mixed rules, over no rules", "bench_full",
			ps_bench_mixed_set(rig, sized(10000), 0), {0}},
		{"1.run.100k", "1,024 hot flows, 100,000 rules, over no rules", "bench_full",
			ps_bench_mixed_set(rig, 0, sized(100000)), {0}},
	};

	measure(rig, f, PS_ARRAY_SIZE(f), HOT_FLOWS);
	tell(&f[1], &f[0], 1.05, "test_run, verdict remembered");
	tell(&f[2], &f[0], 1.10, "test_run, verdict remembered");
	ps_rig_free(&rig);
}

/* The curve: the same packets and more and more rules. */
static void sizes(void)
{
	struct ps_rig *rig = open_rig();
	static char names[10][32];
	struct figure f[10] = {0};
	size_t n = 0;

	for (size_t rules = 10; rules <= 100000; rules *= 10) {
		(void)snprintf(names[n], sizeof(names[n]), "classify.tuples.%zu", rules);
		f[n] = (struct figure){names[n], names[n], "bench_classify", tuples(rig, sized(rules), 16), {0}};
		n++;
		(void)snprintf(names[n], sizeof(names[n]), "classify.mixed.%zu", rules);
		f[n] = (struct figure){
			names[n], names[n], "bench_classify", ps_bench_mixed_set(rig, sized(rules), 0), {0}};
		n++;
	}
	measure(rig, f, n, 0);
	for (size_t i = 0; i < n; i++)
		ps_bench_series(f[i].name, "ns", f[i].ns, rounds);
	ps_rig_free(&rig);
}

int main(void)
{
	if (getenv("PS_BENCH_ROUNDS"))
		rounds = (unsigned)PS_MIN(strtoul(getenv("PS_BENCH_ROUNDS"), NULL, 0), ROUNDS_MAX);
	if (getenv("PS_BENCH_REPEAT"))
		repeat = (uint32_t)strtoul(getenv("PS_BENCH_REPEAT"), NULL, 0);
	if (ps_rig_skip())
		return 77;
	random_keys();
	remembered();
	sizes();
	return 0;
}
