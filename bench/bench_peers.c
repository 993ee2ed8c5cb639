/* SPDX-License-Identifier: MIT */
/*
 * The whole product with 10,000 mixed rules beside what others take for a set of 10,000 addresses (xdp-filter's own
 * programs, as its package installs them) and for 1,000 rules one by one (nft's ingress hook): the same packets of
 * 1,024 hot TCP connections, rounds interleaved, each program reached by the same jump, over one that only passes. The
 * packets go on into the stack and end at nft's ingress hook. What is not installed is left out.
 * PS_BENCH_ROUNDS, PS_BENCH_REPEAT: other numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/abi.h"

#include "bench_peer.skel.h"

#include "bench/live_rig.h"
#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"

#define BITS 16u /* connections in the table: the product's default */
#define HOT_BITS 10u
#define ADDRESSES 10000u
#define LINEAR 1000
#define XDP_FILTER_SRC 1u /* in a value of its maps: the source address is meant */

static unsigned rounds = 7;
static uint32_t repeat = 400000;

struct figure {
	const char *name;
	int program;    /* that is jumped to */
	int place;      /* network namespace */
	unsigned fewer; /* packets than the others, by this factor */
	double ns[PS_BENCH_ROUNDS_MAX];
};

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int new_place(void)
{
	int fd;

	ps_live_namespace();
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("no network namespace");
	return fd;
}

/* Rules that no packet matches, before the drop at the end. */
static bool linear_rules(void)
{
	FILE *nft = popen("nft -f - 2>/dev/null", "we");

	if (!nft)
		return false;
	for (unsigned i = 0; i < LINEAR; i++)
		(void)fprintf(
			nft, "add rule netdev bench c ip saddr 10.%u.%u.%u drop\n", i % 250, i / 250, i % 199 + 1);
	return pclose(nft) == 0;
}

static void fill_set(int map, unsigned cpus)
{
	_cleanup_free_ uint64_t *value = calloc(cpus, sizeof(*value));

	if (!value)
		die("memory");
	for (unsigned i = 0; i < cpus; i++)
		value[i] = XDP_FILTER_SRC;
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		uint32_t addr = htonl(0x0a000000u + i * 7919u % 0x1000000u);

		if (bpf_map_update_elem(map, &addr, value, BPF_ANY) != 0)
			die("cannot fill the set of xdp-filter");
	}
}

/* One of xdp-filter's programs with its set full, or -1. */
static int xdp_filter(const char *name, const char *series)
{
	struct bpf_object *object = NULL;
	struct bpf_program *program;
	struct bpf_map *map;
	char path[128];

	for (unsigned i = 0; i < 2 && !object; i++) {
		(void)snprintf(path, sizeof(path), i ? "/usr/lib/bpf/%s.o" : "/usr/lib/%s/bpf/%s.o",
			i ? name : PS_MULTIARCH, name);
		if (access(path, R_OK) == 0)
			object = bpf_object__open_file(path, NULL);
	}
	if (!object) {
		ps_bench_note(series, "xdp-tools is not installed (packaging/setup.sh bench)");
		return -1;
	}
	bpf_object__for_each_map(map, object)(void) bpf_map__set_pin_path(map, NULL);
	bpf_object__for_each_program(program, object)(void) bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
	map = bpf_object__find_map_by_name(object, "filter_ipv4");
	program = bpf_object__find_program_by_name(object, name);
	if (!map || !program || bpf_object__load(object) != 0) {
		ps_bench_note(series, "the kernel does not take this program of xdp-filter");
		return -1;
	}
	fill_set(bpf_map__fd(map), (unsigned)libbpf_num_possible_cpus());
	return bpf_program__fd(program);
}

static void go(struct figure *f, struct ps_live *l, unsigned round)
{
	uint32_t zero = 0, times = repeat / (f->fewer ?: 1) + 1;
	uint64_t before = ps_live_dropped(l);

	if (setns(f->place, CLONE_NEWNET) < 0)
		die("setns");
	if (bpf_map_update_elem(ps_rig_map(l->rig, "bench_next"), &zero, &f->program, BPF_ANY) != 0)
		die("cannot jump to this program");
	l->settings->draw = BENCH_UNIFORM;
	l->settings->bits = HOT_BITS;
	l->settings->payload = PS_LIVE_PAYLOAD;
	l->settings->state = round * 7919 + 1;
	(void)ps_live_run(l, "bench_go", times / 4 + 1);
	f->ns[round] = ps_live_run(l, "bench_go", times);
	if (ps_live_dropped(l) != before)
		ps_bench_note(f->name, "a rule dropped some of these packets");
	ps_live_forget_events(l);
}

static int program(const struct ps_live *l, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(l->rig->object, name));
}

int main(void)
{
	size_t size = 0, n = 0;
	const void *object = bench_peer__elf_bytes(&size);
	struct figure f[5] = {0};
	struct ps_live *l;
	int open, linear, all, ip;

	rounds = ps_bench_rounds(rounds);
	repeat = (uint32_t)ps_bench_size("PS_BENCH_REPEAT", repeat);
	if (ps_rig_skip())
		return 77;
	ps_bench_pin();
	open = new_place();
	l = ps_live_new(object, size, PS_RIG_OWN, BITS);
	(void)ps_rule_install(&l->rig->view, ps_bench_mixed_set(l->rig, ADDRESSES, 0), 0);
	f[n++] = (struct figure){.name = "peer.pass", .program = program(l, "bench_end"), .place = open};
	f[n++] = (struct figure){.name = "peer.own", .program = program(l, "ps_xdp"), .place = open};
	all = xdp_filter("xdpfilt_alw_all", "peer.xdp-filter");
	ip = xdp_filter("xdpfilt_alw_ip", "peer.xdp-filter.ip");
	if (all >= 0)
		f[n++] = (struct figure){.name = "peer.xdp-filter", .program = all, .place = open};
	if (ip >= 0)
		f[n++] = (struct figure){.name = "peer.xdp-filter.ip", .program = ip, .place = open};
	linear = new_place();
	if (linear_rules())
		f[n++] = (struct figure){
			.name = "peer.nft", .program = program(l, "bench_end"), .place = linear, .fewer = 20};
	else
		ps_bench_note("peer.nft", "nft is not here");
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++)
			go(&f[i], l, round);
	for (size_t i = 0; i < n; i++)
		ps_bench_series(f[i].name, "ns", f[i].ns, rounds);
	ps_live_free(&l);
	return 0;
}
