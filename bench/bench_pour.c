/* SPDX-License-Identifier: MIT */
/*
 * bench_pour LINK MAPS RATE CONNECTIONS [COUNTER]
 *
 * So many new TCP connections at this rate a second through the very program that the pinned link runs, on the last
 * CPU, and then waits until all of them have arrived: applied by the aggregator, or counted by whoever keeps the 64-bit
 * number in the file COUNTER. Prints what became of them, in one line of JSON; "seconds" are from the first packet to
 * the last arrival.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/abi.h"

#include "bench_pour.skel.h"

#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "frame.h"

/*
 * A third of the ring of a machine with two CPUs. Who was kept from pouring for longer does not make up for it: that
 * would be another rate. What is not poured in time is not in the rate of arrival either.
 */
#define BURST 2048
#define STEP_NS 1000000
#define PATIENCE_NS 1000000000ull /* without any progress: what is not here by then is lost */

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

struct pour {
	int program;
	int stats;
	struct ps_ledger *ledger;
	const volatile uint64_t *counter; /* NULL: the aggregator's */
	struct ps_frame frame;
	uint64_t sent;
};

struct sums {
	uint64_t produced, lost; /* in the kernel */
	uint64_t received, refused, arrived;
};

static int program_of_link(const char *path)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int link = bpf_obj_get(path), program;

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size) < 0)
		die(path);
	program = bpf_prog_get_fd_by_id(info.prog_id);
	if (program < 0)
		die(path);
	(void)close(link);
	return program;
}

/* Programs that jump to each other must agree about frames longer than their head. -1 if these don't. */
static int generator_with(uint32_t flags, int target)
{
	struct bench_pour *s = bench_pour__open();
	uint32_t zero = 0;
	int program;

	if (!s || bpf_program__set_flags(s->progs.bench_pour, flags) != 0 || bench_pour__load(s) != 0)
		return -1;
	program = bpf_program__fd(s->progs.bench_pour);
	return bpf_map_update_elem(bpf_map__fd(s->maps.bench_next), &zero, &target, BPF_ANY) == 0 ? program : -1;
}

/* The generator, attached to the loopback interface of a namespace of its own: then the kernel needs not patch its code
 * each time that it is run. */
static int generator(const char *link)
{
	int target = program_of_link(link), program = generator_with(BPF_F_XDP_HAS_FRAGS, target);

	if (program < 0)
		program = generator_with(0, target);
	if (program < 0)
		die("cannot jump to the program");
	if (unshare(CLONE_NEWNET) < 0 || bpf_xdp_attach(1, program, XDP_FLAGS_SKB_MODE, NULL) < 0)
		die("cannot attach the generator");
	return program;
}

static int map_of(const char *maps, const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", maps, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die(path);
	return fd;
}

static void *mapped(int fd, size_t size, bool writable)
{
	void *at = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static struct sums look(const struct pour *p)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct ps_stats *all = calloc((size_t)cpus, sizeof(*all));
	struct sums s = {0};
	uint32_t zero = 0;

	if (!all || bpf_map_lookup_elem(p->stats, &zero, all) != 0)
		die("cannot read the counters");
	for (int i = 0; i < cpus; i++) {
		s.produced += all[i].ev_conn_new;
		s.lost += all[i].lost_conn_new;
	}
	s.received = __atomic_load_n(&p->ledger->received[PS_EV_CONN_NEW], __ATOMIC_ACQUIRE);
	s.refused = __atomic_load_n(&p->ledger->refused[PS_EV_CONN_NEW], __ATOMIC_ACQUIRE);
	s.arrived = p->counter ? *p->counter : __atomic_load_n(&p->ledger->applied[PS_EV_CONN_NEW], __ATOMIC_ACQUIRE);
	return s;
}

static void burst(struct pour *p, uint32_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = p->frame.data, .data_size_in = (uint32_t)p->frame.len,
		.data_out = p->frame.data, .data_size_out = (uint32_t)p->frame.len, .repeat = (int)n);

	if (bpf_prog_test_run_opts(p->program, &run) != 0)
		die("cannot run the program");
	p->sent += n;
}

static void until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void pour(struct pour *p, uint64_t rate, uint64_t total)
{
	uint64_t began = ps_bench_now(), next = began, off = 0; /* off: of those that were due */

	while (p->sent < total) {
		uint64_t now = ps_bench_now();
		uint64_t due = (uint64_t)((double)(now - began) / 1e9 * (double)rate) + 1 - off;

		if (due > p->sent + BURST) {
			off += due - p->sent - BURST;
			due = p->sent + BURST;
		}
		due = PS_MIN(due, total);
		if (due > p->sent)
			burst(p, (uint32_t)(due - p->sent));
		next = PS_MAX(next + STEP_NS, now);
		until(next);
	}
}

/* When the last one came. */
static uint64_t wait_for_all(const struct pour *p, const struct sums *before, struct sums *ret_after)
{
	uint64_t last = ps_bench_now(), now = last;
	struct sums s = look(p);

	while (s.arrived - before->arrived < p->sent && now - last < PATIENCE_NS) {
		uint64_t arrived = s.arrived;

		until(now + STEP_NS);
		now = ps_bench_now();
		s = look(p);
		if (s.arrived != arrived)
			last = now;
	}
	*ret_after = s;
	return last;
}

int main(int argc, char **argv)
{
	struct pour p = {0};
	struct sums before, after;
	uint64_t rate, began, ended, state;

	if (argc < 5)
		return 2;
	rate = strtoull(argv[3], NULL, 0);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	ps_bench_pin();
	p.stats = map_of(argv[2], "ps_stats");
	p.ledger = mapped(map_of(argv[2], "ps_ledger"), sizeof(*p.ledger), false);
	if (argc > 5)
		p.counter = mapped(open(argv[5], O_RDWR | O_CLOEXEC), sizeof(uint64_t), true);
	p.program = generator(argv[1]);
	ps_frame_make(&p.frame, &(struct ps_frame_spec){.src = "10.0.0.1",
					.dst = "10.0.0.2",
					.proto = IPPROTO_TCP,
					.sport = 1,
					.dport = 2,
					.flags = PS_F_SYN});
	state = ps_bench_now();
	memset(p.frame.data, 0, 12);
	memcpy(p.frame.data, &state, sizeof(state));
	before = look(&p);
	began = ps_bench_now();
	pour(&p, rate, strtoull(argv[4], NULL, 0));
	ended = wait_for_all(&p, &before, &after);
	printf("{\"sent\": %llu, \"produced\": %llu, \"lost\": %llu, \"received\": %llu, \"refused\": %llu, "
	       "\"arrived\": "
	       "%llu, \"seconds\": %.6f}\n",
		(unsigned long long)p.sent, (unsigned long long)(after.produced - before.produced),
		(unsigned long long)(after.lost - before.lost), (unsigned long long)(after.received - before.received),
		(unsigned long long)(after.refused - before.refused),
		(unsigned long long)(after.arrived - before.arrived), (double)(ended - began) / 1e9);
	return 0;
}
