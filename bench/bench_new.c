/* SPDX-License-Identifier: MIT */
/*
 * What a new connection costs: TCP SYNs, each from another address, on their way into the stack. Ours is the whole
 * product, with the event in the ring, over reading and passing the same packets; rings are read between batches, so no
 * event is lost. The kernel's is nf_conntrack with `ct state` in a network namespace, over the same way through a
 * namespace where nothing asks for it; both end in a drop behind the hook where a connection is confirmed, and the
 * number of entries is checked. Its checksums are off: frames that enter here bring none.
 *
 * And two CPUs that make new connections at the same time, against one.
 *
 * PS_BENCH_ROUNDS, PS_BENCH_REPEAT (connections a round): other numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/abi.h"

#include "bench_live_own.skel.h"
#include "bench_mutate.skel.h"

#include "bench/live_rig.h"
#include "bench/rules.h"
#include "bench/series.h"
#include "common/base/cleanup.h"

#define BITS 18u /* table size; nf_conntrack's own limit is as large where it was left alone */
#define BITS_SMOKE 13u

/*
 * It takes a millisecond to begin and end a run of live frames, so one run has many; their events fill a third of a
 * ring, so that none has to ask for the reader.
 */
#define LIVE_BATCH 16384u
#define LIVE_RING (16u << 20)

/* Two CPUs: short batches, of which those count that nobody interrupted on either. */
#define BATCH 1024u
#define BATCHES 16
#define TRIES 64

static unsigned rounds = 7;
static uint32_t repeat = 200000;
static unsigned bits = BITS, tries = TRIES;

enum way {
	OURS,    /* through XDP; dropped at nft's ingress hook */
	PLAIN,   /* through the stack; dropped at the end of its input hook */
	TRACKED, /* the same, with nf_conntrack */
	WAYS,
};

static int ways[WAYS];

_Noreturn static void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int this_namespace(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("no network namespace");
	return fd;
}

static void enter(enum way way)
{
	if (setns(ways[way], CLONE_NEWNET) < 0)
		die("setns");
}

/* The chain that drops is there first: of hooks with the same priority, the later ones, conntrack's, are run before. */
static bool make_stack(enum way way)
{
	bool tracked = way == TRACKED;

	if (unshare(CLONE_NEWNET) < 0)
		die("no network namespace");
	ways[way] = this_namespace();
	return system("ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip route add 11.224.0.0/12 dev lo") ==
		       0 &&
	       system("nft 'table ip bench { chain last { type filter hook input priority 2147483647; policy drop; }; "
		      "chain first { type filter hook prerouting priority -150; }; }' 2>/dev/null") == 0 &&
	       (!tracked || (system("nft 'add rule ip bench first ct state invalid drop' 2>/dev/null") == 0 &&
				    system("echo 0 >/proc/sys/net/netfilter/nf_conntrack_checksum") == 0));
}

static unsigned long proc_number(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	unsigned long n = 0;

	if (!f || fscanf(f, "%lu", &n) != 1)
		return 0;
	return n;
}

static void flush_conntrack(void)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg family;
	} message = {
		.head = {.nlmsg_len = sizeof(message),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
	};
	char answer[256];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || send(fd, &message, sizeof(message), 0) < 0 || recv(fd, answer, sizeof(answer), 0) < 0)
		die("cannot flush nf_conntrack");
	(void)close(fd);
}

struct figure {
	const char *name;
	enum way way;
	const char *program;
	struct ps_rule_set *set; /* NULL: leave what is in force */
	double ns[PS_BENCH_ROUNDS_MAX];
};

static void check(const struct figure *f, struct ps_live *l)
{
	struct ps_stats s = ps_rig_stats(l->rig);

	if (f->way == TRACKED && proc_number("/proc/sys/net/netfilter/nf_conntrack_count") * 100 < repeat * 99ul)
		ps_bench_note(f->name, "nf_conntrack did not keep all of these connections");
	if (!strcmp(f->program, "bench_all") && (s.ev_conn_new != repeat || s.lost_conn_new || s.dropped_packets))
		ps_bench_note(f->name, "not every packet was a new connection with its event");
}

static void go(struct figure *f, struct ps_live *l, unsigned round)
{
	double sum = 0;

	enter(f->way);
	ps_rig_reset(l->rig);
	ps_rig_interface(l->rig, 1, 0, 1500);
	if (f->set)
		(void)ps_rule_install(&l->rig->view, f->set, 0);
	l->settings->draw = BENCH_IN_TURN;
	l->settings->payload = 0;
	l->settings->sum = 1;
	l->settings->next = 0;
	for (uint32_t done = 0; done < repeat; done += LIVE_BATCH) {
		uint32_t n = PS_MIN(LIVE_BATCH, repeat - done);

		sum += ps_live_run_frame(l, f->program, &l->syn, n) * n;
		ps_live_forget_events(l);
	}
	f->ns[round] = sum / repeat;
	check(f, l);
	if (f->way == TRACKED)
		flush_conntrack();
}

static void new_connections(void)
{
	size_t size = 0;
	const void *object = bench_live_own__elf_bytes(&size);
	struct ps_live *l = ps_live_empty(object, size, PS_RIG_OWN, bits, LIVE_RING);
	struct figure f[] = {
		{"new.parse", OURS, "bench_parse", NULL, {0}},
		{"new.0", OURS, "bench_all", ps_bench_mixed_set(l->rig, 0, 0), {0}},
		{"new.10k", OURS, "bench_all", ps_bench_mixed_set(l->rig, 10000, 0), {0}},
		{"new.plain", PLAIN, "bench_pass", NULL, {0}},
		{"new.conntrack", TRACKED, "bench_pass", NULL, {0}},
	};
	size_t n = PS_ARRAY_SIZE(f);

	memset(l->syn.data, 0, 6); /* meant for the loopback interface, so that the stack goes on with it */
	ps_live_namespace();
	ways[OURS] = this_namespace();
	if (!make_stack(PLAIN) || !make_stack(TRACKED)) {
		ps_bench_note("new.conntrack", "nft or nf_conntrack is not here");
		n -= 2;
	} else if (proc_number("/proc/sys/net/netfilter/nf_conntrack_max") < repeat) {
		ps_bench_note("new.conntrack", "nf_conntrack_max is smaller than this run");
		n -= 2;
	}
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < n; i++)
			go(&f[i], l, round);
	for (size_t i = 0; i < n; i++)
		ps_bench_series(f[i].name, "ns", f[i].ns, rounds);
	ps_live_free(&l);
}

/* --- Two CPUs -------------------------------------------------------------------------------------------------- */

struct producer {
	struct ps_rig *rig;
	int program;
	int cpu;
	struct ps_frame frame;
	uint64_t began, ended; /* of the last batch */
	uint64_t used;         /* CPU time of it */
};

static pthread_barrier_t gate;
static atomic_uint ready;
static atomic_bool over;

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("cannot bind to a CPU");
}

/* The frame's MAC addresses hold the generator of mutate.bpf.c, each producer's another. */
static void make_producer(struct producer *p, struct ps_rig *rig, int cpu)
{
	uint64_t state = 0x9e3779b97f4a7c15ull * (unsigned)(cpu + 1);

	*p = (struct producer){.rig = rig, .cpu = cpu};
	p->program = bpf_program__fd(bpf_object__find_program_by_name(rig->object, "bench_full"));
	ps_frame_make(&p->frame, &(struct ps_frame_spec){.src = "10.0.0.1",
					 .dst = "10.0.0.2",
					 .proto = IPPROTO_TCP,
					 .sport = 1,
					 .dport = 2,
					 .flags = PS_F_SYN});
	memset(p->frame.data, 0, 12);
	memcpy(p->frame.data, &state, sizeof(state));
}

static void produce(struct producer *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = p->frame.data, .data_size_in = (uint32_t)p->frame.len,
		.data_out = p->frame.data, .data_size_out = (uint32_t)p->frame.len, .repeat = BATCH);
	uint64_t cpu = ps_bench_cpu();

	p->began = ps_bench_now();
	if (bpf_prog_test_run_opts(p->program, &run) != 0)
		die("bench_full");
	p->ended = ps_bench_now();
	p->used = ps_bench_cpu() - cpu;
}

static bool interrupted(const struct producer *p)
{
	return (p->ended - p->began) * 10 > p->used * 11;
}

/* Both have arrived; the rest of the way is spun, because a wake-up takes as long as a tenth of a batch. */
static void meet(unsigned turn)
{
	(void)pthread_barrier_wait(&gate);
	atomic_fetch_add(&ready, 1);
	while (atomic_load(&ready) < 2 * turn)
		;
}

static void *second(void *arg)
{
	struct producer *p = arg;

	bind_to(p->cpu);
	for (unsigned turn = 1;; turn++) {
		meet(turn);
		if (atomic_load(&over))
			return NULL;
		produce(p);
		(void)pthread_barrier_wait(&gate);
	}
}

static void forget_events(struct ps_rig *rig)
{
	(void)ps_rig_drain(rig);
	ps_rig_forget_events(rig);
}

/* ns a connection: of one batch by one CPU, of two by two. Negative: somebody was interrupted. */
static double one_batch(struct producer *p)
{
	produce(&p[0]);
	forget_events(p->rig);
	return interrupted(&p[0]) ? -1 : (double)(p[0].ended - p[0].began) / BATCH;
}

static double two_batches(struct producer *p, unsigned turn)
{
	uint64_t began, ended;

	meet(turn);
	produce(&p[0]);
	(void)pthread_barrier_wait(&gate);
	began = PS_MIN(p[0].began, p[1].began);
	ended = PS_MAX(p[0].ended, p[1].ended);
	forget_events(p->rig);
	return interrupted(&p[0]) || interrupted(&p[1]) ? -1 : (double)(ended - began) / (2 * BATCH);
}

/* One round: the middle of up to BATCHES of each kind. false if every one was interrupted. */
static bool two_round(struct producer *p, unsigned *turn, double *ret_one, double *ret_two)
{
	double ones[BATCHES], twos[BATCHES];
	size_t n_one = 0, n_two = 0;

	ps_rig_reset(p->rig);
	for (unsigned i = 0; i < tries && (n_one < BATCHES || n_two < BATCHES); i++) {
		double one = one_batch(p), two = two_batches(p, ++*turn);

		if (one > 0 && n_one < BATCHES)
			ones[n_one++] = one;
		if (two > 0 && n_two < BATCHES)
			twos[n_two++] = two;
	}
	if (ps_rig_stats(p->rig).lost_conn_new || ps_rig_stats(p->rig).untracked)
		ps_bench_note("two.both", "connections or events were lost");
	if (n_one == 0 || n_two == 0)
		return false;
	*ret_one = ps_bench_median(ones, n_one);
	*ret_two = ps_bench_median(twos, n_two);
	return true;
}

/*
 * The kernel patches its code for each XDP program that begins to run somewhere, a test run included, and again when it
 * ends: a millisecond and an interrupt for the other CPU. Not for one that is attached already.
 */
static void stay_dispatched(int program)
{
	if (unshare(CLONE_NEWNET) < 0 || bpf_xdp_attach(1, program, XDP_FLAGS_SKB_MODE, NULL) < 0)
		die("cannot attach to a loopback interface");
}

static void two_cpus(void)
{
	static double one[PS_BENCH_ROUNDS_MAX], two[PS_BENCH_ROUNDS_MAX];
	size_t size = 0;
	const void *object = bench_mutate__elf_bytes(&size);
	unsigned turn = 0, n = 0;
	struct producer p[2];
	struct ps_rig *rig;
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		ps_bench_note("two.both", "one CPU only");
		return;
	}
	rig = ps_rig_new(&(struct ps_rig_options){.object = object,
		.object_size = size,
		.live_clock = true,
		.buckets = (1u << bits) / PS_BUCKET_SLOTS * 100 / PS_TABLE_LOAD_PERCENT,
		.ring_bytes = PS_LIVE_RING});
	make_producer(&p[0], rig, 0);
	stay_dispatched(p[0].program);
	make_producer(&p[1], rig, 1);
	bind_to(0);
	if (pthread_barrier_init(&gate, NULL, 2) || pthread_create(&thread, NULL, second, &p[1]))
		die("no thread");
	for (unsigned round = 0; round < rounds; round++)
		n += two_round(p, &turn, &one[n], &two[n]);
	atomic_store(&over, true);
	meet(++turn);
	(void)pthread_join(thread, NULL);
	if (n < rounds)
		ps_bench_note("two.both", "in some rounds every batch was interrupted");
	if (n) {
		ps_bench_series("two.one", "ns", one, n);
		ps_bench_series("two.both", "ns", two, n);
	}
	ps_rig_free(&rig);
}

int main(int argc, char **argv)
{
	rounds = ps_bench_rounds(rounds);
	repeat = (uint32_t)ps_bench_size("PS_BENCH_REPEAT", repeat);
	if (getenv("PS_BENCH_SMOKE")) {
		bits = BITS_SMOKE;
		tries = 2;
	}
	if (ps_rig_skip())
		return 77;
	if (argc < 2 || !strcmp(argv[1], "two"))
		two_cpus();
	ps_bench_pin();
	if (argc < 2 || !strcmp(argv[1], "new"))
		new_connections();
	return 0;
}
