/* SPDX-License-Identifier: MIT */
#include "bench/live_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"
#include "common/model/record.h"

#define NET 0x0be00000u /* 11.224.0.0/12: what the rules to measure with leave alone */
#define SERVER 0xc0000201u
#define PORT 443
#define ISN_CLIENT 1000u
#define ISN_SERVER 5000u
#define BATCH 4096

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

void ps_live_namespace(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		die("no network namespace");
	if (system("ip link set lo up") != 0)
		die("cannot set up the loopback interface");
	if (system("nft 'table netdev bench { chain c { type filter hook ingress device lo priority 0; policy drop; }; "
		   "}' "
		   "2>/dev/null") != 0)
		ps_bench_note("live", "without nft: packets end at the IP layer");
}

static int program(struct ps_live *l, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(l->rig->object, name));
}

static void make_frame(struct ps_live *l, struct ps_frame *f, uint8_t flags, bool reply, size_t payload)
{
	ps_frame_make(f, &(struct ps_frame_spec){.src = "11.224.0.1",
				 .dst = "192.0.2.1",
				 .proto = IPPROTO_TCP,
				 .sport = 1024,
				 .dport = PORT,
				 .flags = flags,
				 .seq = reply              ? ISN_SERVER
					: flags & PS_F_SYN ? ISN_CLIENT
							   : ISN_CLIENT + 1,
				 .ack = !(flags & PS_F_ACK) ? 0
					: reply             ? ISN_CLIENT + 1
							    : ISN_SERVER + 1,
				 .payload = payload});
	l->settings->reply = reply;
	l->settings->payload = 0;
	l->settings->next = 0;
	l->settings->draw = BENCH_IN_TURN;
}

static void establish(struct ps_live *l, uint32_t n)
{
	const uint32_t step = 16384; /* between which the rings are emptied */

	for (uint32_t i = 0; i < n; i += step) {
		uint32_t some = n - i < step ? n - i : step;
		static const struct {
			const char *program;
			uint8_t flags;
			bool reply;
		} steps[] = {{"bench_all", PS_F_SYN, false}, {"bench_egress", PS_F_SYN | PS_F_ACK, true},
			{"bench_all", PS_F_ACK, false}};

		for (size_t s = 0; s < PS_ARRAY_SIZE(steps); s++) {
			struct ps_frame f;
			LIBBPF_OPTS(bpf_test_run_opts, run, .repeat = (int)some);

			make_frame(l, &f, steps[s].flags, steps[s].reply, 0);
			l->settings->next = i;
			run.data_in = f.data;
			run.data_size_in = (uint32_t)f.len;
			if (bpf_prog_test_run_opts(program(l, steps[s].program), &run) != 0)
				die(steps[s].program);
		}
		ps_live_forget_events(l);
	}
}

struct ps_live *ps_live_empty(
	const void *object, size_t size, enum ps_rig_variant variant, unsigned bits, uint32_t ring_bytes)
{
	struct ps_live *l = calloc(1, sizeof(*l));
	uint64_t slots = (1ull << bits) * 100 / PS_TABLE_LOAD_PERCENT;

	if (!l)
		die("memory");
	l->rig = ps_rig_new(&(struct ps_rig_options){.variant = variant,
		.object = object,
		.object_size = size,
		.live_clock = true,
		.buckets = (uint32_t)((slots + PS_BUCKET_SLOTS - 1) / PS_BUCKET_SLOTS),
		.ring_bytes = ring_bytes});
	l->settings = ps_rig_memory(l->rig, "bench_settings");
	l->settings->net = NET;
	l->settings->server = htonl(SERVER);
	l->settings->port = htons(PORT);
	l->settings->seq = ISN_CLIENT + 1;
	ps_rig_interface(l->rig, 1, 0, 1500);
	make_frame(l, &l->syn, PS_F_SYN, false, 0);
	make_frame(l, &l->data, PS_F_ACK, false, PS_LIVE_PAYLOAD);
	make_frame(l, &l->ack, PS_F_ACK, false, 0);
	return l;
}

struct ps_live *ps_live_new(const void *object, size_t size, enum ps_rig_variant variant, unsigned bits)
{
	struct ps_live *l = ps_live_empty(object, size, variant, bits, PS_LIVE_RING);

	establish(l, 1u << bits);
	return l;
}

void ps_live_free(struct ps_live **p)
{
	ps_rig_free(&(*p)->rig);
	free(*p);
	*p = NULL;
}

double ps_live_run_frame(struct ps_live *l, const char *name, const struct ps_frame *f, uint32_t packets)
{
	struct xdp_md where = {.data_end = (uint32_t)f->len};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->data, .data_size_in = (uint32_t)f->len, .ctx_in = &where,
		.ctx_size_in = sizeof(where), .repeat = (int)packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.batch_size = 64);
	uint64_t began = ps_bench_cpu();

	if (bpf_prog_test_run_opts(program(l, name), &run) != 0)
		die(name);
	return (double)(ps_bench_cpu() - began) / packets;
}

double ps_live_run(struct ps_live *l, const char *name, uint32_t packets)
{
	return ps_live_run_frame(l, name, l->settings->payload ? &l->data : &l->ack, packets);
}

uint64_t ps_live_dropped(struct ps_live *l)
{
	struct ps_stats s = ps_rig_stats(l->rig);

	return s.dropped_packets;
}

void ps_live_forget_events(struct ps_live *l)
{
	(void)ps_rig_drain(l->rig);
	ps_rig_forget_events(l->rig);
}

double ps_live_map_bytes(struct ps_live *l, const char *map)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ps_rig_map(l->rig, map));
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			return (double)bytes;
	die("no memlock in fdinfo");
}

static void expect(uint64_t found, uint64_t expected)
{
	if (found * 100 < expected * 99) {
		(void)fprintf(
			stderr, "%llu connections of %llu\n", (unsigned long long)found, (unsigned long long)expected);
		exit(1);
	}
}

double ps_live_read_mapped(struct ps_live *l, uint64_t expected)
{
	const struct ps_rig *r = l->rig;
	uint64_t began = ps_bench_cpu(), n = 0, sum = 0;
	double ms;

	for (uint32_t slot = 0; slot < r->slots; slot++) {
		uint8_t tag = ((const uint8_t *)&r->tags[slot / PS_BUCKET_SLOTS].tags)[slot % PS_BUCKET_SLOTS];
		struct {
			struct ps_conn_hot hot;
			struct ps_conn_cold cold;
			struct ps_conn_tcp tcp;
		} whole;

		if (!tag)
			continue;
		memcpy(&whole.hot, &r->hot[slot], sizeof(whole.hot));
		memcpy(&whole.cold, &r->cold[slot], sizeof(whole.cold));
		memcpy(&whole.tcp, &r->tcp[slot], sizeof(whole.tcp));
		__asm__ volatile("" ::"r"(&whole) : "memory"); /* the copy is made */
		sum += whole.hot.last_seen;
		n++;
	}
	ms = (double)(ps_bench_cpu() - began) / 1e6;
	expect(sum ? n : 0, expected);
	return ms;
}

double ps_live_read_batches(struct ps_live *l, uint64_t expected)
{
	struct bpf_map *map = bpf_object__find_map_by_name(l->rig->object, "ps_conns");
	_cleanup_free_ char *keys = calloc(BATCH, bpf_map__key_size(map));
	_cleanup_free_ char *values = calloc(BATCH, bpf_map__value_size(map));
	uint64_t began, n = 0;
	uint32_t at = 0, count = 0;
	int r = 0;
	double ms;

	if (!keys || !values)
		die("memory");
	began = ps_bench_cpu();
	for (bool first = true; r == 0; first = false) {
		count = BATCH;
		r = bpf_map_lookup_batch(bpf_map__fd(map), first ? NULL : &at, &at, keys, values, &count, NULL);
		if (r && r != -ENOENT)
			die("cannot read the LRU hash");
		n += count;
	}
	ms = (double)(ps_bench_cpu() - began) / 1e6;
	expect(n, expected);
	return ms;
}
